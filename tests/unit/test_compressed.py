"""Which answers are compressed, for whom, and that what comes out is what went in."""

from __future__ import annotations

import gzip
import sys
from collections.abc import MutableMapping
from types import ModuleType
from typing import Any

import pytest

from renown.api import compressed as codings
from renown.api.compressed import LARGEST_AT_ONCE_BYTES, SHORTEST_BYTES, Compressed, compressed

BODY = b'{"name":"agent"}' * 400
JSON = (b"content-type", b"application/json")
Headers = list[tuple[bytes, bytes]]


@pytest.fixture(autouse=True)
def gzip_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else is installed here."""
    monkeypatch.setattr(codings, "_CODINGS", {"gzip": (b"gzip", codings._gzip)})
    codings._best.cache_clear()


def scope(*offers: bytes) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"accept-encoding", offer) for offer in offers]}


async def sent(
    *more: tuple[bytes, bytes], body: bytes = BODY, offer: bytes = b"gzip", status: int = 200
) -> tuple[dict[bytes, bytes], bytes]:
    headers: Headers = [JSON, (b"content-length", b"%d" % len(body)), *more]
    out = await compressed(scope(offer), status, headers, body)
    assert len({name for name, _ in headers}) == len(headers)
    return dict(headers), out


@pytest.mark.parametrize("size", [SHORTEST_BYTES, LARGEST_AT_ONCE_BYTES + 1])
async def test_compressed__text_for_anybody__is_smaller_and_the_same(size: int) -> None:
    body = (BODY * (size // len(BODY) + 1))[:size]

    headers, out = await sent((b"etag", b'W/"1.1"'), body=body)

    assert len(out) < len(body) // 4
    assert gzip.decompress(out) == body
    assert headers[b"content-encoding"] == b"gzip"
    assert headers[b"content-length"] == b"%d" % len(out)
    assert headers[b"etag"] == b'W/"1.1"'


@pytest.mark.parametrize(
    "header",
    [
        (b"cache-control", b"no-store"),
        (b"cache-control", b"public, no-transform"),
        (b"etag", b'"strong"'),
        (b"content-encoding", b"br"),
        (b"content-range", b"bytes 0-1/2"),
        (b"repr-digest", b"sha-256=:x:"),
    ],
)
async def test_compressed__secrets_and_exact_bytes__stay_as_they_are(
    header: tuple[bytes, bytes],
) -> None:
    headers, out = await sent(header)

    assert out is BODY
    assert headers[b"content-length"] == b"%d" % len(BODY)


async def test_compressed__short_ones_failures_and_other_types__stay_as_they_are() -> None:
    short = BODY[: SHORTEST_BYTES - 1]
    assert (await sent(body=short))[1] is short
    assert (await sent(status=404))[1] is BODY
    headers: Headers = [(b"content-type", b"application/octet-stream")]
    assert await compressed(scope(b"gzip"), 200, headers, BODY) is BODY


@pytest.mark.parametrize(
    ("offer", "coding"),
    [
        (b"gzip", b"gzip"),
        (b"deflate, GZIP;q=0.5", b"gzip"),
        (b"br;q=1.0, gzip;q=0.8, *;q=0.1", b"gzip"),
        (b"*", b"gzip"),
        (b"gzip;q=0.001", b"gzip"),
        (b"gzip;q=0", None),
        (b"gzip;q=0, *", None),
        (b"*;q=0", None),
        (b"identity;q=0.9, gzip;q=0.5", None),
        (b"identity", None),
        (b"br, zstd", None),
        (b"", None),
        (b"gzip;q=2", None),
        (b"gzip;level=9", None),
        (b";;,,q=1,\xff\x00", None),
        (b"x" * 10_000 + b",gzip", None),
    ],
)
async def test_accept_encoding__as_offered__is_heeded(offer: bytes, coding: bytes | None) -> None:
    headers, _ = await sent(offer=offer)

    assert headers.get(b"content-encoding") == coding


async def test_accept_encoding__of_several_headers__is_one_list() -> None:
    headers: Headers = [JSON]
    await compressed(scope(b"br", b"gzip"), 200, headers, BODY)
    assert (b"content-encoding", b"gzip") in headers


async def test_better_coding__where_it_is_there__is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"zstd": (b"zstd", lambda body: body[:10]), "gzip": (b"gzip", codings._gzip)}
    monkeypatch.setattr(codings, "_CODINGS", both)
    codings._best.cache_clear()

    assert (await sent(offer=b"gzip, br, zstd"))[0][b"content-encoding"] == b"zstd"
    assert (await sent(offer=b"gzip, zstd;q=0.5"))[0][b"content-encoding"] == b"gzip"


def test_zstd__of_the_standard_library__is_used_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The real one, or one in its place that takes what the real one takes (Python 3.14)."""
    real = codings._zstd()
    if real is not None:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]

        assert zstd.decompress(real(BODY)) == BODY
        assert len(real(BODY)) < len(BODY) // 4
        return

    def compress(data: bytes, level: int | None = None) -> bytearray:
        return bytearray(b"%d" % (level or 3)) + data[:1]

    package, module = ModuleType("compression"), ModuleType("compression.zstd")
    module.compress = compress  # type: ignore[attr-defined]
    package.zstd = module  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "compression", package)
    monkeypatch.setitem(sys.modules, "compression.zstd", module)
    standard = codings._zstd()
    assert standard is not None
    assert standard(BODY) == b"1{"


async def through(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    said: list[MutableMapping[str, Any]] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(dict(message))

    await Compressed(app)(scope(b"gzip"), None, send)  # type: ignore[arg-type]
    return said  # type: ignore[return-value]


START = {"type": "http.response.start", "status": 200, "headers": [JSON]}


async def test_middleware__one_piece__is_compressed() -> None:
    start, end = await through([{**START}, {"type": "http.response.body", "body": BODY}])

    assert (b"content-encoding", b"gzip") in start["headers"]
    assert gzip.decompress(end["body"]) == BODY


async def test_middleware__a_stream__goes_on_piece_by_piece() -> None:
    pieces: list[dict[str, Any]] = [
        {"type": "http.response.body", "body": BODY, "more_body": True},
        {"type": "http.response.body", "body": b""},
    ]

    assert await through([START, *pieces]) == [START, *pieces]
