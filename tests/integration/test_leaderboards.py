"""Leaderboards: who leads, counted on a schedule, chains of both kinds apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from renown.ingest.upkeep import EVERY_ROUND, VIEWS, refresh, refresh_for_ever
from renown.spec.deployments import DEPLOYMENTS
from renown.store.leaderboards import KINDS
from renown.store.pool import Conn, connect
from tests.command import renown
from tests.conftest import NewDatabase
from tests.factories import ALICE, BOB, CAROL, DAVE, DEVNET, Story, person
from tests.integration.api import api_on, get, refused
from tests.integration.test_payment_rollups import CLAIM, PAY
from tests.integration.test_search import _keep, row

BASE = DEPLOYMENTS[8453]
HIDE = """
INSERT INTO installation_mark (chain_id, agent_id, mark) VALUES ($1, $2, 'hidden')
"""


def base_story() -> Story:
    """Agent 2 has three clients, 0 and 3 two each of whom 3 has more feedback, 1 has none."""
    story = Story(BASE, first_block=100)
    for agent_id in range(4):
        story.mint(agent_id, ALICE).next_block()
    for agent_id, client, index in (
        *((2, BOB, 1), (2, CAROL, 1), (2, DAVE, 1), (0, BOB, 1), (0, CAROL, 1)),
        *((3, BOB, 1), (3, CAROL, 1), (3, CAROL, 2)),
    ):
        story.give(agent_id, client, index)
    story.next_block()
    return story


def devnet_story() -> Story:
    """Agent 0 was busy in block 1, agent 1 is in block 2; it has more clients than anyone."""
    story = Story().mint(0, ALICE).mint(1, BOB)
    for index in range(1, 9):
        story.give(0, BOB, index)
    story.next_block()
    for number in range(5):
        story.give(1, person(100 + number), 1)
    return story.next_block()


async def paid(conn: Conn, agent_id: int, payer: int, *, final: bool, number: int) -> None:
    claim = await conn.fetchval(CLAIM, 8453, agent_id, number, "confirmed", False)
    await conn.execute(
        PAY,
        *(number, 8453, agent_id, claim, bytes([7]) * 20, bytes([payer]) * 20),
        *(10**30, final, False, 1),
    )


@pytest.fixture(scope="module")
def stored(database_url: str) -> str:
    async def tell() -> None:
        await base_story().write(database_url, final=100)
        await devnet_story().write(database_url)
        await _keep(database_url, [row(0, "On the devnet")])
        conn = await connect(database_url)
        # Agent 3 is paid by two, once each; agent 1 often by one, and much that is not final.
        for number, (agent_id, payer, final) in enumerate(
            [(3, 1, True), (3, 2, True), *[(1, 9, True)] * 3, *[(0, n, False) for n in range(4)]]
        ):
            await paid(conn, agent_id, payer, final=final, number=number + 1)
        await conn.execute(
            "UPDATE block SET time = time - interval '30 day' WHERE chain_id = 31337 AND number < 2"
        )
        await refresh(conn, list(VIEWS))
        await conn.close()

    asyncio.run(tell())
    return database_url


@pytest.fixture
async def client(stored: str) -> AsyncIterator[httpx.AsyncClient]:
    conn = await connect(stored)
    await conn.execute("DELETE FROM installation_mark")
    await conn.close()
    async with api_on(stored) as client:
        yield client


async def ids(client: httpx.AsyncClient, path: str) -> list[tuple[int, str]]:
    page = await get(client, f"/v1/leaderboards/{path}")
    return [(one["rank"], f"{one['chain_id']}:{one['agent_id']}") for one in page["items"]]


async def test_clients__of_all_main_networks__rank_by_clients_then_feedback_then_age(
    client: httpx.AsyncClient,
) -> None:
    assert await ids(client, "clients") == [(1, "8453:2"), (2, "8453:3"), (3, "8453:0")]
    page = await get(client, "/v1/leaderboards/clients")
    assert [(one["clients"], one["feedback"]) for one in page["items"]] == [(3, 3), (2, 3), (2, 2)]
    assert [block["chain_id"] for block in page["as_of"]] == [8453], "the main networks"
    assert page["as_of"][0]["block_number"] == 105
    assert "payers" not in page["items"][0]


async def test_places__of_test_networks__are_apart_and_their_own(client: httpx.AsyncClient) -> None:
    assert await ids(client, "clients?testnets=true") == [(1, "31337:1"), (2, "31337:0")]
    assert await ids(client, "clients?chain=devnet") == [(1, "31337:1"), (2, "31337:0")]
    named = await get(client, "/v1/leaderboards/clients?chain=31337")
    assert named["items"][1]["name"] == "On the devnet"
    assert named["items"][1]["key"] == f"eip155:31337:0x{DEVNET.identity.hex()}:0"


async def test_paid__ranks_distinct_payers_of_final_payments__whatever_they_paid(
    client: httpx.AsyncClient,
) -> None:
    assert await ids(client, "paid") == [(1, "8453:3"), (2, "8453:1")]
    page = await get(client, "/v1/leaderboards/paid")
    assert [(one["payers"], one["payments"]) for one in page["items"]] == [(2, 2), (1, 3)]
    assert page["items"][1]["totals"] == [
        {
            "chain_id": 31337,
            "token": {"address": "0x" + "07" * 20, "symbol": None, "decimals": None},
            "amount": str(3 * 10**30),
            "payments": 3,
        }
    ]


async def test_newest__is_the_last_registered_first(client: httpx.AsyncClient) -> None:
    assert [one for _, one in await ids(client, "newest")] == [f"8453:{n}" for n in (3, 2, 1, 0)]
    page = await get(client, "/v1/leaderboards/newest?limit=1")
    agent = await get(client, "/v1/agents/8453:3")
    assert page["items"][0]["registered_at"] == agent["created_at"]


async def test_busiest__counts_thirty_days_of_the_chain__not_what_was_before(
    client: httpx.AsyncClient,
) -> None:
    page = await get(client, "/v1/leaderboards/busiest?chain=devnet")
    assert [(one["agent_id"], one["events"]) for one in page["items"]] == [("1", 5)]


async def test_pages__by_cursor__hold_each_place_once(client: httpx.AsyncClient) -> None:
    seen, cursor = [], ""
    while True:
        page = await get(client, f"/v1/leaderboards/newest?limit=1{cursor}")
        seen += [one["rank"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [1, 2, 3, 4]


async def test_hidden_agents__where_no_answer_is_kept__are_left_out__and_ranks_stay(
    client: httpx.AsyncClient, stored: str
) -> None:
    before = await client.get("/v1/leaderboards/clients")
    conn = await connect(stored)
    await conn.execute(HIDE, 8453, 2)
    await conn.close()

    assert await ids(client, "clients") == [(2, "8453:3"), (3, "8453:0")]
    after = await client.get(
        "/v1/leaderboards/clients", headers={"If-None-Match": before.headers["etag"]}
    )
    assert after.status_code == 200


async def test_etag__until_it_is_counted_again__is_the_same(
    client: httpx.AsyncClient, stored: str
) -> None:
    tag = (await client.get("/v1/leaderboards/newest")).headers["etag"]
    conn = await connect(stored)
    same = await client.get("/v1/leaderboards/newest", headers={"If-None-Match": tag})
    await refresh(conn, ["leaderboard_newest"])
    await conn.close()
    counted_again = await client.get("/v1/leaderboards/newest", headers={"If-None-Match": tag})

    assert (same.status_code, counted_again.status_code) == (304, 200)


async def test_kinds__are_listed_with_their_age(client: httpx.AsyncClient) -> None:
    body = await get(client, "/v1/leaderboards")

    assert [one["kind"] for one in body["items"]] == list(KINDS)
    assert all(0 <= one["age_seconds"] < 300 for one in body["items"])


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("clients?chain=99", 404, "chain-not-found"),
        ("clients?chain=0", 404, "chain-not-found"),
        ("clients?chain=nowhere", 404, "chain-not-found"),
        ("clients?chain=base&testnets=true", 400, "bad-parameter"),
        ("clients?at=5", 400, "past-not-served"),
        ("clients?cursor=x", 400, "bad-cursor"),
    ],
)
async def test_places__of_what_there_is_not__say_so(
    client: httpx.AsyncClient, path: str, status: int, slug: str
) -> None:
    await refused(client, f"/v1/leaderboards/{path}", status, slug)


async def test_chain__that_came_after_the_count__has_no_places_yet(
    client: httpx.AsyncClient, stored: str
) -> None:
    await Story(DEPLOYMENTS[1], first_block=9).mint(0).next_block().write(stored)
    page = await get(client, "/v1/leaderboards/newest?chain=ethereum")
    conn = await connect(stored)
    await conn.execute("DELETE FROM agent WHERE chain_id = 1")
    for table in ("checkpoint", "chain"):
        await conn.execute(f"DELETE FROM {table} WHERE chain_id = 1")
    await conn.close()

    assert (page["items"], page["counted_at"]) == ([], None)
    assert page["as_of"][0]["chain_id"] == 1


async def test_chain__that_was_counted_before_it_had_a_checkpoint__is_not_there_yet(
    client: httpx.AsyncClient, stored: str
) -> None:
    conn = await connect(stored)
    await conn.execute(
        "INSERT INTO chain SELECT (jsonb_populate_record(c, $1)).* FROM chain c"
        " WHERE c.chain_id = 31337",
        json.dumps({"chain_id": 77, "slug": "late"}),
    )
    await refresh(conn, ["leaderboard_newest"])

    await refused(client, "/v1/leaderboards/newest?chain=77", 404, "chain-not-found")

    await conn.execute("DELETE FROM chain WHERE chain_id = 77")
    await refresh(conn, ["leaderboard_newest"])
    await conn.close()


async def test_busiest__events_of_agents_that_do_not_exist__take_no_places(
    fresh_database_url: str,
) -> None:
    story = Story().mint(0, ALICE)
    for number in range(1_001):
        story.give(5_000 + number, BOB, 1).give(5_000 + number, CAROL, 1)
    await story.next_block().write(fresh_database_url)
    conn = await connect(fresh_database_url)
    await refresh(conn, ["leaderboard_busiest"])

    found = await conn.fetch(
        "SELECT agent_id FROM leaderboard_busiest WHERE scope = 31337 AND rank > 0"
    )

    await conn.close()
    assert [row[0] for row in found] == [0]


async def test_upkeep__with_one_view_that_fails__does_the_rest(fresh_database_url: str) -> None:
    await devnet_story().write(fresh_database_url)
    conn = await connect(fresh_database_url)
    await conn.execute("DROP INDEX leaderboard_newest_page")  # so it cannot be counted beside reads
    await conn.execute(
        "INSERT INTO outbox (chain_id, position, kind, from_block, to_block, fact_count,"
        " written_at) VALUES (31337, 0, 'extend', 0, 0, 0, now() - interval '60 days')"
    )

    async def round_of_upkeep() -> Conn:
        return await connect(fresh_database_url)

    task = asyncio.create_task(refresh_for_ever(round_of_upkeep))
    wanted = set(VIEWS) - {"leaderboard_newest"}
    async with asyncio.timeout(20):
        counted: set[str] = set()
        while counted != wanted:
            await asyncio.sleep(0.02)
            counted = {row[0] for row in await conn.fetch("SELECT view FROM view_refresh")}
    task.cancel()

    assert await conn.fetchval("SELECT count(*) FROM outbox WHERE position = 0") == 0
    await conn.close()


async def test_refresh__what_was_counted_just_now__is_left_alone(stored: str) -> None:
    async def counted(conn: Conn) -> dict[str, object]:
        rows = await conn.fetch("SELECT view, refreshed_at FROM view_refresh")
        return {row[0]: row[1] for row in rows}

    conn = await connect(stored)
    before = await counted(conn)
    await refresh(conn, list(VIEWS), at_least_seconds=3_600)
    assert await counted(conn) == before
    # One that took an hour waits for a day, another does not.
    await conn.execute(
        "UPDATE view_refresh SET refreshed_at = now() - interval '2 hours',"
        " duration_ms = CASE view WHEN 'leaderboard_busiest' THEN 3.6e6 ELSE 10 END"
    )
    await refresh(conn, ["leaderboard_busiest", "leaderboard_paid"], at_least_seconds=30)
    after = await conn.fetch(
        "SELECT view FROM view_refresh WHERE refreshed_at > now() - interval '1 minute'"
    )
    await refresh(conn, list(EVERY_ROUND))
    await conn.close()
    assert {row[0] for row in after} == {"leaderboard_paid"}


async def test_page__for_people__shows_all_and_warns(client: httpx.AsyncClient) -> None:
    page = await client.get("/leaderboards", headers={"Accept": "text/html"})
    assert page.status_code == 200, page.text
    assert "Counts are not quality" in page.text
    assert page.text.count("<table>") == len(KINDS)
    assert "base:2" in page.text
    assert "devnet:" not in page.text
    named = (await client.get("/leaderboards?chain=devnet")).text
    assert "On the devnet" in named
    tests = (await client.get("/leaderboards?testnets=true")).text
    assert "devnet:1" in tests
    assert 'href="/leaderboards"' in (await client.get("/")).text


def test_command__prints_places_and_kinds(stored: str) -> None:
    table = renown("leaderboard", "clients", DATABASE_URL=stored)
    assert table.out.splitlines()[1].split("\t")[:2] == ["1", "8453:2"]
    body = json.loads(renown("leaderboard", "paid", "--json", DATABASE_URL=stored).out)
    assert body["items"][0]["payers"] == 2
    assert "busiest" in renown("leaderboard", DATABASE_URL=stored).out
    assert renown("leaderboard", "best", DATABASE_URL=stored).code == 64


def test_command__nobody_on_a_main_network__names_the_test_networks(
    new_database: NewDatabase, template: str
) -> None:
    empty = renown("leaderboard", "clients", DATABASE_URL=new_database(template))

    assert "--testnets" in empty.err
