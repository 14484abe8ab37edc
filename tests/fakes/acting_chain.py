"""A chain with a pool, for watchers: it executes real signed bytes, and misbehaves when told to.

Calls succeed unless their calldata is in `reverting`. A `register()` gets the next agent id in the
order of blocks, as a registry would give it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from eth_hash.auto import keccak

from renown.chain.rpc import CallReverted
from renown.chain.tx.fees import Fees
from renown.chain.tx.signed import read_signed
from renown.errors import CallWouldFail, NodeTimeout
from renown.spec import calls
from renown.spec.abi import REGISTERED
from renown.spec.contracts import selector
from renown.spec.deployments import DEPLOYMENTS, DEVNET_CHAIN_ID, Deployment
from renown.spec.transactions import Log, Receipt, Sent, SignedTransaction

GWEI = 10**9
REASON = b"Self-feedback not allowed"


def quick_devnet(block_seconds: float = 0.05) -> Deployment:
    """The devnet with short blocks, so that nobody waits long."""
    found = DEPLOYMENTS[DEVNET_CHAIN_ID]
    finality = msgspec.structs.replace(found.finality, block_seconds=block_seconds)
    return msgspec.structs.replace(found, finality=finality)


class Block(msgspec.Struct):
    """A block and what is in it; its hash follows from the branch it is on."""

    hash: bytes
    transactions: list[SignedTransaction]


class ActingChain:
    """Blocks from 1 on; 0 is empty. `reorganise` makes another branch."""

    def __init__(self, deployment: Deployment | None = None) -> None:
        self.deployment = deployment or quick_devnet()
        self.chain_id = self.deployment.chain_id
        self.blocks = [Block(keccak(b"genesis"), [])]
        self.pool: dict[tuple[bytes, int], SignedTransaction] = {}
        self.base_fee_wei = GWEI
        self.reverting: set[bytes] = set()
        self.reverted: set[bytes] = set()
        """Transactions that fail in their blocks, though a call would succeed."""
        self.foreign_agents = 0
        """Agents that others registered before all of ours."""
        # What it does wrong.
        self.is_down = False
        self.answers_lost = 0
        """So many broadcasts are taken, and the answer does not arrive."""
        self.refusals: list[Sent] = []
        """What the next broadcasts are told, without being taken."""
        self.hidden: set[bytes] = set()
        """Transactions whose receipts it denies to have."""
        self.forgotten: set[bytes] = set()
        """Transactions that it denies to know."""
        self.hides_blocks = False
        self.automine = False
        # What was done to it.
        self.offers: Counter[bytes] = Counter()
        self.branch = 0

    # What tests do ------------------------------------------------------------------------------

    def mine(self, count: int = 1) -> None:
        """Blocks with what the pool holds and can be executed."""
        for _ in range(count):
            ready: list[SignedTransaction] = []
            for sender, nonce in sorted(self.pool):
                one = self.pool[sender, nonce]
                taken = sum(other.sender == sender for other in ready)
                if nonce == self._count(sender) + taken and one.max_fee_wei >= self.base_fee_wei:
                    ready.append(one)
            for one in ready:
                del self.pool[one.sender, one.nonce]
            self._add(ready)

    def _add(self, transactions: list[SignedTransaction]) -> None:
        seed = b"%d.%d." % (self.branch, len(self.blocks)) + self.blocks[-1].hash
        self.blocks.append(Block(keccak(seed), transactions))

    def reorganise(self, depth: int, *, keep: bool = True, mine: bool = True) -> None:
        """Undo `depth` blocks and make as many others; `keep` puts what was in them into the pool,
        and `mine` into those."""
        self.branch += 1
        undone = self.blocks[-depth:]
        del self.blocks[-depth:]
        if keep:
            for block in undone:
                for one in block.transactions:
                    self.pool.setdefault((one.sender, one.nonce), one)
        for _ in range(depth):
            if mine:
                self.mine()
            else:
                self._add([])

    def evict(self) -> None:
        """Forget what waits."""
        self.pool.clear()

    def executed(self) -> Counter[bytes]:
        """How often each call took effect, by sender and calldata."""
        return Counter(
            one.sender + one.calldata
            for block in self.blocks
            for one in block.transactions
            if self._succeeds(one)
        )

    def _succeeds(self, one: SignedTransaction) -> bool:
        return one.calldata not in self.reverting and one.tx_hash not in self.reverted

    # What watchers ask --------------------------------------------------------------------------

    async def fees(self, cap_wei: int | None = None) -> Fees:
        await self._answer()
        most = 2 * self.base_fee_wei + GWEI
        return Fees(
            max_fee_wei=min(most, cap_wei or most),
            priority_fee_wei=min(GWEI, cap_wei or GWEI),
            base_fee_wei=self.base_fee_wei,
        )

    async def nonce(self, address: bytes, block: Literal["latest", "pending"] = "latest") -> int:
        await self._answer()
        return self._count(address)

    async def estimate(self, sender: bytes, to: bytes, calldata: bytes) -> int:
        await self._answer()
        if calldata in self.reverting:
            raise CallWouldFail("the contract would refuse this", reason=REASON.decode())
        return 100_000

    async def send(self, raw: bytes) -> Sent:
        if self.is_down:
            return Sent("unsure", "no node answers")
        one = read_signed(raw)
        self.offers[one.tx_hash] += 1
        if self.refusals:
            return self.refusals.pop(0)
        said = self._take(one)
        if self.automine:
            self.mine()
        if self.answers_lost:
            self.answers_lost -= 1
            return Sent("unsure", "the connection broke")
        return said

    def _take(self, one: SignedTransaction) -> Sent:
        place = (one.sender, one.nonce)
        if self._find(one.tx_hash) is not None or self.pool.get(place) == one:
            return Sent("known", "already known")
        if one.nonce < self._count(one.sender):
            return Sent("refused", "nonce too low", "nonce-low")
        held = self.pool.get(place)
        if held is not None and one.max_fee_wei * 100 < held.max_fee_wei * 110:
            return Sent("refused", "replacement transaction underpriced", "underpriced")
        self.pool[place] = one
        return Sent("taken")

    async def receipt(self, tx_hash: bytes) -> Receipt | None:
        await self._answer()
        if tx_hash in self.hidden or (found := self._find(tx_hash)) is None:
            return None
        number, one = found
        return Receipt(
            tx_hash=tx_hash,
            block_number=number,
            block_hash=self.blocks[number].hash,
            succeeded=self._succeeds(one),
            sender=one.sender,
            to=one.to,
            gas_used=50_000,
            logs=self._logs(number, one),
        )

    async def receipts(self, hashes: Sequence[bytes]) -> list[Receipt | None]:
        return [await self.receipt(tx_hash) for tx_hash in hashes]

    async def known(self, tx_hash: bytes) -> bool:
        await self._answer()
        if tx_hash in self.forgotten:
            return False
        waits = any(one.tx_hash == tx_hash for one in self.pool.values())
        return waits or self._find(tx_hash) is not None

    async def head(self) -> int:
        await self._answer()
        return len(self.blocks) - 1

    async def block_hash(self, number: int) -> bytes | None:
        await self._answer()
        if self.hides_blocks or number >= len(self.blocks):
            return None
        return self.blocks[number].hash

    async def call(
        self,
        to: bytes | None,
        calldata: bytes,
        *,
        block: int | Literal["latest", "pending"] = "latest",
        sender: bytes | None = None,
        gas: int | None = None,
    ) -> bytes:
        await self._answer()
        if calldata in self.reverting:
            words = (32).to_bytes(32) + len(REASON).to_bytes(32) + REASON.ljust(32, b"\0")
            raise CallReverted("reverted", revert_data=selector("Error(string)") + words)
        return b""

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.is_down:
            raise NodeTimeout("no node answers")

    def _count(self, sender: bytes) -> int:
        return sum(one.sender == sender for block in self.blocks for one in block.transactions)

    def _find(self, tx_hash: bytes) -> tuple[int, SignedTransaction] | None:
        for number, block in enumerate(self.blocks):
            for one in block.transactions:
                if one.tx_hash == tx_hash:
                    return number, one
        return None

    def _logs(self, number: int, one: SignedTransaction) -> tuple[Log, ...]:
        if one.calldata != calls.register():
            return ()
        before = [
            other
            for block in self.blocks[: number + 1]
            for other in block.transactions
            if other.calldata == calls.register()
        ]
        agent_id = self.foreign_agents + before.index(one)
        topics = (REGISTERED.topic0, agent_id.to_bytes(32), bytes(12) + one.sender)
        assert one.to is not None
        return (Log(one.to, topics, b"", 0),)


def dies_at(place: str, times: int = 1) -> Callable[[str], None]:
    """A watcher's `point` that dies the `times`-th time it comes to `place`."""
    left = times

    def point(name: str) -> None:
        nonlocal left
        if name == place:
            left -= 1
            if left == 0:
                raise Died(place)

    return point


class Died(BaseException):
    """What a process does at once: nothing after it runs, and its transactions are undone."""
