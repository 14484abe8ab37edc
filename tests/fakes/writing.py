"""A chain to write to that says what it is told to, and remembers what it was asked."""

from __future__ import annotations

from typing import Any

import msgspec

from renown.chain.tx.fees import Fees
from renown.errors import CallWouldFail, NodeTimeout
from renown.spec.deployments import DEVNET_CHAIN_ID, Deployment, find
from renown.spec.transactions import UnsignedTransaction

GWEI = 10**9


class FakeWriter:
    """As `chain.tx.writer.ChainWriter`, without nodes. `refuses` is a contract's reason to say no.

    `questions` counts what was asked: an answer that is replayed asks nothing.
    """

    def __init__(self, deployment: Deployment | None = None) -> None:
        self.deployment = deployment or find(str(DEVNET_CHAIN_ID))
        self.chain_id = self.deployment.chain_id
        self.refuses: str | None = None
        self.is_away = False
        self.time = 1_800_000_000
        self.next_nonce = 5
        self.wei = 10**18
        self.owner = bytes(20)
        self.estimated: list[tuple[bytes, bytes, bytes]] = []
        self.questions = 0
        self.has: set[bytes] = set()

    async def estimate(self, sender: bytes, to: bytes, calldata: bytes) -> int:
        self._ask()
        self.estimated.append((sender, to, calldata))
        if self.refuses is not None:
            raise CallWouldFail(f"the contract refuses: {self.refuses}", reason=self.refuses)
        return 100_000

    async def fees(self, cap_wei: int | None = None) -> Fees:
        self._ask()
        return Fees(max_fee_wei=3 * GWEI, priority_fee_wei=GWEI, base_fee_wei=GWEI)

    async def nonce(self, address: bytes, block: str = "latest") -> int:
        self._ask()
        return self.next_nonce

    async def balance(self, address: bytes) -> int:
        self._ask()
        return self.wei

    async def next_time(self) -> int:
        self._ask()
        return self.time

    async def known(self, tx_hash: bytes) -> bool:
        self._ask()
        return tx_hash in self.has

    async def call(self, to: bytes, calldata: bytes, **_: Any) -> bytes:
        self._ask()
        return self.owner.rjust(32, b"\0")

    def _ask(self) -> None:
        self.questions += 1
        if self.is_away:
            raise NodeTimeout("no answer in time")


def from_json(unsigned: dict[str, str]) -> UnsignedTransaction:
    """What an answer has to be signed, as a wallet reads it."""
    hexes = {name: bytes.fromhex(unsigned[name][2:]) for name in ("from", "to", "data")}
    return msgspec.convert(
        {
            "chain_id": int(unsigned["chainId"], 16),
            "sender": hexes["from"],
            "to": hexes["to"],
            "calldata": hexes["data"],
            "nonce": int(unsigned["nonce"], 16),
            "gas": int(unsigned["gas"], 16),
            "max_fee_wei": int(unsigned["maxFeePerGas"], 16),
            "priority_fee_wei": int(unsigned["maxPriorityFeePerGas"], 16),
            "value_wei": int(unsigned["value"], 16),
        },
        UnsignedTransaction,
    )
