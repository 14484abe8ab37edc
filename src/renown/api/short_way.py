"""The short way of a read: what all layers do for it, done at once.

Around a route stand the counting of requests, the headers of all answers, the audit log, and the
framework's own layers and its walk through the patterns of all routes. Each of them wraps the next
and what it sends, which together costs more than a keyed read. A GET or HEAD of a route behind the
gate needs none of the framework's, so it goes from here to its route, and its answer is dressed,
told of and counted here with the very functions of those layers. Everything else goes the long way
through them: other methods, pages, files, paths that no route has, and every request while traces
are made.

The routes are the framework's own, and what describes them stays where it is.
"""

from __future__ import annotations

from time import perf_counter

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from renown.api import measured
from renown.api.audited.middleware import Audited
from renown.api.compressed import SHORTEST_BYTES, compressed
from renown.api.paths import Paths
from renown.api.problems import answer_failure
from renown.api.routing import StrictRoute
from renown.api.wire import as_get, dress, dressing, is_head, path_of
from renown.obs.acting import ACTING, Acting
from renown.obs.tracing import TRACES

_READS = ("GET", "HEAD")


class ShortWay:
    """ASGI application in front of all layers.

    Args:
        app: whose routes it knows; they may still become more.
        long_way: all layers and the app within.
        audited: the one of them that keeps the audit log.
    """

    def __init__(self, app: FastAPI, long_way: ASGIApp, audited: Audited) -> None:
        self._app = app
        self._long_way = long_way
        self._audited = audited
        self._routes = 0
        self._paths: Paths[StrictRoute] = Paths((), StrictRoute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "http"
            and scope["method"] in _READS
            and not scope.get("root_path")
            and not TRACES.is_on
        ):
            routes = self._app.router.routes
            if len(routes) != self._routes:
                self._routes, self._paths = len(routes), Paths(routes, StrictRoute)
            path = path_of(scope)
            found = self._paths.find(path)
            if found is not None:
                scope["path"] = path
                scope["route"], scope["path_params"] = found
                await self._answer(found[0], scope, receive, send)
                return
        await self._long_way(scope, receive, send)

    async def _answer(self, route: StrictRoute, scope: Scope, receive: Receive, send: Send) -> None:
        measured.came()
        began, status = perf_counter(), 500
        if scope["method"] == "HEAD":
            scope = as_get(scope)
        scope["app"], scope["endpoint"] = self._app, route.endpoint
        asked = self._audited.begin(scope)
        before = ACTING.set(Acting(request_id=asked.request_id))
        try:
            request = Request(scope, receive, send)
            mistake: Exception | None = None
            try:
                response = await route.answer(request)
            except Exception as exc:  # noqa: BLE001 - as the framework's outermost layer
                response, is_ours = await answer_failure(request, exc)
                if is_ours:
                    mistake = exc
                else:
                    exc.__traceback__ = None  # one raised again for others would gather them
            status = response.status_code
            await self._audited.read_answered(asked, status)
            response.raw_headers.append(asked.header)
            if isinstance(response, StreamingResponse | FileResponse):
                await response(scope, receive, dressing(scope, send))
            else:
                await _send(response, scope, send)
            if mistake is not None:
                raise mistake
        finally:
            ACTING.reset(before)
            self._audited.read_left(asked, status)
            measured.left("GET", route, status, perf_counter() - began)


async def _send(response: Response, scope: Scope, send: Send) -> None:
    headers, body = response.raw_headers, bytes(response.body)
    if len(body) >= SHORTEST_BYTES:
        body = await compressed(scope, response.status_code, headers, body)
    dress(scope, headers)
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head(scope) else body})
    if response.background is not None:
        await response.background()
