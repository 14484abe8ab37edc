"""What COPY sends becomes columns, and columns become cells: exactly, and harmlessly."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renown.exports import batches, formats
from renown.exports.batches import Lines
from renown.spec.text import clean_text, is_clean
from renown.store import exporting
from renown.store.exported import FORMATS, Format
from renown.store.exporting_tables import TABLES, Column, Table

TABLE = Table(
    name="things",
    about="One column of each kind.",
    family="agents",
    source="agent",
    columns=(
        Column("code", "code", "code", "c"),
        Column("words", "words", "words", "w"),
        Column("text", "text", "text", "t"),
        Column("hex", "hex", "hex", "h"),
        Column("number", "number", "number", "n"),
        Column("id", "id", "id", "i"),
        Column("whole", "whole", "whole", "W"),
        Column("time", "time", "time", "T"),
        Column("flag", "flag", "flag", "f"),
        Column("kinds", "list", "terms", "l", "kind="),
        Column("tags", "list", "terms", "l", "tag="),
        Column("json", "json", "json", "j"),
        Column("bytes", "bytes", "bytes", "b"),
    ),
    body="FROM agent",
)
NOTHING: dict[str, Any] = dict.fromkeys(column.sql for column in TABLE.columns)


def line(**values: Any) -> bytes:
    """A row as PostgreSQL's COPY sends it: an oracle of `exporting._AS_HEX`."""
    row = NOTHING | values
    cells = []
    for column in exporting.carried(TABLE):
        value = row[column.sql]
        if value is None:
            cells.append("\\N")
        elif column.kind in ("words", "json"):
            cells.append(value.encode().hex())
        elif column.kind in ("text", "hex", "bytes"):
            cells.append(value.hex())
        elif column.kind == "list":
            cells.append("\x1f".join(value).encode().hex())
        elif column.kind == "flag":
            cells.append("t" if value else "f")
        elif column.kind == "time":
            cells.append(value.strftime("%Y-%m-%d %H:%M:%S.%f+00"))
        else:
            cells.append(str(value))
    return "\t".join(cells).encode() + b"\n"


def written(form: Format, *lines: bytes) -> bytes:
    """The file that these rows make."""
    to = io.BytesIO()
    writer = formats.writer_for(form, TABLE, to, {})
    for one in lines:
        writer.write(batches.table(TABLE, batches.decode(TABLE, one)))
    writer.close()
    return to.getvalue()


def read(form: Format, content: bytes) -> list[dict[str, Any]]:
    """The rows of a file, as a stranger's reader has them."""
    if form == "parquet":
        rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
        return rows
    if form == "jsonl":
        return [json.loads(one) for one in content.decode().split("\n")[:-1]]
    # A blank is null here and "" is empty, which Python's reader does not tell apart.
    return [dict(row) for row in csv.DictReader(io.StringIO(content.decode(), newline=""))]


TIME = datetime(2026, 3, 1, 12, 0, 5, 250_000, tzinfo=UTC)
FULL: dict[str, Any] = {
    "code": "eip155:8453:0xab:7",
    "words": 'Ünï "quoted" \\ back\nline',
    "text": b"ipfs://x",
    "hex": b"\x00\xff",
    "number": 12,
    "id": 2**63 - 1,
    "whole": -(10**38),
    "time": TIME,
    "flag": True,
    "terms": ["chain=1", "kind=mcp", "tag=défi", 'kind=a"b\\c'],
    "json": '{"a": [1, "x\\ny"], "big": 123456789012345678901234567890}',
    "bytes": bytes(range(256)),
}


def test_parquet__one_value_of_each_kind__is_typed() -> None:
    (row,) = read("parquet", written("parquet", line(**FULL)))

    assert row == {
        **{name: FULL[name] for name in ("code", "words", "number", "id", "time", "flag", "bytes")},
        "text": "ipfs://x",
        "text_hex": None,
        "hex": "0x00ff",
        "whole": str(-(10**38)),
        "kinds": ["mcp", 'a"b\\c'],
        "tags": ["défi"],
        "json": FULL["json"],
    }


def test_jsonl__one_value_of_each_kind__is_json_with_big_integers_as_text() -> None:
    (row,) = read("jsonl", written("jsonl", line(**FULL)))

    assert row == {
        **{name: FULL[name] for name in ("code", "words", "number", "flag")},
        "text": "ipfs://x",
        "text_hex": None,
        "hex": "0x00ff",
        "whole": str(-(10**38)),
        "id": str(2**63 - 1),
        "time": "2026-03-01T12:00:05.250000Z",
        "kinds": ["mcp", 'a"b\\c'],
        "tags": ["défi"],
        "json": json.loads(FULL["json"]),
        "bytes": base64.b64encode(FULL["bytes"]).decode(),
    }


def test_csv__one_value_of_each_kind__is_text() -> None:
    (row,) = read("csv", written("csv", line(**FULL)))

    assert row == {
        **{name: FULL[name] for name in ("code", "words", "json")},
        "text": "ipfs://x",
        "text_hex": "",
        "hex": "0x00ff",
        "whole": str(-(10**38)),
        "number": "12",
        "id": str(2**63 - 1),
        "time": "2026-03-01T12:00:05.250000Z",
        "kinds": '["mcp","a\\"b\\\\c"]',
        "tags": '["défi"]',
        "flag": "true",
        "bytes": base64.b64encode(FULL["bytes"]).decode(),
    }


