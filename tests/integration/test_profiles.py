"""Agents' rows for search: made of facts, files, hosts and neighbours, and of nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from renown.ingest.crawler import Crawler
from renown.ingest.profiles import refresh
from renown.offchain.fetched import Fetched
from renown.spec.findings import FINDINGS
from renown.spec.uris import Uri, parse_uri
from renown.store.forget import forget
from renown.store.pool import Conn, connect
from tests.factories import ALICE, BASE, BOB, CAROL, DEVNET, Story, person

REGISTRY = "eip155:31337:0x" + DEVNET.identity.hex()
TYPE = "https://eips.ethereum.org/EIPS/eip-8004#registration-v1"


class Web:
    """Hosts as far as these tests know them; everything else does not resolve."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Fetched] = {}
        self.asked: list[str] = []

    async def read(
        self, uri: Uri, *, etag: str | None = None, last_modified: str | None = None
    ) -> Fetched:
        self.asked.append(uri.text)
        page = self.pages.get(uri.text, Fetched(outcome="dns-failed"))
        return Fetched(outcome="ok", status=200, body=page) if isinstance(page, bytes) else page


@pytest.fixture
async def web() -> Web:
    return Web()


@pytest.fixture
async def conn(fresh_database_url: str) -> AsyncIterator[Conn]:
    opened = await connect(fresh_database_url)
    yield opened
    await opened.close()


def file(agent_id: int | None, name: str = "Weather Oracle", **more: Any) -> bytes:
    claims = [] if agent_id is None else [{"agentId": agent_id, "agentRegistry": REGISTRY}]
    return json.dumps(
        {
            "type": TYPE,
            "name": name,
            "description": f"{name} tells what will be.",
            "image": "",
            "services": [],
            "registrations": claims,
            **more,
        }
    ).encode()


def inline(content: bytes) -> bytes:
    return b"data:application/json;base64," + base64.b64encode(content)


async def crawl(url: str, web: Web) -> None:
    crawler = Crawler(lambda: connect(url), web, refresh=refresh)
    async with asyncio.timeout(30):
        await crawler.run_until_idle()


async def row(conn: Conn, agent_id: int) -> Any:
    found = await conn.fetchrow(
        "SELECT * FROM agent_profile WHERE chain_id = $1 AND agent_id = $2",
        DEVNET.chain_id,
        agent_id,
    )
    assert found is not None
    return found


async def codes(conn: Conn, agent_id: int) -> set[str]:
    return {finding["code"] for finding in json.loads((await row(conn, agent_id))["findings"])}


async def test_profile__when_file_is_inline__then_row_has_what_it_says(
    fresh_database_url: str, conn: Conn, web: Web
) -> None:
    services = [
        {"name": "MCP", "endpoint": "https://mcp.weather.example/", "version": "2025-06-18"},
        {"name": "OASF", "skills": ["weather/forecast"], "domains": ["science/climate"]},
    ]
    story = Story().mint(0, uri=inline(file(0, services=services, x402Support=True)))
    story.give(0, BOB, 1).give(0, CAROL, 1).revoke(0, CAROL, 1)
    await story.write(fresh_database_url)
    await crawl(fresh_database_url, web)
    found = await row(conn, 0)
    assert (found["state"], found["name"]) in {
        ("strict", "Weather Oracle"),
        ("tolerant", "Weather Oracle"),
    }
    assert (found["x402"], found["active"], found["alive"]) == (True, None, None)
    assert found["owner"] == ALICE
    assert found["feedback_count"] == 1
    terms = set(found["terms"])
    assert {
        "kind=mcp", "version=mcp/2025-06-18", "skill=weather", "skill=weather/forecast",
        "domain=science/climate", "x402=yes", "active=unknown", "alive=unknown", "chain=31337",
        f"owner=0x{ALICE.hex()}",
    } <= terms  # fmt: skip
    for query, hits in (("forecasts", 1), ("oracle", 1), ("tell", 1), ("banana", 0)):
        count = await conn.fetchval(
            "SELECT count(*) FROM agent_profile WHERE words @@ websearch_to_tsquery('renown', $1)",
            query,
        )
        assert count == hits, query
    assert await conn.fetchval(
        "SELECT count(*) FROM agent_profile WHERE words @@ $1::tsquery", "'kind=mcp'"
    )


