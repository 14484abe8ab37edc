"""The API of the product behind several ports of one process, for `http`.

Reads one line of JSON (`{"dsn": …}`), writes one (`{"ports": {way: port}, "key": …}`) once it
serves, then answers each further line:

    {"fixed": [path, …], "status": n}  `/fixed/0` answers with what the first path answers,
                                       `/fixed/1` with what the second does, and so on
    {"usage": true}                    CPU seconds and memory of this process

and leaves when its input ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
from collections.abc import MutableMapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, ClassVar, TypeAlias

import structlog
import uvloop
from fastapi import APIRouter, FastAPI, Path
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bench.harness import peak_rss_bytes
from bench.http_paths import SECRET
from renown.api.app import create_app
from renown.api.routing import StrictRoute, add_routes
from renown.cli.listening import bind, serving
from renown.settings import Settings
from renown.spec.limits import COST_CLASSES, MOST_PER_MINUTE, TIERS
from renown.store.accounts import create_account
from renown.store.api_keys import Wanted, issue_key
from renown.store.pool import connect, connect_pool

_UNLIMITED = json.dumps({tier: dict.fromkeys(COST_CLASSES, MOST_PER_MINUTE) for tier in TIERS})
POOL_SIZE = 8


Answer: TypeAlias = tuple[list[tuple[bytes, bytes]], bytes]
"""Headers and body."""


class Fixed:
    """What the handlers without a database answer, by number."""

    status = 200
    answers: ClassVar[list[Answer]] = [([], b"{}")]


class _Ready(Response):
    def __init__(self, number: str) -> None:
        headers, self.body = Fixed.answers[int(number)]
        self.status_code = Fixed.status
        self.raw_headers = [*headers]
        self.background = None


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """The least that the server can be asked to call."""
    if scope["type"] == "http":
        headers, body = Fixed.answers[int(scope["path"].removeprefix("/fixed/"))]
        headers = [*headers]
        await send({"type": "http.response.start", "status": Fixed.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    else:
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})


def starlette_route() -> ASGIApp:
    async def fixed(request: Request) -> Response:
        return _Ready(request.path_params["number"])

    return Starlette(routes=[Route("/fixed/{number}", fixed)])


def fastapi_route() -> ASGIApp:
    app = FastAPI()

    @app.get("/fixed/{number}", response_model=None)
    async def fixed(number: str) -> Response:
        return _Ready(number)

    return app


def with_fixed(app: FastAPI) -> FastAPI:
    """The product's app with one more route, which asks nobody."""
    router = APIRouter(route_class=StrictRoute)

    @router.get("/fixed/{number}")
    async def fixed(request: Request, number: Annotated[str, Path(max_length=9)]) -> Response:
        return _Ready(number)

    add_routes(app, router)
    return app


async def main() -> None:
    lines = asyncio.StreamReader(limit=2**22)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    dsn = json.loads(await lines.readline())["dsn"]
    given: dict[str, Any] = {
        "cursor_secret": SECRET,
        "key_pepper": SECRET,
        "limits_json": _UNLIMITED,
        "db_pool_max_size": POOL_SIZE,
    }
    settings = Settings(**given, database_url=SecretStr(dsn))
    async with AsyncExitStack() as stack:
        pool = await connect_pool(
            dsn, min_size=POOL_SIZE, max_size=POOL_SIZE, application_name="renown-api"
        )
        stack.push_async_callback(pool.close)
        # With a pool alone it hears of no changes, and so keeps nothing.
        anew = with_fixed(create_app(Settings(**given), pool=pool))
        kept = with_fixed(create_app(settings, pool=pool, listen=partial(connect, dsn)))
        apps: dict[str, Any] = {
            "bare": bare,
            "starlette": starlette_route(),
            "fastapi": fastapi_route(),
            "anew": anew,
            "kept": kept,
        }
        ports = {}
        for name, app in apps.items():
            bound = stack.enter_context(bind("127.0.0.1", 0))
            await stack.enter_async_context(serving(app, bound))
            ports[name] = bound.getsockname()[1]
        anew.state.desk.dear.is_on = False  # nor does it keep what is dear
        while not kept.state.desk.kept.followed():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        _say({"ports": ports, "key": await _key(pool, settings)})
        while line := await lines.readline():
            order = json.loads(line)
            if "fixed" in order:
                Fixed.status = order["status"]
                Fixed.answers = [await _answer(anew, path) for path in order["fixed"]]
                if Fixed.status == 304:
                    Fixed.answers = [(_unsized(headers), b"") for headers, _ in Fixed.answers]
                _say({"bytes": sum(len(body) for _, body in Fixed.answers)})
            else:
                usage = resource.getrusage(resource.RUSAGE_SELF)
                rss = int(_statm()) * os.sysconf("SC_PAGE_SIZE")
                _say(
                    {
                        "cpu_seconds": usage.ru_utime + usage.ru_stime,
                        "rss_bytes": rss,
                        "peak_rss_bytes": peak_rss_bytes(os.getpid()),
                    }
                )


def _statm() -> str:
    return FilePath("/proc/self/statm").read_text().split()[1]


def _unsized(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    sized = (b"content-length", b"content-type")
    return [one for one in headers if one[0].lower() not in sized]


async def _answer(app: FastAPI, path: str) -> Answer:
    """What the app answers to a GET of `path`: the headers of its route, and the body."""
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"bench")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
        "asgi": {"version": "3.0"},
    }
    headers: list[tuple[bytes, bytes]] = []
    body = b""

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal body
        if message["type"] == "http.response.start":
            assert message["status"] == 200, (path, message)
            headers.extend(message["headers"])
        else:
            body += message["body"]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope, receive, send)
    own = (b"renown-as-of", b"cache-control", b"etag", b"content-length", b"content-type")
    return [header for header in headers if header[0].lower() in own], body


async def _key(pool: Any, settings: Settings) -> str:
    async with pool.transaction() as tx:
        account = await create_account(tx, "bench", tier="enterprise")
        issued = await issue_key(
            tx, settings.key_peppers(), Wanted(account_id=account.account_id, scopes=["read"])
        )
        text: str = issued.text
        return text


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    uvloop.run(main())
