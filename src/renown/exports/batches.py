"""From the lines that COPY sends to Arrow columns.

`Lines` cuts the stream at fixed places, whatever pieces it arrives in, so that an export made twice
has the same bytes. `decode` reads a cut; `table` makes of it the columns that are written.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from renown.spec.text import clean_text, is_clean
from renown.store import exporting
from renown.store.exporting_tables import Column, Kind, Table

CUT_BYTES = 8 * 2**20
"""How many bytes of lines are read at a time, unless one line alone is longer."""

Columns = dict[str, Any]
"""Arrow arrays of one cut by the SQL of the column that they carry."""

_CARRIED_AS: dict[Kind, Any] = {
    "number": pa.int64(),
    "id": pa.int64(),
    "time": pa.timestamp("us", "UTC"),
    "flag": pa.bool_(),
}
_WRITTEN_AS: dict[Kind, Any] = {
    **_CARRIED_AS,
    "list": pa.list_(pa.string()),
    "bytes": pa.binary(),
}


class Lines:
    """A stream of lines, cut at line ends every `cut_bytes` or, of one long line, behind it."""

    def __init__(self, cut_bytes: int = CUT_BYTES) -> None:
        self._held = bytearray()
        self._cut_bytes = cut_bytes

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The cuts that `piece` completes."""
        self._held += piece
        while len(self._held) > self._cut_bytes:
            end = self._held.rfind(b"\n", 0, self._cut_bytes) + 1
            if not end:
                end = self._held.find(b"\n", self._cut_bytes) + 1
            if not end:
                return
            yield bytes(self._held[:end])
            del self._held[:end]

    def rest(self) -> Iterator[bytes]:
        """What is left at the end, if anything."""
        if self._held:
            yield bytes(self._held)
            self._held.clear()


def decode(table: Table, lines: bytes) -> Columns:
    """What `lines` carry: typed values, bytes for what travels coded, digits for `hex`."""
    carried = exporting.carried(table)
    names = [column.sql for column in carried]
    read = csv.read_csv(
        pa.BufferReader(lines),
        # One block: a line never straddles two, and cuts are read one after the other anyway.
        read_options=csv.ReadOptions(
            column_names=names, block_size=len(lines) + 1, use_threads=False
        ),
        parse_options=csv.ParseOptions(
            delimiter="\t", quote_char=False, newlines_in_values=False, ignore_empty_lines=False
        ),
        convert_options=csv.ConvertOptions(
            column_types={column.sql: _carried_type(column.kind) for column in carried},
            null_values=[exporting.NULL],
            strings_can_be_null=True,
            true_values=[exporting.TRUE],
            false_values=[exporting.FALSE],
        ),
    )
    found = {}
    for column in carried:
        array = _one(read.column(column.sql))
        found[column.sql] = _unhex(array) if exporting.travels_coded(column.kind) else array
    return found


def table(table: Table, columns: Columns) -> Any:
    """The Arrow table that is written, with `schema_of(table)`."""
    arrays: list[Any] = []
    texts: dict[str, Any] = {}
    for column in table.columns:
        array = columns[column.sql]
        match column.kind:
            case "text":
                arrays += foreign_text(array)
            case "words" | "json":
                arrays.append(array.cast(pa.string()))
            case "hex":
                arrays.append(pc.binary_join_element_wise("0x", array, ""))
            case "list":
                split = texts.get(column.sql)
                if split is None:
                    split = pc.split_pattern(array.cast(pa.string()), exporting.SEPARATOR)
                    texts[column.sql] = split
                arrays.append(chosen(split, column.prefix))
            case _:
                arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema_of(table))


def schema_of(table: Table) -> Any:
    """The Arrow schema of what is written; each field has its kind and meaning with it."""
    fields = [_field(column) for column in table.columns]
    return pa.schema([field for pair in fields for field in pair])


def kinds_of(table: Table) -> dict[str, Kind]:
    """The kind of every column that is written, in order, those of `…_hex` too."""
    found: dict[str, Kind] = {}
    for column in table.columns:
        found[column.name] = column.kind
        if column.kind == "text":
            found[f"{column.name}_hex"] = "hex"
    return found


def foreign_text(array: Any) -> tuple[Any, Any]:
    """Bytes of strangers as text, and as hexadecimal where they are not UTF-8 without NUL."""
    try:
        text = array.cast(pa.string())
    except pa.ArrowInvalid:
        text = None
    if text is not None and b"\0" not in (_used(text) or b""):
        return text, pa.nulls(len(array), pa.string())
    values = array.to_pylist()
    dirty = [value is not None and not is_clean(value) for value in values]
    return (
        pa.array([None if v is None else clean_text(v) for v in values], pa.string()),
        pa.array(
            ["0x" + v.hex() if odd else None for v, odd in zip(values, dirty, strict=True)],
            pa.string(),
        ),
    )


def chosen(lists: Any, prefix: str) -> Any:
    """Lists of the texts that begin with `prefix`, without it. Empty ones go; null stays."""
    values, offsets = lists.values, lists.offsets
    wanted = pc.and_(pc.starts_with(values, prefix), pc.not_equal(values, prefix))
    kept = pc.cumulative_sum(wanted.cast(pa.int32()))
    before = pa.concat_arrays([pa.array([0], pa.int32()), kept])
    return pa.ListArray.from_arrays(
        before.take(offsets),
        pc.utf8_slice_codeunits(values.filter(wanted), len(prefix)),
        mask=lists.is_null() if lists.null_count else None,
    )


def _field(column: Column) -> tuple[Any, ...]:
    about = {"description": column.about, "kind": column.kind}
    field = pa.field(column.name, _WRITTEN_AS.get(column.kind, pa.string()), metadata=about)
    if column.kind != "text":
        return (field,)
    beside = {
        "description": f"Bytes of `{column.name}` where they are not clean UTF-8.",
        "kind": "hex",
    }
    return field, pa.field(f"{column.name}_hex", pa.string(), metadata=beside)


def _carried_type(kind: Kind) -> Any:
    return pa.binary() if exporting.travels_coded(kind) else _CARRIED_AS.get(kind, pa.string())


def _one(column: Any) -> Any:
    if column.num_chunks == 1:
        return column.chunk(0)
    return column.combine_chunks() if column.num_chunks else pa.array([], column.type)


def _unhex(array: Any) -> Any:
    """The bytes that an array of hexadecimal means: all at once, since every offset just halves."""
    valid, offsets, digits = array.buffers()
    assert array.offset == 0
    places = pa.Array.from_buffers(pa.int32(), len(array) + 1, [None, offsets])
    halves = pc.divide(places, pa.scalar(2, pa.int32()))
    used = places[len(array)].as_py()
    raw = binascii.unhexlify(memoryview(digits)[:used]) if used else b""
    return pa.Array.from_buffers(
        pa.binary(), len(array), [valid, halves.buffers()[1], pa.py_buffer(raw)], array.null_count
    )


def _used(array: Any) -> bytes | None:
    raw = array.buffers()[2]
    return None if raw is None else raw.to_pybytes()
