"""How a transaction stands on its chain: in a block or not, and whether it can still leave it."""

from __future__ import annotations

from typing import Protocol

from renown.derive.payment import Seen
from renown.spec.transactions import Receipt


class Node(Protocol):
    """What is asked of a chain. See `chain.tx.writer.ChainWriter`."""

    async def receipt(self, tx_hash: bytes) -> Receipt | None: ...
    async def known(self, tx_hash: bytes) -> bool: ...
    async def block_hash(self, number: int) -> bytes | None: ...
    async def block_time(self, number: int) -> int: ...
    async def final_block(self) -> int: ...


async def look(node: Node, tx_hash: bytes, *, final_block: int | None) -> Seen:
    """The transaction as the chain shows it now.

    Args:
        final_block: the last final block of that chain as indexed; None where it is not, and its
            nodes are asked.

    Raises:
        NodeError: nobody could say.
    """
    receipt = await node.receipt(tx_hash)
    if receipt is None:
        return Seen(is_known=await node.known(tx_hash))
    if await node.block_hash(receipt.block_number) != receipt.block_hash:
        return Seen(is_known=True)  # the chain is being reorganised, or two nodes disagree
    final = await node.final_block() if final_block is None else final_block
    return Seen(
        is_known=True,
        receipt=receipt,
        time_seconds=await node.block_time(receipt.block_number),
        is_final=receipt.block_number <= final,
    )
