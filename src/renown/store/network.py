"""Counts per chain, as of the last refresh of the materialised view."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn


class NetworkRow(msgspec.Struct, frozen=True, gc=False):
    """One chain's counts and the block they are of. `asked_at` is the database's clock now."""

    chain_id: int
    slug: str
    name: str
    testnet: bool
    agent_count: int
    owner_count: int
    feedback_count: int
    revoked_count: int
    response_count: int
    rated_agent_count: int
    validation_count: int
    quarantined_count: int
    unattached_count: int
    block_number: int
    block_hash: bytes | None
    block_time: datetime | None
    final_block: int
    safe_block: int | None
    start_block: int
    counted_at: datetime
    asked_at: datetime


NETWORK: LiteralString = """
SELECT n.chain_id, c.slug, c.name, c.testnet, n.agent_count, n.owner_count, n.feedback_count,
       n.revoked_count, n.response_count, n.rated_agent_count, n.validation_count,
       n.quarantined_count, n.unattached_count, n.block_number, n.block_hash, n.block_time,
       n.final_block, k.safe_block, c.start_block, n.counted_at, now()
  FROM network n
  JOIN chain c USING (chain_id)
  JOIN checkpoint k USING (chain_id)
 ORDER BY n.chain_id
"""


async def network(conn: Conn) -> list[NetworkRow]:
    """Every chain that was counted, by id. Empty before the first refresh."""
    return [NetworkRow(*row) for row in await conn.fetch(NETWORK)]
