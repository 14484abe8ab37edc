"""The world behind the devnet's URIs: one HTTP server that is every host under `.example`.

A crawler or browser has to be told to come here: see `Origin.opening`. Which host is asked says
the Host header, over plain HTTP, whatever scheme the URI has.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from email.utils import formatdate, parsedate_to_datetime
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from renown.chain.devnet.asked import NOT_FOUND, Asked, Reply, json_reply
from renown.chain.devnet.files import HTML, JSON, Files, Page
from renown.chain.devnet.oddities import HTML_PAGE
from renown.chain.devnet.residents import answer, mood
from renown.errors import SetupError

KEPT_REQUESTS = 20_000
SLOW_SECONDS = 3.0

UNKNOWN = json_reply({"error": "nobody on the devnet put anything here"}, 404)

MOVED = {"agents-5.example": "moved.example"}
"""Hosts that send everybody elsewhere, and where to; what they had is there."""

BROKEN_HOST, LOGIN_HOST = "agents-9.example", "agents-11.example"
"""Hosts whose files are there, but not to be had: one answers 500, one with a page, status 200."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request that was answered. `path` has its query, `at_seconds` is Unix time."""

    method: str
    host: str
    path: str
    at_seconds: float
    user_agent: str
    status: int


class Origin:
    """Serves `files` while entered: `async with Origin(files) as origin: ... origin.url`.

    Args:
        port: None takes a free one.
        slow_seconds: how long slow hosts wait before they answer.
        clock: Unix time.

    Attributes:
        requests: the last `KEPT_REQUESTS`, oldest first.

    Raises (on entry):
        SetupError: the port is taken.
    """

    def __init__(
        self,
        files: Files | None = None,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        slow_seconds: float = SLOW_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.files = Files() if files is None else files
        self.requests: deque[Request] = deque(maxlen=KEPT_REQUESTS)
        self._host, self._port = host, port or 0
        self._slow_seconds = slow_seconds
        self._clock = clock
        self._started_seconds = clock()
        self._runner: web.ServerRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens, e.g. `http://127.0.0.1:8104`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def opening(self) -> str:
        """For RENOWN_FETCH_OPEN: sends requests for the devnet's hosts here."""
        return f"*.example={self.url}"

    def put(
        self,
        host: str,
        path: str,
        body: bytes,
        *,
        content_type: str = JSON,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        etag: str | None = None,
    ) -> None:
        """Serve `body` at `https://host/path` from now on; as `Files.put`, modified now."""
        self.files.put(
            host,
            path,
            body,
            content_type=content_type,
            status=status,
            headers=headers,
            etag=etag,
            modified_at_seconds=self._clock(),
        )

    def remove(self, host: str, path: str) -> None:
        """404 from now on."""
        self.files.pages.pop((host, path), None)

    async def __aenter__(self) -> Self:
        self._started_seconds = self._clock()
        runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as exc:
            await runner.cleanup()
            raise SetupError(
                f"port {self._port} on {self._host} is in use; choose another"
            ) from exc
        self._runner = runner
        self._port = runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        asked = Asked(
            method=request.method,
            host=request.host.rpartition(":")[0].lower() or request.host.lower(),
            path=path,
            query=query,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
            at_seconds=self._clock(),
        )
        reply = self._reply(asked)
        self.requests.append(
            Request(
                method=asked.method,
                host=asked.host,
                path=request.raw_path,
                at_seconds=asked.at_seconds,
                user_agent=asked.headers.get("user-agent", ""),
                status=reply.status,
            )
        )
        if reply.slow:
            await asyncio.sleep(self._slow_seconds)
        return web.Response(
            status=reply.status,
            body=reply.body,
            headers={"content-type": reply.content_type, **reply.headers},
        )

    def _reply(self, asked: Asked) -> Reply:
        if (elsewhere := MOVED.get(asked.host)) is not None:
            return Reply(status=301, headers={"location": f"https://{elsewhere}{asked.path}"})
        if asked.host == BROKEN_HOST:
            return json_reply({"error": "internal"}, 500)
        if asked.host == LOGIN_HOST:
            return Reply(body=HTML_PAGE, content_type=HTML)
        agent = self.files.residents.get(asked.host)
        if agent is None:
            return self._page(asked) or UNKNOWN
        found = mood(agent, asked)
        if found is None:
            edition = self.files.editions[agent.agent_id]
            found = self._page(asked) or answer(agent, edition, asked)
        if agent.temper == "slow":
            found = msgspec.structs.replace(found, slow=True)
        return found

    def _page(self, asked: Asked) -> Reply | None:
        """The file, or 304 to whoever has it already; None where there is none."""
        host = _MOVED_FROM.get(asked.host, asked.host)
        whole = f"{asked.path}?{asked.query}" if asked.query else asked.path
        page = self.files.pages.get((host, whole))
        if page is None:
            return None
        if asked.method not in ("GET", "HEAD"):
            return NOT_FOUND
        modified = page.modified_at_seconds or self._started_seconds
        headers = dict(page.headers)
        if page.etag is not None:
            headers["etag"] = page.etag
        if page.dated:
            headers["last-modified"] = formatdate(modified, usegmt=True)
        if page.status == 200 and _is_known(page, modified, asked.headers):
            return Reply(status=304, headers=headers)
        return Reply(
            status=page.status, body=page.body, content_type=page.content_type, headers=headers
        )


_MOVED_FROM = {there: here for here, there in MOVED.items()}


def _is_known(page: Page, modified_seconds: float, headers: Mapping[str, str]) -> bool:
    """RFC 9110, 13.2.2: a tag outranks a date."""
    if (tags := headers.get("if-none-match")) is not None:
        return page.etag in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    since = headers.get("if-modified-since")
    if since is None or not page.dated:
        return False
    try:
        return int(modified_seconds) <= parsedate_to_datetime(since).timestamp()
    except ValueError:
        return False
