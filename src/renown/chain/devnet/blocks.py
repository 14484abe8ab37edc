"""Make blocks of chosen transactions, in a chosen order, at a chosen time.

Anvil mines in order of arrival (`--order fifo`, or equal fees), so transactions are sent one after
the other. Nonces are counted here: a batch of sends would run concurrently and lose the order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from renown.chain.rpc import Node
from renown.errors import NodeError, NodeInconsistent

FUNDS_WEI = 10**24
MAX_FEE_WEI = 10**12
PRIORITY_FEE_WEI = 10**9

_BASE_GAS = 6_000_000  # emptying a long string takes 5,000 for each of its words
_GAS_PER_BYTE = 1_100  # storing a word takes 22,100, and every byte is also calldata and log


class Header(msgspec.Struct, frozen=True, rename="camel"):
    """What a block says of itself, in JSON-RPC's hex."""

    number: str
    timestamp: str

    @property
    def height(self) -> int:
        """Block number."""
        return int(self.number, 16)

    @property
    def time_seconds(self) -> int:
        """Unix seconds."""
        return int(self.timestamp, 16)


class _Log(msgspec.Struct, frozen=True, rename="camel"):
    transaction_hash: str


class _Receipt(msgspec.Struct, frozen=True):
    status: str


class Miner:
    """Sends as anybody (anvil impersonates) and mines on demand. Made by `mining`."""

    def __init__(self, node: Node, head: Header) -> None:
        self.head_number = head.height
        self.head_time_seconds = head.time_seconds
        self.pending = 0
        self._node = node
        self._nonces: dict[bytes, int] = {}
        self._names: list[tuple[str, str]] = []  # (transaction hash, what it was for)

    async def send(self, sender: bytes, to: bytes, calldata: bytes, *, what: str = "call") -> bytes:
        """Queue a transaction for the next block, behind those sent before; its hash."""
        nonce = self._nonces.get(sender)
        if nonce is None:
            nonce = await self._introduce(sender)
        transaction = {
            "from": _hex(sender),
            "to": _hex(to),
            "data": _hex(calldata),
            "nonce": hex(nonce),
            "gas": hex(_BASE_GAS + _GAS_PER_BYTE * len(calldata)),
            "maxFeePerGas": hex(MAX_FEE_WEI),
            "maxPriorityFeePerGas": hex(PRIORITY_FEE_WEI),
        }
        hash_text = await self._node.call("eth_sendTransaction", [transaction], str)
        self._nonces[sender] = nonce + 1
        self._names.append((hash_text, what))
        self.pending += 1
        return bytes.fromhex(hash_text[2:])

    async def mine(self, time_seconds: int | None = None) -> int:
        """One block of everything sent; its number. `time_seconds` must not lie before the head.

        Raises:
            NodeInconsistent: a transaction failed or was left out; none should.
        """
        if time_seconds is not None:
            await self._node.call("evm_setNextBlockTimestamp", [hex(time_seconds)], Any)
        await self._node.call("evm_mine", [], Any)
        head = await self._node.call("eth_getBlockByNumber", ["latest", False], Header)
        await self._check(head.number)
        self.head_number, self.head_time_seconds = head.height, head.time_seconds
        self.pending = 0
        self._names.clear()
        return self.head_number

    async def _introduce(self, sender: bytes) -> int:
        await self._node.call("anvil_setBalance", [_hex(sender), hex(FUNDS_WEI)], Any)
        count = await self._node.call("eth_getTransactionCount", [_hex(sender), "latest"], str)
        return int(count, 16)

    async def _check(self, number: str) -> None:
        # A transaction that logged has succeeded. Only the silent ones are asked for: anvil takes
        # time quadratic in the block for all receipts.
        block = {"fromBlock": number, "toBlock": number}
        logged = {
            log.transaction_hash
            for log in await self._node.call("eth_getLogs", [block], list[_Log])
        }
        for hash_text, what in self._names:
            if hash_text in logged:
                continue
            receipt = await self._node.call(
                "eth_getTransactionReceipt",
                [hash_text],
                _Receipt | None,  # type: ignore[arg-type]
            )
            if not isinstance(receipt, _Receipt) or receipt.status != "0x1":
                fate = "reverted" if isinstance(receipt, _Receipt) else "was not mined"
                raise NodeInconsistent(f"devnet transaction {fate}: {what}", transaction=hash_text)


@asynccontextmanager
async def mining(node: Node) -> AsyncIterator[Miner]:
    """Stop automatic mining, impersonate everybody, and put mining back as it was."""
    automatic = await node.call("anvil_getAutomine", [], bool)
    await node.call("evm_setAutomine", [False], Any)
    try:
        await node.call("anvil_autoImpersonateAccount", [True], Any)
        head = await node.call("eth_getBlockByNumber", ["latest", False], Header)
        yield Miner(node, head)
    finally:
        if automatic:
            await _restore(node)


async def _restore(node: Node) -> None:
    with suppress(NodeError):  # the node is gone, which is why we are leaving
        await node.call("evm_setAutomine", [True], Any)


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"
