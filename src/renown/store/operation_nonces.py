"""Nonces of a wallet that signed transactions of ours have: two at one nonce cannot both land."""

from __future__ import annotations

from collections.abc import Collection
from typing import LiteralString
from uuid import UUID

import msgspec

from renown.errors import OperationConflict
from renown.store.pool import Conn, Tx

LOCK_SENDER: LiteralString = """
SELECT pg_advisory_xact_lock(hashtextextended('renown.nonce.' || $1::bigint || '.' ||
                                              encode($2::bytea, 'hex'), 0))
"""


async def lock_sender(tx: Tx, chain_id: int, sender: bytes) -> None:
    """Until the transaction ends nobody else takes a nonce for this wallet on this chain.

    To be taken before any row of an operation is locked: the other order can deadlock.
    """
    await tx.execute(LOCK_SENDER, chain_id, sender)


class HeldNonce(msgspec.Struct, frozen=True):
    """A nonce that a signed transaction of ours has. `is_waiting`: no node has taken it yet."""

    nonce: int
    operation_id: UUID
    step: int
    is_waiting: bool


HELD: LiteralString = """
SELECT nonce, operation_id, step, fate = 'live' AND sent_at IS NULL
  FROM operation_transaction
 WHERE chain_id = $1 AND sender = $2 AND nonce >= $3 AND NOT settled
   AND fate IN ('live', 'included')
"""


async def held_nonces(conn: Conn, chain_id: int, sender: bytes, count: int) -> list[HeldNonce]:
    """The nonces from `count` on that signed transactions of ours have, live or in blocks."""
    rows = await conn.fetch(HELD, chain_id, sender, count)
    return [HeldNonce(row[0], UUID(bytes=row[1].bytes), row[2], row[3]) for row in rows]


def next_free(nonce: int, taken: Collection[int]) -> int:
    """The least nonce from this one on that is not taken."""
    while nonce in taken:
        nonce += 1
    return nonce


OTHER: LiteralString = """
SELECT tx_hash FROM operation_transaction
 WHERE chain_id = $1 AND sender = $2 AND nonce = $3 AND (operation_id, step) <> ($4, $5)
   AND (fate = 'included' OR fate = 'live' AND NOT settled)
 LIMIT 1
"""


async def require_not_taken(
    tx: Tx, chain_id: int, sender: bytes, nonce: int, operation_id: UUID, step: int
) -> None:
    """No transaction of another operation or step has the nonce: relayed, this one would replace it
    in the nodes' pools, and one of two calls that were asked for would be lost.

    Raises:
        OperationConflict
    """
    other = await tx.fetchval(OTHER, chain_id, sender, nonce, operation_id, step)
    if other is None:
        return
    held = await held_nonces(tx, chain_id, sender, nonce)
    free = next_free(nonce + 1, {one.nonce for one in held})
    raise OperationConflict(
        f"0x{other.hex()}, which is another transaction that was handed in, has the nonce {nonce}:"
        f" sign this one with another, such as {free}",
        nonce=free,
    )
