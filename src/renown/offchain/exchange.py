"""One request and its answer, redirects and all, within one deadline."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import TypeGuard

import msgspec

from renown.offchain.answer import Answer, AnswerReader
from renown.offchain.dial import Dialler, Route, route_to
from renown.offchain.failed import Failed
from renown.offchain.idle import Idle
from renown.offchain.limits import Limits
from renown.offchain.opened import Opened
from renown.offchain.target import Target, redirected
from renown.offchain.turns import Turns
from renown.offchain.wire import Wire

LONGEST_WAIT_SECONDS = 120.0
"""For further turns at hosts that had us already, in one fetch."""

_REDIRECTS = (301, 302, 303, 307, 308)
_SAME_METHOD = (307, 308)
_OURS = frozenset(
    (
        *("host", "user-agent", "accept-encoding", "content-length", "transfer-encoding"),
        *("connection", "keep-alive", "upgrade", "te", "trailer", "expect"),
        *("cookie", "authorization", "proxy-authorization", "proxy-connection"),
    )
)
_KEPT_ELSEWHERE = frozenset(("accept", "accept-language", "content-type", "mcp-protocol-version"))
"""Headers of the caller that another host than the one asked may see."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,8192}")


class Request(msgspec.Struct, frozen=True):
    """What to ask. `follow`: go where redirects lead."""

    method: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    follow: bool = True
    enough: Callable[[bytes], bool] | None = None


class Reply(msgspec.Struct, frozen=True):
    """What came of it. `target` is the last one asked."""

    result: Answer | Failed
    target: Target


class Run:
    """The time of one fetch: begins with its first turn at a host, ends with the deadline.

    The clock stands still while it waits for a further turn at a host that it has asked before: the
    line there is of our making. At another host it runs, see docs/explanation/fetching.md.
    """

    def __init__(self, allowed_seconds: float) -> None:
        self._allowed = allowed_seconds
        self._begun: float | None = None
        self._deadline: float | None = None
        self._stopped_at: float | None = None
        self._stopped_seconds = 0.0
        self._asked: set[str] = set()

    def wait(self, host: str) -> float | None:
        """Wait for a turn at `host`: until when (of the loop's clock), None for as long as needed.

        `begin` ends it.
        """
        if host not in self._asked:
            return self._deadline
        self._stopped_at = _now()
        return self._stopped_at + LONGEST_WAIT_SECONDS - self._stopped_seconds

    def begin(self, host: str) -> float:
        """It is our turn at `host`. Returns the deadline (of the loop's clock)."""
        self._asked.add(host)
        now = _now()
        if self._begun is None or self._deadline is None:
            self._begun, self._deadline = now, now + self._allowed
        elif self._stopped_at is not None:
            stopped = now - self._stopped_at
            self._stopped_at = None
            self._stopped_seconds += stopped
            self._deadline += stopped
        return self._deadline

    def seconds(self) -> float:
        """On the clock so far."""
        if self._begun is None:
            return 0.0
        until = _now() if self._stopped_at is None else self._stopped_at
        return until - self._begun - self._stopped_seconds


class Exchange:
    """Asks targets. One per fetcher; holds its connections."""

    def __init__(self, dialler: Dialler, turns: Turns, idle: Idle, *, user_agent: str) -> None:
        self._dialler = dialler
        self._turns = turns
        self._idle = idle
        self._user_agent = user_agent

    async def ask(
        self, target: Target, request: Request, limits: Limits, opened: Opened, run: Run
    ) -> Reply:
        """Ask `target`, then what it redirects to. Every hop passes every rule anew."""
        if not _sendable(request):
            return Reply(Failed("refused", "bad-header"), target)
        hops = 0
        while True:
            result = await self._hop(target, request, limits, opened, run)
            if not (request.follow and _is_redirect(result)):
                return Reply(result, target)
            hops += 1
            following = (
                redirected(target, result.headers.get("location", ""))
                if hops <= limits.redirects
                else Failed("refused", "too-many-redirects")
            )
            if isinstance(following, Failed):
                return Reply(following, target)
            request = _after_redirect(
                request, result.status, same_host=target.host == following.host
            )
            target = following

    async def _hop(
        self, target: Target, request: Request, limits: Limits, opened: Opened, run: Run
    ) -> Answer | Failed:
        route = route_to(target, opened)
        if isinstance(route, Failed):
            return route
        waiting = True
        try:
            async with (
                asyncio.timeout_at(run.wait(target.host)) as timeout,
                self._turns.turn(target.host),
            ):
                waiting = False
                timeout.reschedule(run.begin(target.host))
                return await self._along(route, target, request, limits)
        except TimeoutError:
            return Failed("timeout", "busy-host" if waiting else "deadline")

    async def _along(
        self, route: Route, target: Target, request: Request, limits: Limits
    ) -> Answer | Failed:
        # What may have been acted on is never sent twice, so it gets a connection of its own.
        kept = self._idle.take(route) if request.method in ("GET", "HEAD") else None
        if kept is not None:
            result = await self._over(kept, route, target, request, limits)
            if not (isinstance(result, Failed) and result.unheard):
                return result
        wire = await self._dialler.dial(route)
        if isinstance(wire, Failed):
            return wire
        return await self._over(wire, route, target, request, limits)

    async def _over(
        self, wire: Wire, route: Route, target: Target, request: Request, limits: Limits
    ) -> Answer | Failed:
        reader = AnswerReader(request.method, limits, request.enough)
        result = await wire.ask(_bytes_of(target, request, self._user_agent), reader)
        if reader.reusable and wire.open:
            self._idle.keep(route, wire)
        return result


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_redirect(result: Answer | Failed) -> TypeGuard[Answer]:
    return isinstance(result, Answer) and result.status in _REDIRECTS


def _after_redirect(request: Request, status: int, *, same_host: bool) -> Request:
    """What to ask the next target (RFC 9110, section 15.4), and no more than it may know."""
    headers, method, body = dict(request.headers), request.method, request.body
    if status not in _SAME_METHOD and method not in ("GET", "HEAD"):
        method, body = "GET", b""
        headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    if not same_host:
        headers = {
            name: value for name, value in headers.items() if name.lower() in _KEPT_ELSEWHERE
        }
    return msgspec.structs.replace(request, method=method, headers=headers, body=body)


def _sendable(request: Request) -> bool:
    """Whether the caller's headers are headers; their values may come from strangers."""
    return _NAME.fullmatch(request.method) is not None and all(
        _NAME.fullmatch(name) and _VALUE.fullmatch(value) and name.lower() not in _OURS
        for name, value in request.headers.items()
    )


def _bytes_of(target: Target, request: Request, user_agent: str) -> bytes:
    headers = {
        "Host": target.authority,
        "User-Agent": user_agent,
        "Accept": "application/json, */*;q=0.5",
        "Accept-Encoding": "identity",
    }
    own = {name.lower() for name in request.headers}
    lines = [f"{request.method} {target.resource} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in own]
    lines += [f"{name}: {value.strip()}" for name, value in request.headers.items()]
    if request.body or request.method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body
