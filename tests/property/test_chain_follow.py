"""A small follower over the source: whatever happens on the way, it ends on the chain.

The chain grows, is reorganised and goes back to an old branch; nodes lag, fail and lie. In the
end everything is quiet for a while, and what the follower holds must equal the chain.
"""

from __future__ import annotations

import contextlib
import random

import pytest

from renown.chain.reconcile import Extend, Gap, Reorg, next_step
from renown.chain.source import ChainSource
from renown.errors import NodeError
from renown.types import BlockRef
from tests.fakes.chain import FakeBlock, FakeChain
from tests.fakes.faults import LIES, TRANSIENT, Chaos
from tests.fakes.node import FakeNode
from tests.fakes.world import as_dicts, feedback_log, source_of, truth

LIMIT = 16  # deepest reorg


class Follower:
    """Holds the finalized block, all after it, and their logs."""

    def __init__(self, source: ChainSource, genesis: BlockRef) -> None:
        self.source = source
        self.held = [genesis]
        self.logs: dict[int, list[tuple[str, str, str]]] = {}

    async def catch_up(self) -> None:
        head = await self.source.head()
        for _ in range(200):
            step = next_step(self.held, head.latest)
            if isinstance(step, Gap | Extend):
                first = self.held[-1].number + 1
                step = await self._window(first, head.latest.number)
            match step:
                case None:
                    break
                case Reorg(drop_from=number):
                    self.drop(number)
        final = min(head.finalized, self.held[-1].number)
        while self.held[0].number < final - LIMIT:
            self.held.pop(0)

    async def _window(self, first: int, last: int) -> Reorg | None:
        window = await self.source.window(first, last)
        for number in range(first, last + 1):
            match next_step(self.held, window.blocks[number]):
                case Extend(block=block):
                    self.held.append(block)
                    self.logs[number] = [
                        entry
                        for log, entry in zip(window.logs, as_dicts(window.logs), strict=True)
                        if int(log.block_number, 16) == number
                    ]
                case Reorg() as reorg:
                    return reorg
        return None

    def drop(self, number: int) -> None:
        self.held = [ref for ref in self.held if ref.number < number]
        for orphan in [n for n in self.logs if n >= number]:
            del self.logs[orphan]


def genesis_of(chain: FakeChain) -> BlockRef:
    block = chain.block(0)
    assert block is not None
    return BlockRef(0, bytes.fromhex(block.hash[2:]), bytes(32), 0)


def grow(chain: FakeChain, dice: random.Random, blocks: int) -> None:
    for _ in range(blocks):
        chain.append([feedback_log(dice) for _ in range(dice.choice((0, 0, 1, 3)))])


def some_blocks(dice: random.Random, blocks: int) -> list[list[dict[str, object]]]:
    return [[feedback_log(dice) for _ in range(dice.choice((0, 1, 2)))] for _ in range(blocks)]


async def follow_for_real(follower: Follower) -> None:
    with contextlib.suppress(NodeError):  # the next round tries again, as the indexer does
        await follower.catch_up()


def assert_equal(follower: Follower, chain: FakeChain) -> None:
    head = chain.head.number
    assert follower.held[-1].hash.hex() == chain.head.hash[2:]
    logs = [entry for number in sorted(follower.logs) for entry in follower.logs[number]]
    assert logs == truth(chain, 1, head)


@pytest.mark.parametrize("seed", range(30))
async def test_follower__through_reorgs_lag_failures_and_lies__ends_on_the_chain(seed):
    dice = random.Random(seed)
    chain = FakeChain(seed, finality_lag=LIMIT + 4, bloom_noise=dice.choice((0, 60)))
    nodes = [FakeNode(chain, f"n{i}", seed=seed + i) for i in range(3)]
    for i, node in enumerate(nodes):
        node.past_head = dice.choice(("error", "clamp", "empty"))
        node.chaos = Chaos(seed * 10 + i, rate=0.05, kinds=TRANSIENT)
    nodes[seed % 3].chaos = Chaos(seed, rate=0.2, kinds=LIES)  # one liar
    orphans: list[FakeBlock] = []
    async with source_of(*nodes) as source:
        follower = Follower(source, genesis_of(chain))
        for _ in range(25):
            match dice.choice(("grow", "grow", "reorg", "lag", "back", "offline")):
                case "grow":
                    grow(chain, dice, dice.randint(1, 6))
                case "reorg":
                    depth = min(dice.choice((1, 2, 7, LIMIT)), chain.head.number)
                    if depth:
                        orphans = chain.reorg(depth, some_blocks(dice, depth + dice.randint(0, 2)))
                case "lag":
                    dice.choice(nodes).lags = dice.choice(((), (0, 5), (3,)))
                case "back" if orphans and chain.head.number - orphans[0].number < LIMIT:
                    parent = chain.block(orphans[0].number - 1)
                    if parent is not None and parent.hash == orphans[0].header["parentHash"]:
                        orphans = chain.adopt(orphans)
                case "offline":
                    grow(chain, dice, 3)
                    continue
            await follow_for_real(follower)
        for node in nodes:
            node.heal()
            node.lags = ()
        grow(chain, dice, 2)
        for _ in range(4):
            await follow_for_real(follower)

    assert_equal(follower, chain)


@pytest.mark.parametrize("depth", [1, 7, LIMIT - 1, LIMIT])
@pytest.mark.parametrize("offline", [False, True])
async def test_follower__reorg_and_back__ends_where_a_fresh_one_does(depth, offline):
    dice = random.Random(depth)
    chain = FakeChain(depth, finality_lag=LIMIT + 4)
    grow(chain, dice, 40)
    async with source_of(FakeNode(chain)) as source:
        follower = Follower(source, genesis_of(chain))
        await follower.catch_up()
        first_branch = chain.reorg(depth, some_blocks(dice, depth + 1))
        if not offline:
            await follower.catch_up()
            assert_equal(follower, chain)
        chain.adopt(first_branch)
        grow(chain, dice, 2)
        await follower.catch_up()

    assert_equal(follower, chain)
