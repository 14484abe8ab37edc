"""Hostile bytes as JSON (B1): whatever they are, a value comes out that every store can hold."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from renown.spec.documents import read_document
from renown.spec.documents.json_text import LONGEST_TEXT, MOST_BYTES, MOST_DEPTH, parse
from renown.spec.documents.notes import Notes

FFFD = "\ufffd"


def parsed(raw: bytes) -> tuple[Any, list[str]]:
    """The value, as it would come back from the database, and the codes."""
    notes = Notes()
    found = parse(raw, notes)
    value = msgspec.json.decode(found.content) if found.content is not None else found.problem
    return value, sorted({finding.code for finding in notes.sorted()})


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    ("raw", "value", "codes"),
    [
        (b'{"a":NaN}', {"a": "NaN"}, ["huge-number"]),
        (b'{"a":-Infinity}', {"a": "-Infinity"}, ["huge-number"]),
        (b'{"a":1e400}', {"a": "1e400"}, ["huge-number"]),
        (b'{"a":1e131071}', {"a": "1e131071"}, ["huge-number"]),
        (b'{"a":1e-400}', {"a": 0.0}, []),
        (b'{"a":9007199254740992}', {"a": 9007199254740992}, []),
        (b'{"a":9007199254740993}', {"a": "9007199254740993"}, ["huge-number"]),
        (b'{"a":-9007199254740993}', {"a": "-9007199254740993"}, ["huge-number"]),
        (b'{"a":18446744073709551616}', {"a": "18446744073709551616"}, ["huge-number"]),
        (b'{"a": [ 1,\n12345678901234567]}', {"a": [1, "12345678901234567"]}, ["huge-number"]),
        (b"12345678901234567890", "12345678901234567890", ["huge-number"]),
        (b'{"a":' + b"9" * 5_000 + b"}", {"a": "9" * 5_000}, ["huge-number"]),
        (b'{"a":"12345678901234567890"}', {"a": "12345678901234567890"}, []),
        (b'{"a":"\\u0000b"}', {"a": f"{FFFD}b"}, ["nul-character"]),
        (b'{"\\u0000":1}', {FFFD: 1}, ["nul-character"]),
        (b'{"a":"\\ud800"}', {"a": FFFD}, ["lone-surrogate"]),
        (b'{"a":"\\udc00\\ud800x"}', {"a": f"{FFFD}{FFFD}x"}, ["lone-surrogate"]),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}, []),
        (b'{"a":"\xff\xfe"}', {"a": f"{FFFD}{FFFD}"}, ["invalid-utf8"]),
        (b'{"a":"\xed\xa0\x80"}', {"a": f"{FFFD * 3}"}, ["invalid-utf8"]),
        (b'{"a":1,"a":2}', {"a": 2}, ["duplicate-key"]),
        (b'{"a":{"b":1,"c":2,"b":3}}', {"a": {"b": 3, "c": 2}}, ["duplicate-key"]),
        (b'{"a":1,"\\u0061":2}', {"a": 2}, ["duplicate-key"]),
        (b'{"a":"\\b\\f\\u001b[2J"}', {"a": f"{FFFD * 3}[2J"}, ["hidden-characters"]),
        (b'{"a":"x\x7fy"}', {"a": f"x{FFFD}y"}, ["hidden-characters"]),
        ('{"a":"\u202egpj\u200b"}'.encode(), {"a": f"{FFFD}gpj{FFFD}"}, ["hidden-characters"]),
        ('{"a":"\U000e0041"}'.encode(), {"a": FFFD}, ["hidden-characters"]),
        ('{"a":"Zürich — 東京 👩‍🚀"}'.encode(), {"a": "Zürich — 東京 👩‍🚀"}, []),
        (b'{"a":"line\\nbreak\\ttab\\\\u0041"}', {"a": "line\nbreak\ttab\\u0041"}, []),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}, ["byte-order-mark"]),
        ('{"a":"é"}'.encode("utf-16"), {"a": "é"}, ["byte-order-mark"]),
        ('{"a":"é"}'.encode("utf-16-le"), {"a": "é"}, ["byte-order-mark"]),
        (b'{"a":1,}', {"a": 1}, ["lenient-json"]),
        (b'{"a":[1, ] // why\n, /* x */ "b":"//no"}', {"a": [1], "b": "//no"}, ["lenient-json"]),
        (b'{"a":"one\ntwo"}', {"a": "one\ntwo"}, ["lenient-json"]),
        (b'{"a":1} trailing', {"a": 1}, ["lenient-json"]),
        (b'{"a":1}{"b":2}', {"a": 1}, ["lenient-json"]),
        (b'{"a":1}\0\0', {"a": 1}, []),
        (b"12 monkeys", "not-json", ["not-json"]),
        (b"{'a': 1}", "not-json", ["not-json"]),
        (b'{"a":', "not-json", ["not-json"]),
        (b'{"a":"', "not-json", ["not-json"]),
        (b"\xff\xfe\x00", "not-json", ["byte-order-mark", "invalid-utf8", "not-json"]),
        (b"", "empty-document", ["empty-document"]),
        (b" \n", "empty-document", ["empty-document"]),
        (b"<!DOCTYPE html><title>404</title>", "html-page", ["html-page"]),
        (b"  <HTML>", "html-page", ["html-page"]),
        (b"-0", 0, []),
        (b"null", None, []),
    ],
)  # fmt: skip
def test_b1_parse__odd_bytes__become_a_value_with_findings(
    raw: bytes, value: Any, codes: list[str]
) -> None:
    assert parsed(raw) == (value, codes)


def test_b1_parse__at_the_limit_of_depth__is_whole_and_beyond_it_cut() -> None:
    whole, codes = parsed(nested(MOST_DEPTH))
    assert (json.dumps(whole).count("{"), codes) == (MOST_DEPTH, [])

    cut, codes = parsed(nested(MOST_DEPTH + 1))
    assert (json.dumps(cut).count("{"), codes) == (MOST_DEPTH, ["too-deep"])
    assert "null" in json.dumps(cut)


@pytest.mark.parametrize("depth", [1_000, 1_025, 100_000])
@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
def test_b1_parse__nested_as_deep_as_no_parser_goes__is_refused(depth: int, bracket: bytes) -> None:
    value, codes = parsed(bracket * depth)

    assert (value, [code for code in codes if code != "large"]) == (
        "not-json",
        ["not-json", "too-deep"],
    )


def test_b1_parse__brackets_in_texts__are_not_depth() -> None:
    raw = b'{"a":"' + b"[{" * 1_000 + b'"}'

    assert parsed(raw) == ({"a": "[{" * 1_000}, [])


def test_b1_exponent_bomb__is_no_larger_when_read_back() -> None:
    raw = b"[" + b",".join([b"1e131071"] * 1_000) + b"]"

    content = parse(raw, Notes()).content

    assert content is not None
    assert len(content) < 2 * len(raw)


def test_b4_parse__too_many_keys_or_entries__are_cut() -> None:
    keys, codes = parsed(json.dumps({f"k{n}": n for n in range(3_000)}).encode())
    assert (len(keys), codes) == (2_000, ["too-many-values"])

    entries, codes = parsed(json.dumps(list(range(9_000))).encode())
    assert (len(entries), codes) == (5_000, ["too-many-values"])

    spread, codes = parsed(json.dumps([[1] * 3_000] * 3).encode())
    assert (sum(map(len, spread)), codes) == (4_997, ["too-many-values"])


def test_parse__a_long_text__is_cut() -> None:
    value, codes = parsed(json.dumps({"a": "x" * 20_000}).encode())

    assert (len(value["a"]), codes) == (LONGEST_TEXT, ["long-text"])


def test_parse__larger_than_others_take__is_said_and_larger_than_we_take_refused() -> None:
    large = json.dumps(["x" * 10_000] * 30).encode()
    assert parsed(large)[1] == ["large"]

    assert parsed(b'"' + b"x" * MOST_BYTES + b'"') == ("oversized", ["oversized"])


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"b":[true,null,1.5,"x"],"c":{"d":"\\n"}}',
        b'{ "a" : 1 }\n',
        b'{"a":"0x8004A169FB4a3325136EB29fA0ceB6D2e539a432"}',
    ],
)
def test_parse__nothing_odd__keeps_every_value_as_it_is(raw: bytes) -> None:
    assert parsed(raw) == (json.loads(raw), [])


@pytest.mark.parametrize(
    "raw",
    [
        b'"' + b'\\"' * 500_000,
        b"/*" * 500_000,
        b"[]" * 1_000_000,
        b"," * 2_000_000,
        b'{"a":"' + b"\\" * 1_999_999,
        b"{" * 2_000_000,
        b"<!--" * 500_000,
        b" " * 2_000_000 + b"x",
        b"9" * 2_000_000,
        b'""' * 1_000_000,
        b"[" * 90 + b"1," * 900_000,
    ],
)
def test_b5_read_document__built_to_be_slow__is_read_in_linear_time(raw: bytes) -> None:
    read_document(raw)  # pytest's own limit would end anything quadratic
