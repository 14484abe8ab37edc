"""Documents of real agents, from facts to search: crawled, kept, found, served, none lost.

Each document is the `data:` URI of one agent, serialised as the collection says (keys sorted,
compact, UTF-8), and the odd URIs of the collection are agents of their own. `-s` prints the
natural queries and what they find.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from renown.ingest.crawler import Crawler
from renown.ingest.profiles import refresh
from renown.offchain.fetched import Fetched
from renown.spec.findings import FINDINGS
from renown.spec.uris import Uri, parse_uri
from renown.store.pool import connect
from tests.factories import DEVNET, Story, person
from tests.integration.api import api_on

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not REAL.exists(), reason="the collection of real documents is not here"),
]

QUERIES = (
    "weather forecast", "trading bot", "defi yield", "token swap", "nft marketplace",
    "smart contract audit", "code review", "image generation", "data analysis",
    "research assistant", "customer support", "translation", "price oracle",
    "prediction market", "social media",
    "music", "on-chain reputation", "x402 payments", "mcp server tools", "autonomous agent base",
)  # fmt: skip


class Nobody:
    """A network with nobody on it: real hosts are never asked by a test."""

    async def read(self, uri: Uri, **_: Any) -> Fetched:
        return Fetched(outcome="dns-failed")


def records(name: str) -> Iterator[Any]:
    with (REAL / name).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def serialised(record: Any) -> bytes:
    if "document_text" in record:
        return str(record["document_text"]).encode()
    return json.dumps(
        record["document"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


DOCUMENTS = (
    [serialised(record) for record in records("registrations.jsonl")] if REAL.exists() else []
)
URIS = (
    [str(record["uri"]).encode() for record in records("agent-uris.jsonl")] if REAL.exists() else []
)


@pytest.fixture(scope="module")
def crawled(database_url: str) -> str:
    """The database with all of them, crawled."""

    async def fill() -> None:
        story = Story()
        uris = [b"data:application/json;base64," + base64.b64encode(d) for d in DOCUMENTS] + URIS
        for agent_id, uri in enumerate(uris):
            if agent_id % 50 == 49:
                story.next_block()
            story.mint(agent_id, person(agent_id % 900), uri)
        await story.write(database_url)
        crawler = Crawler(lambda: connect(database_url), Nobody(), refresh=refresh)
        async with asyncio.timeout(200):
            await crawler.run_until_idle()
        conn = await connect(database_url)
        await conn.execute("REFRESH MATERIALIZED VIEW term_count")
        await conn.close()

    asyncio.run(fill())
    return database_url


@pytest.fixture
async def api(crawled: str) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(crawled) as client:
        yield client


async def search(api: httpx.AsyncClient, **params: Any) -> Any:
    answer = await api.get("/v1/agents", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_real__when_crawled__then_every_agent_has_a_row_and_every_byte_is_kept(
    crawled: str,
) -> None:
    conn = await connect(crawled)
    try:
        rows = await conn.fetch(
            """SELECT p.agent_id, p.state, p.findings::text, d.raw, u.kind
                 FROM agent_profile p LEFT JOIN document d USING (document_id)
                 LEFT JOIN uri u ON u.uri_id = p.uri_id"""
        )
    finally:
        await conn.close()
    assert len(rows) == len(DOCUMENTS) + len(URIS)
    raw = {row["agent_id"]: row["raw"] for row in rows}
    assert all(raw[number] == document for number, document in enumerate(DOCUMENTS))
    found = {f["code"] for row in rows for f in json.loads(row["findings"])}
    assert found <= FINDINGS.keys()
    states = Counter(row["state"] for row in rows if row["agent_id"] < len(DOCUMENTS))
    sys.stderr.write(f"\nreal documents: {dict(states)}\n")
    assert states["strict"] + states["tolerant"] > 0.9 * len(DOCUMENTS)
    for row in rows:
        if row["agent_id"] >= len(DOCUMENTS):
            uri = URIS[row["agent_id"] - len(DOCUMENTS)]
            inline = parse_uri(uri).kind in ("data", "json")
            if inline:  # the others wait while their host rests
                assert row["state"] not in ("pending", "unreachable", "none")
            assert (row["raw"] is not None) <= inline  # nothing else could be read here


async def test_real__when_served__then_bytes_are_those_given_in(api: httpx.AsyncClient) -> None:
    for number in range(0, len(DOCUMENTS), 40):
        path = f"/v1/agents/{DEVNET.chain_id}:{number}/registration"
        served = await api.get(path, params={"form": "served"})
        assert served.content == DOCUMENTS[number]
        assert (await api.get(path)).status_code == 200
    for number in range(0, len(URIS), 20):
        agent = f"/v1/agents/{DEVNET.chain_id}:{len(DOCUMENTS) + number}"
        uri = await api.get(f"{agent}/uri")
        assert uri.status_code == (200 if URIS[number] or uri.content == b"" else 404)
        assert uri.content == URIS[number]
        for read in ("registration", "findings", "endpoints", "documents"):
            assert (await api.get(f"{agent}/{read}")).status_code == 200


@pytest.mark.parametrize("query", QUERIES)
async def test_real__when_searched__then_answers_are_whole(
    api: httpx.AsyncClient, query: str
) -> None:
    page = await search(api, q=query, limit=5)
    names = [item["profile"]["name"] for item in page["items"]]
    sys.stderr.write(f"\n{query!r}: {page['search']['total']} -> {names}\n")
    assert page["as_of"]
    for item in page["items"]:
        assert item["profile"]["state"] in ("strict", "tolerant", "foreign")


async def test_real__when_paged__then_each_match_comes_once_and_facets_add_up(
    api: httpx.AsyncClient,
) -> None:
    seen: Counter[str] = Counter()
    by_state: Counter[str] = Counter()
    cursor = None
    while True:
        page = await search(
            api,
            q="agent",
            limit=100,
            facets="state,chain",
            **({"cursor": cursor} if cursor else {}),
        )
        seen.update(item["key"] for item in page["items"])
        by_state.update(item["profile"]["state"] for item in page["items"])
        facets = {
            kind: {value["value"]: value["count"] for value in values}
            for kind, values in page["search"]["facets"]["values"].items()
        }
        if (cursor := page["next_cursor"]) is None:
            break
    assert set(seen.values()) == {1}
    assert facets["state"] == dict(by_state)
    assert sum(facets["chain"].values()) == len(seen) == page["search"]["total"]
