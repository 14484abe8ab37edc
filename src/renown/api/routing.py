"""Routes that take no parameter they do not know, and read those they know without detours.

FastAPI describes these routes (the signature is the contract); reading the parameters is done here,
because its general machinery for dependencies and bodies costs a keyed read a quarter of its time.
No route is reached past the gate: see `api.access.gate`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

from fastapi import APIRouter, FastAPI, params
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.gate import access_wanted, must_be_open
from renown.api.access.principal import Access
from renown.errors import BadParameter

if TYPE_CHECKING:
    from renown.api.deps import Desk

_REQUIRED = inspect.Parameter.empty


class GatedRoute(APIRoute):
    """A route behind the gate, which lets requests in by what its function is marked with
    (`@wants`) before anything of them is read.

    Making one that changes things and is not marked raises TypeError.
    """

    access: Access
    answer: Callable[[Request], Coroutine[Any, Any, Response]]
    """Lets a request in, and answers it: what the framework calls, without its layers around. A
    class that wraps `get_route_handler` must set it to what that gives."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        access = self.access = access_wanted(self.endpoint, self.methods or set())
        admitted = self.handler()

        async def gated(request: Request) -> Response:
            desk: Desk = request.app.state.desk
            await desk.gate.admit(request, access)
            if desk.replica is None:
                return await admitted(request)
            return await desk.answered(admitted, request)

        self.answer = gated
        return gated

    def handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request that was let in."""
        return super().get_route_handler()


class StrictRoute(GatedRoute):
    """A route whose function takes `request` and annotated path and query parameters, and returns
    a response. Unknown query parameters are refused, and repeated ones unless they are lists: a
    filter misspelt must not be a filter ignored.
    """

    def handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint
        path, query = _parameters(endpoint)
        known = {parameter.name: parameter.is_list for parameter in query}

        async def strict(request: Request) -> Response:
            values: dict[str, Any] = {"request": request}
            given: dict[str, str] = request.scope["path_params"]
            for parameter in path:
                values[parameter.name] = parameter.read(given[parameter.name])
            if request.scope["query_string"]:
                values.update(_read(query, known, request.query_params.multi_items()))
            else:
                for parameter in query:
                    values[parameter.name] = parameter.missing()
            response: Response = await endpoint(**values)
            return response

        return strict


def add_routes(app: FastAPI, router: APIRouter) -> None:
    """Put a router's routes into the app as they are: no prefix, no wrapping to pay for.

    Raises:
        TypeError: one passes no gate, and is not marked as open to everybody.
    """
    for route in router.routes:
        if isinstance(route, APIRoute) and not isinstance(route, GatedRoute):
            must_be_open(route.endpoint)
    app.router.routes.extend(router.routes)


def read_query(endpoint: Callable[..., Any], texts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The query parameters of a route's function, read as a request's would be."""
    _, query = _parameters(endpoint)
    return _read(query, {parameter.name: parameter.is_list for parameter in query}, texts)


class _Parameter:
    """One parameter of a route: its name, type, bounds and default."""

    def __init__(self, name: str, annotation: Any, default: Any) -> None:
        self.name = name
        self._default = default
        self._adapter = TypeAdapter(annotation)
        self.is_list = any(get_origin(one) is list for one in get_args(get_args(annotation)[0]))

    def read(self, text: str | list[str]) -> Any:
        """`text` as the parameter's type. Raises BadParameter."""
        try:
            return self._adapter.validate_python(text)
        except ValidationError as exc:
            detail = "; ".join(error["msg"] for error in exc.errors())[:300]
            raise BadParameter(f"`{self.name}`: {detail}", parameter=self.name) from None

    def missing(self) -> Any:
        """The default. Raises BadParameter where there is none."""
        if self._default is _REQUIRED:
            raise BadParameter(f"`{self.name}` is required", parameter=self.name)
        return self._default


def _parameters(endpoint: Callable[..., Any]) -> tuple[list[_Parameter], list[_Parameter]]:
    path: list[_Parameter] = []
    query: list[_Parameter] = []
    for name, one in inspect.signature(endpoint, eval_str=True).parameters.items():
        if one.annotation is Request:
            continue
        places = [m for m in one.annotation.__metadata__ if isinstance(m, params.Param)]
        kept = path if isinstance(places[-1], params.Path) else query
        kept.append(_Parameter(name, one.annotation, one.default))
    return path, query


def _read(
    query: Iterable[_Parameter], known: Mapping[str, bool], texts: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    asked = _once(known, texts)
    return {
        parameter.name: parameter.missing()
        if (text := asked.get(parameter.name)) is None
        else parameter.read(text)
        for parameter in query
    }


def _once(
    known: Mapping[str, bool], texts: Iterable[tuple[str, str]]
) -> dict[str, str | list[str]]:
    asked: dict[str, str | list[str]] = {}
    for name, text in texts:
        if name not in known:
            names = sorted(known)
            raise BadParameter(
                f"no such parameter here; this route takes: {', '.join(names) or 'none'}",
                parameter=name[:100],
                known=names,
            )
        before = asked.get(name)
        if isinstance(before, list):
            before.append(text)
        elif before is not None:
            raise BadParameter(f"`{name}` is given twice; give it once", parameter=name)
        else:
            asked[name] = [text] if known[name] else text
    return asked
