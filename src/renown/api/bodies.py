"""Bodies of requests: read within a bound, as the very types that the contract describes."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from renown.errors import BadBody, BodyTooLarge, BodyTooSlow, UnsupportedMediaType

LARGEST_BODY_BYTES = 512 * 1024
BODY_SECONDS = 20.0
"""In which all of a body has to arrive, however slowly it trickles."""
_DEEPEST = 32
RAW_BODY = "renown.body"
"""Where a request's scope keeps the body, once it was read."""
_REF = "#/components/schemas/{name}"

T = TypeVar("T")


def takes(kind: type[Any], *, description: str = "", required: bool = True) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads its body as `kind` (a msgspec Struct).

    The type must also stand in `openapi.BODIES`.
    """
    content = {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}
    body: dict[str, Any] = {"required": required, "content": content}
    if description:
        body["description"] = description
    return {"requestBody": body}


async def raw_body(request: Request, *, most_bytes: int = LARGEST_BODY_BYTES) -> bytes:
    """The body, read once per request however often it is asked for.

    Raises:
        BodyTooLarge: more than `most_bytes`, as announced or as it comes in.
        BodyTooSlow: it is not all there in BODY_SECONDS, or the client has gone.
    """
    kept: bytes | None = request.scope.get(RAW_BODY)
    if kept is not None:
        return kept
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > most_bytes:
        raise BodyTooLarge(f"at most {most_bytes} bytes are taken", most_bytes=most_bytes)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = request.scope[RAW_BODY] = await _received(request, most_bytes)
    except TimeoutError:
        raise BodyTooSlow(f"it took more than {BODY_SECONDS:g} s", seconds=BODY_SECONDS) from None
    except ClientDisconnect:  # whom this answer does not reach
        raise BodyTooSlow("the connection ended before the body did") from None
    return body


async def read_body(request: Request, kind: type[T], *, most_bytes: int = LARGEST_BODY_BYTES) -> T:
    """The body as `kind`.

    Raises:
        BodyTooLarge, BodyTooSlow, UnsupportedMediaType.
        BadBody: not JSON, nested too deeply, or not of that shape; the detail names the field.
    """
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if media_type.lower() != "application/json":
        raise UnsupportedMediaType("send application/json", media_type=media_type[:100])
    raw = await raw_body(request, most_bytes=most_bytes)
    if _depth(raw) > _DEEPEST:
        raise BadBody(f"nested deeper than {_DEEPEST} levels")
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as exc:
        raise BadBody(str(exc)[:300]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadBody(f"not JSON: {exc}"[:300]) from None


async def _received(request: Request, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most_bytes:
            raise BodyTooLarge(f"at most {most_bytes} bytes are taken", most_bytes=most_bytes)
        parts.append(part)
    return b"".join(parts)


def _depth(raw: bytes) -> int:
    """How deeply brackets nest; an upper bound where there are few of them."""
    opened = raw.count(b"[") + raw.count(b"{")
    if opened <= _DEEPEST:
        return opened
    depth = deepest = 0
    in_string = escaped = False
    for byte in raw:
        if escaped:
            escaped = False
        elif in_string:
            escaped = byte == 0x5C
            in_string = byte != 0x22
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            if depth > _DEEPEST:
                return depth
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
