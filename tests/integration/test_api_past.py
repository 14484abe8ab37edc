"""`?at=` of a whole index equals an index that stopped there, for everything that takes `at`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from renown.spec.events import FeedbackGiven
from tests.activity import Activity
from tests.factories import ALICE, BOB, CAROL, DAVE, DEVNET, Story, store_blocks
from tests.integration.api import api_on, get, refused

BLOCKS = 30


def questions(agents: int, clients: list[str], owners: list[str]) -> list[str]:
    """Paths that take `at`."""
    everything = "include_revoked=true&include_superseded=true"
    paths = ["/v1/agents?chain=devnet&limit=7", f"/v1/feedback?chain=devnet&{everything}&limit=100"]
    paths += [f"/v1/agents?chain=31337&owner={owner}" for owner in owners]
    paths += [f"/v1/feedback?chain=31337&client={client}" for client in clients]
    for agent in range(agents):
        one = f"/v1/agents/31337:{agent}"
        paths += [
            *(
                one,
                f"{one}/uri",
                f"{one}/metadata",
                f"{one}/validations",
                f"{one}/history?limit=100",
            ),
            *(f"{one}/feedback?limit=100", f"{one}/feedback?{everything}&tag1=starred"),
            *(f"{one}/reputation", f"{one}/reputation?clients={','.join(clients)}&tag1=uptime"),
            f"{one}/feedback/{clients[0]}/1/responses",
        ]
    return paths


async def ask(client: httpx.AsyncClient, path: str, at: int | None) -> Any:
    """What is answered, without where it is true and without what is no answer."""
    answer = await client.get(path, params=None if at is None else with_at(path, at))
    if answer.headers.get("content-type") == "application/octet-stream":
        return answer.content
    body = answer.json()
    if answer.status_code >= 400:
        return answer.status_code, body["type"]
    body.pop("as_of")
    body.pop("next_cursor", None)  # signed for the query, which differs
    return body


def with_at(path: str, at: int) -> list[tuple[str, Any]]:
    return [*httpx.URL(path).params.multi_items(), ("at", at)]


async def all_pages(client: httpx.AsyncClient, path: str, at: int | None) -> list[Any]:
    items: list[Any] = []
    params = list(httpx.URL(path).params.multi_items() if at is None else with_at(path, at))
    cursor: str | None = None
    while True:
        page = await get(
            client,
            path.split("?", maxsplit=1)[0],
            **dict(params),
            **({"cursor": cursor} if cursor else {}),
        )
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


@pytest.mark.parametrize("seed", range(2))
async def test_at__random_activity_at_any_block__equals_an_index_that_stopped_there(
    new_database: Callable[[str], str], template: str, seed: int
) -> None:
    activity, choose = Activity(seed), random.Random(seed)
    blocks, parent = [], bytes(32)
    for number in range(1, BLOCKS + 1):
        blocks.append(activity.block(number, parent, facts=choose.choice((0, 2, 5, 9))))
        parent = blocks[-1][0].hash
    facts = [fact for _, found in blocks for fact in found]
    clients = sorted({"0x" + f.client.hex() for f in facts if isinstance(f, FeedbackGiven)})[:4]
    paths = questions(activity._next_agent, clients, clients)
    whole_url = await asyncio.to_thread(new_database, template)
    await store_blocks(whole_url, blocks)

    async with api_on(whole_url) as whole:
        for at in choose.sample(range(1, BLOCKS + 1), 3):
            stopped_url = await asyncio.to_thread(new_database, template)
            await store_blocks(stopped_url, blocks[:at])
            async with api_on(stopped_url) as stopped:
                for path in paths:
                    assert await ask(whole, path, at) == await ask(stopped, path, None), (at, path)
                listed = "/v1/agents?chain=devnet&limit=2"
                assert await all_pages(whole, listed, at) == await all_pages(stopped, listed, None)


@pytest.fixture(scope="module")
def story() -> Story:
    """Blocks 10 to 17, of which 10 to 13 are final and 12 has no facts and is not kept."""
    story = Story(first_block=5)
    story.next_block(5)
    story.mint(0, ALICE, b"ipfs://one").next_block()
    story.give(0, CAROL, 1, 80).give(0, CAROL, 2, 90).next_block(2)
    story.revoke(0, CAROL, 1).respond(0, CAROL, 2, DAVE).respond(0, CAROL, 1).next_block()
    story.transfer(0, ALICE, BOB).say_uri(0, b"ipfs://two", BOB).next_block()
    story.give(0, CAROL, 1, 70).next_block()  # the registry restarted its indexes
    story.respond(0, CAROL, 1).next_block()
    return story


@pytest.fixture
async def client(database_url: str, story: Story) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(database_url) as client:
        if not (await get(client, "/v1/chains"))["items"]:
            await story.write(database_url, final=13, safe=14)
        yield client


AGENT = f"/v1/agents/{DEVNET.chain_id}:0"


async def test_at__block_between_stored_ones__is_true_at_the_one_before(
    client: httpx.AsyncClient, story: Story
) -> None:
    body = await get(client, AGENT, at=12)

    assert body["as_of"] == {
        "chain_id": 31337,
        "block_number": 11,
        "block_hash": "0x" + story.hash_of(11).hex(),
        "time": body["as_of"]["time"],
        "finality": "final",
    }
    assert body["counts"]["feedback"] == 2
    assert body["counts"]["revoked"] == 0


@pytest.mark.parametrize(("at", "finality"), [(13, "final"), (14, "safe"), (15, "latest")])
async def test_at__finality__is_the_blocks_own(
    client: httpx.AsyncClient, at: int, finality: str
) -> None:
    assert (await get(client, AGENT, at=at))["as_of"]["finality"] == finality


async def test_at__time__is_the_last_block_at_or_before_it(
    client: httpx.AsyncClient, story: Story
) -> None:
    for at, block in (
        (story.time_of(13), 13),
        (story.time_of(13) + 11, 13),
        (story.time_of(12), 11),
    ):
        assert (await get(client, AGENT, at=f"@{at}"))["as_of"]["block_number"] == block


async def test_at__past_owner_uri_and_wallet__are_those_of_then(client: httpx.AsyncClient) -> None:
    then, now = await get(client, AGENT, at=13), await get(client, AGENT)

    assert (then["uri"], then["wallet_state"], then["transfers"]) == ("ipfs://one", "default", 0)
    assert (now["uri"], now["wallet_state"], now["transfers"]) == ("ipfs://two", "cleared", 1)
    assert then["owner"] == then["wallet"] == then["registrant"] != now["owner"]


async def test_at__lists_by_owner__read_intervals(client: httpx.AsyncClient) -> None:
    async def owned(who: bytes, at: int) -> list[str]:
        found = await get(client, "/v1/agents", owner="0x" + who.hex(), at=at, chain="devnet")
        return [item["agent_id"] for item in found["items"]]

    assert await owned(ALICE, 13) == ["0"]
    assert await owned(BOB, 13) == []
    assert await owned(ALICE, 14) == []
    assert await owned(BOB, 14) == ["0"]


async def test_at__mark_of_later__is_not_seen_yet(client: httpx.AsyncClient) -> None:
    async def marks(at: int) -> list[tuple[Any, ...]]:
        found = await get(
            client, f"{AGENT}/feedback", at=at, include_revoked=True, include_superseded=True
        )
        return [(f["value"], f["revoked"], f["superseded"], f["responses"]) for f in found["items"]]

    assert await marks(11) == [("90", False, False, 0), ("80", False, False, 0)]
    assert await marks(13) == [("90", False, False, 1), ("80", True, False, 1)]
    before = [("90", False, False, 1), ("80", True, True, 1)]
    assert await marks(15) == [("70", False, False, 0), *before]
    assert await marks(16) == [("70", False, False, 1), *before]  # the answer is to the new one


async def test_summary__registry_restarted__counts_up_to_the_last_index_only(
    client: httpx.AsyncClient,
) -> None:
    async def summary(at: int) -> tuple[int, str]:
        found = await get(client, f"{AGENT}/reputation", at=at, clients="0x" + CAROL.hex())
        return found["summary"]["count"], found["summary"]["summary_value"]

    assert await summary(11) == (2, "85")
    assert await summary(13) == (1, "90")
    assert await summary(15) == (1, "70")  # index 2 is of before: the registry knows one record


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        (f"{AGENT}?at=18", "block-beyond-head"),
        (f"{AGENT}?at=2999-01-01T00:00:00Z", "block-beyond-head"),
        (f"{AGENT}?at=4", "bad-parameter"),
        (f"{AGENT}?at=1990-01-01T00:00:00Z", "bad-parameter"),
        (f"{AGENT}?at=yesterday", "bad-parameter"),
        ("/v1/agents?at=12", "bad-parameter"),
        ("/v1/network?at=12", "past-not-served"),
        ("/v1/status?at=12", "past-not-served"),
        ("/v1/quarantine?at=12", "past-not-served"),
        ("/v1/outbox?chain=devnet&at=12", "past-not-served"),
    ],
)
async def test_at__what_cannot_be_answered__is_said_clearly(
    client: httpx.AsyncClient, path: str, slug: str
) -> None:
    assert (await refused(client, path, 400, slug))["detail"]


async def test_at__agent_not_minted_yet__is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("", "/metadata", "/feedback", "/history", "/reputation", "/validations", "/uri"):
        await refused(client, f"{AGENT}{path}?at=9", 404, "agent-not-found")


async def test_at__start_without_any_block__answers_nothing_without_a_hash(
    client: httpx.AsyncClient,
) -> None:
    body = await get(client, "/v1/agents", chain="devnet", at=7)

    assert body["items"] == []
    assert body["as_of"][0]["block_number"] == 7
    assert body["as_of"][0]["block_hash"] is None
