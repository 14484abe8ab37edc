"""One chain, as whoever writes to it sees it: what it costs, what would happen, what happened.

Reads go to one node after the other until one answers well; they may raise NodeError. `send`
hands bytes to nodes and never raises for what they say: whether a transaction is on its way is a
question that only its receipt settles.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from eth_hash.auto import keccak

from renown.chain.nodes import Member, NodeObserver, NodePool, Patience
from renown.chain.rpc import Node, Refusal, Transport
from renown.chain.tx import fees as market
from renown.chain.tx import offering, simulation
from renown.chain.tx.fees import Fees
from renown.chain.tx.receipts import JsonBlock, JsonPendingBlock, JsonReceipt, hex_bytes, quantity
from renown.errors import BeyondHead, NodeError, NoNodeLeft
from renown.spec.deployments import DEPLOYMENTS, Deployment
from renown.spec.transactions import Receipt, Sent

T = TypeVar("T")

__all__ = ["ChainWriter", "Fees", "writers_for"]

USUAL_TIP_WEI = 10**9
"""One gwei, where neither blocks nor the node say what is usual."""

ACTING_PATIENCE = Patience(
    attempts=4,
    backoff_seconds=0.2,
    backoff_cap_seconds=2.0,
    deadline_seconds=10.0,
    wait_seconds=3.0,
)
"""Somebody waits for the answer."""


class ChainWriter:
    """Writes to one chain through its nodes.

    Args:
        deployment: the chain and its registries.
        pool: its nodes.
    """

    def __init__(self, deployment: Deployment, pool: NodePool) -> None:
        self.deployment = deployment
        self.chain_id = deployment.chain_id
        self.pool = pool

    def __repr__(self) -> str:
        hosts = ", ".join(member.host for member in self.pool.members)
        return f"ChainWriter({self.deployment.slug} via {hosts})"

    async def start(self) -> None:
        """Check the nodes' chain ids. Raises WrongChain where every node serves another chain."""
        await self.pool.start()

    async def close(self) -> None:
        """Give back connections."""
        await self.pool.close()

    # Before a transaction ------------------------------------------------------------------

    async def fees(self, cap_wei: int | None = None) -> Fees:
        """What to offer per unit of gas so as to be in one of the next blocks.

        Args:
            cap_wei: most to offer. Below the base fee the transaction will wait.
        """
        found = await self._ask("the fee history", self._fee_history)
        if found is None:
            price = await self._quantity("the gas price", "eth_gasPrice", [])
            found = market.from_gas_price(price)
        return market.capped(found, cap_wei)

    async def nonce(self, address: bytes, block: Literal["latest", "pending"] = "latest") -> int:
        """How many transactions of `address` are in blocks, or also waiting in a node's pool."""
        what = [f"0x{address.hex()}", block]
        return await self._quantity("a nonce", "eth_getTransactionCount", what)

    async def balance(self, address: bytes) -> int:
        """Wei that `address` has now."""
        what = [f"0x{address.hex()}", "latest"]
        return await self._quantity("a balance", "eth_getBalance", what, most=2**256 - 1)

    async def estimate(self, sender: bytes, to: bytes, calldata: bytes) -> int:
        """Gas to allow: what the call takes as things stand, and a fifth more.

        Raises:
            CallWouldFail: the contract refuses; `reason` of its context is the decoded revert.
                Or the sender cannot pay, where the node looks at that.
        """
        return await simulation.estimate(self.pool, sender, to, calldata)

    # A transaction -------------------------------------------------------------------------

    async def send(self, raw: bytes) -> Sent:
        """Offer signed bytes to the chain. The same bytes may be offered any number of times.

        Nodes are asked in turn until one has them. `refused` only where every node that could be
        asked answered, and none takes them; `unsure` as soon as one that did not answer may have
        them. Never raises for what a node says or does.
        """
        said = await offering.offer(self.pool, raw)
        if said.code == "nonce-low" and await self._is_included(keccak(raw)):
            return Sent("known", said.reason)
        return said

    async def receipt(self, tx_hash: bytes) -> Receipt | None:
        """What became of a transaction in a block; None where no node that answers has it.

        Nodes may lag, or lose receipts: all are asked before the answer is None.

        Raises:
            NodeError: none answers.
        """
        failure: NodeError = NoNodeLeft(f"no node of chain {self.chain_id} can be asked now")
        somebody_answered = False
        for member in self.pool.in_order():
            try:
                found = (await self._receipts_from(member, [tx_hash]))[0]
            except NodeError as exc:
                failure = exc
                continue
            if found is not None:
                return found
            somebody_answered = True
        if not somebody_answered:
            raise failure
        return None

    async def receipts(self, hashes: Sequence[bytes]) -> list[Receipt | None]:
        """Many at once, in order, as one node sees them."""
        if not hashes:
            return []

        async def question(member: Member) -> list[Receipt | None]:
            return await _receipts(member, hashes)

        return await self._ask("receipts", question)

    async def known(self, tx_hash: bytes) -> bool:
        """Whether some node has the transaction, in its pool or in a block.

        Raises:
            NodeError: no node says yes, and one could not be asked.
        """
        return await offering.somebody_has(self.pool, tx_hash)

    # The chain -----------------------------------------------------------------------------

    async def head(self) -> int:
        """The number of the newest block."""
        return await self._quantity("the height", "eth_blockNumber", [])

    async def final_block(self) -> int:
        """The newest block that counts as final; -1 for none yet.

        As the node asked says, or by depth where the chain's policy has no tag. What the indexer
        holds final is firmer: it has looked twice.
        """
        policy = self.deployment.finality
        if policy.tag is None:
            return max(-1, await self.head() - policy.depth_blocks)
        found = await self._block(policy.tag)
        return -1 if found is None else quantity(found.number)

    async def block_hash(self, number: int) -> bytes | None:
        """The hash of the block at `number` now; None above the head."""
        found = await self._block(hex(number))
        return None if found is None else hex_bytes(found.hash, 32)

    async def block_time(self, number: int) -> int:
        """Unix seconds of the block at `number`. Raises BeyondHead above the head."""
        found = await self._block(hex(number))
        if found is None:
            raise BeyondHead(f"chain {self.chain_id} has no block {number}", block=number)
        return quantity(found.timestamp)

    async def chain_time(self) -> int:
        """Unix seconds of the newest block: the clock that deadlines are measured by."""
        found = await self._block("latest")
        if found is None:
            raise BeyondHead(f"chain {self.chain_id} has no block yet")
        return quantity(found.timestamp)

    async def next_time(self) -> int:
        """Unix seconds that the next block will have: what deadlines have to reach.

        On a chain that makes blocks on demand `chain_time` may be long ago. Never before it; it
        where the node tells nothing of the next block.
        """
        now = await self.chain_time()

        async def question(member: Member) -> int:
            found: JsonPendingBlock | None = await member.node.call(
                "eth_getBlockByNumber", ["pending", False], _MAYBE_PENDING
            )
            return now if found is None else max(now, quantity(found.timestamp))

        try:
            return await self._ask("the pending block", question)
        except NodeError:  # some providers have none
            return now

    async def code(self, address: bytes) -> bytes:
        """The code at `address`; empty for an account without any."""
        what = [f"0x{address.hex()}", "latest"]

        async def question(member: Member) -> bytes:
            return hex_bytes(await member.node.call("eth_getCode", what, str))

        return await self._ask("code", question)

    async def call(
        self,
        to: bytes | None,
        calldata: bytes,
        *,
        block: simulation.Block = "latest",
        sender: bytes | None = None,
        gas: int | None = None,
        deadline_seconds: float | None = None,
    ) -> bytes:
        """`eth_call`; nothing is sent.

        Args:
            to: None runs `calldata` as creation code, and answers what it would leave as code.
            gas: most it may take; None leaves that to the node.

        Raises:
            CallReverted: with the revert data; also where the code failed in another way, such as
                running out of gas, without any.
        """
        return await simulation.call(
            self.pool,
            to,
            calldata,
            block=block,
            sender=sender,
            gas=gas,
            deadline_seconds=deadline_seconds,
        )

    # Questions -----------------------------------------------------------------------------

    async def _ask(
        self, what: str, question: Callable[[Member], Awaitable[T]], *, reach: int = 0
    ) -> T:
        return await self.pool.ask(what, question, reach=reach)

    async def _quantity(
        self, what: str, method: str, params: list[Any], *, most: int = 2**63 - 1
    ) -> int:
        async def question(member: Member) -> int:
            return quantity(await member.node.call(method, params, str), most=most)

        return await self._ask(what, question)

    async def _block(self, tag: str) -> JsonBlock | None:
        async def question(member: Member) -> JsonBlock | None:
            found: JsonBlock | None = await member.node.call(
                "eth_getBlockByNumber", [tag, False], _MAYBE_BLOCK
            )
            if found is not None:
                member.saw_head(quantity(found.number))
            return found

        return await self._ask("a block", question)

    async def _fee_history(self, member: Member) -> Fees | None:
        """None where the chain, or the provider, knows no fee history."""
        params = [hex(market.HISTORY_BLOCKS), "latest", list(market.PERCENTILES)]
        try:
            found = await member.node.call("eth_feeHistory", params, _JsonFeeHistory)
        except Refusal as exc:
            if offering.is_about_node(exc):
                raise
            return None
        history = found.history()
        if not any(history.base_fees_wei):
            return None  # no fee market, though the method is there
        tip = USUAL_TIP_WEI
        if not any(full > 0 for full in history.fullness):
            tip = await _usual_tip(member)
        return market.from_history(history, usual_tip_wei=tip)

    async def _receipts_from(self, member: Member, hashes: Sequence[bytes]) -> list[Receipt | None]:
        async def question(asked: Member) -> list[Receipt | None]:
            return await _receipts(asked, hashes)

        return await self.pool.on(member, "a receipt", question)

    async def _is_included(self, tx_hash: bytes) -> bool:
        try:
            return await self.receipt(tx_hash) is not None
        except NodeError:
            return False


