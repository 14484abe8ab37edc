"""Whatever happens on the way, the state is that of a clean sync."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from renown.store import facts
from renown.store.pool import connect
from tests.activity import DEVNET
from tests.simulation.world import World, clean_sync, simulate

SEEDS = int(os.environ.get("RENOWN_SIMULATION_SEEDS", "20"))


@pytest.fixture(scope="module")
def prepared(new_database: Callable[[str], str], template: str) -> str:
    """Name of a template that has the devnet's partitions already."""
    url = new_database(template)

    async def prepare() -> None:
        conn = await connect(url)
        await facts.ensure_partitions(conn, DEVNET.chain_id, 0, 0)
        await conn.close()

    asyncio.run(prepare())
    return url.rpartition("/")[2].partition("?")[0]


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_indexer__reorgs_lies_and_deaths__ends_as_a_clean_sync(
    new_database: Callable[[str], str], prepared: str, seed: int
) -> None:
    world = World(seed)

    troubled = await simulate(world, await asyncio.to_thread(new_database, prepared))
    clean = await clean_sync(world, await asyncio.to_thread(new_database, prepared))

    assert troubled == clean
