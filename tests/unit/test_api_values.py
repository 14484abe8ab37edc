"""How foreign bytes, moments and tags are written and read at the edge."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from renown.api import etag
from renown.api.answers.as_of import AsOf, parse_at
from renown.api.answers.values import texts
from renown.api.replies import as_of_header
from renown.api.web.page import _decimal, _foreign
from renown.errors import BadParameter
from renown.spec.text import clean_text, is_clean, shown, whole_characters


@given(st.binary(max_size=200))
def test_texts__any_bytes__text_is_exact_or_the_bytes_stand_beside_it(raw: bytes) -> None:
    fields = msgspec.json.decode(msgspec.json.encode(texts(("uri", raw, len(raw)))))

    if "uri_hex" in fields:
        assert bytes.fromhex(fields["uri_hex"][2:]) == raw
        assert "\0" not in fields["uri"]
    else:
        assert fields["uri"].encode() == raw
    assert "truncated" not in fields


@given(st.text(), st.integers(0, 50))
def test_texts__cut_anywhere__keeps_whole_characters_and_says_the_length(
    text: str, cut: int
) -> None:
    raw = text.replace("\0", "").encode()
    fields = texts(("uri", raw[:cut], len(raw)))

    assert raw.decode().startswith(fields["uri"])
    assert "uri_hex" not in fields
    assert fields.get("truncated") == ({"uri": len(raw)} if cut < len(raw) else None)


def test_texts__none__stays_a_state_of_its_own() -> None:
    assert texts(("uri", None, None)) == {"uri": None}
    assert texts(("uri", b"", 0)) == {"uri": ""}


@given(st.binary(max_size=50))
def test_clean_text__any_bytes__is_text_that_a_database_and_json_take(raw: bytes) -> None:
    text = clean_text(raw)

    assert "\0" not in text
    assert (text.encode() == raw) is is_clean(raw)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"ab\xf0\x9f\x98", b"ab"),
        (b"a\xc3", b"a"),
        ("ä".encode(), "ä".encode()),
        (b"\x80", b"\x80"),
    ],
)
def test_whole_characters__cut_or_not__drops_only_what_a_cut_left(raw: bytes, kept: bytes) -> None:
    assert whole_characters(raw) == kept


@pytest.mark.parametrize(
    "text", ["\u202egnp.exe", "a\u2066b", "a\u200bb", "\x1b[31m", "\U000e0041", "\ud800", "\u2028"]
)
def test_shown__what_reorders_hides_or_breaks__is_seen_instead(text: str) -> None:
    assert "\ufffd" in shown(text)


def test_shown__joiners_and_right_to_left_letters__stay() -> None:
    text = "👩\u200d🔬 שלום می\u200cخواهم\n\ttab"

    assert shown(text) == text


def test_foreign__long_text__is_cut_with_an_ellipsis() -> None:
    assert _foreign("x" * 400) == "x" * 300 + "…"


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        ("-5", 1, "−0.5"),
        ("9977", 2, "99.77"),
        ("0", 18, "0"),
        ("1", 18, "0." + "0" * 17 + "1"),
        ("100", 2, "1"),
        ("-100000000000000000000", 0, "−100000000000000000000"),
    ],
)
def test_decimal__scaled_integer__is_written_exactly(
    value: str, decimals: int, expected: str
) -> None:
    assert _decimal(value, decimals) == expected


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", 0),
        ("36000000", 36_000_000),
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T14:00:00 02:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("@1772366400", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("1772366400Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ],
)
def test_parse_at__block_or_time__is_read(text: str, moment: object) -> None:
    assert parse_at(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "9" * 19,
        "latest",
        "2026-03-01",
        "@999999999999",
        "0001-01-01T00:00:00+14:00",
        "1e9",
        "٣",
        "2026-13-01T00:00:00Z",
    ],
)
def test_parse_at__anything_else__is_refused_with_what_it_takes(text: str) -> None:
    with pytest.raises(BadParameter, match="a block number"):
        parse_at(text)


def test_as_of_header__one_chain__says_all_and_several__stay_short() -> None:
    block = AsOf(8453, 5, "0x" + "ab" * 32, datetime(2026, 3, 1, 12, tzinfo=UTC), "final")
    nothing = AsOf(1, None, None, None, None)

    assert as_of_header([block]) == (
        f'8453;block=5;hash="0x{"ab" * 32}";time=@1772366400;finality=final'
    )
    assert as_of_header([nothing, block]) == "1, 8453;block=5;finality=final"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('W/"1.8453.0.7"', True),
        ('"1.8453.0.7"', True),
        ('"a", W/"1.8453.0.7"', True),
        ("*", True),
        ('W/"1.8453.0.8"', False),
        ("1.8453.0.7", False),
        ("", False),
        ('"', False),
    ],
)
def test_matches__if_none_match__compares_weakly(header: str, expected: bool) -> None:
    assert etag.matches(etag.of_version("8453.0.7"), header) is expected


def test_of_content__only_as_of_differs__is_the_same_tag() -> None:
    old, new = b'{"as_of":[{"b":1}],"items":[]}', b'{"as_of":[{"b":2}],"items":[]}'
    other = b'{"as_of":[{"b":2}],"items":[1]}'

    assert etag.of_content(old, b'[{"b":1}]') == etag.of_content(new, b'[{"b":2}]')
    assert etag.of_content(other, b'[{"b":2}]') != etag.of_content(new, b'[{"b":2}]')