def writers_for(
    urls: Mapping[int, Sequence[str]],
    *,
    patience: Patience = ACTING_PATIENCE,
    observer: NodeObserver | None = None,
    connect: Callable[[str], Transport] | None = None,
) -> dict[int, ChainWriter]:
    """A writer for each chain that has nodes. They connect when they are first asked.

    Args:
        urls: node URLs by chain id, best first.
        connect: makes the transport of a URL; HTTP by default.

    Raises:
        KeyError: a chain that no registry is deployed on.
        BadSettings: something else than an http or https URL.
    """
    writers = {}
    for chain_id, listed in urls.items():
        if not listed:
            continue
        nodes = [
            Node(
                url,
                transport=connect(url) if connect is not None else None,
                deadline_seconds=patience.deadline_seconds,
            )
            for url in listed
        ]
        seed = random.getrandbits(32)  # of jitter
        pool = NodePool(chain_id, nodes, seed=seed, patience=patience, observer=observer)
        writers[chain_id] = ChainWriter(DEPLOYMENTS[chain_id], pool)
    return writers


class _JsonFeeHistory(msgspec.Struct, rename="camel"):
    base_fee_per_gas: list[str] = []
    gas_used_ratio: list[float] = []
    reward: list[list[str]] | None = None

    def history(self) -> market.FeeHistory:
        return market.FeeHistory(
            tuple(quantity(text) for text in self.base_fee_per_gas),
            tuple(tuple(quantity(text) for text in tips) for tips in self.reward or []),
            tuple(self.gas_used_ratio),
        )


_MAYBE_RECEIPT: Any = JsonReceipt | None
_MAYBE_BLOCK: Any = JsonBlock | None
_MAYBE_PENDING: Any = JsonPendingBlock | None


async def _usual_tip(member: Member) -> int:
    try:
        return quantity(await member.node.call("eth_maxPriorityFeePerGas", [], str))
    except Refusal:
        return USUAL_TIP_WEI


async def _receipts(member: Member, hashes: Sequence[bytes]) -> list[Receipt | None]:
    calls = [(f"0x{tx_hash.hex()}",) for tx_hash in hashes]
    found = await member.node.batch("eth_getTransactionReceipt", calls, _MAYBE_RECEIPT)
    receipts: list[Receipt | None] = []
    for item, tx_hash in zip(found, hashes, strict=True):
        if isinstance(item, NodeError):
            raise item
        receipts.append(None if item is None else item.receipt(tx_hash))
    return receipts
