"""Coverage against a real chain: an index may call itself complete only when it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from renown.chain.devnet import place_registries, seed_world
from renown.chain.source import ChainSource
from renown.ingest import coverage
from renown.ingest.coverage import Coverage
from renown.ingest.supervise import Job, Supervisor
from renown.spec.deployments import find
from renown.store.pool import Conn, connect
from tests.anvil import running_anvil

DEVNET = find("devnet")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def indexed(database_url: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A database that holds a seeded devnet, and two names of that devnet's node."""
    async with running_anvil() as node:
        await place_registries(node)
        world = await seed_world(node, 3, agents=12)
        urls = [f"http://{node.host}", f"http://localhost:{node.host.rpartition(':')[2]}"]
        supervisor = Supervisor(lambda: connect(database_url))
        await supervisor.run([Job(DEVNET, urls[:1])], until=world.last_block)
        yield database_url, urls


async def check(url: str, nodes: Sequence[str]) -> Coverage:
    conn = await connect(url)
    try:
        async with ChainSource(DEVNET, nodes, contracts=DEVNET.contracts, seed=1) as source:
            return await coverage.check(source, conn, DEVNET, seed=5)
    finally:
        await conn.close()


async def test_check__two_operators_agree__is_proven(indexed: tuple[str, list[str]]) -> None:
    url, nodes = indexed

    found = await check(url, nodes)

    assert (found.state, found.findings) == ("proven", [])
    assert found.agents_held == found.agents_on_chain
    assert found.ranges_checked > 1
    assert found.pairs_checked > 1
    assert len(found.operators) == 2


async def test_check__one_operator__is_single_source(indexed: tuple[str, list[str]]) -> None:
    url, nodes = indexed

    assert (await check(url, nodes[:1])).state == "single-source"


@pytest.mark.parametrize(
    "theft",
    [
        "DELETE FROM agent WHERE agent_id = 3",
        """DELETE FROM metadata_set WHERE (block_number, log_index) = (
               SELECT block_number, log_index FROM metadata_set
                ORDER BY block_number DESC, log_index DESC LIMIT 1)""",
        """DELETE FROM feedback_given WHERE (agent_id, client, feedback_index) IN (
               SELECT agent_id, client, max(feedback_index) FROM feedback_given GROUP BY 1, 2)""",
    ],
    ids=["agent", "log", "feedback"],
)
async def test_check__something_missing__is_a_gap_that_is_named(
    indexed: tuple[str, list[str]], theft: str
) -> None:
    url, nodes = indexed
    conn: Conn = await connect(url)
    work = conn.transaction()
    await work.start()
    try:
        await conn.execute(theft)
        async with ChainSource(DEVNET, nodes, contracts=DEVNET.contracts, seed=1) as source:
            found = await coverage.check(source, conn, DEVNET, seed=5)
    finally:
        await work.rollback()
        await conn.close()

    assert found.state == "gap"
    assert found.findings


async def test_check__the_nodes_serve_another_chain__is_unknown_never_proven(
    indexed: tuple[str, list[str]],
) -> None:
    url, _ = indexed
    async with running_anvil() as stranger:
        await place_registries(stranger)
        await seed_world(stranger, 4, agents=12)
        found = await check(url, [f"http://{stranger.host}"])

    assert found.state == "unknown"
    assert "another chain" in found.findings[-1]
