"""What the API counts of itself: requests by route pattern and status, and how long they took."""

from __future__ import annotations

from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from renown.api.access.client_address import NOBODY, TrustedProxies, comes_from_proxy
from renown.obs import metrics
from renown.obs.metrics.api import METHODS, OTHER, STATUSES, UNMATCHED
from renown.obs.tracing import TRACES

if TYPE_CHECKING:
    from renown.api.deps import Desk


_LONGEST_TRACEPARENT = 100


class Measured:
    """ASGI middleware: counts requests. Labels are patterns, never what a client wrote."""

    def __init__(self, app: ASGIApp, trusted_proxies: TrustedProxies = NOBODY) -> None:
        self._app = app
        self._trusted = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif TRACES.is_on:
            method = scope["method"] if scope["method"] in METHODS else OTHER
            with TRACES.request(method, self._traceparent(scope)) as span:
                route, status = await self._counted(scope, receive, send)
                TRACES.answered(span, method, route, status)
        else:
            await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> tuple[str, int]:
        """The route's pattern and the status of the answer."""
        began, status = perf_counter(), 500
        came()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            pattern = left(scope["method"], scope.get("route"), status, perf_counter() - began)
        return pattern, status

    def _traceparent(self, scope: Scope) -> str | None:
        """Whose trace this belongs to, as a proxy of ours says; a stranger must not choose."""
        if not comes_from_proxy(scope, self._trusted):
            return None
        for name, value in scope["headers"]:
            if name == b"traceparent" and len(value) <= _LONGEST_TRACEPARENT:
                text: str = value.decode("latin-1")
                return text
        return None


def came() -> None:
    """A request came in. `left` must follow, whatever becomes of it."""
    metrics.HTTP_IN_FLIGHT.inc()


def left(method: str, route: Any, status: int, seconds: float) -> str:
    """A request was answered, or came to nothing. Returns its pattern."""
    metrics.HTTP_IN_FLIGHT.dec()
    pattern: str = getattr(route, "path", UNMATCHED)
    _requests(_method(method, route), pattern, status).inc()
    _seconds(pattern).observe(seconds)
    return pattern


def tell_pools(desk: Desk) -> None:
    """Set the gauges of the pools to what is so now."""
    if desk.pool is not None:
        desk.pool.tell()
    if desk.replica is not None:
        desk.replica.pool.tell()


def _method(method: str, route: Any) -> str:
    """The method as a label: one that a route takes, or any usual one where no route fits. HEAD of
    a route is its GET."""
    taken = getattr(route, "methods", None) or METHODS
    if method == "HEAD" and route is not None and "GET" in taken:
        return "GET"
    return method if method in taken else OTHER


@cache
def _requests(method: str, route: str, status: int) -> Any:
    shown = str(status) if status in STATUSES else f"{status // 100 % 10}xx"
    return metrics.HTTP_REQUESTS.labels(method, route, shown)


@cache
def _seconds(route: str) -> Any:
    return metrics.HTTP_SECONDS.labels(route)