def test_csv__nothing_and_emptiness__are_told_apart() -> None:
    empty = line(words="", text=b"", terms=[], hex=b"")
    head, nothing, blank = written("csv", line(), empty).decode().splitlines()

    assert nothing == "," * head.count(",")
    names = [name.strip('"') for name in head.split(",")]
    cells = dict(zip(names, blank.split(","), strict=True))
    assert (cells["words"], cells["text"], cells["hex"]) == ('""', '""', '"0x"')
    assert cells["kinds"] == '"[]"'


@pytest.mark.parametrize("form", FORMATS)
def test_rows__none_at_all__make_a_file_that_reads(form: Format) -> None:
    assert read(form, written(form)) == []


@pytest.mark.parametrize("form", FORMATS)
def test_nothing__in_every_column__stays_nothing(form: Format) -> None:
    (row,) = read(form, written(form, line()))

    assert set(row.values()) == ({""} if form == "csv" else {None})


# Hostile strings -----------------------------------------------------------------------------

RAW = st.binary(max_size=40) | st.sampled_from(
    [b"=cmd|' /C calc'!A0", b"\x00", b"\xff\xfe", "\u202ex".encode(), b"-1+1|x", b"a\r\nb", b"\t=1"]
)
PLAIN = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
TEXT = st.builds("{}{}".format, st.sampled_from(["", *"=+-@\t\r\n'＝＋－＠\"\\", "-5"]), PLAIN)
ROWS = st.lists(st.tuples(RAW, TEXT), min_size=1, max_size=8)


@settings(max_examples=40)
@given(ROWS)
def test_parquet_and_jsonl__any_bytes_and_text__come_back(rows: list[tuple[bytes, str]]) -> None:
    lines = b"".join(line(text=raw, words=words) for raw, words in rows)

    for form in FORMATS[0], FORMATS[2]:
        found = read(form, written(form, lines))
        assert [row["words"] for row in found] == [words for _, words in rows]
        assert [row["text"] for row in found] == [clean_text(raw) for raw, _ in rows]
        assert [_bytes(row) for row in found] == [raw for raw, _ in rows]


def _bytes(row: dict[str, Any]) -> bytes:
    beside = row["text_hex"]
    if beside is None:
        return str(row["text"]).encode()
    raw = bytes.fromhex(beside[2:])
    assert not is_clean(raw)
    return raw


@settings(max_examples=40)
@given(ROWS)
def test_csv__any_text__is_no_formula_and_comes_back(rows: list[tuple[bytes, str]]) -> None:
    content = written("csv", b"".join(line(text=raw, words=words) for raw, words in rows))

    found = read("csv", content)
    assert [_unguarded(row["words"]) for row in found] == [words for _, words in rows]
    assert [_unguarded(row["text"]) for row in found] == [clean_text(raw) for raw, _ in rows]
    for row in found:
        for cell in (row["words"], row["text"]):
            assert not cell.startswith(("=", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
            if cell.startswith(("+", "-")):
                float(cell)


def _unguarded(cell: str) -> str:
    return cell.removeprefix("'")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-5", "-5"),
        ("+1.50", "+1.50"),
        ("-5 apples", "'-5 apples"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("-5\n=1", "'-5\n=1"),
        ("'quoted", "''quoted"),
        ("plain = fine", "plain = fine"),
    ],
)
def test_csv__how_cells_are_guarded__is_as_documented(text: str, cell: str) -> None:
    (row,) = read("csv", written("csv", line(words=text)))

    assert row["words"] == cell


# Cuts ------------------------------------------------------------------------------------------


@given(
    st.lists(st.binary(max_size=12).map(bytes.hex), max_size=20),
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
    st.integers(1, 30),
)
def test_lines__however_they_arrive__are_cut_at_the_same_places(
    lines: list[str], steps: list[int], cut_bytes: int
) -> None:
    stream = "".join(one + "\n" for one in lines).encode()

    at_once = _cuts([stream], cut_bytes)
    pieces, start, number = [], 0, 0
    while start < len(stream):
        pieces.append(stream[start : start + steps[number % len(steps)]])
        start, number = start + steps[number % len(steps)], number + 1

    assert _cuts(pieces, cut_bytes) == at_once
    assert b"".join(at_once) == stream
    assert all(cut.endswith(b"\n") for cut in at_once)
    assert all(len(cut) <= cut_bytes or cut.count(b"\n") == 1 for cut in at_once)


def _cuts(pieces: list[bytes], cut_bytes: int) -> list[bytes]:
    lines = Lines(cut_bytes)
    return [cut for piece in pieces for cut in lines.feed(piece)] + list(lines.rest())


# Schema ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_tables__every_column__has_a_kind_a_meaning_and_a_name_of_its_own(table: Table) -> None:
    schema = batches.schema_of(table)

    assert len(set(schema.names)) == len(schema.names)
    assert schema.names == list(batches.kinds_of(table))
    assert all(field.metadata[b"description"].endswith(b".") for field in schema), [
        field.name for field in schema if not field.metadata[b"description"].endswith(b".")
    ]
    assert pa.types.is_string(schema.field(0).type)
