"""The block of each chain that an export is as of, fixed once at its start."""

from __future__ import annotations

from datetime import datetime

import msgspec

from renown.errors import BadParameter, ChainNotFound
from renown.store import blocks
from renown.store.chains import ChainRow, chains
from renown.store.exported import Block
from renown.store.exporting import clock
from renown.store.pool import Conn, transaction
from renown.store.reads import Head, KeyArgs

At = int | datetime


class Moment(msgspec.Struct, frozen=True):
    """When an export is of.

    Attributes:
        started_at: by the database's clock.
        as_of: a block per chain, by chain id.
        epochs: of each chain's life in this index.
    """

    started_at: datetime
    as_of: list[Block]
    epochs: dict[int, int]


async def fix(conn: Conn, chain_ids: tuple[int, ...] | None, at: At | None) -> Moment:
    """The moment of an export of these chains, all if None, at their final blocks or `at`.

    As everywhere, the block is the last one stored at or below what is asked for. A chain without
    one has an empty block: nothing of it is exported.

    Raises:
        ChainNotFound: the index does not hold one of them, or none at all.
        BadParameter: `at` is a block number and there are several chains, or before their start.
        BlockBeyondHead: a chain is not indexed up to `at`.
    """
    async with transaction(conn, "repeatable_read"):
        rows = _wanted(await chains(conn), chain_ids)
        if isinstance(at, int) and len(rows) > 1:
            raise BadParameter(
                "a block number is of one chain: name it with --chain, or give --at as a time",
                parameter="--at",
            )
        found = [(row, await _head(conn, row, at)) for row in rows]
        started_at = await clock(conn)
    return Moment(
        started_at,
        [_block(row, head) for row, head in found],
        {row.head.chain_id: row.head.epoch for row in rows},
    )


def _wanted(rows: list[ChainRow], chain_ids: tuple[int, ...] | None) -> list[ChainRow]:
    held = {row.head.chain_id: row for row in rows}
    if not held:
        raise ChainNotFound("no chain is indexed yet: run `renown up` first")
    for chain_id in chain_ids or ():
        if chain_id not in held:
            raise ChainNotFound(f"this index has no chain {chain_id}", chain_id=chain_id)
    return [row for row in rows if chain_ids is None or row.head.chain_id in chain_ids]


async def _head(conn: Conn, row: ChainRow, at: At | None) -> Head | None:
    head, key = row.head, KeyArgs(row.head.chain_id, None, None)
    if isinstance(at, datetime):
        heads = await blocks.at_time(conn, key, at)
        found = heads[0] if heads else None
    elif at is not None:
        found = await blocks.at_block(conn, key, at)
    else:
        final = min(head.final_block, head.block_number)
        found = await blocks.at_block(conn, key, final) if final >= head.start_block else None
    if found is None or found.block_number < head.start_block:
        return None
    return found


def _block(row: ChainRow, head: Head | None) -> Block:
    if head is None:
        return Block(chain_id=row.head.chain_id, slug=row.slug)
    return Block(
        chain_id=row.head.chain_id,
        slug=row.slug,
        block_number=head.block_number,
        block_hash=None if head.block_hash is None else "0x" + head.block_hash.hex(),
        time=head.block_time,
        finality=(
            "final"
            if head.block_number <= head.final_block
            else "safe"
            if head.safe_block is not None and head.block_number <= head.safe_block
            else "latest"
        ),
    )
