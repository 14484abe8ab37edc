"""Files in the URI itself, in all the forms people give them (A7: bounded before decoding)."""

from __future__ import annotations

import base64
import binascii
import gzip
import tracemalloc
import zlib
from urllib.parse import quote

import pytest

from renown.spec.inline import MOST_BODY_BYTES, MOST_RAW_BYTES, read_inline

BODY = '{"name":"Größe?>","n":12}'.encode()
B64 = base64.b64encode(BODY)
URLSAFE = base64.urlsafe_b64encode(BODY)
assert URLSAFE != B64
assert not B64.endswith(b"=")


PACKED = b"data:application/json;enc=gzip;base64,"
LABEL = b"data:application/json;base64,"


def oddities(raw: bytes) -> list[str]:
    inline = read_inline(raw)
    assert inline.reason is None, inline
    return [finding.detail for finding in inline.findings]


@pytest.mark.parametrize(
    "raw",
    [
        LABEL + B64,
        b"DATA:Application/JSON;Base64," + B64,
        b"data:application/json;charset=utf-8;base64," + B64,
        b"data:application/json," + quote(BODY).encode(),
        b"data:application/json;charset=UTF-8," + quote(BODY, safe="").encode(),
    ],
)
def test_read_inline__as_rfc_2397_has_it__is_the_body_and_nothing_to_note(raw: bytes) -> None:
    inline = read_inline(raw)

    assert (inline.body, inline.reason, inline.findings) == (BODY, None, ())


@pytest.mark.parametrize(
    ("raw", "oddity"),
    [
        (LABEL + URLSAFE, "the base64 has the URL alphabet"),
        (LABEL + B64 + b"==", "the base64 is not padded rightly"),
        (LABEL + B64[:8] + b"\n " + B64[8:], "the base64 holds white space"),
        (LABEL + quote(B64, safe="").encode(), "the base64 is percent-encoded"),
        (LABEL + BODY, "it is labelled base64 but is not"),
        (b"data:base64;application/json," + BODY, "the media type is not application/json"),
        (b"data:application/json;base64;x=1," + B64, "`base64` is not the last parameter"),
        (b"data:;base64," + B64, "the media type is not application/json"),
        (b"data:text/plain;base64," + B64, "the media type is not application/json"),
        (b"data:application/json;utf8," + BODY, "it has parameters that others do not know"),
        (b"data:application/json," + BODY, "the JSON is not percent-encoded"),
        (BODY, "JSON stands in place of a URI"),
        (b" \n" + BODY + b" ", "JSON stands in place of a URI"),
    ],
)  # fmt: skip
def test_read_inline__a_broken_form__is_read_and_noted(raw: bytes, oddity: str) -> None:
    assert read_inline(raw).body == BODY
    assert oddity in oddities(raw)


def test_read_inline__missing_padding__is_added() -> None:
    body = b'{"a":"bc"}'

    assert read_inline(LABEL + base64.b64encode(body).rstrip(b"=")).body == body


def test_read_inline__json_with_percent_and_hash_of_its_own__is_not_spoilt() -> None:
    body = b'{"fee":"5%","type":"x#registration-v1","q":"100%41"}'
    spoilt_when_decoded = b'{"a":"%22"}'

    assert read_inline(b"data:application/json," + body).body == body.replace(b"%41", b"A")
    assert read_inline(b"data:application/json," + spoilt_when_decoded).body == spoilt_when_decoded


@pytest.mark.parametrize(
    ("parameters", "packed"),
    [
        (b";enc=gzip", gzip.compress(BODY)),
        (b";enc=gzip;level=6", gzip.compress(BODY)),
        (b";enc=deflate", zlib.compress(BODY)),
        (b";enc=deflate", zlib.compressobj(wbits=-15).compress(BODY) + b""),
        (b"", gzip.compress(BODY)),  # nobody said so, its first bytes do
    ],
)
def test_read_inline__compressed__is_inflated(parameters: bytes, packed: bytes) -> None:
    if parameters == b";enc=deflate" and not packed.startswith(b"x"):
        packing = zlib.compressobj(wbits=-15)
        packed = packing.compress(BODY) + packing.flush()
    raw = b"data:application/json" + parameters + b";base64," + base64.b64encode(packed)

    assert read_inline(raw).body == BODY
    assert any(what.startswith("it is compressed") for what in oddities(raw))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"data:application/json;uuid=db0f4a34", "no-comma"),
        (b"data:" + b"x" * 2_000 + b",", "no-comma"),
        (b"https://a.example", "not-inline"),
        (b"", "not-inline"),
        (b"data:application/json;base64,!!!!", "bad-base64"),
        (b"data:application/json;base64,abcde", "bad-base64"),
        (b"data:application/json;base64,ab=cd", "bad-base64"),
        (PACKED + B64, "bad-gzip"),
        (PACKED + base64.b64encode(gzip.compress(BODY)[:-9]), "bad-gzip"),
        (b"data:application/json;enc=br;base64," + B64, "unknown-coding"),
    ],
)  # fmt: skip
def test_read_inline__what_cannot_be_had__says_why(raw: bytes, reason: str) -> None:
    inline = read_inline(raw)

    assert (inline.body, inline.reason) == (None, reason)
    assert [finding.code for finding in inline.findings] == ["uri-undecodable"]


def bomb(size: int) -> bytes:
    packing = zlib.compressobj(1, wbits=31)
    block = b" " * 65_536
    packed = b"".join(packing.compress(block) for _ in range(size // len(block))) + packing.flush()
    return PACKED + base64.b64encode(packed)


@pytest.mark.parametrize(
    "raw",
    [
        b"data:application/json," + b"x" * (MOST_BODY_BYTES + 1),
        LABEL + b"A" * (MOST_BODY_BYTES * 4 // 3 + 16),
        b"{" * (MOST_BODY_BYTES + 1),
        b"data:application/json," + b"%20" * (MOST_BODY_BYTES + 1),
        b"{" * (MOST_RAW_BYTES + 1),
        bomb(64 * 1024 * 1024),
    ],
    ids=["plain", "base64", "bare", "percent", "longest", "gzip"],
)
def test_a7_read_inline__too_large__is_refused_before_it_is_there(
    raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    decode = binascii.a2b_base64

    def a2b_base64(packed: bytes) -> bytes:
        decoded.append(len(packed))
        return decode(packed)

    monkeypatch.setattr("renown.spec.inline.binascii.a2b_base64", a2b_base64)
    tracemalloc.start()
    inline = read_inline(raw)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (inline.body, inline.reason) == (None, "too-large")
    assert [finding.code for finding in inline.findings] == ["uri-oversized"]
    assert all(size <= MOST_BODY_BYTES for size in decoded)
    assert peak_bytes < 16 * MOST_BODY_BYTES


def test_read_inline__a_body_as_large_as_allowed__is_read() -> None:
    body = b"[" + b" " * (MOST_BODY_BYTES - 2) + b"]"

    assert read_inline(LABEL + base64.b64encode(body)).body == body
