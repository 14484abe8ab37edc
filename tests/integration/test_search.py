"""Searches over the API: what is found, in what order, page by page, and what is said beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from renown.derive.profile import Profile
from renown.derive.terms import paths, term, three
from renown.spec.documents.model import Finding, Registration, Service
from renown.spec.names import name_key, skeleton
from renown.spec.words import texts_of
from renown.store import names, profiles, search
from renown.store.pool import connect, transaction
from tests.factories import ALICE, BOB, CAROL, DAVE, DEVNET, Story
from tests.integration.api import api_on, get, refused

CHAIN = DEVNET.chain_id


def row(
    agent_id: int,
    name: str,
    description: str = "",
    *,
    kinds: tuple[str, ...] = (),
    skills: tuple[str, ...] = (),
    tools: tuple[str, ...] = (),
    trust: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
    quality: int = 50,
    alive: bool | None = None,
    x402: bool | None = None,
    codes: tuple[str, ...] = (),
    template: bytes | None = None,
    owner: bytes = ALICE,
    feedback: int = 0,
    day: int = 1,
) -> Profile:
    """A row as the crawler would make it of such a file."""
    services = tuple(
        Service(position=n, kind=kind, name=kind, skills=skills, tools=tools)  # type: ignore[arg-type]
        for n, kind in enumerate(kinds)
    )
    said = Registration(name=name, description=description, services=services, tags=tags)
    terms = [
        *(term("chain", CHAIN), term("owner", "0x" + owner.hex()), term("state", "strict")),
        *(three("alive", alive), three("x402", x402), three("active", None)),
        *(term("kind", kind) for kind in kinds),
        *paths("skill", skills),
        *(term("tool", tool) for tool in tools),
        *(term("trust", model) for model in trust),
        *(term("tag", tag) for tag in tags),
        *(term("finding", code) for code in codes),
    ]
    time = datetime(2026, 1, day, tzinfo=UTC)
    return Profile(
        chain_id=CHAIN,
        agent_id=agent_id,
        state="strict",
        owner=owner,
        created_at=time,
        active_at=time,
        name=name,
        description=description,
        name_key=name_key(name),
        skeleton=skeleton(name),
        alive=alive,
        x402=x402,
        findings=tuple(Finding(code) for code in codes),
        terms=tuple(dict.fromkeys(terms)),
        texts=texts_of(said),
        template=template,
        quality=quality,
        feedback_count=feedback,
    )


ROWS = [
    row(0, "Weather Oracle", "Tells what will be.", kinds=("mcp",), tools=("get_forecast",),
        alive=True, quality=90, trust=("reputation",), feedback=7, day=3),
    row(1, "Storm Watch", "Weather for sailors, and weather for farmers.", kinds=("a2a",),
        quality=80, alive=False, x402=True, feedback=1, day=2),
    row(2, "getWeatherNow", "A tool.", kinds=("mcp", "web"), quality=10, owner=BOB),
    row(3, "Translator", "Turns 天气预报 into English.", kinds=("a2a",),
        skills=("nlp/translation",), tags=("O'Reilly & sons",), codes=("missing-image",)),
    row(4, "Crème Brûlée Bot", "Cooks.", trust=("tee-attestation",), skills=("nlp",)),
    row(5, "Stuffed", "weather " * 200, quality=50),
    row(6, "Copy 1", "A copied agent.", template=b"t" * 32, day=4),
    row(7, "Copy 2", "A copied agent.", template=b"t" * 32, day=5),
    row(8, "<b>Bold</b> weather", "<script>alert(1)</script>", quality=5),
    row(9, "Mundane", "the and of"),
]  # fmt: skip


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(database_url) as client:
        if not (await get(client, "/v1/chains"))["items"]:
            story = Story()
            for agent in ROWS:
                story.mint(agent.agent_id, agent.owner, b"https://a.example/%d" % agent.agent_id)
                story.next_block()
            story.give(0, CAROL, 1, 90, tag1=b"starred").give(0, DAVE, 1, 70, tag1=b"starred")
            story.give(1, CAROL, 1, -150, 2, tag1=b"uptime").next_block()
            await story.write(database_url)
            await _keep(database_url, ROWS)
        yield client


async def _keep(url: str, rows: list[Profile]) -> None:
    conn = await connect(url)
    try:
        async with transaction(conn) as tx:
            await profiles.write(tx, rows)
        await conn.execute("REFRESH MATERIALIZED VIEW term_count")
        await conn.execute("ANALYZE agent_profile")
    finally:
        await conn.close()


async def ids(client: httpx.AsyncClient, **params: Any) -> list[int]:
    """What was found, less what is only named like it."""
    page = await get(client, "/v1/agents", **params)
    return [int(item["agent_id"]) for item in page["items"] if "similar_name" not in item]


# Words -----------------------------------------------------------------------------------------


async def test_search__word_in_name__stands_before_descriptions_however_stuffed(client) -> None:
    found = await ids(client, q="weather")

    assert set(found) == {0, 1, 2, 5, 8}
    assert found[0] == 0
    assert found.index(5) > found.index(2)


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("get-forecast", {0}),
        ("getforecast", {0}),
        ("GetWeather", {2}),
        ("天气", {3}),
        ("creme brulee", {4}),
        ("sailing OR cooks", {4}),
        ('"weather oracle"', {0}),
        ('"oracle weather"', set()),
        ("weather -sailor -tool", {0, 5, 8}),
        ("o'reilly", {3}),
        ("translations", {3}),
    ],
)
async def test_search__as_people_type__finds_what_they_mean(client, q, expected) -> None:
    assert set(await ids(client, q=q)) == expected


@pytest.mark.parametrize("q", ["the and", "!!!", "-", "%", "_", "'", "\\", "\u200b", "''&|!():*"])
async def test_search__without_a_word__finds_nobody(client, q) -> None:
    page = await get(client, "/v1/agents", q=q)

    assert (page["items"], page["search"]["total"], page["search"]["total_is"]) == ([], 0, "exact")


async def test_search__too_long_a_text__is_refused(client) -> None:
    answer = await client.get("/v1/agents", params={"q": "x" * 10_001})

    assert answer.status_code == 400
    assert answer.json()["parameter"] == "q"


async def test_search__highlights__are_pieces_of_the_text_and_no_markup(client) -> None:
    page = await get(client, "/v1/agents", q="bold")

    assert page["items"][0]["highlights"] == {
        "name": [
            [
                {"text": "<b>", "hit": False},
                {"text": "Bold", "hit": True},
                {"text": "</b> weather", "hit": False},
            ]
        ]
    }


async def test_search__highlights_off__are_left_out(client) -> None:
    page = await get(client, "/v1/agents", q="bold", highlights="false")

    assert "highlights" not in page["items"][0]


# Misspelt --------------------------------------------------------------------------------------


async def test_search__misspelt__finds_by_similar_names_and_says_so(client) -> None:
    page = await get(client, "/v1/agents", q="wether oracel")

    assert page["search"]["misspelt"] == ["weather oracle"]
    assert [(i["agent_id"], i["similar_name"]) for i in page["items"]] == [("0", True)]
    assert page["search"]["total"] == 0


async def test_search__misspelt_with_filters__keeps_to_them(client) -> None:
    assert await ids(client, q="wether oracel", kind="a2a") == []


async def test_search__names_take_too_long__answers_without(client, monkeypatch) -> None:
    slow = "SELECT 'x', 'y', 1 FROM pg_sleep(2) WHERE $1::text[] <> $2::text[]"
    monkeypatch.setattr(names, "NEAR", slow)

    page = await get(client, "/v1/agents", q="wether oracel")

    assert page["items"] == []
    assert page["search"]["misspelt_too_slow"] is True


async def test_search__two_letters_or_wildcards__try_no_names(client) -> None:
    for q in ("we", "%%%", "___"):
        page = await get(client, "/v1/agents", q=q)
        assert page["search"]["misspelt"] == []


# Filters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"kind": "mcp"}, {0, 2}),
        ({"kind": "mcp,a2a"}, {0, 1, 2, 3}),
        ({"kind": "!mcp,a2a"}, {4, 5, 6, 7, 8, 9}),
        ({"kind": ["mcp", "web"]}, {2}),
        ({"skill": "nlp"}, {3, 4}),
        ({"skill": "NLP/Translation"}, {3}),
        ({"tool": "get_forecast"}, {0}),
        ({"trust": "reputation"}, {0}),
        ({"alive": "yes"}, {0}),
        ({"alive": "false"}, {1}),
        ({"x402": "true"}, {1}),
        ({"finding": "missing-image"}, {3}),
        ({"owner": "0x" + BOB.hex(), "sort": "quality"}, {2}),
        ({"owner": f"0x{BOB.hex()},0x{CAROL.hex()}"}, {2}),
        ({"chain": "devnet", "kind": "web"}, {2}),
        ({"tag": "o'reilly & sons"}, {3}),
        ({"filter": "kind:mcp AND NOT alive:yes"}, {2}),
        ({"filter": 'tag:"O\'Reilly & sons" or (trust:reputation tool:get_forecast)'}, {0, 3}),
        ({"feedback_min": "1"}, {0, 1}),
        ({"feedback_min": "1", "feedback_max": "6"}, {1}),
        ({"feedback_max": "0", "kind": "a2a"}, {3}),
        ({"tag1": "starred"}, {0}),
        ({"tag1": "starred", "average_min": "80"}, {0}),
        ({"tag1": "starred", "average_min": "80.000000000000000001"}, set()),
        ({"tag1": "uptime", "average_max": "-1.5"}, {1}),
        ({"average_max": "-1.51"}, set()),
        ({"tag2": "nothing"}, set()),
        ({"registered_from": "2026-01-03T00:00:00Z"}, {0, 6, 7}),
        ({"registered_before": "2026-01-03T00:00:00Z", "kind": "mcp"}, {2}),
        ({"active_from": "2026-01-04T00:00:00Z"}, {6, 7}),
        ({"collapse": "true", "q": "copied"}, {6}),
        ({"q": "weather", "kind": "mcp"}, {0, 2}),
        ({"verified": "yes"}, set()),
    ],
)
async def test_search__filters__keep_what_they_say(client, params, expected) -> None:
    assert set(await ids(client, **params)) == expected


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("kind=mpc", "mcp"),
        ("state=fine", "tolerant"),
        ("finding=nope", "missing-name"),
        ("alive=perhaps", "unknown"),
        ("filter=nope:1", "kind"),
        ("filter=kind:mcp%20AND", "character 13"),
        ("filter=(kind:mcp", "not closed"),
        ("sort=best", "relevance"),
        ("sort=relevance", "needs a text"),
        ("facets=owner", "trust"),
        ("average_min=many", "decimal"),
        ("registered_from=12", "time"),
        ("feedback_min=-1", "feedback_min"),
        ("kind=", "needs a value"),
        ("knid=mcp", "no such parameter"),
        ("q=a&q=b", "twice"),
        ("tag1=" + "x" * 10_001, "tag1"),
    ],
)
async def test_search__parameter_that_means_nothing__is_refused_and_says_what_would(
    client, query, word
) -> None:
    problem = await refused(client, f"/v1/agents?{query}", 400, "bad-parameter")

    assert word in problem["detail"]


async def test_search__of_the_past__is_refused(client) -> None:
    await refused(client, "/v1/agents?q=weather&at=3", 400, "past-not-served")


async def test_search__unknown_chain__is_not_found(client) -> None:
    await refused(client, "/v1/agents?q=weather&chain=nowhere", 404, "chain-not-found")


# Facets and totals -----------------------------------------------------------------------------


async def test_search__facets__add_up(client) -> None:
    page = await get(client, "/v1/agents", q="weather", facets="chain,kind,alive,tool")

    counts = page["search"]["facets"]
    assert counts["approximate"] is False
    values = {kind: {v["value"]: v["count"] for v in counts["values"][kind]} for kind in
              ("chain", "kind", "alive", "tool")}  # fmt: skip
    assert values == {
        "chain": {str(CHAIN): 5},
        "kind": {"mcp": 2, "a2a": 1, "web": 1},
        "alive": {"unknown": 3, "yes": 1, "no": 1},
        "tool": {"get_forecast": 1},
    }
    assert page["search"]["total"] == 5 == sum(values["alive"].values())
    for kind, counted in values.items():
        for value, count in counted.items():
            assert len(await ids(client, q="weather", **{kind: value})) == count


async def test_search__facets_above_the_limit__are_kept_or_approximate(client, monkeypatch) -> None:
    from renown.store import facets

    monkeypatch.setattr(facets, "MOST_COUNTED", 2)

    whole = await get(client, "/v1/agents", facets="kind")
    some = await get(client, "/v1/agents", facets="kind", alive="unknown", limit=1)

    assert whole["search"]["facets"]["approximate"] is True
    assert whole["search"]["facets"]["counted_at"]
    assert {"value": "mcp", "count": 2} in whole["search"]["facets"]["values"]["kind"]
    assert some["search"]["facets"]["approximate"] is True
    assert "counted_at" not in some["search"]["facets"]
    assert some["search"]["total_is"] == "estimate"


async def test_search__sorts__by_what_they_are_named_for(client) -> None:
    assert (await ids(client, sort="quality"))[:2] == [0, 1]
    assert (await ids(client, sort="newest"))[:3] == [7, 6, 0]
    assert (await ids(client, sort="activity"))[:3] == [7, 6, 0]
    assert (await ids(client, sort="feedback"))[0] == 0
    assert (await ids(client, q="weather", sort="quality")) == [0, 1, 5, 2, 8]


# Pages -----------------------------------------------------------------------------------------


async def pages(client: httpx.AsyncClient, **params: Any) -> AsyncIterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = await get(client, "/v1/agents", **params, **cursor)
        yield page
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("candidates", [2, 3, 4, 5, 100])
@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_search__pages_of_a_rank__give_each_once_and_say_where_they_were_cut(
    client, monkeypatch, candidates, limit
) -> None:
    monkeypatch.setattr(search, "CANDIDATES", candidates)

    seen = []
    async for page in pages(client, q="weather", limit=limit):
        seen += [int(item["agent_id"]) for item in page["items"]]
        assert page["search"]["cut"] is (candidates < 5)

    assert sorted(seen) == [0, 1, 2, 5, 8]
    assert set(seen[:2]) == {0, 1} or candidates > 2


@pytest.mark.parametrize("sort", ["relevance", "quality", "newest", "activity", "feedback"])
async def test_search__cursor_of_another_search__is_refused(client, sort) -> None:
    q = {"q": "weather"}
    first = await get(client, "/v1/agents", **q, sort=sort, limit=1)

    answer = await client.get(
        "/v1/agents", params={"q": "storm", "sort": sort, "cursor": first["next_cursor"]}
    )

    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/bad-cursor"


@pytest.mark.parametrize("sort", ["relevance", "quality"])
async def test_search__while_others_write__gives_each_unchanged_agent_once(
    fresh_database_url, monkeypatch, sort
) -> None:
    monkeypatch.setattr(search, "CANDIDATES", 20)
    url = fresh_database_url
    story = Story()
    for n in range(120):
        story.mint(n, ALICE, b"https://a.example/%d" % n)
    await story.next_block().write(url)
    word = ("weather", "weather weather", "weather report")
    still = [row(n, f"A {n}", word[n % 3], quality=n % 7 * 20) for n in range(0, 120, 2)]
    moving = [row(n, f"B {n}", "weather", quality=n % 5 * 30) for n in range(1, 120, 2)]
    await _keep(url, still + moving)
    stop = asyncio.Event()

    async def write() -> None:
        conn, turn = await connect(url), 0
        while not stop.is_set():
            turn += 1
            async with transaction(conn) as tx:
                changed = [
                    row(p.agent_id, f"B {turn}", "weather " * (turn % 4 + 1),
                        quality=(p.agent_id * 31 + turn * 17) % 140)
                    for p in moving[turn % 3 :: 3]
                ]  # fmt: skip
                await profiles.write(tx, changed)
            await asyncio.sleep(0)
        await conn.close()

    writer = asyncio.create_task(write())
    try:
        async with api_on(url) as client:
            seen: list[int] = []
            async for page in pages(client, q="weather", sort=sort, limit=7, highlights="false"):
                seen += [int(item["agent_id"]) for item in page["items"]]
    finally:
        stop.set()
        await writer

    unchanged = [n for n in seen if n % 2 == 0]
    assert sorted(unchanged) == [p.agent_id for p in still]


# What it is true of, and whom it names -----------------------------------------------------------


async def test_search__as_of__is_the_block_that_was_taken_in(client, conn) -> None:
    before = await get(client, "/v1/agents", q="weather")
    epoch = await conn.fetchval("SELECT epoch FROM chain WHERE chain_id = $1", CHAIN)
    await conn.execute(
        "INSERT INTO trail (chain_id, epoch, position, block_number, block_hash, block_time)"
        " VALUES ($1, $2, 1, 4, sha256('four'), now()) ON CONFLICT DO NOTHING",
        *(CHAIN, epoch),
    )

    after = await get(client, "/v1/agents", q="weather")

    assert before["as_of"][0]["block_number"] is None
    assert after["as_of"][0]["block_number"] == 4


async def test_agent__with_profile__shows_it_in_brief_and_changes_its_tag(client, conn) -> None:
    before = await client.get(f"/v1/agents/{CHAIN}:9")
    page = await client.get(f"/v1/agents?chain={CHAIN}")
    await _keep_one(conn, row(9, "Mundane", "changed " * 100, kinds=("mcp",), codes=("x",)))

    after = await client.get(f"/v1/agents/{CHAIN}:9")
    past = await get(client, f"/v1/agents/{CHAIN}:9", at="11")

    profile = after.json()["profile"]
    assert profile["name"] == "Mundane"
    assert profile["kinds"] == ["mcp"]
    assert profile["findings"] == ["x"]
    assert len(profile["description"]) == 400
    assert before.headers["etag"] != after.headers["etag"]
    assert past["profile"] is None
    known = {"If-None-Match": page.headers["etag"]}
    again = await client.get(f"/v1/agents?chain={CHAIN}", headers=known)
    listed = {agent["agent_id"]: agent["profile"] for agent in again.json()["items"]}
    assert listed["9"] == profile


async def _keep_one(conn: Any, profile: Profile) -> None:
    async with transaction(conn) as tx:
        await profiles.write(tx, [profile])


async def test_list__of_a_chain__shows_profiles_too(client) -> None:
    page = await get(client, "/v1/agents", chain=str(CHAIN))

    assert [item["profile"]["name"] for item in page["items"]][-1] == "Weather Oracle"
    assert "search" not in page
