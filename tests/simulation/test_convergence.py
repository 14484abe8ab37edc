"""Whatever happens on the way, the state is that of a clean sync."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest.mock import create_autospec

import pytest
from asyncpg import PostgresError

from renown.errors import RenownError
from renown.store import facts, retract, state
from renown.store.pool import connect
from tests.activity import DEVNET
from tests.counts import SIMULATION_SEEDS
from tests.simulation.world import World, clean_sync, simulate

RETRACTIONS: list[int] = []
SEEDS = SIMULATION_SEEDS


@pytest.fixture(scope="module")
def prepared(database_url: str) -> str:
    """Name of a template that has the devnet's partitions already."""

    async def prepare() -> None:
        conn = await connect(database_url)
        await facts.ensure_partitions(conn, DEVNET.chain_id, 0, 0)
        await conn.close()

    asyncio.run(prepare())
    return database_url.rpartition("/")[2].partition("?")[0]


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_indexer__reorgs_lies_and_deaths__ends_as_a_clean_sync(
    new_database: Callable[[str], str], prepared: str, seed: int
) -> None:
    world = World(seed)

    troubled = await simulate(world, await asyncio.to_thread(new_database, prepared))
    clean = await clean_sync(world, await asyncio.to_thread(new_database, prepared))

    RETRACTIONS.append(world.retractions)
    assert troubled == clean


@pytest.mark.parametrize(
    ("module", "function"),
    [(state, "add_stats"), (state, "write_identities"), (retract, "_discount")],
    ids=lambda part: getattr(part, "__name__", part),
)
async def test_simulation__with_the_reorg_code_broken__notices(
    new_database: Callable[[str], str],
    prepared: str,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    function: str,
) -> None:
    """Each part of undoing a reorg is left out in turn; some seed must tell (most do at once)."""
    whole = retract.drop_above

    async def without_a_part(*args: Any, **named: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, function, create_autospec(getattr(module, function)))
            return await whole(*args, **named)

    monkeypatch.setattr(retract, "drop_above", without_a_part)
    for seed in range(40):
        world = World(seed)
        url = await asyncio.to_thread(new_database, prepared)
        try:
            troubled = await simulate(world, url)
        except (AssertionError, PostgresError, RenownError):
            return
        if troubled != await clean_sync(world, await asyncio.to_thread(new_database, prepared)):
            return
    pytest.fail(f"nobody missed {function}")


def test_simulation__over_its_seeds__undid_reorgs_in_most() -> None:
    """A simulation in which nothing happens would prove nothing."""
    assert len(RETRACTIONS) == SEEDS
    assert sum(n > 0 for n in RETRACTIONS) > SEEDS / 2
