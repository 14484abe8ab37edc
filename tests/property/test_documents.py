"""The reader against whatever bytes there are: no exception, the limits kept."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from renown.spec.documents import (
    READER,
    findings_from,
    findings_json,
    read_document,
    registration_from,
    registration_json,
)
from renown.spec.documents.feedback import hash_verdict, read_feedback_file
from renown.spec.documents.json_text import _Cleaning, _parse_patiently, _parse_plain, parse
from renown.spec.documents.notes import Notes
from renown.spec.documents.places import lines_of
from renown.spec.findings import FINDINGS
from renown.spec.inline import _unquoted, read_inline
from renown.spec.names import name_key, skeleton
from renown.spec.text import is_hidden
from renown.spec.uris import parse_uri

SERVICE_KEYS = ("name", "endpoint", "url", "version", "skills", "tools", "type", "capabilities")
KEYS = (
    *("type", "name", "description", "image", "services", "endpoints", "registrations", "active"),
    *("x402Support", "x402support", "supportedTrust", "trustModels", "updatedAt", "tags"),
    *("oasf_skills", "mcpTools", "agentId", "agentRegistry", "chainId", "clientAddress", "value"),
    *("url", "skills", "proofOfPayment", "valueDecimals", "tag1", "createdAt", *SERVICE_KEYS),
)
WORDS = (
    *("", "https://eips.ethereum.org/EIPS/eip-8004#registration-v1", "MCP", "a2a", "{agentId}"),
    *("https://a.net/", "javascript:alert(1)", "https://localhost/", "eip155:1:0x" + "ab" * 20),
    *("0x" + "ab" * 20, "eip155:1", "true", "42", "data:text/html,x", "\x00", "\u202e", "a@b.net"),
)
texts = st.sampled_from(WORDS) | st.text(max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.sampled_from((2**53, 2**64))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=25,
)
objects = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), values, max_size=10)
files = objects.map(lambda value: json.dumps(value).encode())
mangled = st.builds(
    lambda raw, at, put: raw[: at % (len(raw) + 1)] + put + raw[at % (len(raw) + 1) :],
    files,
    st.integers(0, 10_000),
    st.binary(max_size=4)
    | st.sampled_from((b"\\u0000", b"\\ud800", b"1e999", b"NaN", b",", b"//")),
)


def assert_bounded(value: Any, depth: int = 0) -> None:
    """The limits of the sanitised JSON, which every store and reader can hold."""
    assert depth <= 32
    if isinstance(value, str):
        assert len(value) <= 16_384
        assert not is_hidden(value)
        value.encode()
    elif isinstance(value, int) and not isinstance(value, bool):
        assert abs(value) <= 2**53
    elif isinstance(value, float):
        assert abs(value) < float("inf")
    elif isinstance(value, dict):
        for key, inner in value.items():
            assert_bounded(key, depth)
            assert_bounded(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            assert_bounded(inner, depth + 1)


@given(st.binary() | mangled | files)
@example(b'{"services":[{"endpoint":{"uri":{}}}]}')
@example(b'{"type":"8004","registrations":[{"agentId":1e300,"agentRegistry":[]}]}')
def test_b5_read_document__any_bytes__give_a_document_within_the_limits(raw: bytes) -> None:
    document = read_document(raw)

    assert document.raw == raw
    assert all(finding.code in FINDINGS for finding in document.findings)
    assert list(document.findings) == sorted(set(document.findings))
    assert (document.registration is None) == (document.reading == "none")
    if document.content is not None:
        assert_bounded(msgspec.json.decode(document.content))
        assert b"\\u0000" not in document.content
    assert findings_from(findings_json(document.findings)) == document.findings
    if document.registration is not None:
        stored = registration_json(document.registration)
        assert registration_from(stored) == document.registration
        assert_bounded(msgspec.json.decode(stored))
    else:
        assert document.reading == "none"
    read_feedback_file(document)
    hash_verdict(raw, b"\x01" * 32)
    lines = lines_of(raw, {finding.path for finding in document.findings})
    assert all(1 <= line <= raw.count(b"\n") + 1 for line in lines.values())
    assert READER >= 1


@given(files | mangled)
@example(b'{"a":1,"b":2,"a":3}')
@example(b'{"a":12345678901234567}')
@example(b'{ "a" : "b" }')
@example('{"a":"\u202e"}'.encode())
def test_parse__the_fast_way__gives_what_the_patient_one_does(raw: bytes) -> None:
    plain = _parse_plain(raw)
    if plain is None:
        return
    notes = Notes()
    found, value = _parse_patiently(raw.decode(), notes)

    assert found
    assert msgspec.json.encode(_Cleaning(notes).clean(value, "", 0)) == plain.content
    assert notes.sorted() == ()
    assert parse(raw, notes).content == plain.content


@given(st.binary() | st.text().map(str.encode) | st.sampled_from(WORDS).map(str.encode))
def test_b5_parse_uri__any_bytes__are_something_with_bounded_text(raw: bytes) -> None:
    uri = parse_uri(raw)

    assert (uri.reason is None) == (uri.kind != "unsupported")
    assert (uri.host == "") == (uri.kind in ("data", "json", "unsupported"))
    assert not is_hidden(uri.text)
    if uri.kind in ("https", "http"):
        assert uri.text.isascii()
        assert parse_uri(uri.text.encode()) == uri
    read_inline(raw)


schemes = st.sampled_from(("https://", "http://", "ipfs://", "ar://", "data:", "HTTPS://x@", ""))
tails = st.text(alphabet="abz09.:/?#[]@%-_ \\\u0430\u3002\uff10\t", max_size=40)


@given(schemes, tails)
def test_parse_uri__near_misses__are_stable_when_read_again(scheme: str, tail: str) -> None:
    uri = parse_uri((scheme + tail).encode())

    if uri.kind in ("https", "http", "ipfs", "ar"):
        again = parse_uri(uri.text.encode())
        assert again == uri
    if uri.kind in ("https", "http"):
        assert "@" not in uri.text.split("/")[2]
        assert uri.text.split("/")[2].removesuffix(f":{uri.text.rpartition(':')[2]}")


@given(
    st.binary(max_size=200),
    st.sampled_from((b"", b";charset=utf-8", b";utf8", b";enc=gzip", b";x=y")),
    st.sampled_from(
        (base64.b64encode, base64.urlsafe_b64encode, lambda b: base64.b64encode(b).rstrip(b"="))
    ),
)
def test_read_inline__base64_of_any_bytes__comes_back(body: bytes, extra: bytes, code: Any) -> None:
    raw = b"data:application/json" + extra + b";base64," + code(body)
    inline = read_inline(raw)

    if inline.reason is None and not body.startswith(b"\x1f\x8b") and b"enc" not in extra:
        assert inline.body == body


@given(st.text(alphabet="%0123456789abcdefABCDEFxyz= \r\n\t._-", max_size=40).map(str.encode))
def test_unquoted__however_broken__is_what_the_library_says(text: bytes) -> None:
    assert _unquoted(text) == unquote_to_bytes(text)


@given(st.text())
def test_names__any_text__has_a_bounded_key_and_skeleton(name: str) -> None:
    for key in (name_key(name), skeleton(name)):
        assert len(key) <= 400
        assert key == key.strip()
    assert name_key(name_key(name)) == name_key(name)
