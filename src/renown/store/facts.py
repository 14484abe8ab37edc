"""Fact tables: one per kind, append-only, read and written as `spec.events` values."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, LiteralString

import msgspec
from asyncpg import Connection

from renown.derive.facts_hash import names_its_contract
from renown.spec.events import KINDS, Fact, FeedbackGiven, Quarantined, RegistryChanged

PARTITION_BITS = 27
"""A partition holds 2**27 blocks of one chain; `ensure_fact_partitions` has the same number."""


class Table(msgspec.Struct, frozen=True):
    """How one kind lies in its table. `columns` follow the fields of `kind`, without `chain_id`."""

    kind: type[Fact]
    name: LiteralString
    columns: tuple[LiteralString, ...]
    has_contract: bool
    numeric: tuple[int, ...] = ()
    """Positions in `columns` that are numeric, which the driver reads as Decimal."""


def _table(kind: type[Fact]) -> Table:
    fields: tuple[Any, ...] = kind.__struct_fields__
    renamed = {"first_agent_id": "agent_id"}
    name: Any = KINDS[kind]
    has_contract = names_its_contract(kind)
    columns = tuple(renamed.get(f, f) for f in fields if f != "contract" or has_contract)
    numeric = {FeedbackGiven: ("value",), RegistryChanged: ("version",)}.get(kind, ())
    return Table(kind, name, columns, has_contract, tuple(columns.index(n) for n in numeric))


TABLES: dict[type[Fact], Table] = {kind: _table(kind) for kind in KINDS}
QUARANTINE_COLUMNS = (
    *("chain_id", "block_number", "log_index", "tx_hash"),
    *("contract", "reason", "event", "topics", "payload"),
)

IDENTITY_TABLES = tuple(
    t for t in TABLES.values() if t.name.startswith(("agent_", "uri_", "metadata_"))
)
FOLDED_TABLES = tuple(
    t for t in TABLES.values() if "agent_id" in t.columns and t.name != "legacy_event"
)
"""The kinds that a fold reads."""

ENSURE_PARTITIONS: LiteralString = "SELECT ensure_fact_partitions($1, $2)"


async def ensure_partitions(conn: Connection[Any], chain_id: int, first: int, last: int) -> None:
    """Make the partitions that blocks first..last need. Cheap when they exist."""
    for slot in range(first >> PARTITION_BITS, (last >> PARTITION_BITS) + 1):
        await conn.execute(ENSURE_PARTITIONS, chain_id, slot)


Rows = dict[type[Fact], list[tuple[Any, ...]]]


def rows_of(chain_id: int, facts: Iterable[Fact]) -> Rows:
    """`facts` as rows of their tables, by kind. Pure."""
    rows: Rows = {}
    add_rows(chain_id, facts, rows)
    return rows


def add_rows(chain_id: int, facts: Iterable[Fact], rows: Rows) -> None:
    """The same, behind the rows that are there."""
    astuple = msgspec.structs.astuple
    for fact in facts:
        kind = type(fact)
        kept = rows.get(kind)
        if kept is None:
            kept = rows[kind] = []
        row = astuple(fact)
        if TABLES[kind].has_contract:
            kept.append((chain_id, *row))
        else:
            kept.append((chain_id, *row[:3], *row[4:]))


async def append(conn: Connection[Any], rows: Rows) -> None:
    """COPY rows into their tables. Part of a transaction."""
    for kind, records in rows.items():
        table = TABLES[kind]
        await conn.copy_records_to_table(
            table.name, records=records, columns=("chain_id", *table.columns)
        )


async def quarantine(conn: Connection[Any], chain_id: int, logs: Sequence[Quarantined]) -> None:
    """Keep logs that cannot be facts, with their bytes. Part of a transaction."""
    records = [
        (
            *(chain_id, q.block_number, q.log_index, q.tx_hash),
            *(q.contract, q.reason, q.event, list(q.topics), q.payload),
        )
        for q in logs
    ]
    if records:
        await conn.copy_records_to_table("quarantine", records=records, columns=QUARANTINE_COLUMNS)


async def of_agents(
    conn: Connection[Any],
    chain_id: int,
    agent_ids: Sequence[int],
    *,
    upto_block: int,
    tables: Sequence[Table] = FOLDED_TABLES,
) -> list[Fact]:
    """The facts of `agent_ids` up to `upto_block`, of the kinds of `tables`, in chain order."""
    found: list[Fact] = []
    for table in tables:
        rows = await conn.fetch(
            f"SELECT {', '.join(table.columns)} FROM {table.name}"
            " WHERE chain_id = $1 AND agent_id = ANY($2::bigint[]) AND block_number <= $3",
            chain_id,
            agent_ids,
            upto_block,
        )
        found.extend(read(table, row) for row in rows)
    found.sort(key=_place)
    return found


async def count(conn: Connection[Any], chain_id: int, first: int, last: int) -> int:
    """How many logs of blocks first..last are held: facts and quarantine, row by row."""
    names = (*(table.name for table in TABLES.values()), "quarantine")
    union = " + ".join(
        f"(SELECT count(*) FROM {name} WHERE chain_id = $1 AND block_number BETWEEN $2 AND $3)"
        for name in names
    )
    held: int = await conn.fetchval(f"SELECT {union}", chain_id, first, last)
    return held


async def stream(
    conn: Connection[Any], chain_id: int, table: Table, *, upto_block: int
) -> AsyncIterator[tuple[Any, ...]]:
    """Every row of one kind at or below `upto_block` in chain order, as `table.columns`.

    Needs a transaction (a server-side cursor); bounded memory.
    """
    query = (
        f"SELECT {', '.join(table.columns)} FROM {table.name}"
        " WHERE chain_id = $1 AND block_number <= $2 ORDER BY block_number, log_index"
    )
    async for row in conn.cursor(query, chain_id, upto_block, prefetch=2_000):
        yield _plain(table, row)


def read(table: Table, row: Iterable[Any]) -> Fact:
    """The fact that a row of `table.columns` holds.

    `contract` is empty where the table has no such column: the chain has one registry of that kind.
    """
    values = _plain(table, row)
    if not table.has_contract:
        values = (*values[:3], b"", *values[3:])
    return table.kind(*values)


def _plain(table: Table, row: Iterable[Any]) -> tuple[Any, ...]:
    values = tuple(row)
    for position in table.numeric:
        if values[position] is not None:
            values = (*values[:position], int(values[position]), *values[position + 1 :])
    return values


def _place(fact: Fact) -> tuple[int, int]:
    return fact.block_number, fact.log_index
