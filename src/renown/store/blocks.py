"""Which stored block a moment of the past means."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from renown.errors import BadParameter, BlockBeyondHead
from renown.store.pool import Conn
from renown.store.reads import HEAD, HEAD_COLUMNS, Head, KeyArgs

# A chain's checkpoint need not be in `block`: only blocks with facts and unfinalised ones are.
AT_BLOCK: LiteralString = f"""
SELECT {HEAD}, b.number, b.hash, b.time
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN LATERAL (
       SELECT number, hash, time FROM block
        WHERE chain_id = c.chain_id AND number <= $3
        ORDER BY number DESC LIMIT 1) b ON true
 WHERE c.chain_id = coalesce($1::bigint, (SELECT chain_id FROM agent WHERE uuid = $2::uuid))
"""


async def at_block(conn: Conn, key: KeyArgs, number: int) -> Head | None:
    """The last stored block at or below `number` of the chain of `key`; None for an unknown chain.

    Raises:
        BlockBeyondHead: `number` is above the checkpoint.
        BadParameter: `number` is below the chain's first block of interest.
    """
    row = await conn.fetchrow(AT_BLOCK, key.chain_id, key.uuid, number)
    if row is None:
        return None
    head = Head(*row[:HEAD_COLUMNS])
    if number > head.block_number:
        raise _beyond(head, "block", number)
    if number < head.start_block:
        raise BadParameter(
            f"block {number} is before the first block of the registries on chain {head.chain_id}",
            parameter="at",
            chain_id=head.chain_id,
            first_block=head.start_block,
        )
    if number == head.block_number:
        return head
    found = row[HEAD_COLUMNS:]
    return _moved(head, found if found[0] is not None else (number, None, None))


AT_TIME: LiteralString = f"""
SELECT {HEAD}, b.number, b.hash, b.time
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN LATERAL (
       SELECT number, hash, time FROM block
        WHERE chain_id = c.chain_id AND time <= $3
        ORDER BY time DESC, number DESC LIMIT 1) b ON true
 WHERE ($1::bigint IS NULL AND $2::uuid IS NULL)
    OR c.chain_id = coalesce($1::bigint, (SELECT chain_id FROM agent WHERE uuid = $2::uuid))
 ORDER BY c.chain_id
"""


async def at_time(conn: Conn, key: KeyArgs, time: datetime) -> list[Head]:
    """Per chain, of all chains if `key` names none: the last stored block at or before `time`.

    A chain that had no stored block then has the block number `start_block - 1` and no hash.

    Raises:
        BlockBeyondHead: a chain is not indexed up to `time`.
    """
    found: list[Head] = []
    for row in await conn.fetch(AT_TIME, key.chain_id, key.uuid, time):
        head = Head(*row[:HEAD_COLUMNS])
        if head.block_time is None or time > head.block_time:
            raise _beyond(head, "time", time.isoformat())
        if time < head.block_time:
            block = row[HEAD_COLUMNS:]
            before = (head.start_block - 1, None, None)
            head = _moved(head, block if block[0] is not None else before)
        found.append(head)
    return found


def _moved(head: Head, block: Sequence[object]) -> Head:
    number, block_hash, time = block
    return msgspec.structs.replace(
        head, block_number=number, block_hash=block_hash, block_time=time
    )


def _beyond(head: Head, what: str, asked: object) -> BlockBeyondHead:
    return BlockBeyondHead(
        f"chain {head.chain_id} is indexed up to block {head.block_number}",
        chain_id=head.chain_id,
        block_number=head.block_number,
        block_time=head.block_time.isoformat() if head.block_time else None,
        **{f"asked_{what}": asked},
    )
