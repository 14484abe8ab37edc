"""A devnet to write to: anvil with the registries, a writer over it, and wallets that sign."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from renown.chain.devnet.addresses import CHAIN_ID
from renown.chain.devnet.place import place_registries
from renown.chain.devnet.wallets import devnet_wallets
from renown.chain.rpc import Node
from renown.chain.tx.signed import read_signed
from renown.chain.tx.signer import LocalSigner
from renown.chain.tx.writer import ChainWriter, writers_for
from renown.spec.transactions import Receipt, SignedTransaction, UnsignedTransaction
from tests.anvil import running_anvil

GAS = 2_000_000


class Acting:
    """`wallets` are the devnet's ten; `signer` signs as them, and as `pauper` without ether."""

    def __init__(self, node: Node, writer: ChainWriter) -> None:
        self.node = node
        self.writer = writer
        self.wallets = [wallet.address for wallet in devnet_wallets()]
        keys = [wallet.private_key for wallet in devnet_wallets()]
        self.signer = LocalSigner.from_keys([*keys, b"\x01" * 32])
        self.pauper = self.signer.addresses[-1]

    async def prepare(
        self, sender: bytes, to: bytes, calldata: bytes, **changed: Any
    ) -> UnsignedTransaction:
        """A transaction that would do, less what is `changed`."""
        fees = await self.writer.fees()
        usual = UnsignedTransaction(
            chain_id=CHAIN_ID,
            sender=sender,
            to=to,
            calldata=calldata,
            nonce=await self.writer.nonce(sender, "pending"),
            gas=GAS,
            max_fee_wei=fees.max_fee_wei,
            priority_fee_wei=fees.priority_fee_wei,
        )
        return msgspec.structs.replace(usual, **changed)

    async def sign(
        self, sender: bytes, to: bytes, calldata: bytes, **changed: Any
    ) -> SignedTransaction:
        """The same, signed by its sender."""
        prepared = await self.prepare(sender, to, calldata, **changed)
        return read_signed(await self.signer.sign(prepared))

    async def act(self, sender: bytes, to: bytes, calldata: bytes) -> Receipt:
        """Signed, sent and in a block; it must not have failed."""
        signed = await self.sign(sender, to, calldata)
        said = await self.writer.send(signed.raw)
        assert said.verdict == "taken", said
        receipt = await self.included(signed)
        assert receipt.succeeded
        return receipt

    async def included(self, signed: SignedTransaction) -> Receipt:
        """Its receipt: anvil's own block comes a moment after it was taken."""
        async with asyncio.timeout(10):
            while (receipt := await self.writer.receipt(signed.tx_hash)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return receipt

    async def put_code(self, address: bytes, code: str) -> None:
        """Hexadecimal EVM code at an address."""
        await self.node.call("anvil_setCode", [f"0x{address.hex()}", f"0x{code}"], Any)

    async def mine_by_hand(self) -> None:
        """From now on a block comes with `mine` only."""
        await self.node.call("evm_setAutomine", [False], Any)

    async def mine(self) -> None:
        """One block."""
        await self.node.call("evm_mine", [], Any)


@asynccontextmanager
async def acting() -> AsyncIterator[Acting]:
    """A fresh chain each time."""
    async with running_anvil() as node:
        await place_registries(node)
        writer = writers_for({CHAIN_ID: [node_url(node)]})[CHAIN_ID]
        try:
            yield Acting(node, writer)
        finally:
            await writer.close()


def node_url(node: Node) -> str:
    """Where anvil answers."""
    return f"http://{node.host}"
