"""The outbox and the quarantine, for replaying and for looking."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.reads import HEAD, HEAD_COLUMNS, Head
from renown.types import MAX_BIGINT


class OutboxRow(msgspec.Struct, frozen=True, gc=False):
    """One entry of a chain's outbox. `retracted` is JSON text, for a retraction only."""

    position: int
    kind: str
    from_block: int
    to_block: int
    block_hash: bytes | None
    fact_count: int
    retracted: str | None
    written_at: datetime


class Outbox(msgspec.Struct, frozen=True, gc=False):
    """A page of a chain's outbox. `oldest` is the first position still kept, None when empty;
    `last` is the chain's last position."""

    head: Head
    oldest: int | None
    last: int
    rows: list[OutboxRow]


OUTBOX: LiteralString = f"""
SELECT {HEAD}, (SELECT min(position) FROM outbox WHERE chain_id = $1), k.position, o.*
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN LATERAL (
       SELECT e.position, e.kind, e.from_block, e.to_block, e.block_hash, e.fact_count,
              e.retracted::text, e.written_at
         FROM outbox e WHERE e.chain_id = $1 AND e.position > $2::bigint
        ORDER BY e.position LIMIT $3) o ON true
 WHERE c.chain_id = $1::bigint
 ORDER BY o.position
"""


async def outbox(conn: Conn, chain_id: int, *, after: int, limit: int) -> Outbox | None:
    """Up to `limit` entries after position `after`, in order; None for an unknown chain."""
    rows = await conn.fetch(OUTBOX, chain_id, after, limit)
    if not rows:
        return None
    first, at = rows[0], HEAD_COLUMNS
    found = [OutboxRow(*r[at + 2 :]) for r in rows if r[at + 2] is not None]
    return Outbox(Head(*first[:at]), first[at], first[at + 1], found)


class QuarantineRow(msgspec.Struct, frozen=True, gc=False):
    """One log kept because it cannot be a fact. `payload` is cut."""

    chain_id: int
    block_number: int
    log_index: int
    time: datetime | None
    tx_hash: bytes
    contract: bytes
    reason: str
    event: str | None
    topics: list[bytes]
    payload: bytes
    payload_bytes: int
    stored_at: datetime


class After(msgspec.Struct, frozen=True, gc=False):
    """Keyset position: the last log of the page before."""

    chain_id: int = MAX_BIGINT
    block_number: int = MAX_BIGINT
    log_index: int = 0


NEWEST = After()


class Quarantine(msgspec.Struct, frozen=True, gc=False):
    """Quarantined logs, and the heads of the chains that were looked at."""

    heads: list[Head]
    rows: list[QuarantineRow]


QUARANTINE: LiteralString = f"""
WITH page AS (
SELECT q.chain_id, q.block_number, q.log_index, b.time, q.tx_hash, q.contract, q.reason, q.event,
       q.topics, substring(q.payload FOR $8), octet_length(q.payload), q.stored_at
  FROM quarantine q
  LEFT JOIN block b ON b.chain_id = q.chain_id AND b.number = q.block_number
 WHERE ($1::bigint IS NULL OR q.chain_id = $1)
   AND ($2::text IS NULL OR q.reason = $2) AND ($3::bytea IS NULL OR q.contract = $3)
   AND (q.chain_id, q.block_number, q.log_index) < ($4::bigint, $5::bigint, $6::integer)
 ORDER BY q.chain_id DESC, q.block_number DESC, q.log_index DESC
 LIMIT $7
)
SELECT h.*, p.*
  FROM (SELECT {HEAD} FROM chain c JOIN checkpoint k USING (chain_id)
         WHERE $1::bigint IS NULL OR c.chain_id = $1) h
  FULL JOIN page p ON false
 ORDER BY h.chain_id, p.chain_id DESC, p.block_number DESC, p.log_index DESC
"""


async def quarantine(
    conn: Conn,
    *,
    chain_id: int | None = None,
    reason: str | None = None,
    contract: bytes | None = None,
    after: After = NEWEST,
    limit: int,
    cut_bytes: int,
) -> Quarantine:
    """Quarantined logs, of one chain or all: by chain, highest id first; newest first."""
    rows = await conn.fetch(
        QUARANTINE,
        *(chain_id, reason, contract, after.chain_id, after.block_number, after.log_index),
        *(limit, cut_bytes),
    )
    heads = [Head(*r[:HEAD_COLUMNS]) for r in rows if r[0] is not None]
    found = [QuarantineRow(*r[HEAD_COLUMNS:]) for r in rows if r[0] is None]
    return Quarantine(heads, found)
