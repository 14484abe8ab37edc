"""What the API counts of itself: requests by route pattern and status, and how long they took."""

from __future__ import annotations

from functools import cache
from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from renown.obs import metrics

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class Measured:
    """ASGI middleware: counts requests. Labels are patterns, never what a client wrote."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, method, status = perf_counter(), scope["method"], 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            _requests(method if method in _METHODS else "other", route, status).inc()
            _seconds(route).observe(perf_counter() - began)


@cache
def _requests(method: str, route: str, status: int) -> Any:
    return metrics.HTTP_REQUESTS.labels(method, route, str(status))


@cache
def _seconds(route: str) -> Any:
    return metrics.HTTP_SECONDS.labels(route)
