"""Looking at a chain for many operations at once, with few questions however many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from renown.derive.operation import MOVING
from renown.errors import NodeError
from renown.ingest.operations.judging import Sight, is_nonce_used, open_ones
from renown.ingest.operations.seen_chain import Chain
from renown.spec.transactions import Receipt
from renown.store import operation_watching as watching
from renown.store.operations import OperationRow, StepRow
from renown.store.pool import Conn

AT_ONCE = 8


class Sights:
    """What a chain showed for a batch of operations. Made by `look`."""

    def __init__(
        self,
        conn: Conn,
        chain: Chain,
        counts: dict[bytes, int],
        head: int,
        final_block: int,
        receipts: dict[bytes, Receipt],
        indexed: dict[int, bytes],
    ) -> None:
        self._conn = conn
        self._chain = chain
        self._counts = counts
        self._head = head
        self._final_block = final_block
        self._receipts = receipts
        self._indexed = indexed
        self._hashes: dict[int, bytes | None] = {}

    def count(self, sender: bytes) -> int:
        """Transactions of a sender in blocks."""
        return self._counts[sender]

    async def of(self, operation: OperationRow, step: StepRow) -> Sight:
        """What it shows of one step.

        Raises:
            NodeError: more had to be asked, and nobody answered.
        """
        hashes = [one.tx_hash for one in open_ones(step)]
        is_used = self._may_be_given_up(operation, step)
        if not self._receipts.keys() & hashes and (is_used or step.block_number is not None):
            # Something that is, or was, in a block is missing: every node is asked before that
            # counts.
            for tx_hash in hashes:
                found = await self._chain.receipt(tx_hash)
                if found is not None:
                    self._receipts[tx_hash] = found
        mine = self._receipts.keys() & hashes
        block_hash, is_indexed, is_known = None, False, False
        if not mine and step.block_number is not None:
            block_hash = await self._hash_of(step.block_number)
        elif not mine and is_used:
            is_indexed = await self._is_indexed(operation, step)
            is_known = is_indexed or await self._is_known(hashes)
        elif any(self._is_final_failure(tx_hash) for tx_hash in mine):
            is_indexed = await self._is_indexed(operation, step)
        return Sight(
            receipts={tx_hash: self._receipts[tx_hash] for tx_hash in mine},
            count=self._counts[operation.sender],
            head=self._head,
            block_hash=block_hash,
            final_block=self._final_block,
            indexed_hash=self._indexed.get(step.block_number or -1),
            is_indexed=is_indexed,
            is_known=is_known,
        )

    def _may_be_given_up(self, operation: OperationRow, step: StepRow) -> bool:
        """Whether its nonce is used, and that is news, or final."""
        return is_nonce_used(step, self._counts[operation.sender]) and (
            step.state in MOVING
            or any(
                one.used_block is None or one.used_block <= self._final_block
                for one in open_ones(step)
            )
        )

    def _is_final_failure(self, tx_hash: bytes) -> bool:
        found = self._receipts[tx_hash]
        return not found.succeeded and found.block_number <= self._final_block

    async def _is_indexed(self, operation: OperationRow, step: StepRow) -> bool:
        return await watching.is_indexed(self._conn, operation, open_ones(step))

    async def _is_known(self, hashes: Sequence[bytes]) -> bool:
        """Whether a node has one of them. A node that cannot be asked does not count: what is given
        up for good is so only by the index."""
        for tx_hash in hashes:
            with suppress(NodeError):
                if await self._chain.known(tx_hash):
                    return True
        return False

    async def _hash_of(self, number: int) -> bytes | None:
        if number not in self._hashes:
            self._hashes[number] = await self._chain.block_hash(number)
        return self._hashes[number]


async def look(conn: Conn, chain: Chain, operations: Sequence[OperationRow]) -> Sights:
    """Ask for what concerns these operations, all of this chain.

    Raises:
        NodeError: no node answered.
    """
    steps = [step for operation in operations for step in operation.steps]
    senders = list({operation.sender for operation in operations})
    # Counts before receipts: the other way round, one mined in between would look like a nonce that
    # another transaction used.
    counts = await _each(chain, senders)
    head = await chain.head()
    wanted = [one.tx_hash for step in steps for one in open_ones(step)]
    receipts = dict(zip(wanted, await chain.receipts(wanted), strict=True)) if wanted else {}
    final_block, indexed_head = await watching.finality(conn, chain.chain_id)
    numbers = [step.block_number for step in steps if step.block_number is not None]
    indexed = await watching.indexed_hashes(conn, chain.chain_id, numbers) if numbers else {}
    return Sights(
        conn,
        chain,
        counts,
        max(head, indexed_head),
        final_block,
        {tx_hash: found for tx_hash, found in receipts.items() if found is not None},
        indexed,
    )


async def _each(chain: Chain, senders: Sequence[bytes]) -> dict[bytes, int]:
    counts: dict[bytes, int] = {}
    for begin in range(0, len(senders), AT_ONCE):
        some = senders[begin : begin + AT_ONCE]
        found = await asyncio.gather(*(chain.nonce(sender) for sender in some))
        counts.update(zip(some, found, strict=True))
    return counts
