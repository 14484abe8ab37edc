"""What the blocks that a retraction takes back hold, read before they go."""

from __future__ import annotations

import json
from typing import Any, LiteralString, get_type_hints

import msgspec

from renown.spec.events import Fact, Quarantined
from renown.store import facts
from renown.store.pool import Tx


class Taken(msgspec.Struct, frozen=True):
    """What the blocks of a retraction hold, before it is taken back.

    `content` is JSON: table to rows, bytes as PostgreSQL hex. `facts` and `quarantined` are in
    chain order.
    """

    facts: list[Fact]
    quarantined: list[Quarantined]
    content: str


async def look_above(tx: Tx, chain_id: int, number: int) -> Taken:
    """Read everything of the blocks above `number`, in one statement."""
    found: list[Fact] = []
    quarantined: list[Quarantined] = []
    content: list[str] = []
    for name, rows in await tx.fetch(ORPHANED, chain_id, number + 1):
        content.append(f'"{name}": {rows}')
        # Of the parsers only this one keeps integers beyond 64 bits.
        values = json.loads(rows)
        if name == "quarantine":
            quarantined = [_quarantined(row) for row in values]
        else:
            found += [_fact(_TABLES[name], row) for row in values]
    found.sort(key=lambda fact: (fact.block_number, fact.log_index))
    return Taken(found, quarantined, f"{{{', '.join(content)}}}")


def _orphaned_sql() -> LiteralString:
    names: tuple[LiteralString, ...] = (*(table.name for table in facts.TABLES.values()),)
    parts: list[LiteralString] = [
        f"""
SELECT '{name}', rows FROM (
    SELECT jsonb_agg(to_jsonb(t) - 'chain_id' ORDER BY block_number, log_index)::text AS rows
      FROM {name} t WHERE chain_id = $1 AND block_number >= $2) AS {name}
 WHERE rows IS NOT NULL"""
        for name in sorted((*names, "quarantine"))
    ]
    return " UNION ALL".join(parts)


# A statement for each table would cost more than most reorgs hold.
ORPHANED: LiteralString = _orphaned_sql()

_TABLES = {table.name: table for table in facts.TABLES.values()}
_IN_BYTES = {
    table.name: frozenset(
        name for name, hint in get_type_hints(table.kind).items() if hint in (bytes, bytes | None)
    )
    for table in facts.TABLES.values()
}


def _fact(table: facts.Table, row: dict[str, Any]) -> Fact:
    in_bytes = _IN_BYTES[table.name]
    return facts.read(
        table,
        [_bytes(row[name]) if name in in_bytes else row[name] for name in table.columns],
    )


def _quarantined(row: dict[str, Any]) -> Quarantined:
    return Quarantined(
        row["block_number"],
        row["log_index"],
        *(_bytes(row["tx_hash"]), _bytes(row["contract"]), row["reason"], row["event"]),
        tuple(_bytes(topic) for topic in row["topics"]),
        _bytes(row["payload"]),
    )


def _bytes(text: str | None) -> Any:
    """`bytea` as PostgreSQL writes it: a backslash, an x, and hex."""
    return None if text is None else bytes.fromhex(text[2:])
