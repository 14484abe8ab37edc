"""Problems of the API (RFC 9457) as the errors they were on the other side. Pure.

What the API says is a stranger's word here: whatever it sends becomes some RenownError.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from renown.errors import (
    EX_TEMPFAIL,
    BadRequest,
    Conflict,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    RenownError,
    TooManyRequests,
    Unauthorized,
    Unprocessable,
)
from renown.spec.text import shown

LONGEST_DETAIL = 2_000
MOST_MEMBERS = 32

_STANDARD = frozenset({"type", "title", "status", "detail", "instance"})
_BY_STATUS: dict[int, type[RenownError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    422: Unprocessable,
    429: TooManyRequests,
}


class ApiUnavailable(RenownError):
    """The API cannot be reached, or its answer is none."""

    exit_code, retryable = EX_TEMPFAIL, True


def error_of(status: int, body: bytes) -> RenownError:
    """The error that an answer of status 400 or more stands for.

    Its class follows from the problem's `type`, else from the status; its detail and its own
    members are the problem's.
    """
    problem = _problem(body)
    if problem is None:
        return _BY_STATUS.get(status, ApiUnavailable)(f"the API answered {status} without a reason")
    kind = _classes().get(str(problem.get("type", "")).rpartition("/")[2])
    if kind is None:
        kind = _BY_STATUS.get(status, ApiUnavailable)
    said = problem.get("detail") or problem.get("title") or f"the API answered {status}"
    members = {
        key: value
        for key, value in list(problem.items())[:MOST_MEMBERS]
        if key not in _STANDARD and key.isidentifier()
    }
    return kind(shown(str(said)[:LONGEST_DETAIL]), **members)


def is_retryable(status: int, error: RenownError) -> bool:
    """Whether the same request may be sent again because of this answer: nothing was done."""
    return status in (429, 502, 503, 504) or (status == 409 and error.retryable)


def _problem(body: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None


@cache
def _classes() -> dict[str, type[RenownError]]:
    found: dict[str, type[RenownError]] = {}
    waiting: list[type[RenownError]] = [RenownError]
    while waiting:
        kind = waiting.pop()
        if "slug" in vars(kind):
            found[kind.slug] = kind
        waiting += kind.__subclasses__()
    return found
