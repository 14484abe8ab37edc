"""Arrow tables into files: Parquet, CSV, JSON lines. Same rows, same order, same columns."""

from __future__ import annotations

from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from renown.exports import batches, cells
from renown.store.exported import Format
from renown.store.exporting_tables import Table

ROW_GROUP_BYTES = 32 * 2**20
"""How much is held before it becomes a row group of Parquet."""


class Writer(Protocol):
    """Writes one file. After `close` it is whole; it does not close what it writes to."""

    def write(self, rows: Any) -> None:
        """More rows: an Arrow table with the schema of the table."""

    def close(self) -> None:
        """Write what is held and the end."""


def writer_for(form: Format, table: Table, to: BinaryIO, about: dict[str, str]) -> Writer:
    """A writer of rows of `table`. `about` goes into the file where its format has a place."""
    if form == "parquet":
        return _Parquet(table, to, about)
    return _Csv(table, to) if form == "csv" else _JsonLines(table, to)


class _Parquet:
    def __init__(self, table: Table, to: BinaryIO, about: dict[str, str]) -> None:
        self._schema = batches.schema_of(table).with_metadata(about)
        self._writer = parquet.ParquetWriter(
            to, self._schema, compression="zstd", compression_level=3
        )
        self._held: list[Any] = []
        self._held_bytes = 0

    def write(self, rows: Any) -> None:
        self._held.append(rows)
        self._held_bytes += rows.nbytes
        if self._held_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._held:
            whole = pa.concat_tables(self._held).replace_schema_metadata(self._schema.metadata)
            self._held, self._held_bytes = [], 0
            self._writer.write_table(whole)


class _Csv:
    """RFC 4180 with line feeds: text in quotes, null as nothing, a head line."""

    def __init__(self, table: Table, to: BinaryIO) -> None:
        self._kinds = batches.kinds_of(table)
        empty = self._cells(batches.schema_of(table).empty_table())
        self._writer = csv.CSVWriter(
            to, empty.schema, write_options=csv.WriteOptions(quoting_style="needed")
        )
        self._writer.write_table(empty)

    def write(self, rows: Any) -> None:
        self._writer.write_table(self._cells(rows))

    def close(self) -> None:
        self._writer.close()

    def _cells(self, rows: Any) -> Any:
        return pa.table(
            {
                name: cells.csv_cells(_one(rows.column(name)), kind)
                for name, kind in self._kinds.items()
            }
        )


class _JsonLines:
    """One object a line, every column in each. A row is put together column by column."""

    def __init__(self, table: Table, to: BinaryIO) -> None:
        self._kinds = batches.kinds_of(table)
        self._to = to

    def write(self, rows: Any) -> None:
        pieces: list[Any] = []
        for name, kind in self._kinds.items():
            pieces.append(f'{"," if pieces else "{"}"{name}":')
            pieces.append(cells.json_values(_one(rows.column(name)), kind))
        lines = pc.binary_join_element_wise(
            *pieces, "}\n", "", null_handling="replace", null_replacement="null"
        )
        self._to.write(_joined(lines))

    def close(self) -> None:
        pass


def _one(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _joined(lines: Any) -> bytes | memoryview:
    """All texts of an array, one behind the other: its own buffer, since none is null."""
    if not len(lines):
        return b""
    _, offsets, raw = lines.buffers()
    places = pa.Array.from_buffers(pa.int32(), len(lines) + 1, [None, offsets], offset=lines.offset)
    return memoryview(raw)[places[0].as_py() : places[len(lines)].as_py()]
