"""Rows of bulk files, streamed as PostgreSQL's own COPY, in parts that begin and end at keys.

COPY sends tab-separated lines. Whatever may hold a stranger's text or bytes travels in hexadecimal,
so that a line feed always ends a row, whatever is in it, and nothing needs unescaping.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, LiteralString

import msgspec

from renown.errors import ExportConflict
from renown.store.exporting_tables import Column, Kind, Table
from renown.store.facts import FOLDED_TABLES, IDENTITY_TABLES
from renown.store.pool import Conn, Tx
from renown.types import MAX_BIGINT

SEPARATOR = "\x1f"
"""Between the texts of a list. No text in a list has it."""
NULL = "\\N"
TRUE, FALSE = "t", "f"

END = MAX_BIGINT
"""The last key of a table's last part, where the table is walked by ids."""

_AS_HEX: dict[Kind, LiteralString] = {
    "words": "encode(convert_to({}, 'UTF8'), 'hex')",
    "text": "encode({}, 'hex')",
    "hex": "encode({}, 'hex')",
    "bytes": "encode({}, 'hex')",
    "json": "encode(convert_to(({})::text, 'UTF8'), 'hex')",
    "list": "encode(convert_to(array_to_string({}, E'\\x1f'), 'UTF8'), 'hex')",
}


class Place(msgspec.Struct, frozen=True):
    """Which rows of a table an export has.

    Attributes:
        started_at: documents stored later are left out.
        chain_id: None for documents.
        block_number: facts above it are left out.
    """

    started_at: datetime
    chain_id: int | None = None
    block_number: int = -1


class Pin(msgspec.Struct, frozen=True):
    """A block that an export is as of, and the life of the chain in the index that it is of."""

    chain_id: int
    block_number: int
    block_hash: bytes | None
    epoch: int


def carried(table: Table) -> list[Column]:
    """The columns that COPY carries: those of `table`, each expression once."""
    found: dict[str, Column] = {}
    for column in table.columns:
        found.setdefault(column.sql, column)
    return list(found.values())


def travels_coded(kind: Kind) -> bool:
    """Whether a value of this kind travels in hexadecimal without being shown so."""
    return kind in _AS_HEX and kind != "hex"


_SETTINGS: LiteralString = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL jit = off"
)
PINNED: LiteralString = """
SELECT c.epoch, k.block_number,
       (SELECT hash FROM block WHERE chain_id = c.chain_id AND number = $2::bigint)
  FROM chain c
  JOIN checkpoint k USING (chain_id)
 WHERE c.chain_id = $1
"""


async def prepare(tx: Tx, pin: Pin | None) -> None:
    """Make `tx` ready for `copy`, and check that the chain still has the block of `pin`.

    Raises:
        ExportConflict: it was reorganised, rewound or dropped.
    """
    await tx.execute(_SETTINGS)
    if pin is None:
        return
    row = await tx.fetchrow(PINNED, pin.chain_id, pin.block_number)
    # A final block without facts may have been pruned: only another hash contradicts.
    if (
        row is None
        or row[0] != pin.epoch
        or row[1] < pin.block_number
        or (row[2] is not None and pin.block_hash is not None and row[2] != pin.block_hash)
    ):
        raise ExportConflict(
            f"chain {pin.chain_id} no longer has the block {pin.block_number} that this export is"
            " as of: begin a new one",
            chain_id=pin.chain_id,
        )


async def copy(
    tx: Tx,
    table: Table,
    place: Place,
    first: int,
    last: int,
    sink: Callable[[bytes], Coroutine[Any, Any, None]],
) -> None:
    """Send the rows of `table` from key `first` to `last` to `sink`, as lines of `carried` columns.

    In order of their keys. A piece given to `sink` may begin and end anywhere. Needs `prepare`.
    """
    selected = ", ".join(
        _AS_HEX.get(column.kind, "{}").format(column.sql) for column in carried(table)
    )
    query = f"SELECT {selected} {table.body}"
    if place.chain_id is None:
        args: Sequence[object] = (first, last, place.started_at)
    else:
        args = (place.chain_id, place.block_number, first, last)
    await tx.copy_from_query(query, *args, output=sink)


# Parts -----------------------------------------------------------------------------------------