async def test_profile__when_nothing_changed__then_revision_stands(
    fresh_database_url: str, conn: Conn, web: Web
) -> None:
    await Story().mint(0, uri=inline(file(0))).write(fresh_database_url)
    await crawl(fresh_database_url, web)
    before = await row(conn, 0)
    await conn.execute("INSERT INTO profile_due SELECT chain_id, agent_id FROM agent")
    assert await refresh(conn) == 1
    assert dict(await row(conn, 0)) == dict(before)


@pytest.mark.parametrize(
    ("uri", "state", "code"),
    [
        (b"", "none", "uri-missing"),
        (b"tinybanana", "unsupported", "uri-unsupported"),
        (b"https://nowhere.example/a.json", "unreachable", "uri-unreachable"),
        (b"https://gone.example/a.json", "unreachable", "uri-not-found"),
        (b"https://page.example/", "unreadable", "html-page"),
        (b"data:application/json;base64,!!!!", "unreadable", "uri-undecodable"),
    ],
)
async def test_profile__when_uri_leads_nowhere__then_state_and_finding_say_so(
    fresh_database_url: str, conn: Conn, web: Web, uri: bytes, state: str, code: str
) -> None:
    web.pages["https://gone.example/a.json"] = Fetched(outcome="http-error", status=404)
    web.pages["https://page.example/"] = b"<!doctype html><html><body>Hello</body></html>"
    await Story().mint(0, uri=uri).write(fresh_database_url)
    await crawl(fresh_database_url, web)
    assert (await row(conn, 0))["state"] == state
    found = await codes(conn, 0)
    assert code in found
    assert found <= FINDINGS.keys()


async def test_domain__when_file_and_host_agree__then_verified(
    fresh_database_url: str, conn: Conn, web: Web
) -> None:
    def services(host: str) -> list[dict[str, str]]:
        return [{"name": "web", "endpoint": f"https://{host}/"}]

    story = Story()
    for agent_id, host in enumerate(
        ("both.example", "other.example", "none.example", "mute.example")
    ):
        story.mint(agent_id, uri=inline(file(agent_id, f"Agent {host}", services=services(host))))
    story.mint(4, uri=inline(file(None, "Stranger", services=services("both.example"))))
    story.mint(5, uri=b"https://own.example/agent.json")
    proof = json.dumps({"registrations": [{"agentId": 0, "agentRegistry": REGISTRY}]}).encode()
    web.pages |= {
        "https://both.example/.well-known/agent-registration.json": proof,
        "https://other.example/.well-known/agent-registration.json": proof,
        "https://none.example/.well-known/agent-registration.json": Fetched(
            outcome="http-error", status=404
        ),
        "https://own.example/agent.json": file(5, "Own Host"),
    }
    await story.write(fresh_database_url)
    await crawl(fresh_database_url, web)
    states = {
        (r["agent_id"], r["host"]): r["state"]
        for r in await conn.fetch("SELECT * FROM agent_domain")
    }
    assert states == {
        (0, "both.example"): "confirmed",
        (1, "other.example"): "contradicted",
        (2, "none.example"): "missing",
        (3, "mute.example"): "unreachable",
        (4, "both.example"): "contradicted",
        (5, "own.example"): "confirmed",
    }
    verified = {
        r["agent_id"]: r["domains"]
        for r in await conn.fetch("SELECT agent_id, domains FROM agent_profile")
    }
    assert {a: d for a, d in verified.items() if d} == {0: ["both.example"], 5: ["own.example"]}
    assert "domain-contradicted" in await codes(conn, 1)
    assert "registration-missing" in await codes(conn, 4)
    assert web.asked.count("https://both.example/.well-known/agent-registration.json") == 1


