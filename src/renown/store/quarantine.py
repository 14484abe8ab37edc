"""Quarantine: logs that could not be facts, with their bytes, until the code learns."""

from __future__ import annotations

from typing import LiteralString

from renown.spec.logs import RawLog
from renown.store.pool import Conn

PAGE: LiteralString = """
SELECT block_number, log_index, tx_hash, contract, topics, payload
  FROM quarantine
 WHERE chain_id = $1 AND (block_number, log_index) > ($2, $3)
 ORDER BY block_number, log_index
 LIMIT $4
"""


async def page(
    conn: Conn, chain_id: int, *, after: tuple[int, int] = (-1, -1), limit: int = 1_000
) -> list[RawLog]:
    """Quarantined logs as a node would send them, in chain order, strictly after a place.

    The block hash is not kept with them: what stands in its field is empty.
    """
    rows = await conn.fetch(PAGE, chain_id, *after, limit)
    return [
        RawLog(
            address="0x" + contract.hex(),
            topics=tuple("0x" + topic.hex() for topic in topics),
            data="0x" + payload.hex(),
            block_number=hex(block_number),
            block_hash="0x",
            transaction_hash="0x" + tx_hash.hex(),
            log_index=hex(log_index),
        )
        for block_number, log_index, tx_hash, contract, topics, payload in rows
    ]
