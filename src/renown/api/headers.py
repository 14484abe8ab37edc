"""Headers as the contract describes them: what answers carry beside their bodies."""

from __future__ import annotations

from typing import Any

from renown import errors

_TEXT = {"type": "string"}
_COUNT = {"type": "string", "pattern": "^[0-9]+$"}

KEY_HEADER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes the request safe to send again: it is done once, and for a day its answer"
    " is given again. One key, one request: another body, path or method with it is refused.",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
}
OF_AN_ANSWER: dict[str, Any] = {
    "Renown-As-Of": {
        "description": "The block of each chain that the answer is true at: a structured field (RFC"
        " 9651), a list of chain ids with block, hash, time, finality.",
        "required": True,
        "schema": _TEXT,
    },
    "ETag": {
        "description": "Weak; changes when the answer does, not when only the head moved.",
        "schema": _TEXT,
    },
}
"""Of what is true at a block."""
OF_A_FILE: dict[str, Any] = {
    "ETag": {"description": "Strong: the hash.", "required": True, "schema": _TEXT},
    "Repr-Digest": {"description": "RFC 9530.", "required": True, "schema": _TEXT},
}
"""Of bytes that never change."""
TO_BE_SAVED: dict[str, Any] = {
    "Content-Disposition": {
        "description": "`attachment`: no browser is to show it.",
        "schema": _TEXT,
    },
}
"""Of bytes of strangers."""
TO_BE_FOUND: dict[str, Any] = {
    "Location": {"description": "Path of what was made.", "required": True, "schema": _TEXT},
}
HEADERS: dict[str, Any] = {
    "RateLimit": {
        "description": "What is left of each limit that counted, and in how many seconds there is"
        " more: a structured field (draft-ietf-httpapi-ratelimit-headers). Not where nobody was"
        " counted, such as when a key is missing, nor where caches on the way may hand the answer"
        " to others (`max-age`).",
        "schema": _TEXT,
    },
    "RateLimit-Policy": {
        "description": "The limits that counted: requests and window in seconds.",
        "schema": _TEXT,
    },
    "X-RateLimit-Limit": {"description": "Of the limit with the least left.", "schema": _COUNT},
    "X-RateLimit-Remaining": {"description": "What is left of it.", "schema": _COUNT},
    "X-RateLimit-Reset": {"description": "In how many seconds more is left.", "schema": _COUNT},
    "Retry-After": {"description": "Seconds after which to try again.", "schema": _COUNT},
    "WWW-Authenticate": {
        "description": "How to present a key (RFC 6750).",
        "required": True,
        "schema": _TEXT,
    },
    "Idempotent-Replayed": {
        "description": "`true`: this was answered before to the same request with the same key.",
        "schema": {"type": "string", "const": "true"},
    },
}
"""By name. They stand once in the document, below `components`."""
_OF_LIMITS = (
    *("RateLimit", "RateLimit-Policy"),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
)
_OF_TRYING_AGAIN = {"409", "429", "502", "503"}
_MISMATCH = f"{errors.IdempotencyMismatch.slug}:"


def describe(operation: dict[str, Any], *, is_limited: bool) -> None:
    """Add to an operation, whose responses are complete, the headers that any of its kind has."""
    responses = operation["responses"]
    takes_key = any(_MISMATCH in one["description"] for one in responses.values())
    if takes_key:
        operation.setdefault("parameters", []).append(KEY_HEADER)
    for status, response in responses.items():
        names = [*_OF_LIMITS] if is_limited else []
        if takes_key:
            names.append("Idempotent-Replayed")
        if status in _OF_TRYING_AGAIN:
            names.append("Retry-After")
        if status == "401":
            names.append("WWW-Authenticate")
        if names:
            said = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
            response["headers"] = {**response.get("headers", {}), **said}
