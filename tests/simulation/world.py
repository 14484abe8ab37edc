"""A seeded world for the indexer.

A chain that moves and forks, nodes that fail and lie, workers that die.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random

from renown.chain.nodes import Patience
from renown.chain.reader import Sampling
from renown.chain.source import ChainSource
from renown.decode import Decoder
from renown.errors import LeaseLost, NodeError, StoreError
from renown.ingest.indexer import Indexer, Limits
from renown.spec.deployments import FinalityPolicy
from renown.store import hashing
from renown.store.lease import acquire
from renown.store.pool import Conn, connect
from tests.activity import DEVNET, Activity
from tests.encode import log_of
from tests.fakes.chain import FakeBlock, FakeChain
from tests.fakes.faults import LIES, TRANSIENT, Chaos
from tests.fakes.node import FakeNode
from tests.fakes.node import connect as transport_to

FINALITY_BLOCKS = 40
DEEPEST_REORG = 32
FIRST_BLOCKS = 50
POLICY = FinalityPolicy(
    depth_blocks=FINALITY_BLOCKS, reorg_limit_blocks=FINALITY_BLOCKS + 8, block_seconds=0.01
)
PATIENCE = Patience(
    attempts=6, backoff_seconds=0.0005, backoff_cap_seconds=0.002, deadline_seconds=1.0
)
SAMPLING = Sampling(
    empty_ranges=1.0, busy_ranges=1.0, blocks=1_000, second_operator=1.0, every_topic=1.0
)


class World:
    """One chain of random activity behind three nodes of three operators; one node is honest."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.activity = Activity(seed)
        self.retractions = 0
        self.chain = FakeChain(
            seed, finality_lag=FINALITY_BLOCKS, bloom_noise=self.dice.choice((0, 20))
        )
        for contract in DEVNET.contracts:
            self.chain.deploy(contract)
        self.honest, self.flaky, self.liar = (
            FakeNode(self.chain, name, seed=seed)
            for name in ("honest.one", "flaky.two", "liar.three")
        )
        self.flaky.chaos = Chaos(seed, 0.15, TRANSIENT)
        self.liar.chaos = Chaos(seed + 1, 0.3, LIES)
        self.nodes = [self.honest, self.flaky, self.liar]
        self.dice.shuffle(self.nodes)
        self.grow(FIRST_BLOCKS)

    def grow(self, blocks: int) -> None:
        """More blocks on the present branch."""
        for _ in range(blocks):
            self.chain.append(self._logs())

    def fork(self) -> None:
        """A reorg of random depth; now and then the chain returns to the first branch."""
        deepest = min(DEEPEST_REORG, self.chain.head.number - self.chain.finalized - 1)
        if deepest < 1:
            return
        depth = self.dice.randint(1, deepest)
        before = copy.deepcopy(self.activity)
        longer = self.dice.randint(0, 2)
        orphans: list[FakeBlock] = self.chain.reorg(
            depth, [self._logs() for _ in range(depth + longer)]
        )
        if self.dice.random() < 0.25:
            self.chain.adopt(orphans)
            self.activity = before
            self.grow(longer + 1)

    def trouble(self) -> None:
        """Change how the nodes behave."""
        for node in (self.flaky, self.liar):
            node.lag = self.dice.choice((0, 0, 1, 5, 20))
            node.lags = self.dice.choice(((), (0, 3), (0, 20)))
            node.finalized_back = self.dice.choice((0, 0, 7))
            node.tags = self.dice.random() < 0.8
            node.max_batch = self.dice.choice((1_000, 7, 0))
        self.honest.lag = self.dice.choice((0, 0, 2))

    def heal(self) -> None:
        """Everybody behaves."""
        for node in self.nodes:
            node.heal()
            node.lag, node.lags, node.finalized_back, node.tags = 0, (), 0, True

    def source(self) -> ChainSource:
        """The chain through all three nodes."""
        return ChainSource(
            DEVNET,
            [node.url for node in self.nodes],
            contracts=DEVNET.contracts,
            seed=self.dice.randrange(2**31),
            policy=POLICY,
            patience=PATIENCE,
            sampling=SAMPLING,
            connect=transport_to(*self.nodes),
        )

    def _logs(self) -> list[dict[str, object]]:
        facts = self.dice.choice((0, 0, 1, 2, 6))
        _, found = self.activity.block(self.chain.head.number + 1, bytes(32), facts=facts)
        return [log_of(fact) for fact in found]


