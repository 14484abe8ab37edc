"""Answers compressed for those who say that they read it (RFC 9110, 8.4 and 12.5.3).

What is compressed: whole bodies of text that anybody may have. What is not:

- what is marked `no-store`, which is every answer to an account. Compressed, the length of an
  answer tells how alike a secret in it and a stranger's text in it are (BREACH); answers that
  anybody may have hold no secret. And nothing that a browser adds by itself is a credential here,
  so no page of a stranger's can have anybody's browser ask for it.
- what has a strong entity tag or a digest: those are of the very bytes. Weak ones name the answer,
  in whatever coding (RFC 9110, 8.8.3).
- short ones, of which it saves no packet, and streams, of which no piece must wait for the next.

The least effort of each coding is used: more takes four times as long for a tenth of the bytes.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SHORTEST_BYTES = 4 * 1024
LARGEST_AT_ONCE_BYTES = 128 * 1024
"""What is longer is compressed beside the loop, which others wait for."""
_TEXT = (
    b"application/json",
    b"text/html",
    b"text/plain",
    b"text/css",
    b"text/javascript",
    b"image/svg+xml",
)
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_LONGEST_ACCEPT = 256
_OFFER = re.compile(r"([!#$%&'*+.^_`|~0-9a-z-]+)(?:;q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?")

Headers = list[tuple[bytes, bytes]]
Coding = tuple[bytes, Callable[[bytes], bytes]]


async def compressed(scope: Scope, status: int, headers: Headers, body: bytes) -> bytes:
    """`body` as it is to be sent; where that is another than it was, `headers` say so from now on.

    Args:
        headers: of the whole answer, their names in lower case.
    """
    if status != 200 or len(body) < SHORTEST_BYTES:
        return body
    coding = _accepted(scope)
    if coding is None or not _may_be(headers):
        return body
    name, compress = coding
    if len(body) > LARGEST_AT_ONCE_BYTES:
        smaller = await asyncio.to_thread(compress, body)
    else:
        smaller = compress(body)
    headers[:] = [header for header in headers if header[0] != b"content-length"]
    headers += ((b"content-encoding", name), (b"content-length", b"%d" % len(smaller)))
    return smaller


class Compressed:
    """ASGI middleware: `compressed`, of answers that come in one piece."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _accepted(scope) is None:
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def smaller(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                begun, start = start, None
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    headers = begun["headers"] = list(begun.get("headers", ()))
                    body = message.get("body", b"")
                    body = await compressed(scope, begun["status"], headers, body)
                    message = {"type": "http.response.body", "body": body}
                await send(begun)
            await send(message)

        await self._app(scope, receive, smaller)
        if start is not None:
            await send(start)


def _accepted(scope: Scope) -> Coding | None:
    """The coding to answer in; None: none."""
    offer: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            offer = value if offer is None else offer + b"," + value
    return None if offer is None else _best(offer[:_LONGEST_ACCEPT])


@lru_cache(maxsize=256)
def _best(offer: bytes) -> Coding | None:
    """Of what a client offers, the coding it likes best and we have; the cheapest of equals."""
    liked: dict[str, float] = {}
    for part in offer.decode("latin-1").lower().split(","):
        match = _OFFER.fullmatch(part.replace(" ", "").replace("\t", ""))
        if match is not None:
            liked[match[1]] = float(match[2] or 1)
    best: Coding | None = None
    most = liked.get("identity", 0.0) if liked.get("identity", 0.0) < 1 else 0.0
    for name, coding in _CODINGS.items():
        much = liked.get(name, liked.get("*", 0.0))
        if much > most:
            best, most = coding, much
    return best


def _may_be(headers: Headers) -> bool:
    is_text = False
    for name, value in headers:
        if name == b"content-type":
            is_text = value.startswith(_TEXT)
        elif name in (b"content-encoding", b"content-range", b"repr-digest"):
            return False
        elif name == b"etag":
            if not value.startswith(b"W/"):
                return False
        elif name == b"cache-control" and (b"no-store" in value or b"no-transform" in value):
            return False
    return is_text


def _gzip(body: bytes) -> bytes:
    made = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WINDOW)
    return made.compress(body) + made.flush()


def _zstd() -> Callable[[bytes], bytes] | None:
    """A fifth of the time of gzip, where Python has it (3.14)."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    standard: Any = zstd
    return lambda body: bytes(standard.compress(body, level=1))


_CODINGS: dict[str, Coding] = {"gzip": (b"gzip", _gzip)}
if (_best_of_all := _zstd()) is not None:
    _CODINGS = {"zstd": (b"zstd", _best_of_all), **_CODINGS}
