"""Errors as RFC 9457 problems: every one, also those of the framework and our own mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.marks import turned_away
from renown.api.web.page import error_page, wants_page
from renown.errors import (
    BadParameter,
    BadRequest,
    MethodNotAllowed,
    RenownError,
    RouteNotFound,
    StoreError,
    WalletProofRefused,
)

PROBLEM_JSON = "application/problem+json"
RETRY_SECONDS = 2

log = structlog.get_logger(__name__)


def install(app: FastAPI) -> None:
    """Answer every failure of `app` with a problem, or a page where a person looks."""
    app.add_exception_handler(RenownError, _on_renown_error)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unexpected)


async def answer_failure(request: Request, exc: Exception) -> tuple[Response, bool]:
    """How a failure is answered that nobody in between has, and whether it is our mistake: such a
    one is to be raised again, so that the server tells of it, too."""
    if isinstance(exc, RenownError):
        return await _on_renown_error(request, exc), False
    if isinstance(exc, RequestValidationError):
        return await _on_validation(request, exc), False
    if isinstance(exc, HTTPException):
        return await _on_http(request, exc), False
    return await _on_unexpected(request, exc), True


def slugs() -> Iterator[type[RenownError]]:
    """Every error class, the root first: each slug has a page in the docs."""
    waiting: list[type[RenownError]] = [RenownError]
    while waiting:
        kind = waiting.pop(0)
        if "slug" in vars(kind):  # one without is told apart inside only
            yield kind
        waiting.extend(kind.__subclasses__())


def respond(
    request: Request, error: RenownError, headers: dict[str, str] | None = None
) -> Response:
    """`error` as a response. Of our own failures (5xx) the client learns only what to do next."""
    path = request.url.path
    if error.status >= 500:
        advice = "Try again in a moment." if error.retryable else "The operator has to look."
        problem = type(error)(advice).problem(path)
    else:
        problem = error.problem(path)
    extra = dict(headers or {})
    if error.retryable:
        extra["Retry-After"] = str(error.context.get("retry_after_seconds", RETRY_SECONDS))
    if error.status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = 'Bearer realm="renown"'
    extra["Cache-Control"] = "no-store"
    if wants_page(request):
        return error_page(request, problem, extra)
    body = msgspec.json.encode(problem)
    return Response(body, error.status, headers=extra, media_type=PROBLEM_JSON)


async def _on_renown_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RenownError)
    if isinstance(exc, WalletProofRefused):
        turned_away(request.scope, "signature")
    if exc.status >= 500:
        level = log.warning if isinstance(exc, StoreError) else log.error
        level("request_failed", route=_route(request), error=exc.slug, detail=exc.detail)
    return respond(request, exc)


async def _on_validation(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    errors = [_plain(error) for error in exc.errors()]
    detail = "; ".join(f"{e['parameter']}: {e['detail']}" for e in errors[:3])
    return respond(request, BadParameter(detail, errors=errors))


def _plain(error: dict[str, Any]) -> dict[str, str]:
    where = [str(part) for part in error["loc"] if part not in ("query", "path", "body")]
    return {"parameter": ".".join(where)[:100], "detail": str(error["msg"])[:300]}


async def _on_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    headers = dict(exc.headers or {})
    if exc.status_code == HTTPStatus.NOT_FOUND:
        return respond(request, RouteNotFound("see /docs for what there is"))
    if exc.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = headers.get("Allow", "GET")
        return respond(request, MethodNotAllowed(f"this route takes {allowed}"), {"Allow": allowed})
    if exc.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return respond(request, BadRequest(str(exc.detail)[:300]), headers)
    return respond(request, RenownError("unexpected"))


async def _on_unexpected(request: Request, exc: Exception) -> Response:
    log.error("request_broke", route=_route(request), exc_info=exc)
    return respond(request, RenownError("unexpected"))


def _route(request: Request) -> str:
    """The pattern, never the path: that is a stranger's text. The request's id leads further."""
    return getattr(request.scope.get("route"), "path", "unmatched")
