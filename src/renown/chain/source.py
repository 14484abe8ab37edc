"""One chain, as the indexer sees it: a head, verified ranges, and calls. Many nodes behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self

from renown.chain import fetch
from renown.chain.agents import highest_agent_id
from renown.chain.answers import Head, LogCount, VerifiedRange
from renown.chain.backfill import ByteBudget, stream
from renown.chain.heads import HeadWatch
from renown.chain.nodes import Member, NodeObserver, NodePool, NodeStatus, Patience
from renown.chain.reader import RangeReader, Sampling
from renown.chain.rpc import CallReverted, Node, Transport
from renown.chain.verify import block_ref, log_counts
from renown.errors import BeyondHead, NodeRefused, RangeTooWide
from renown.spec.deployments import Deployment, FinalityPolicy
from renown.types import BlockRef

__all__ = [
    "CallReverted",
    "ChainSource",
    "Head",
    "LogCount",
    "NodeStatus",
    "Patience",
    "Sampling",
    "VerifiedRange",
]


class ChainSource:
    """Reads one chain through its nodes and hands out only what was verified.

    Use as an async context manager. Every method may raise NodeError; none advances past a
    contradiction.

    Args:
        deployment: the chain and its registries.
        urls: node URLs, best first; http or https.
        contracts: 20-byte addresses whose logs are read.
        seed: of samples and jitter.
        policy: instead of the deployment's own finality.
        patience: deadlines and retries.
        sampling: how much of the past is looked at twice.
        observer: told about every question, for metrics.
        budget: bound on bytes in flight; share one between the chains of a process.
        connect: makes the transport of a URL; HTTP by default.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        deployment: Deployment,
        urls: Sequence[str],
        *,
        contracts: tuple[bytes, ...],
        seed: int,
        policy: FinalityPolicy | None = None,
        patience: Patience | None = None,
        sampling: Sampling | None = None,
        observer: NodeObserver | None = None,
        budget: ByteBudget | None = None,
        connect: Callable[[str], Transport] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.deployment = deployment
        self.policy = policy or deployment.finality
        patience = patience or Patience()
        self.pool = NodePool(
            deployment.chain_id,
            [
                Node(
                    url,
                    transport=connect(url) if connect is not None else None,
                    deadline_seconds=patience.deadline_seconds,
                )
                for url in urls
            ],
            seed=seed,
            patience=patience,
            observer=observer,
            clock=clock,
        )
        self._contracts = contracts
        self._reader = RangeReader(
            self.pool,
            contracts,
            seed=seed,
            sampling=sampling or Sampling(),
            blooms=self.policy.blooms,
        )
        self._heads = HeadWatch(self.pool, self.policy, clock=clock)
        self._budget = budget or ByteBudget()

    def __repr__(self) -> str:
        hosts = ", ".join(member.host for member in self.pool.members)
        return f"ChainSource({self.deployment.slug} via {hosts})"

    async def __aenter__(self) -> Self:
        """Checks chain ids. Raises WrongChain where every node serves another chain."""
        try:
            await self.pool.start()
        except BaseException:
            await self.pool.close()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.pool.close()

    def status(self) -> list[NodeStatus]:
        """Every node's health, by host."""
        return self.pool.status()

    @property
    def operators(self) -> set[str]:
        """Who runs the nodes: hosts that share a registrable name count as one."""
        return {member.operator for member in self.pool.members}

    async def head(self) -> Head:
        """The newest block and how far the chain is final. `finalized` never decreases."""
        return await self._heads.poll()

    async def final_ranges(
        self, first: int, last: int, *, concurrency: int = 4
    ) -> AsyncGenerator[VerifiedRange, None]:
        """Verified ranges that cover `first..last` without gap or overlap, ascending.

        `last` must be final. Ranges are fetched ahead, `concurrency` at a time, as wide as the
        nodes allow; a slow reader holds the fetching up. Each has the verified header of every
        block with logs.
        """
        parts = stream(
            first,
            last,
            read=self._final_part,
            width=lambda: self.pool.first_choice().sizer.blocks,
            concurrency=concurrency,
            budget=self._budget,
        )
        async with aclosing(parts):
            async for part in parts:
                yield part

    async def window(self, first: int, last: int) -> VerifiedRange:
        """The unfinalised blocks `first..last` with every header, logs verified against them."""

        async def question(member: Member) -> VerifiedRange:
            return await self._reader.window(member, first, last)

        found = await self.pool.ask("the window", question, reach=last)
        self._heads.remember(found.blocks.values())
        return found

    async def block(self, number: int) -> BlockRef | None:
        """The block at `number`; None where no node has it yet."""

        async def question(member: Member) -> BlockRef | None:
            try:
                header = (await fetch.headers(member, [number]))[0]
            except BeyondHead:
                if await fetch.height(member) < number:
                    return None
                raise
            return block_ref(header, number)

        try:
            return await self.pool.ask("a block", question, reach=number)
        except BeyondHead:
            return None

    async def blocks(self, numbers: Sequence[int]) -> list[BlockRef | None]:
        """The blocks at `numbers` as one node sees them; None above its head.

        One round trip or two.
        """

        async def question(member: Member) -> list[BlockRef | None]:
            height = await fetch.height(member)
            there = [number for number in numbers if number <= height]
            found = dict(zip(there, await fetch.headers(member, there), strict=True))
            return [
                block_ref(found[number], number) if number in found else None for number in numbers
            ]

        return await self.pool.ask("some blocks", question)

    async def has_code(self, address: bytes, at_block: int | None = None) -> bool:
        """Whether `address` is a contract at a block, or now."""

        async def question(member: Member) -> bool:
            at = "latest" if at_block is None else hex(at_block)
            return len(await member.node.call("eth_getCode", ["0x" + address.hex(), at], str)) > 2

        return await self.pool.ask("code", question, reach=at_block or 0)

    async def find_start_block(self, address: bytes) -> int:
        """The first block at which `address` has code, by bisection: about 30 calls.

        Needs a node that keeps old state.

        Raises:
            NodeRefused: no code at the head, or no node keeps the state needed.
        """
        high = await self.pool.ask("the height", fetch.height)
        if not await self.has_code(address, high):
            raise NodeRefused(
                f"0x{address.hex()} has no code on {self.deployment.slug} at block {high}",
                chain_id=self.deployment.chain_id,
                block=high,
            )
        low = 0
        while low < high:
            middle = (low + high) // 2
            if await self.has_code(address, middle):
                high = middle
            else:
                low = middle + 1
        return low

    async def call(self, to: bytes, calldata: bytes, at_block: int) -> bytes:
        """`eth_call` at a block.

        Raises:
            CallReverted: with the revert data; it is an answer, so no other node is asked.
        """

        async def question(member: Member) -> bytes:
            return await fetch.contract_call(member, to, calldata, at_block)

        return await self.pool.ask("a call", question, reach=at_block)

    async def highest_agent_id(self, at_block: int) -> int | None:
        """The highest agent id of the identity registry at a block; None where it has none.

        Ids run from 0 without gaps, so `ownerOf` can be searched (ERC-8004 registries 2.0.0).

        Raises:
            CallReverted: the contract has no such `ownerOf` at that block.
        """

        async def question(member: Member) -> int | None:
            return await highest_agent_id(member, self.deployment.identity, at_block)

        return await self.pool.ask("the highest agent id", question, reach=at_block)

    async def count_logs(self, first: int, last: int, *, avoid_host: str | None = None) -> LogCount:
        """How many logs a node counts in `first..last`.

        Args:
            avoid_host: the host that was believed before; its operator is not asked again.

        Raises:
            NoNodeLeft: nobody else runs a node.
        """
        avoid = {m.operator for m in self.pool.members if avoid_host in (m.host, m.operator)}

        async def question(member: Member) -> LogCount:
            await fetch.require_reach(member, last)
            logs = 0
            by_block: dict[int, int] = {}
            by_contract: dict[bytes, int] = dict.fromkeys(self._contracts, 0)
            cursor = first
            while cursor <= last:  # part by part: a count needs no memory
                end = min(last, cursor + member.sizer.blocks - 1)
                try:
                    found = await fetch.logs_in_range(member, self._reader.addresses, cursor, end)
                except RangeTooWide:
                    continue
                slices = self._reader.check.by_block(found, cursor, end)
                blocks, contracts = log_counts(found, slices, self._contracts)
                by_block.update(blocks)
                for contract, count in contracts.items():
                    by_contract[contract] += count
                logs += len(found)
                cursor = end + 1
            return LogCount(first, last, member.host, logs, by_block, by_contract)

        return await self.pool.ask("a count", question, reach=last, avoid=avoid)

    async def _final_part(self, first: int, last: int) -> VerifiedRange:
        """As much of `first..last` as the node asked takes at once."""

        async def question(member: Member) -> VerifiedRange:
            end = min(last, first + member.sizer.blocks - 1)
            return await self._reader.final(member, first, end)

        while True:
            try:
                return await self.pool.ask("logs", question, reach=last)
            except RangeTooWide:
                await asyncio.sleep(0)  # the sizer has shrunk
