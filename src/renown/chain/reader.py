"""Read one range from one node and verify it; what fails a check raises and is asked elsewhere.

In the finalised part: the header of every block that has logs, and seeded samples of the rest.
In the unfinalised window: every header with its parent link, and a second look at every block
that has logs or, by its bloom, may have some.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import msgspec

from renown.chain import fetch
from renown.chain.answers import VerifiedRange
from renown.chain.nodes import Member, NodePool
from renown.chain.opinions import SecondOpinion
from renown.chain.verify import (
    ZERO_BLOOM,
    Header,
    LogCheck,
    block_ref,
    has_bloom,
    linked,
)
from renown.errors import NodeError, NodeInconsistent, RangeTooWide
from renown.spec.logs import RawLog
from renown.types import BlockRef


class Sampling(msgspec.Struct, frozen=True):
    """How much of the finalised past is looked at twice. Rates are shares of ranges or blocks.

    empty_ranges      ranges without logs of which some blocks' blooms are looked at
    busy_ranges       the same for ranges that have logs
    blocks            how many blocks of such a range
    second_operator   ranges without logs that a second operator is asked about as a whole
    every_topic       blocks with logs of which every topic is looked for in the bloom
    """

    empty_ranges: float = 0.125
    busy_ranges: float = 0.03125
    blocks: int = 8
    second_operator: float = 0.125
    every_topic: float = 0.015625


class RangeReader:
    """Reads verified ranges of one chain's contracts.

    Args:
        blooms: False where the chain's blooms mean nothing.
        seed: of the samples; the same seed looks at the same blocks.
    """

    def __init__(
        self,
        pool: NodePool,
        contracts: Sequence[bytes],
        *,
        seed: int,
        sampling: Sampling,
        blooms: bool,
    ) -> None:
        self.check = LogCheck(contracts)
        self.addresses = sorted(self.check.addresses)
        self._pool = pool
        self._seed = seed
        self._sampling = sampling
        self._blooms = blooms
        self._bloom_seen = False  # a chain that shows one bloom has blooms
        self._opinion = SecondOpinion(pool, self.check)

    async def final(self, member: Member, first: int, last: int) -> VerifiedRange:
        """The finalised range `first..last` from one node.

        Raises:
            RangeTooWide: nothing was read; ask for less.
            NodeError: nothing may be stored; ask another node.
        """
        await fetch.require_reach(member, last)
        logs = await fetch.logs_in_range(member, self.addresses, first, last)
        slices = self.check.by_block(logs, first, last)
        dice = random.Random(f"{self._seed}/{first}/{last}")
        empty = self._sample_empty(slices, first, last, dice)
        wanted = sorted(slices.keys() | set(empty))
        headers = dict(zip(wanted, await fetch.headers(member, wanted), strict=True))
        blocks = self._blocks_with_logs(logs, slices, headers, dice)
        doubts = {number: headers[number] for number in empty}
        for number in empty:
            block_ref(headers[number], number)
        if empty and slices:
            some = dice.sample(sorted(slices), min(self._sampling.blocks, len(slices)))
            doubts.update((number, headers[number]) for number in some)
        await self._settle(member, doubts, logs, slices)
        if not logs and dice.random() < self._sampling.second_operator:
            await self._ask_second_operator(member, first, last)
        return VerifiedRange(first, last, logs, blocks, member.host, fetch.weight_bytes(logs))

    async def window(self, member: Member, first: int, last: int) -> VerifiedRange:
        """The unfinalised range `first..last` from one node, every header linked.

        Raises:
            NodeError: nothing may be stored; ask another node, or the same a little later.
        """
        await fetch.require_reach(member, last)
        numbers = range(first, last + 1)
        found = await fetch.headers(member, numbers)
        refs = [block_ref(header, number) for number, header in zip(numbers, found, strict=True)]
        linked(refs)
        logs = await fetch.logs_over(member, self.addresses, first, last)
        slices = self.check.by_block(logs, first, last)
        headers = dict(zip(numbers, found, strict=True))
        self._blocks_with_logs(logs, slices, headers, None)
        await self._settle(member, headers, logs, slices)
        blocks = {ref.number: ref for ref in refs}
        return VerifiedRange(first, last, logs, blocks, member.host, fetch.weight_bytes(logs))

    # Checks --------------------------------------------------------------------------------

    def _blocks_with_logs(
        self,
        logs: Sequence[RawLog],
        slices: Mapping[int, slice],
        headers: Mapping[int, Header],
        dice: random.Random | None,
    ) -> dict[int, BlockRef]:
        """Verify each block's logs against its header. Without dice every topic is looked for."""
        blocks: dict[int, BlockRef] = {}
        rate = self._sampling.every_topic
        for number, part in slices.items():
            header = headers[number]
            if has_bloom(header):
                self._bloom_seen = True
            elif self._blooms and self._bloom_seen and header.logs_bloom == ZERO_BLOOM:
                raise NodeInconsistent("logs in a block whose bloom is empty", block=number)
            blocks[number] = block_ref(header, number)
            self.check.against_header(
                logs[part],
                header,
                every_topic=dice is None or dice.random() < rate,
                blooms=self._blooms,
            )
        return blocks

    async def _settle(
        self,
        member: Member,
        headers: Mapping[int, Header],
        logs: Sequence[RawLog],
        slices: Mapping[int, slice],
    ) -> None:
        """Ask twice about every given block that has logs, or may have some for all we know."""
        alone = self._pool.other_operator(member) is None
        doubts: dict[int, Header] = {}
        for number, header in headers.items():
            if number in slices:
                doubts[number] = header
            elif self._blooms and has_bloom(header):
                self._bloom_seen = True
                if self.check.may_have_logs(header):
                    doubts[number] = header
            elif not alone and not (self._blooms and self._bloom_seen):
                doubts[number] = header  # a bloom that tells nothing: only others can
        if doubts:
            held = {number: logs[part] for number, part in slices.items() if number in doubts}
            await self._opinion.settle(member, doubts, held)

    async def _ask_second_operator(self, member: Member, first: int, last: int) -> None:
        """An empty range is empty for somebody else too, as far as they can tell."""
        other = self._pool.other_operator(member)
        if other is None:
            return

        async def question(asked: Member) -> list[RawLog]:
            await fetch.require_reach(asked, last)
            return await fetch.logs_over(asked, self.addresses, first, last)

        try:
            theirs = await self._pool.on(other, "logs of an empty range", question)
            slices = self.check.by_block(theirs, first, last)
            numbers = sorted(slices)[: self._sampling.blocks]
            if not numbers:
                return
            headers = await fetch.headers(member, numbers)
        except (RangeTooWide, NodeError):
            return  # no opinion
        await self._opinion.settle(member, dict(zip(numbers, headers, strict=True)), {})

    def _sample_empty(
        self, slices: Mapping[int, slice], first: int, last: int, dice: random.Random
    ) -> list[int]:
        """Some blocks of the range that have no logs; often none at all."""
        rate = self._sampling.busy_ranges if slices else self._sampling.empty_ranges
        if dice.random() >= rate:
            return []
        blocks = min(self._sampling.blocks, last - first + 1)
        return sorted(
            number for number in dice.sample(range(first, last + 1), blocks) if number not in slices
        )
