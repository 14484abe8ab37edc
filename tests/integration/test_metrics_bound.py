"""Strangers cannot make series: whatever they send, the labels are ours."""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import AsyncIterator

import httpx
import pytest

from renown.api.app import create_app
from renown.obs import metrics
from renown.obs.metrics.series import worst_case
from renown.settings import Settings
from renown.store.pool import connect_pool
from tests.integration.api import SETTINGS, api_on


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(database_url) as client:
        yield client


def shown() -> set[str]:
    """Every series, without its value."""
    lines = metrics.exposition().decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


async def attack(client: httpx.AsyncClient, seed: int) -> list[str]:
    """Requests of every hostile kind. Returns what was planted in them."""
    chance, planted = random.Random(seed), []

    def odd() -> str:
        planted.append(secrets.token_hex(6))
        return planted[-1]

    for _ in range(6):
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", odd().upper()):
            await client.request(method, f"/{odd()}/{odd()}")
            await client.request(method, f"/v1/agents/{chance.randrange(10**9)}:{odd()}")
        await client.get(f"/v1/agents/{odd()}/feedback?{odd()}={odd()}")
        await client.get("/v1/search", params={"q": odd(), "chain": odd()})
        await client.get("/v1/chains", headers={"Host": f"{odd()}.example"})
        await client.get("/v1/account", headers={"Authorization": f"Bearer ak_live_{odd()}"})
        await client.get("/v1/account", headers={"Authorization": odd()})
        await client.post("/v1/sessions", json={"message": odd(), "signature": odd()})
        await client.get(f"/static/{odd()}")
        await client.get(f"/problems/{odd()}")
        await client.get("/v1/agents", headers={"User-Agent": odd(), "X-Forwarded-For": odd()})
        await client.get(f"//{odd()}%00%ff%22", headers={"traceparent": odd()})
    return planted


async def test_series__of_hostile_requests__are_no_more_after_the_second_hundred(
    client: httpx.AsyncClient,
) -> None:
    planted = await attack(client, 1)
    after_one = shown()
    planted += await attack(client, 2)

    assert shown() - after_one == set()
    text = metrics.exposition().decode()
    assert not [word for word in planted if word in text or word.upper() in text]


async def test_series__of_a_process_that_was_attacked__are_within_the_bound(
    client: httpx.AsyncClient, database_url: str
) -> None:
    await attack(client, 3)
    pool = await connect_pool(database_url, min_size=0, max_size=1)
    app = create_app(Settings(**SETTINGS), pool=pool)
    await pool.close()
    # Each method that a route takes and one for all others; any usual method where none fits.
    routes = sum(len(getattr(route, "methods", None) or ()) + 1 for route in app.routes) + 8
    about_chains = re.compile(r'chain="([^"]*)"')
    named = {match[1] for line in shown() if (match := about_chains.search(line))}

    most = worst_case(chains=max(1, len(named)), nodes=4, routes=routes, queries=100)

    assert len(shown()) <= most
    assert routes < 400  # what the reference says of its size stays true
