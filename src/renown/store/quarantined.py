"""What stands in quarantine and why, for people; `quarantine` reads the same logs for a replay."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn
from renown.types import MAX_BIGINT


class Entry(msgspec.Struct, frozen=True):
    """A log that could not become a fact. `payload` is cut, `payload_bytes` its full length."""

    chain_id: int
    block_number: int
    log_index: int
    tx_hash: bytes
    contract: bytes
    reason: str
    event: str | None
    topics: list[bytes]
    payload: bytes
    payload_bytes: int
    stored_at: datetime


NEWEST: LiteralString = """
SELECT chain_id, block_number, log_index, tx_hash, contract, reason, event, topics,
       substring(payload FOR $5), octet_length(payload), stored_at
  FROM quarantine
 WHERE ($1::bigint IS NULL OR chain_id = $1) AND (chain_id, block_number, log_index) < ($2, $3, $4)
 ORDER BY chain_id DESC, block_number DESC, log_index DESC
 LIMIT $6
"""
ONE: LiteralString = """
SELECT chain_id, block_number, log_index, tx_hash, contract, reason, event, topics,
       payload, octet_length(payload), stored_at
  FROM quarantine
 WHERE chain_id = $1 AND block_number = $2 AND log_index = $3
"""

Place = tuple[int, int, int]
"""Chain id, block number, log index."""


async def newest(
    conn: Conn,
    chain_id: int | None,
    *,
    before: Place = (MAX_BIGINT, MAX_BIGINT, 2**31 - 1),
    limit: int,
    cut_bytes: int = 0,
) -> list[Entry]:
    """Entries of one chain or all, by chain, newest first, strictly before a place."""
    rows = await conn.fetch(NEWEST, chain_id, *before, cut_bytes, limit)
    return [Entry(*row) for row in rows]


async def one(conn: Conn, place: Place) -> Entry | None:
    """The entry at a place, its payload whole; None where there is none."""
    row = await conn.fetchrow(ONE, *place)
    return Entry(*row) if row is not None else None
