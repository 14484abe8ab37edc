"""A file as a response: whole, or the range that a resumed download asks for (RFC 9110, 14)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from renown.api import etag
from renown.api.problems import respond
from renown.api.wire import is_head
from renown.errors import RangeNotSatisfiable

PIECE_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(?:([0-9]{1,19})-([0-9]{0,19})|-([0-9]{1,19}))")


async def file_reply(
    request: Request, path: Path, *, size_bytes: int, tag: str, headers: dict[str, str]
) -> Response:
    """The file at `path`, which never changes under its strong entity tag.

    Answers 304, and 206 to one range of bytes; of several, or of another tag (`If-Range`), the
    whole file, as a server may. 416 where the file has no such bytes. A symbolic link is not
    followed.

    Raises:
        FileNotFoundError: it is gone, or is not `size_bytes` long.
    """
    headers = {**headers, "ETag": tag, "Accept-Ranges": "bytes"}
    known = request.headers.get("if-none-match")
    if known is not None and etag.matches(tag, known):
        return Response(status_code=304, headers=headers)
    wanted = _range(request, size_bytes, tag)
    if wanted is None:
        gone = {"Content-Range": f"bytes */{size_bytes}"}
        return respond(request, RangeNotSatisfiable(f"the file has {size_bytes} bytes"), gone)
    first, length = wanted
    file = await asyncio.to_thread(_open, path, size_bytes, first)
    headers["Content-Length"] = str(length)
    status = 200
    if length != size_bytes:
        status = 206
        headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{size_bytes}"
    if is_head(request.scope):
        file.close()
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_pieces(file, length), status, headers=headers)


def _range(request: Request, size_bytes: int, tag: str) -> tuple[int, int] | None:
    """First byte and length of what is asked for; None where there is nothing of it."""
    whole = 0, size_bytes
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or request.headers.get("if-range", tag) != tag:
        return whole
    first, last, tail = match.groups()
    if tail is not None:
        length = min(int(tail), size_bytes)
        return (size_bytes - length, length) if length else None
    begin, end = int(first), int(last) if last else size_bytes - 1
    if end < begin and last:
        return whole  # no valid range, so there is none (RFC 9110, 14.1.1)
    if begin >= size_bytes:
        return None
    return begin, min(end, size_bytes - 1) - begin + 1


def _open(path: Path, size_bytes: int, first: int) -> BinaryIO:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if os.fstat(handle).st_size != size_bytes:
        os.close(handle)
        raise FileNotFoundError(path)
    os.lseek(handle, first, os.SEEK_SET)
    return os.fdopen(handle, "rb", buffering=0)


async def _pieces(file: BinaryIO, length: int) -> AsyncIterator[bytes]:
    try:
        while length:
            piece = await asyncio.to_thread(file.read, min(PIECE_BYTES, length))
            if not piece:
                return  # cut meanwhile: the connection breaks, and the client sees it is short
            length -= len(piece)
            yield piece
    finally:
        file.close()
