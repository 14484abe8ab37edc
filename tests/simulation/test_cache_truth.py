"""Whatever the order in which reads, facts, reorgs, changes and words meet, every answer served is
what the database said at the block that the answer names."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from typing import Any

import httpx
import pytest

from renown.store.pool import Conn
from tests.activity import DEVNET
from tests.counts import SIMULATION_SEEDS
from tests.integration.api import api_on
from tests.integration.cached import Cached, cached_on, read_as
from tests.integration.test_cache_kept import profile
from tests.integration.test_outbox import Primary, writing

CHAIN = DEVNET.chain_id
ACTS = 16
READERS = 4
AGENTS = 5
PATHS = ("", "/reputation", "/metadata", "/stats")

Block = tuple[int | None, str | None]


@pytest.mark.parametrize("seed", range(max(2, SIMULATION_SEEDS // 7)))
async def test_cache__under_any_interleaving__serves_what_was_true_at_the_named_block(
    fresh_database_url: str, seed: int
) -> None:
    dice = random.Random(seed)
    async with writing(fresh_database_url, "primary") as writer:
        primary = Primary(writer, seed)
        async with cached_on(fresh_database_url) as cached, api_on(fresh_database_url) as plain:
            truth = Truth(plain)
            cached.watched.after = lambda: asyncio.sleep(dice.choice((0, 0, 0.001, 0.01)))
            hits = read_as("kept", "hit")
            reading = [asyncio.create_task(read_on(cached, truth, dice)) for _ in range(READERS)]
            for _ in range(ACTS):
                await act(primary, dice)
                await truth.note(primary.conn)
                await asyncio.sleep(dice.choice((0, 0.005, 0.03)))
            for reader in reading:
                reader.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            errors = [r.exception() for r in reading if not r.cancelled()]
            assert not any(errors), errors

            truth.check()
            await cached.hears(fresh_database_url)
            await check_the_present(cached, plain, await paths(primary.conn))
            assert read_as("kept", "hit") > hits


async def act(primary: Primary, dice: random.Random) -> None:
    """A commit of the writer, or a change off the chain."""
    if dice.random() < 0.3:
        known = await primary.conn.fetch("SELECT agent_id FROM agent ORDER BY agent_id")
        if known:
            state = dice.choice(("none", "pending", "strict", "foreign"))
            await profile(primary.conn, dice.choice(known)[0], state)
            return
    await primary.act()


class Truth:
    """What the database said of every agent at each block, and what was served."""

    def __init__(self, plain: httpx.AsyncClient) -> None:
        self._plain = plain
        self._said: defaultdict[tuple[Block, str], set[str]] = defaultdict(set)
        self._served: list[tuple[Block, str, str]] = []

    async def note(self, conn: Conn) -> None:
        """Note what is said now."""
        for path in await paths(conn):
            block, body = split((await self._plain.get(path)).json())
            self._said[block, path].add(body)

    def served(self, path: str, answer: Any) -> None:
        self._served.append((*split(answer), path))

    def check(self) -> None:
        assert len(self._served) > 5 * ACTS
        for block, body, path in self._served:
            assert body in self._said[block, path], (path, block)


async def paths(conn: Conn) -> list[str]:
    rows = await conn.fetch("SELECT agent_id FROM agent ORDER BY agent_id")
    names = [f"{CHAIN}:{row[0]}" for row in rows[:AGENTS]]
    return [f"/v1/agents/{name}{path}" for name in names for path in PATHS]


async def read_on(cached: Cached, truth: Truth, dice: random.Random) -> None:
    while True:
        path = f"/v1/agents/{CHAIN}:{dice.randrange(AGENTS)}{dice.choice(PATHS)}"
        answer = await cached.client.get(path)
        if answer.status_code == 200:
            truth.served(path, answer.json())
        else:
            assert answer.status_code == 404, answer.text
        await asyncio.sleep(dice.choice((0, 0.001, 0.004)))


def split(answer: Any) -> tuple[Block, str]:
    """The block an answer names, and the answer without it."""
    block = answer.pop("as_of")
    return (block["block_number"], block["block_hash"]), json.dumps(answer, sort_keys=True)


async def check_the_present(cached: Cached, plain: httpx.AsyncClient, wanted: list[str]) -> None:
    """When all words were heard, what is kept is what a read gives, its `as_of` included."""
    for path in wanted:
        await cached.get(path)
        kept, read = await cached.get(path), await plain.get(path)
        assert kept.json() == read.json(), path
        for name in ("etag", "renown-as-of"):
            assert kept.headers[name] == read.headers[name], path
