"""An answer as bytes around its `as_of`, which can be said anew without reading it again."""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from renown.api import etag
from renown.api.answers.answer import Answer
from renown.api.answers.as_of import AsOf
from renown.api.replies import JSON, REVALIDATE, as_of_header

_encode = msgspec.json.Encoder().encode

# Stands for `as_of` while a body is written. Nobody who writes into a body knows it.
_MARK = f'"{secrets.token_hex(16)}"'.encode()
_RAW_MARK = msgspec.Raw(_MARK)


class Said(Struct, frozen=True):
    """An `as_of` as it stands in a body and in the header."""

    body: bytes
    header: str


class Written(Struct, frozen=True):
    """A body before and behind its `as_of`, and its entity tag, which `as_of` does not change."""

    before: bytes
    behind: bytes
    tag: str

    @property
    def size_bytes(self) -> int:
        """Without its `as_of`."""
        return len(self.before) + len(self.behind)


def say(blocks: list[AsOf] | AsOf) -> Said:
    """`as_of` of an answer about one chain (an `AsOf`) or several (a list)."""
    return _said_alone(blocks) if isinstance(blocks, AsOf) else _said(blocks)


@lru_cache(maxsize=1024)
def _said_alone(block: AsOf) -> Said:
    """Every answer read at a block says it alike."""
    return Said(_encode(block), as_of_header([block]))


def _said(blocks: list[AsOf]) -> Said:
    return Said(_encode(blocks), as_of_header(blocks))


def write(answer: Answer[Any]) -> tuple[Written, Said]:
    """An answer's body without its `as_of`, and that."""
    marked = msgspec.structs.replace(answer.body, as_of=_RAW_MARK)
    before, _, behind = _encode(marked).partition(_MARK)
    if answer.version is not None:
        tag = etag.of_version(answer.version)
    else:
        tag = etag.of_content(before + behind, b"")
    return Written(before, behind, tag), say(answer.body.as_of)


def respond(
    request: Request,
    written: Written,
    said: Said,
    *,
    cache: str = REVALIDATE,
    tagged: bool = True,
    age_seconds: int | None = None,
) -> Response:
    """The response to a GET, or 304 when the client has this answer already; as `replies.reply`.

    Args:
        age_seconds: since it was read; None where its `as_of` is of now.
    """
    headers = [_as_of_header(said.header), _cache_header(cache)]
    if age_seconds is not None:
        headers.append((b"age", b"%d" % age_seconds))
    if tagged:
        headers.append((b"etag", written.tag.encode("latin-1")))
        known = if_none_match(request)
        if known is not None and etag.matches(written.tag, known):
            return _Ready(304, headers, b"")
    body = b"".join((written.before, said.body, written.behind))
    headers += ((b"content-length", b"%d" % len(body)), _IS_JSON)
    return _Ready(200, headers, body)


def not_modified(tag: str, said: Said, *, cache: str = REVALIDATE) -> Response:
    """What `respond` says to a client that has the answer of this tag already."""
    headers = [_as_of_header(said.header), _cache_header(cache)]
    headers.append((b"etag", tag.encode("latin-1")))
    return _Ready(304, headers, b"")


def if_none_match(request: Request) -> str | None:
    """The first `If-None-Match` of a request, if it has one."""
    for name, value in request.scope["headers"]:
        if name == b"if-none-match":
            text: str = value.decode("latin-1")
            return text
    return None


_IS_JSON = (b"content-type", JSON.encode("latin-1"))


@lru_cache(maxsize=1024)
def _as_of_header(said: str) -> tuple[bytes, bytes]:
    return b"renown-as-of", said.encode("latin-1")


@lru_cache(maxsize=16)
def _cache_header(cache: str) -> tuple[bytes, bytes]:
    return b"cache-control", cache.encode("latin-1")


class _Ready(Response):
    """A response out of headers as they are sent, which saves a kept read a twentieth."""

    def __init__(self, status_code: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code = status_code
        self.raw_headers = headers
        self.body = body
        self.background = None
