"""Answers as HTTP responses: bytes, entity tag, `Renown-As-Of`, 304."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from renown.api import etag
from renown.api.answers.answer import Answer
from renown.api.answers.as_of import AsOf

JSON = "application/json"
REVALIDATE = "public, no-cache"
"""May be kept, must be asked about: an answer is true at a block."""
COMMON = "public, max-age=5, stale-while-revalidate=60"
"""Of what counts the whole network: it was counted on a schedule and read some seconds ago (`Age`
says how many), and whoever asks again within a minute may have it at once while it is fetched
anew. Caches on the way may hand it to anybody: see `wire.dress` for what it does not say."""
_encode = msgspec.json.Encoder().encode


def reply(
    request: Request, answer: Answer[Any], *, cache: str = REVALIDATE, tagged: bool = True
) -> Response:
    """The response to a GET, or 304 when the client has this answer already.

    Args:
        tagged: false for what only says how things stand now, such as status.
    """
    headers = {"Renown-As-Of": as_of_header(answer.as_of), "Cache-Control": cache}
    body: bytes | None = None
    if tagged:
        if answer.version is not None:
            tag = etag.of_version(answer.version)
        else:
            body = _encode(answer.body)
            tag = etag.of_content(body, _encode(answer.body.as_of))
        headers["ETag"] = tag
        known = request.headers.get("if-none-match")
        if known is not None and etag.matches(tag, known):
            return Response(status_code=304, headers=headers)
    if body is None:
        body = _encode(answer.body)
    return Response(body, media_type=JSON, headers=headers)


def own_reply(body: Any, status: int = 200, **headers: str) -> Response:
    """What only the account that asks may see: never kept by anybody on the way."""
    headers["Cache-Control"] = "no-store"
    return Response(_encode(body), status, headers=headers, media_type=JSON)


def nothing_left() -> Response:
    """What answers a DELETE: 204."""
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


def as_of_header(blocks: Sequence[AsOf]) -> str:
    """`Renown-As-Of`: a list of chain ids with parameters (a structured field, RFC 9651).

    One chain says all: `8453;block=36000000;hash="0x…";time=@1772366400;finality=final`. Of
    several each says its block and finality, to stay short. A chain of which nothing is stored
    has no parameters.
    """
    return ", ".join(_item(block, alone=len(blocks) == 1) for block in blocks)


def _item(block: AsOf, *, alone: bool) -> str:
    if block.block_number is None:
        return str(block.chain_id)
    item = f"{block.chain_id};block={block.block_number}"
    if alone and block.block_hash is not None:
        item += f';hash="{block.block_hash}"'
    if alone and block.time is not None:
        item += f";time=@{int(block.time.astimezone(UTC).timestamp())}"
    return f"{item};finality={block.finality}"
