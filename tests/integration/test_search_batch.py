"""Many agents by their keys in one request."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from renown.api.routes.search import LONGEST_BODY_BYTES
from tests.factories import ALICE, DEVNET, Story
from tests.integration.api import api_on, get

CHAIN = DEVNET.chain_id
REGISTRY = "0x" + DEVNET.identity.hex()


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(database_url) as client:
        if not (await get(client, "/v1/chains"))["items"]:
            story = Story()
            for n in range(5):
                story.mint(n, ALICE, b"https://a.example/%d" % n).next_block()
            await story.write(database_url)
        yield client


async def test_batch__keys_of_all_forms__come_back_in_their_order(client) -> None:
    uuid = (await get(client, f"/v1/agents/{CHAIN}:3"))["uuid"]
    keys = [
        f"{CHAIN}:4",
        uuid,
        f"eip155:{CHAIN}:{REGISTRY}:0",
        f"{CHAIN}:4",
        "nonsense",
        f"{CHAIN}:99",
        "77:1",
        f"eip155:{CHAIN}:0x{'11' * 20}:0",
        f"{CHAIN}:{2**64}",
    ]

    answer = await client.post("/v1/agents/batch", json={"keys": keys})

    body = answer.json()
    assert answer.status_code == 200
    assert [i["asked"] for i in body["items"]] == keys
    assert [i["agent"] and i["agent"]["agent_id"] for i in body["items"]] == [
        *("4", "3", "0", "4"),
        *(None,) * 5,
    ]
    assert [i["problem"] for i in body["items"]] == [
        *(None,) * 4,
        *("bad-agent-key", "agent-not-found", "agent-not-found", "agent-not-found"),
        "bad-agent-key",
    ]
    assert body["missing"] == keys[4:]
    assert body["as_of"][0]["chain_id"] == CHAIN


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": [1]}',
        b'{"keys": ["1:1"], "more": 1}',
        b'{"keys": "1:1"}',
        b'{"keys": ["\xff"]}',
        b"[" * 100_000,
        b'{"keys": [' + b",".join([b'"1:1"'] * 1001) + b"]}",
        b'{"keys": ["' + b"x" * 300_000 + b'"]}',
    ],
)
async def test_batch__body_that_is_none__is_refused(client, body) -> None:
    answer = await client.post("/v1/agents/batch", content=body)

    assert answer.status_code == (413 if len(body) > LONGEST_BODY_BYTES else 400)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_batch__a_thousand_keys__are_taken(client) -> None:
    answer = await client.post("/v1/agents/batch", json={"keys": [f"{CHAIN}:1"] * 1000})

    assert len(answer.json()["items"]) == 1000


async def test_batch__preflight__is_allowed(client) -> None:
    answer = await client.options("/v1/agents/batch")

    assert "POST" in answer.headers["access-control-allow-methods"]
