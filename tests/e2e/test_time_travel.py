"""`?at=N` of the devnet's index equals a fresh index that was stopped at block N.

One devnet with its seeded world, one index of all of it, and one of its own for each block asked
about; the questions go through the API. What may differ by nature, and is left out: the finality in
`as_of` (it is what is known by now), the cursor of a further page (signed for the query, which has
`at` in it), ETag and cache headers.
How many blocks and agents: `tests.counts`.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from renown.chain.devnet.cast import Cast
from renown.chain.devnet.seed import seed_world
from renown.store import facts, hashing
from renown.store.pool import Conn, connect
from tests.counts import PAST_AGENTS, PAST_BLOCKS
from tests.e2e.devnet import devnet, index
from tests.factories import DEVNET
from tests.integration.api import api_on
from tests.reading import reading

SEED = 7
CHAIN = DEVNET.chain_id
SECOND = Cast(SEED).second_validation_registry
FOLLOWED = msgspec.structs.replace(DEVNET, validation=(*DEVNET.validation, SECOND))
NOT_FOUND = "not found"
EVERYTHING = "include_revoked=true&include_superseded=true"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def of_chain(owners: list[str], clients: list[str]) -> list[str]:
    """Questions about the chain."""
    return [
        "/v1/agents?chain=devnet",
        f"/v1/feedback?chain=devnet&{EVERYTHING}",
        *(f"/v1/agents?chain=devnet&owner={owner}" for owner in owners),
        *(f"/v1/feedback?chain=devnet&client={client}" for client in clients),
        "/v1/feedback?chain=devnet&tag1=starred",
    ]


def of_agent(agent_id: int, clients: list[str]) -> list[str]:
    """Questions about one agent."""
    one = f"/v1/agents/{CHAIN}:{agent_id}"
    return [
        one,
        f"{one}/uri",
        f"{one}/metadata",
        f"{one}/feedback",
        f"{one}/feedback?{EVERYTHING}",
        f"{one}/reputation",
        f"{one}/reputation?clients={','.join(clients)}",
        f"{one}/reputation?clients={clients[0]}&tag1=starred",
        f"{one}/validations",
        f"{one}/history",
    ]


async def answer(client: httpx.AsyncClient, path: str, at: int | None) -> Any:
    """What is answered, all pages of it, without what may differ by nature."""
    params = httpx.URL(path).params
    if at is not None:
        params = params.set("at", at)
    if not path.endswith(("/uri", "/metadata")) and path.count("/") != 3:
        params = params.set("limit", 100)
    pages: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = params.set("cursor", cursor) if cursor else params
        got = await client.get(path.partition("?")[0], params=page)
        if got.headers["content-type"] == "application/octet-stream":
            return got.content
        body = got.json()
        if got.status_code == 404:
            return NOT_FOUND
        assert got.status_code == 200, f"{got.url}: {body}"
        cursor = body.pop("next_cursor", None)
        pages.append(body | {"as_of": block_of(body["as_of"])})
    return pages


def block_of(as_of: Any) -> Any:
    """The block that an answer is true at, without what is known of it by now."""
    if isinstance(as_of, list):
        return [block_of(each) for each in as_of]
    return {name: value for name, value in as_of.items() if name != "finality"}


@pytest.fixture(scope="module")
def partitioned(database_url: str) -> str:
    """Name of a template that has the devnet's partitions already, since clones are quicker."""

    async def prepare() -> None:
        conn = await connect(database_url)
        await facts.ensure_partitions(conn, CHAIN, 0, 0)
        await conn.close()

    asyncio.run(prepare())
    return database_url.rpartition("/")[2].partition("?")[0]


async def test_at__random_blocks_of_the_devnet__equals_a_fresh_index_stopped_there(
    new_database: Callable[[str], str], partitioned: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dice, began = random.Random(SEED), time.monotonic()
    whole_url = await asyncio.to_thread(new_database, partitioned)
    asked: Counter[str] = Counter()
    async with devnet() as chain:
        await seed_world(chain.node, SEED)
        head = await chain.head()
        await index(whole_url, FOLLOWED, chain.url, until=head)
        async with reading(whole_url) as whole, api_on(whole_url) as now:
            owners, clients, agents = await cast_of(whole)
            blocks = sorted(dice.sample(range(1, head + 1), min(PAST_BLOCKS, head)))
            for at in blocks:
                paths = of_chain(owners, clients)
                for agent_id in agents_at(at, agents, dice):
                    paths += of_agent(agent_id, clients)
                url = await asyncio.to_thread(new_database, partitioned)
                await index(url, FOLLOWED, chain.url, until=at)
                async with api_on(url) as then:
                    for path in paths:
                        past = await answer(now, path, at)
                        assert past == await answer(then, path, None), f"{path} at {at}"
                        asked["not found" if past == NOT_FOUND else "found"] += 1
                async with reading(url) as stopped:
                    expected = await hashing.stored_hash(stopped, CHAIN)
                assert await hashing.folded_hash(whole, CHAIN, at=at) == expected

    assert asked["found"] > asked["not found"] > 0
    with capsys.disabled():
        sys.stdout.write(
            f"\ntime travel: {asked.total():,} answers, {asked['not found']:,} of them `not found`,"
            f" at {len(blocks)} random blocks of {head} equal those of as many stopped"
            f" indexes, and so do the state hashes; {time.monotonic() - began:.1f} s\n"
        )


def agents_at(at: int, agents: dict[int, int], dice: random.Random) -> list[int]:
    """Some agents of block `at`, and the next to come; with no number set, all there ever are."""
    if not PAST_AGENTS:
        return [*agents, len(agents)]
    there = [agent_id for agent_id, block in agents.items() if block <= at]
    return [*dice.sample(there, min(PAST_AGENTS, len(there))), len(there)]


async def cast_of(conn: Conn) -> tuple[list[str], list[str], dict[int, int]]:
    """Who owned agents, who rated most, and the agents with the block each was born in."""
    owners = await conn.fetch(
        "SELECT owner FROM agent_ownership GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 6"
    )
    clients = await conn.fetch(
        "SELECT client FROM feedback_given GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 4"
    )
    agents = await conn.fetch("SELECT agent_id, created_block FROM agent ORDER BY 1")
    born = {row[0]: row[1] for row in agents}
    return [f"0x{r[0].hex()}" for r in owners], [f"0x{r[0].hex()}" for r in clients], born
