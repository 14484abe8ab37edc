"""Chains, how far each is indexed, and how complete it is known to be."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.reads import HEAD, HEAD_COLUMNS, Head


class ChainRow(msgspec.Struct, frozen=True, gc=False):
    """A chain as configured. Its identity registry and first block stand in `head`."""

    head: Head
    slug: str
    name: str
    testnet: bool
    reputation: bytes
    validations: list[bytes]
    explorer: str


CHAINS: LiteralString = f"""
SELECT {HEAD}, c.slug, c.name, c.testnet, c.reputation, c.validations, c.explorer
  FROM chain c
  JOIN checkpoint k USING (chain_id)
 WHERE $1::text IS NULL OR c.slug = $1 OR c.chain_id::text = $1
 ORDER BY c.chain_id
"""


async def chains(conn: Conn, name: str | None = None) -> list[ChainRow]:
    """All chains by id, or the one that `name` is the slug or the id of."""
    rows = await conn.fetch(CHAINS, name)
    return [ChainRow(Head(*r[:HEAD_COLUMNS]), *r[HEAD_COLUMNS:]) for r in rows]


class StatusRow(msgspec.Struct, frozen=True, gc=False):
    """How far one chain is indexed. Times are None until they happened; counts are exact.

    `coverage_state` is None if completeness was never checked.
    """

    head: Head
    slug: str
    name: str
    testnet: bool
    head_block: int
    head_seen_at: datetime | None
    position: int
    events: int
    phase: str
    problem: str | None
    events_per_second: float | None
    updated_at: datetime
    writer_alive: bool
    quarantined_count: int
    unattached_count: int
    coverage_state: str | None
    coverage_block: int | None
    coverage_checked_at: datetime | None
    agents_held: int | None
    agents_on_chain: int | None
    asked_at: datetime


# A writer is alive while its session holds the chain's lease (`writer.LOCK`), an advisory lock
# whose 64-bit key `pg_locks` shows in two halves. A replica sees no locks of its primary.
STATUS: LiteralString = f"""
SELECT {HEAD}, c.slug, c.name, c.testnet, k.head_block, k.head_seen_at, k.position, k.events,
       k.phase, k.problem, k.events_per_second, k.updated_at,
       EXISTS (
         SELECT FROM pg_locks l
          WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (l.classid::bigint << 32) | l.objid::bigint
                = hashtextextended('renown.writer.' || c.chain_id, 0)),
       (SELECT count(*) FROM quarantine q WHERE q.chain_id = c.chain_id),
       (SELECT count(*) FROM unattached u WHERE u.chain_id = c.chain_id),
       v.state, v.checked_block, v.checked_at, v.agents_held, v.agents_on_chain, now()
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN coverage v USING (chain_id)
 ORDER BY c.chain_id
"""


async def status(conn: Conn) -> list[StatusRow]:
    """The state of indexing of every chain, by chain id."""
    rows = await conn.fetch(STATUS)
    return [StatusRow(Head(*r[:HEAD_COLUMNS]), *r[HEAD_COLUMNS:]) for r in rows]
