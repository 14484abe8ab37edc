"""One request to a host of the devnet, and the answer to it. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from renown.chain.devnet.registrations import to_bytes


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request.

    Attributes:
        host: lower case, without a port.
        path: as sent, without the query.
        headers: names in lower case.
        at_seconds: Unix time.
    """

    method: str
    host: str
    path: str
    query: str = ""
    headers: dict[str, str] = {}
    body: bytes = b""
    at_seconds: float = 0.0


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. `slow`: it is to be kept waiting for."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    slow: bool = False


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    """`value` as JSON; underscores in the names of headers become hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status=status, body=to_bytes(value), headers=named)


NOT_FOUND = json_reply({"error": "not found"}, 404)
NOT_ALLOWED = json_reply({"error": "method not allowed"}, 405, Allow="POST")