AGENT_BEHIND: LiteralString = """
SELECT agent_id FROM agent
 WHERE chain_id = $1 AND agent_id >= $2 AND created_block <= $3
 ORDER BY agent_id OFFSET $4::bigint LIMIT 1
"""
_BLOCK_BEHIND: LiteralString = """
SELECT block_number FROM {}
 WHERE chain_id = $1 AND block_number BETWEEN $2 AND $3
 ORDER BY block_number, log_index OFFSET $4::bigint LIMIT 1
"""
DOCUMENT_BEHIND: LiteralString = """
SELECT document_id
  FROM (SELECT document_id, row_number() OVER w AS place, sum(size_bytes) OVER w AS bytes
          FROM (SELECT document_id, size_bytes FROM document
                 WHERE document_id >= $1 AND stored_at <= $2
                 ORDER BY document_id LIMIT $3::bigint + 1) d
        WINDOW w AS (ORDER BY document_id)) d
 WHERE place > $3::bigint OR (place > 1 AND bytes > $4::bigint)
 ORDER BY document_id LIMIT 1
"""


async def last_of_part(
    conn: Conn, table: Table, place: Place, first: int, *, rows: int, size_bytes: int
) -> int:
    """The last key of a part that begins at `first` and has about `rows` rows of what is walked.

    Documents weigh at most `size_bytes` together, unless one alone is larger. The same for the same
    place, however often it is asked: what is walked only grows beyond it. `end_of` the table for
    its last part.
    """
    if place.chain_id is None:
        behind = await conn.fetchval(DOCUMENT_BEHIND, first, place.started_at, rows, size_bytes)
        return END if behind is None else behind - 1
    args = place.chain_id, first, place.block_number, rows
    if table.family == "agents":
        behind = await conn.fetchval(AGENT_BEHIND, *args)
        return END if behind is None else behind - 1
    behind = await conn.fetchval(_BLOCK_BEHIND.format(table.source), *args)
    # A block is never split, so one of more rows than a part is a part of its own.
    return place.block_number if behind is None else max(first, behind - 1)


def end_of(table: Table, place: Place) -> int:
    """The last key of the last part."""
    return place.block_number if table.family == "blocks" else END


AGENTS_HELD: LiteralString = """
SELECT count(*) FROM agent
 WHERE chain_id = $1 AND created_block <= $2 AND agent_id BETWEEN $3 AND $4
"""
_BLOCKS_HELD: LiteralString = """
SELECT count(*) FROM {}
 WHERE chain_id = $1 AND block_number <= $2 AND block_number BETWEEN $3 AND $4
"""
DOCUMENTS_HELD: LiteralString = """
SELECT count(*) FROM document WHERE stored_at <= $1 AND document_id BETWEEN $2 AND $3
"""


async def held(conn: Conn, table: Table, place: Place, first: int = 0, last: int = END) -> int:
    """How many rows of what is walked there are between two keys."""
    if place.chain_id is None:
        query = DOCUMENTS_HELD
        args: tuple[Any, ...] = (place.started_at, first, last)
    else:
        query = AGENTS_HELD if table.family == "agents" else _BLOCKS_HELD.format(table.source)
        args = (place.chain_id, place.block_number, first, last)
    count: int = await conn.fetchval(query, *args)
    return count


# The past ----------------------------------------------------------------------------------------

TOUCHED: LiteralString = " UNION ".join(
    f"SELECT agent_id, {'true' if table in IDENTITY_TABLES else 'false'} FROM {table.name}"
    " WHERE chain_id = $1 AND block_number > $2 AND agent_id BETWEEN $3 AND $4"
    for table in FOLDED_TABLES
)


class Touched(msgspec.Struct, frozen=True):
    """Agents about which something happened above a block, ascending: in who they are, and in what
    is counted of them. Of most it is the latter alone."""

    identities: list[int]
    counts: list[int]


async def touched_since(
    conn: Conn, chain_id: int, block_number: int, first: int, last: int
) -> Touched:
    """The agents from `first` to `last` about which something happened above a block."""
    rows = await conn.fetch(TOUCHED, chain_id, block_number, first, last)
    return Touched(
        sorted(agent_id for agent_id, of_identity in rows if of_identity),
        sorted(agent_id for agent_id, of_identity in rows if not of_identity),
    )


CLOCK: LiteralString = "SELECT now()"


async def clock(conn: Conn) -> datetime:
    """The database's time: of a transaction, when it began."""
    found: datetime = await conn.fetchval(CLOCK)
    return found