async def attempt(
    world: World, url: str, *, until: int | None = None, name: str = "worker"
) -> None:
    """One worker's life: from taking the lease to whatever ends it."""
    async with world.source() as source:
        conn = await connect(url)
        try:
            genesis = await source.block(0)
            writer = await acquire(
                conn,
                DEVNET,
                start_block=0,
                genesis_hash=genesis.hash if genesis else None,
                name=name,
            )
            indexer = Indexer(
                source,
                writer,
                Decoder(DEVNET.identity, DEVNET.reputation, DEVNET.validation),
                Limits(POLICY.reorg_limit_blocks, poll_seconds=0.001, batch_events=40),
            )
            await indexer.run(until=until)
        finally:
            conn.terminate()


async def worker(world: World, url: str, name: str) -> None:
    """A worker that starts again after every failure that another try may mend."""
    while True:
        with contextlib.suppress(NodeError, StoreError, LeaseLost, OSError):
            await attempt(world, url, name=name)
        await asyncio.sleep(0.002)


async def simulate(world: World, url: str, *, steps: int = 14) -> str:
    """Let the world happen to two workers on one chain, then settle. Returns the state hash."""
    workers = {n: asyncio.create_task(worker(world, url, f"worker {n}")) for n in (1, 2)}
    admin = await connect(url)
    try:
        for _ in range(steps):
            # Mostly the index is near the head when something happens; at times it is caught short.
            if world.dice.random() < 0.8:
                await _near_head(world, admin)
            else:
                await asyncio.sleep(world.dice.uniform(0.0, 0.05))
            roll = world.dice.random()
            if roll < 0.30:
                world.grow(world.dice.randint(1, 12))
            elif roll < 0.62:
                world.fork()
            elif roll < 0.78:
                world.trouble()
            elif roll < 0.92:  # a worker dies at whatever it was doing, and another is started
                number = world.dice.choice(list(workers))
                await _kill(workers.pop(number))
                workers[max(workers, default=0) + number + 2] = asyncio.create_task(
                    worker(world, url, f"worker {number}'s heir")
                )
            else:  # the database drops everybody
                await admin.execute(TERMINATE)
            for task in workers.values():
                if task.done():
                    task.result()
    finally:
        await admin.close()
        for task in workers.values():
            await _kill(task)
    world.heal()
    world.grow(3)
    await _settle(world, url)
    conn = await connect(url)
    world.retractions = await conn.fetchval("SELECT count(*) FROM outbox WHERE kind = 'retract'")
    stored = await hashing.stored_hash(conn, DEVNET.chain_id)
    folded = await hashing.folded_hash(conn, DEVNET.chain_id)
    await conn.close()
    assert stored == folded, "the stored state is not the fold of the stored facts"
    return stored


async def clean_sync(world: World, url: str) -> str:
    """The state hash of an index that met no trouble at all."""
    world.heal()
    await attempt(world, url, until=world.chain.head.number)
    conn = await connect(url)
    found = await hashing.stored_hash(conn, DEVNET.chain_id)
    await conn.close()
    return found


async def _near_head(world: World, admin: Conn) -> None:
    for _ in range(100):
        stored = await admin.fetchval("SELECT block_number FROM checkpoint")
        if stored is not None and stored >= world.chain.head.number - world.dice.choice((0, 3)):
            return
        await asyncio.sleep(0.005)


async def _settle(world: World, url: str) -> None:
    for patience in range(50):
        try:
            await attempt(world, url, until=world.chain.head.number)
        except (NodeError, StoreError, LeaseLost):
            await asyncio.sleep(0.005 * patience)
        else:
            return
    raise AssertionError("the index did not settle after the trouble was over")


async def _kill(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
