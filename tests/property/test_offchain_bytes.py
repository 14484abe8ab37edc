"""Whatever a stranger sends: nothing raises, nothing grows, and pieces make no difference."""

from __future__ import annotations

import base64
import gzip
import ipaddress
import zlib
from collections.abc import Callable
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from renown.offchain.addresses import is_public
from renown.offchain.answer import Answer, AnswerReader
from renown.offchain.body import Body, body_for
from renown.offchain.cid import Cid, cid_of, read_cid
from renown.offchain.failed import Failed
from renown.offchain.limits import Limits
from renown.offchain.opened import Opened
from renown.offchain.target import Target, read_target, redirected
from renown.offchain.unixfs import Node, file_block, read_node

LIMITS = Limits(body_bytes=64, error_body_bytes=16)
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}
bodies = st.binary(max_size=100)
cuts = st.lists(st.integers(0, 400), max_size=6)


def pieces(data: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut for cut in at if cut < len(data))})
    return [data[a:b] for a, b in pairwise(edges)]


def read(parts: list[bytes]) -> Answer | Failed:
    reader = AnswerReader("GET", LIMITS)
    for part in parts:
        if (result := reader.feed(part)) is not None:
            return result
    return reader.end(cut=False)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Answers near enough to HTTP to get deep into the reader."""
    body = draw(bodies)
    packed = draw(st.sampled_from([body, gzip.compress(body), zlib.compress(body)]))
    lines = [b"HTTP/1.%d %d X" % (draw(st.integers(0, 1)), draw(st.sampled_from([200, 204, 404])))]
    lines += draw(
        st.lists(
            st.sampled_from(
                [
                    *(b"Content-Encoding: gzip", b"Content-Encoding: deflate", b"A: b"),
                    *(b"Content-Length: %d" % len(packed), b"Content-Length: 3"),
                    *(b"Transfer-Encoding: chunked", b"Connection: close", b"Location: /"),
                ]
            ),
            max_size=4,
        )
    )
    if draw(st.booleans()):
        packed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    return b"\r\n".join(lines) + b"\r\n\r\n" + packed


@given(answers() | st.binary(max_size=300), cuts)
@example(b"HTTP/1.1 101 X\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n", [])
def test_answer__in_any_pieces__is_the_same_and_within_its_bounds(data, at):
    whole, split = read([data]), read(pieces(data, at))

    if isinstance(whole, Answer):
        most = LIMITS.body_bytes if 200 <= whole.status < 300 else LIMITS.error_body_bytes
        assert len(whole.body or b"") <= most
    if isinstance(whole, Failed) and isinstance(split, Failed):
        assert whole.outcome == split.outcome
    elif data.count(b"HTTP/") < 2:
        assert whole == split


@given(bodies, st.sampled_from(["", "gzip", "deflate"]), st.integers(0, 120), cuts)
def test_body__in_any_pieces__is_whole_or_over(content, coding, most, at):
    packed = PACKED[coding](content)
    body = body_for(coding, most)
    assert isinstance(body, Body)
    for piece in pieces(packed, at):
        body.feed(piece)

    assert len(body.so_far()) <= most
    assert body.over == (len(content) > most)
    if not body.over:
        assert body.whole() == content


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_body__inflating_anything__never_raises(first, second):
    for coding in ("gzip", "deflate"):
        body = body_for(coding, 50)
        assert body is not None
        body.feed(first)
        body.feed(second)
        assert len(body.whole() or b"") <= 50


url_text = st.text(alphabet="htps:/@.#?[]%0123456789abcx\\ \t\r\n-_", max_size=40)


@given(st.text(max_size=60) | url_text)
def test_target__any_text__is_refused_or_one_plain_line(text):
    for url in (text, f"https://{text}", f"http://a.example{text}"):
        found = read_target(url)
        if isinstance(found, Target):
            assert read_target(found.url) == found
            assert found.url.isascii()
            assert not any(character.isspace() for character in found.url)
            assert "@" not in found.authority
    base = read_target("https://a.example/b")
    assert isinstance(base, Target)
    hop = redirected(base, text)
    assert isinstance(hop, Failed) or hop.scheme == "https"


@given(st.integers(0, 2**32 - 1))
def test_address__public_v4__is_none_of_the_librarys_special_ones(number):
    address = ipaddress.IPv4Address(number)

    if is_public(str(address)):
        assert address.is_global
        assert not any((address.is_multicast, address.is_reserved, address.is_private))
    mapped = ipaddress.IPv6Address(0xFFFF_0000_0000 | number)
    assert is_public(str(mapped)) == is_public(str(address))


@given(
    st.integers(0, 2**128 - 1)
    | st.integers(0x2000 << 112, (0x4000 << 112) - 1)
    | st.builds(lambda low, high: high << 96 | low, st.integers(0, 2**96 - 1), st.just(0x20020000))
)
def test_address__public_v6__is_global_unicast_or_leads_to_a_public_v4(number):
    address = ipaddress.IPv6Address(number)

    if is_public(str(address)):
        assert not any((address.is_multicast, address.is_link_local, address.is_site_local))
        assert address.sixtofour is None
        assert address.teredo is None
        in_unicast = number >> 125 == 1
        inner = ipaddress.IPv4Address(number & 0xFFFF_FFFF)
        assert in_unicast or is_public(str(inner))


@given(st.text(max_size=80), st.binary(max_size=80))
def test_cid__anything__is_one_or_none(text, data):
    for found in (read_cid(text), cid_of(data), read_node(data)):
        assert found is None or isinstance(found, (Cid, Node))


@given(st.binary(max_size=300))
def test_file_block__any_content__reads_back(content):
    assert read_node(file_block(content)) == Node("file", content)


@given(st.integers(0, 300), st.binary(max_size=64))
def test_cid__binary_and_text__are_the_same(codec, digest):
    head = bytes([1, codec]) if codec < 128 else bytes([1, codec & 127 | 128, codec >> 7])
    data = head + bytes([0x12, len(digest)]) + digest

    text = "b" + base64.b32encode(data).decode().lower().rstrip("=")

    assert read_cid(text) == cid_of(data) == Cid(codec, 0x12, digest)


@given(st.text(max_size=40))
def test_opened__any_target__is_closed_unless_named(host):
    found = read_target(f"http://{host}/")
    if isinstance(found, Target) and found.host != "only.example":
        opened = Opened(["only.example"])
        assert not opened.admits(found)
        assert opened.origin_for(found) is None
