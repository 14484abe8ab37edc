"""The indexer where nodes and the past do not agree: it stops short rather than build on sand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from renown.chain.source import ChainSource
from renown.decode import Decoder
from renown.errors import BeyondHead, NodeInconsistent
from renown.ingest import repair
from renown.ingest.indexer import WINDOW_BLOCKS, Indexer, Limits
from renown.store import hashing
from renown.store.lease import acquire
from renown.store.pool import connect
from renown.store.writer import Writer
from renown.types import BlockRef
from tests.activity import DEVNET, Activity
from tests.encode import log_of
from tests.fakes.chain import FakeChain
from tests.fakes.node import FakeNode
from tests.fakes.world import source_of

ON_BRANCH_A = BlockRef(20, b"\xaa" * 32, b"\xab" * 32, 1)


@pytest.fixture
def chain() -> FakeChain:
    """60 blocks of activity, final up to 52."""
    activity, chain = Activity(8), FakeChain(8)
    for number in range(1, 61):
        _, facts = activity.block(number, bytes(32), facts=number % 4)
        chain.append([log_of(fact) for fact in facts])
    return chain


@pytest.fixture
async def writer(fresh_database_url: str) -> AsyncIterator[Writer]:
    conn = await connect(fresh_database_url)
    yield await acquire(conn, DEVNET, start_block=0, genesis_hash=None, name="test")
    await conn.close()


def indexer(source: ChainSource, writer: Writer) -> Indexer:
    decoder = Decoder(DEVNET.identity, DEVNET.reputation, DEVNET.validation)
    return Indexer(source, writer, decoder, Limits(64, poll_seconds=0.001, batch_events=30))


async def test_run__nodes_differ_about_the_stored_tip__stores_nothing_upon_it(
    chain: FakeChain, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with source_of(FakeNode(chain)) as source:
        await indexer(source, writer).run(until=20)
        true_block, true_blocks = source.block, source.blocks

        async def says_branch_a(number: int) -> BlockRef | None:
            return ON_BRANCH_A if number == 20 else await true_block(number)

        monkeypatch.setattr(source, "block", says_branch_a)
        monkeypatch.setattr(source, "blocks", true_blocks)  # another node, which agrees with us
        with pytest.raises(NodeInconsistent, match="differ"):
            await indexer(source, writer).run(until=40)

    assert writer.checkpoint.block_number == 20


async def test_run__the_node_lacks_the_stored_tip__waits_for_another(
    chain: FakeChain, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with source_of(FakeNode(chain)) as source:
        await indexer(source, writer).run(until=20)

        async def lacks(_number: int) -> None:
            return None

        monkeypatch.setattr(source, "block", lacks)
        with pytest.raises(BeyondHead):
            await indexer(source, writer).run(until=40)

    assert writer.checkpoint.block_number == 20


async def test_run__nothing_is_ever_final__follows_in_windows_all_the_same(
    fresh_database_url: str, writer: Writer
) -> None:
    chain = FakeChain(3, finality_lag=None)
    chain.extend(5 * WINDOW_BLOCKS)
    asked: list[int] = []
    async with source_of(FakeNode(chain)) as source:
        window = source.window

        async def counted(first: int, last: int):
            asked.append(last - first + 1)
            return await window(first, last)

        source.window = counted  # type: ignore[method-assign]
        await indexer(source, writer).run(until=chain.head.number)

    assert max(asked) <= WINDOW_BLOCKS
    assert writer.checkpoint.block_number == chain.head.number


async def test_rewind__far_below_what_is_final__goes_in_steps_and_comes_back_the_same(
    chain: FakeChain, fresh_database_url: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "REWIND_FACTS", 10)
    async with source_of(FakeNode(chain)) as source:
        await indexer(source, writer).run(until=60)
        conn = writer._conn
        before = await hashing.stored_hash(conn, DEVNET.chain_id)

        dropped = await repair.rewind(conn, DEVNET, to_block=4, name="operator")

        steps = await conn.fetchval("SELECT count(*) FROM outbox WHERE kind = 'retract'")
        assert dropped > 10
        assert steps > 3
        assert await conn.fetchval("SELECT block_number FROM checkpoint") == 4
        assert await hashing.stored_hash(conn, DEVNET.chain_id) == await hashing.folded_hash(
            conn, DEVNET.chain_id
        )
        again = await acquire(conn, DEVNET, start_block=0, genesis_hash=None, name="again")
        await indexer(source, again).run(until=60)
        assert await hashing.stored_hash(conn, DEVNET.chain_id) == before