async def test_domain__when_well_known_redirects_to_another_host__then_not_confirmed(
    fresh_database_url: str, conn: Conn, web: Web
) -> None:
    services = [{"name": "web", "endpoint": "https://a.example/"}]
    proof = json.dumps({"registrations": [{"agentId": 0, "agentRegistry": REGISTRY}]}).encode()
    web.pages["https://a.example/.well-known/agent-registration.json"] = Fetched(
        outcome="ok", status=200, body=proof, final_url="https://b.example/proof.json"
    )
    await Story().mint(0, uri=inline(file(0, services=services))).write(fresh_database_url)
    await crawl(fresh_database_url, web)
    assert await conn.fetchval("SELECT state FROM agent_domain") == "missing"
    assert (await row(conn, 0))["domains"] == []


@pytest.mark.parametrize("batch", [1, 500])
async def test_copy__when_another_owner_has_the_same_file__then_younger_is_marked(
    fresh_database_url: str, conn: Conn, web: Web, batch: int
) -> None:
    same = inline(file(0))
    story = Story().mint(0, ALICE, same).next_block().mint(1, ALICE, same)
    story.next_block().mint(2, BOB, same)
    await story.write(fresh_database_url)
    await crawl(fresh_database_url, web)
    await conn.execute("INSERT INTO profile_due SELECT chain_id, agent_id FROM agent")
    while await refresh(conn, batch_agents=batch):
        pass
    assert "document-copied" in await codes(conn, 2)
    assert "registration-elsewhere" in await codes(conn, 2)
    for agent_id in (0, 1):
        assert "document-copied" not in await codes(conn, agent_id)


async def test_template__when_first_leaves__then_the_next_leads(
    fresh_database_url: str, conn: Conn, web: Web
) -> None:
    async def leaders() -> list[int]:
        rows = await conn.fetch("SELECT agent_id FROM agent_profile WHERE leads ORDER BY 1")
        return [r[0] for r in rows]

    story = Story()
    for agent_id in range(3):
        story.mint(agent_id, person(agent_id), inline(file(agent_id, f"Minion {agent_id}")))
        story.next_block()
    await story.write(fresh_database_url)
    await crawl(fresh_database_url, web)
    templates = {r[0] for r in await conn.fetch("SELECT template FROM agent_profile")}
    assert len(templates) == 1
    assert templates != {None}
    assert await leaders() == [0]
    assert "template-copy" in await codes(conn, 2)
    story.next_block().say_uri(
        0, inline(file(0, "Someone", description="Quite another text, of my own.")), person(0)
    )
    await story.write(fresh_database_url)
    await crawl(fresh_database_url, web)
    assert await leaders() == [0, 1]
    assert "template-copy" not in await codes(conn, 1)


def _clients(story: Story, agent_id: int, count: int) -> Story:
    for number in range(count):
        story.give(agent_id, person(100 + number), 1)
    return story


@pytest.mark.parametrize(
    ("clients", "name", "code"),
    [
        (10, "Uniswаp", "name-confusable"),  # with a Cyrillic a
        (10, "Uniswap", "name-taken"),
        (9, "Uniswаp", None),
        (10, "Sushiswap", None),
    ],
)
async def test_name__when_like_that_of_an_established_agent__then_marked(
    fresh_database_url: str,
    conn: Conn,
    web: Web,
    clients: int,
    name: str,
    code: str | None,
) -> None:
    story = Story().mint(0, BOB, inline(file(0, name))).mint(1, ALICE, inline(file(1, "Uniswap")))
    await story.write(fresh_database_url)
    await crawl(fresh_database_url, web)
    await _clients(story.next_block(), 1, clients).write(fresh_database_url)
    await crawl(fresh_database_url, web)  # the clone is looked at again: it did not change itself
    found = await codes(conn, 0) & {"name-confusable", "name-taken"}
    assert found == ({code} if code else set())
    assert not await codes(conn, 1) & {"name-confusable", "name-taken"}


async def test_owner__when_agent_changed_hands_after_its_file__then_marked_until_it_speaks(
    fresh_database_url: str, conn: Conn, web: Web
) -> None:
    story = Story().mint(0, ALICE, inline(file(0))).next_block().transfer(0, ALICE, BOB)
    await story.write(fresh_database_url)
    await crawl(fresh_database_url, web)
    assert {"owner-changed", "wallet-cleared"} <= await codes(conn, 0)
    story.next_block().say_uri(0, inline(file(0, "New Hands")), BOB)
    await story.write(fresh_database_url)
    await crawl(fresh_database_url, web)
    assert "owner-changed" not in await codes(conn, 0)
    assert (await row(conn, 0))["owner"] == BOB


