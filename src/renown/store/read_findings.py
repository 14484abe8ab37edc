"""How many agents have each finding, as of the last count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.reads import Head


class TermRow(msgspec.Struct, frozen=True, gc=False):
    """How many agents of one chain have one term."""

    term: str
    chain_id: int
    agent_count: int
    counted_at: datetime


COUNTS: LiteralString = """
SELECT term, chain_id, agent_count, counted_at FROM term_count
 WHERE term = ANY($1::text[]) AND ($2::bigint IS NULL OR chain_id = $2)
 ORDER BY term, chain_id
"""
# The block whose facts are in agents' rows for search, by chain.
HEADS: LiteralString = """
SELECT c.chain_id, c.identity, c.start_block, coalesce(t.block_number, c.start_block - 1),
       t.block_hash, t.block_time, k.final_block, k.safe_block, c.epoch, k.position
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN trail t USING (chain_id)
 WHERE $1::bigint IS NULL OR c.chain_id = $1
 ORDER BY c.chain_id
"""


async def counts(conn: Conn, terms: Sequence[str], *, chain_id: int | None = None) -> list[TermRow]:
    """The counts of these terms, by term and chain; what nobody has is not among them."""
    return [TermRow(*row) for row in await conn.fetch(COUNTS, terms, chain_id)]


async def heads(conn: Conn, *, chain_id: int | None = None) -> list[Head]:
    """Per chain, how far its facts are in agents' rows for search."""
    return [Head(*row) for row in await conn.fetch(HEADS, chain_id)]
