"""A devnet agent whose file changes three times: its history, its diffs, and the file of then.

All parts are the real ones: anvil, the indexer, the crawler with its fetcher over HTTP, the API.
Only the crawler's clock is moved, so that its attempts lie between the blocks' times.
"""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from renown.chain.devnet import IPFS_GATEWAY, Origin, calls, place_registries
from renown.chain.devnet.addresses import CHAIN_ID, IDENTITY
from renown.chain.devnet.blocks import Miner, mining
from renown.ingest.crawler import Crawler
from renown.ingest.profiles import refresh
from renown.offchain.fetcher import Fetcher
from renown.store.pool import connect
from tests.anvil import GENESIS_SECONDS
from tests.e2e.devnet import Devnet, devnet, index
from tests.factories import ALICE, DEVNET
from tests.integration.api import api_on

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

HOUR = 3_600
URI = b"https://changing.example/agent.json"
AGENT = f"/v1/agents/{CHAIN_ID}:0"


def version(name: str, **more: Any) -> bytes:
    return json.dumps(
        {
            "type": "https://eips.ethereum.org/EIPS/eip-8004#registration-v1",
            "name": name,
            "description": "Says one thing today and another tomorrow.",
            "image": "",
            "services": [{"name": "web", "endpoint": "https://changing.example/"}],
            "registrations": [
                {"agentId": 0, "agentRegistry": f"eip155:{CHAIN_ID}:0x{IDENTITY.hex()}"}
            ],
            **more,
        }
    ).encode()


V1 = version("Chameleon")
V2 = version("Chameleon", x402Support=True)
V3 = version("Chameleon II", x402Support=True, supportedTrust=["reputation"])
INLINE = b"data:application/json;base64," + base64.b64encode(version("Chameleon inline"))


class Stage:
    """The chain, the hosts, the index, and a clock for all of them."""

    def __init__(self, url: str, chain: Devnet, miner: Miner, origin: Origin) -> None:
        self.url, self.chain, self.miner, self.origin = url, chain, miner, origin
        self.now_seconds = GENESIS_SECONDS + 10 * HOUR

    async def block(self, calldata: bytes) -> int:
        """One block an hour later, indexed."""
        self.now_seconds += HOUR
        await self.miner.send(ALICE, IDENTITY, calldata)
        number = await self.miner.mine(self.now_seconds)
        await index(self.url, DEVNET, self.chain.url, until=number)
        return number

    async def crawl(self, *, days: int = 0) -> None:
        """Read what is due, half an hour (and some days) later."""
        self.now_seconds += HOUR // 2 + days * 86_400

        def clock() -> datetime:
            return datetime.fromtimestamp(self.now_seconds, UTC)

        async with Fetcher(opened=[self.origin.opening], ipfs_gateways=[IPFS_GATEWAY]) as fetcher:
            crawler = Crawler(lambda: connect(self.url), fetcher, refresh=refresh, clock=clock)
            async with asyncio.timeout(30):
                await crawler.run_until_idle()


async def ask(api: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await api.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_file__when_it_changes_three_times__then_history_diffs_and_the_past_are_told(
    fresh_database_url: str,
) -> None:
    async with devnet() as chain, Origin() as origin:
        await place_registries(chain.node)
        async with mining(chain.node) as miner:
            stage = Stage(fresh_database_url, chain, miner, origin)
            registered = await stage.block(calls.register(URI))
            origin.put("changing.example", "/agent.json", V1, etag='"1"')
            await stage.crawl()
            first = await stage.block(calls.set_metadata(0, b"note", b"1"))
            origin.put("changing.example", "/agent.json", V2, etag='"2"')
            await stage.crawl(days=40)
            second = await stage.block(calls.set_metadata(0, b"note", b"2"))
            origin.put("changing.example", "/agent.json", V3, etag='"3"')
            await stage.crawl(days=40)
            third = await stage.block(calls.set_metadata(0, b"note", b"3"))
            third_seconds = stage.now_seconds
            await stage.crawl(days=40)  # 304
            moved = await stage.block(calls.set_agent_uri(0, INLINE))
            await stage.crawl(days=1)
    async with api_on(fresh_database_url) as api:
        # What it says now, and what it said then.
        now = await ask(api, f"{AGENT}/registration")
        assert now["registration"]["name"] == "Chameleon inline"
        said = {}
        for number in (registered, first, second, third, moved):
            then = await ask(api, f"{AGENT}/registration", at=number)
            said[number] = (then["state"], (then["registration"] or {}).get("name"))
            assert then["as_of"]["block_number"] == number
        assert said == {
            registered: ("unknown", None),  # nobody had read it by then
            first: ("strict", "Chameleon"),
            second: ("strict", "Chameleon"),
            third: ("strict", "Chameleon II"),
            moved: ("strict", "Chameleon inline"),  # the URI fixes it, whenever it was read
        }
        x402 = [
            (await ask(api, f"{AGENT}/registration", at=n))["registration"]["x402"]
            for n in (first, second)
        ]
        assert x402 == [None, True]
        by_time = await ask(api, f"{AGENT}/registration", at=f"@{third_seconds}")
        assert by_time["registration"]["name"] == "Chameleon II"

        # The bytes, as served then.
        for number, served in ((first, V1), (second, V2), (third, V3)):
            answer = await api.get(f"{AGENT}/registration", params={"form": "served", "at": number})
            assert answer.content == served
            assert answer.headers["content-type"] == "application/octet-stream"
            assert "attachment" in answer.headers["content-disposition"]

        # The history: four versions, each with what changed.
        history = await ask(api, f"{AGENT}/documents")
        versions = history["items"]
        assert [v["number"] for v in versions] in ([1, 2, 3, 4], [4, 3, 2, 1])
        ordered = sorted(versions, key=lambda v: v["number"])
        changed = [{(c["op"], c["path"]) for c in v["changes"] or ()} for v in ordered]
        assert changed[0] == set()
        assert ("add", "/x402Support") in changed[1]
        assert {("replace", "/name"), ("add", "/supportedTrust")} <= changed[2]
        diff = await ask(api, f"{AGENT}/documents/diff", before=1, after=3)
        assert {c["path"] for c in diff["changes"]} == {"/name", "/x402Support", "/supportedTrust"}

        # Every attempt: three changes and the inline one; unchanged files are not sent again.
        attempts = (await ask(api, f"{AGENT}/documents/attempts"))["items"]
        assert sum(a["outcome"] == "ok" for a in attempts) == 4
        assert {a["outcome"] for a in attempts} == {"ok", "not-modified"}