async def test_names__when_agents_come_and_go__then_counted(
    fresh_database_url: str, conn: Conn, web: Web
) -> None:
    async def names() -> dict[str, int]:
        return {r[0]: r[1] for r in await conn.fetch("SELECT * FROM agent_name")}

    story = Story().mint(0, uri=inline(file(0, "One"))).mint(1, uri=inline(file(1, "ONE")))
    await story.write(fresh_database_url)
    await crawl(fresh_database_url, web)
    assert await names() == {"one": 2}
    await story.next_block().say_uri(1, inline(file(1, "Two"))).write(fresh_database_url)
    await crawl(fresh_database_url, web)
    assert await names() == {"one": 1, "two": 1}
    await conn.execute("DELETE FROM agent WHERE agent_id = 0")
    await conn.execute("INSERT INTO profile_due VALUES ($1, 0)", DEVNET.chain_id)
    await refresh(conn)
    assert await names() == {"two": 1}
    assert await conn.fetchval("SELECT count(*) FROM agent_profile") == 1


async def test_refresh__when_another_process_marks_an_agent_meanwhile__then_it_is_made_again(
    fresh_database_url: str, conn: Conn, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    from renown.store import profiles

    await Story().mint(0, uri=inline(file(0))).write(fresh_database_url)
    await crawl(fresh_database_url, web)
    mark = "INSERT INTO profile_due SELECT chain_id, agent_id FROM agent ON CONFLICT DO NOTHING"
    await conn.execute(mark)
    other = await connect(fresh_database_url)
    marking: list[asyncio.Task[Any]] = []
    write: Callable[..., Any] = profiles.write

    async def slow_write(*args: Any, **kwargs: Any) -> None:
        marking.append(asyncio.create_task(other.execute(mark)))
        await asyncio.sleep(0.2)
        await write(*args, **kwargs)

    monkeypatch.setattr(profiles, "write", slow_write)
    assert await refresh(conn) == 1
    await marking[0]
    assert await conn.fetchval("SELECT count(*) FROM profile_due") == 1
    await other.close()


@pytest.mark.parametrize(
    "uri",
    [
        b"https://evil.example\\@victim.example/a.json",
        b"https://victim.example@evil.example/a.json",
        b"https://evil.example:8443/a.json",
        "https://raw.githubusercontent\u3002com/me/a.json".encode(),
        "https://\uff47ithub.com/me/a.json".encode(),
        b"https://s3.us-east-1.amazonaws.com/bucket/a.json",
        b"https://93.184.216.34/a.json",
        b"https://evil.example\\@a\x00b/a.json",
        b"https://evil.example\\@" + b"a" * 7_500 + b"/a.json",
    ],
)
async def test_domain__when_uri_is_dressed_up__then_nobody_else_is_verified(
    fresh_database_url: str, conn: Conn, web: Web, uri: bytes
) -> None:
    web.pages[parse_uri(uri).text] = file(0, "Impostor")
    await Story().mint(0, uri=uri).mint(1, uri=inline(file(1))).write(fresh_database_url)
    await crawl(fresh_database_url, web)
    assert set((await row(conn, 0))["domains"]) <= {"evil.example"}
    assert (await row(conn, 1))["state"] == "strict"


async def test_domain__when_file_is_withdrawn__then_no_longer_verified(
    fresh_database_url: str, conn: Conn, web: Web
) -> None:
    page = "https://own.example/agent.json"
    web.pages[page] = file(0)
    await Story().mint(0, uri=page.encode()).write(fresh_database_url)
    await crawl(fresh_database_url, web)
    assert (await row(conn, 0))["domains"] == ["own.example"]
    for answer, kept in (
        (Fetched(outcome="timeout"), True),
        (Fetched(outcome="http-error", status=410), False),
    ):
        web.pages[page] = answer
        await conn.execute("UPDATE uri SET due_at = now()")
        await conn.execute("DELETE FROM host")
        await crawl(fresh_database_url, web)
        assert (await row(conn, 0))["domains"] == (["own.example"] if kept else [])


async def test_domain__when_host_serves_files_of_many_owners__then_its_word_is_needed(
    fresh_database_url: str, conn: Conn, web: Web
) -> None:
    def say(*named: int) -> bytes:
        claims = [{"agentId": n, "agentRegistry": REGISTRY} for n in named]
        return json.dumps({"registrations": claims}).encode()

    story = Story()
    for number in range(4):
        web.pages[f"https://mint.example/{number}"] = file(number, f"Minted {number}")
        story.mint(number, person(number), f"https://mint.example/{number}".encode())
        await conn.execute("DELETE FROM host")  # it rests, because its well-known file fails
        await story.write(fresh_database_url)
        await crawl(fresh_database_url, web)
        story.next_block()
        verified = await conn.fetchval("SELECT count(*) FROM agent_profile WHERE domains <> '{}'")
        assert verified == (number + 1 if number < 3 else 0)
    web.pages["https://mint.example/.well-known/agent-registration.json"] = say(2)
    await conn.execute("UPDATE uri SET due_at = now() WHERE uri LIKE '%well-known%'")
    await conn.execute("DELETE FROM host")
    await crawl(fresh_database_url, web)
    rows = await conn.fetch("SELECT agent_id FROM agent_profile WHERE domains <> '{}'")
    assert [r[0] for r in rows] == [2]


async def test_refresh__when_a_row_cannot_be_stored__then_the_others_are(
    fresh_database_url: str, conn: Conn, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    for number in range(5):
        story.mint(number, uri=inline(file(number, f"Agent {number}" if number != 2 else "Poison")))
    await story.write(fresh_database_url)
    real = sys.modules["renown.ingest.profiles.build"].build

    def poisoned(material: Any, registration: Any, **rest: Any) -> Any:
        made = real(material, registration, **rest)
        return msgspec.structs.replace(made, name="a\0b") if made.name == "Poison" else made

    monkeypatch.setattr(sys.modules["renown.ingest.profiles.refresh"], "build", poisoned)
    await crawl(fresh_database_url, web)
    rows = await conn.fetch("SELECT agent_id, state, name FROM agent_profile ORDER BY agent_id")
    assert [r["name"] for r in rows] == ["Agent 0", "Agent 1", None, "Agent 3", "Agent 4"]
    assert rows[2]["state"] == "strict"
    assert await conn.fetchval("SELECT count(*) FROM profile_due") == 0


async def test_copy__when_the_first_is_sold__then_the_second_is_looked_at_again(
    fresh_database_url: str, conn: Conn, web: Web
) -> None:
    same = inline(file(0))
    story = Story().mint(0, ALICE, same).next_block().mint(1, ALICE, same)
    await story.write(fresh_database_url)
    await crawl(fresh_database_url, web)
    assert "document-copied" not in await codes(conn, 1)
    await story.next_block().transfer(0, ALICE, BOB).write(fresh_database_url)
    await crawl(fresh_database_url, web)
    assert "document-copied" in await codes(conn, 1)


async def test_forget__when_a_chain_goes__then_agents_of_others_are_looked_at_again(
    fresh_database_url: str, conn: Conn, web: Web
) -> None:
    same = inline(file(0, "Twin"))
    await Story().mint(0, ALICE, same).write(fresh_database_url)
    await Story(BASE).next_block(5).mint(0, BOB, same).write(fresh_database_url)
    await crawl(fresh_database_url, web)
    there = "SELECT leads, findings::text FROM agent_profile WHERE chain_id = $1"
    before = await conn.fetchrow(there, BASE.chain_id)
    assert before is not None
    assert not before["leads"]
    assert "document-copied" in before["findings"]
    await forget(conn, DEVNET.chain_id)
    await crawl(fresh_database_url, web)
    after = await conn.fetchrow(there, BASE.chain_id)
    assert after is not None
    assert after["leads"]
    assert "document-copied" not in after["findings"]
    names = await conn.fetch("SELECT * FROM agent_name")
    assert [tuple(r) for r in names] == [("twin", 1)]
