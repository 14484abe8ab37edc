"""The origin over HTTP, as a crawler meets it that sends all of `.example` there."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from email.utils import formatdate
from random import Random
from urllib.parse import urlsplit

import aiohttp
import pytest
from eth_abi.abi import decode

from renown.chain.devnet import Origin
from renown.chain.devnet.files import AR_GATEWAY, IPFS_GATEWAY, Files
from renown.chain.devnet.ipfs import raw_block
from renown.chain.devnet.ledger import Transaction
from renown.chain.devnet.lively import edit_a_file
from renown.chain.devnet.origin import BROKEN_HOST, LOGIN_HOST, MOVED, UNKNOWN
from renown.chain.devnet.registrations import REGISTRY_ID
from renown.chain.devnet.world import plan_world
from renown.errors import SetupError
from renown.spec.contracts import selector

ARGUMENTS = {  # what of the calldata names a file
    "register(string)": (["bytes"], 0),
    "register(string,(string,bytes)[])": (["bytes", "(bytes,bytes)[]"], 0),
    "setAgentURI(uint256,string)": (["uint256", "bytes"], 1),
    "giveFeedback(uint256,int128,uint8,string,string,string,string,bytes32)": (
        ["uint256", "int128", "uint8", *["bytes"] * 4, "bytes32"],
        6,
    ),
    "appendResponse(uint256,address,uint64,string,bytes32)": (
        ["uint256", "address", "uint64", "bytes", "bytes32"],
        3,
    ),
    "validationRequest(address,uint256,string,bytes32)": (
        ["address", "uint256", "bytes", "bytes32"],
        2,
    ),
    "validationResponse(bytes32,uint8,string,bytes32,string)": (
        ["bytes32", "uint8", "bytes", "bytes32", "bytes"],
        2,
    ),
}
SELECTORS = {selector(signature): where for signature, where in ARGUMENTS.items()}

NOWHERE = {
    *("ipfs://wallets", "ipfs://sorry", "ipfs://request"),  # no CIDs
    *("https://127.0.0.1/agent.json", "http://169.254.169.254/latest/meta-data/"),  # private
    "https://agents.example/{agentId}.json",
}
"""URIs of the world that are meant to lead nowhere, beside the undecodable."""


class Visitor:
    """Asks the origin for any `.example` URL, by its Host header."""

    def __init__(self, origin: Origin, session: aiohttp.ClientSession) -> None:
        self.origin = origin
        self._session = session

    async def get(self, url: str, **headers: str) -> tuple[int, bytes, aiohttp.ClientResponse]:
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        async with self._session.get(
            self.origin.url + path,
            headers={"host": parts.netloc, **named},
            allow_redirects=False,
        ) as answer:
            return answer.status, await answer.read(), answer


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    async with Origin(slow_seconds=0.01) as origin, aiohttp.ClientSession() as session:
        yield Visitor(origin, session)


def uris(seed: int, files: Files) -> set[str]:
    """All that the seeded world says on chain and that names a file to fetch."""
    found = set()
    for step in plan_world(seed, files=files):
        if not isinstance(step, Transaction):
            continue
        types, place = SELECTORS.get(step.calldata[:4], ([], 0))
        if types:
            uri = bytes(decode(types, step.calldata[4:])[place])
            if uri.startswith((b"https://", b"http://", b"ipfs://", b"ar://", b"bafk")):
                found.add(uri.decode(errors="replace"))
    return found


def url_of(uri: str) -> str:
    """Where a crawler asks for it."""
    scheme, _, rest = uri.rpartition("://")
    if scheme == "ipfs" or not scheme:
        return f"{IPFS_GATEWAY}/ipfs/{rest.removeprefix('ipfs/')}"
    return f"{AR_GATEWAY}/{rest}" if scheme == "ar" else uri


@pytest.mark.parametrize("seed", [1, 7])
async def test_origin__every_uri_of_the_seeded_world__answers_as_its_host_is_meant_to(seed) -> None:
    files, statuses = Files(), Counter[int]()
    wanted = {
        uri
        for uri in uris(seed, files)
        if uri not in NOWHERE and not uri.startswith(("ipfs://0x", "https://agents.example/"))
    }
    now = 0.0  # the fickle are up
    async with (
        Origin(files, slow_seconds=0.01, clock=lambda: now) as origin,
        aiohttp.ClientSession() as session,
    ):
        visitor = Visitor(origin, session)
        for uri in sorted(wanted):
            status, body, answer = await visitor.get(url_of(uri))
            host = urlsplit(url_of(uri)).hostname or ""
            if status == 301:
                assert host in (*MOVED, "old-home.example")
                status, body, answer = await visitor.get(answer.headers["location"])
            statuses[status] += 1
            resident = files.residents.get(host)
            meant = {"gone": 404, "failing": 503}.get(resident.temper, 200) if resident else 200
            assert status == (500 if host == BROKEN_HOST else meant), uri
            if meant == 200 and host not in (BROKEN_HOST, LOGIN_HOST):
                assert body != UNKNOWN.body
                assert body
            if uri.startswith("ipfs://bafk"):
                tampered = raw_block(body).cid != uri.removeprefix("ipfs://")
                assert tampered == (b'"name"' in body and b"aged " in body), uri

    assert len(wanted) > 150
    assert statuses[200] / statuses.total() > 0.9
    assert len({urlsplit(url_of(uri)).hostname for uri in wanted}) > 15


async def test_origin__an_agents_file__names_the_agent() -> None:
    files = Files()
    plan_world(1, files=files)
    assert len(files.homes) >= 10
    for agent_id, home in files.homes.items():
        said = json.loads(files.pages[home.host, home.path].body)
        (entry,) = said["registrations"]
        assert (int(entry["agentId"]), entry["agentRegistry"]) == (agent_id, REGISTRY_ID)


async def test_put__three_times__shows_each_and_what_came_between(visitor: Visitor) -> None:
    host, url = "changing.example", "https://changing.example/agent.json"
    assert (await visitor.get(url))[0] == 404

    tags = []
    for body in (b'{"name":"one"}', b'{"name":"two"}', b'{"name":"three"}'):
        visitor.origin.put(host, "/agent.json", body)
        status, served, answer = await visitor.get(url)
        assert (status, served) == (200, body)
        assert answer.headers["content-type"] == "application/json"
        tags.append(answer.headers["etag"])
        again = await visitor.get(url, If_None_Match=tags[-1])
        assert again[:2] == (304, b"")
    stale = await visitor.get(url, If_None_Match=tags[0])
    visitor.origin.remove(host, "/agent.json")

    assert len(set(tags)) == 3
    assert stale[0] == 200
    assert (await visitor.get(url))[0] == 404


async def test_put__headers_status_and_tag__are_sent_as_given(visitor: Visitor) -> None:
    visitor.origin.put(
        "odd.example", "/x?y=1", b"busy", status=429, headers={"retry-after": "7"}, etag="mine"
    )

    status, body, answer = await visitor.get("http://odd.example/x?y=1")

    assert (status, body) == (429, b"busy")
    assert (answer.headers["retry-after"], answer.headers["etag"]) == ("7", '"mine"')
    assert (await visitor.get("http://odd.example/x"))[0] == 404


async def test_conditions__dates_and_tags__follow_rfc_9110() -> None:
    now = 1_800_000_000.4
    async with Origin(clock=lambda: now) as origin, aiohttp.ClientSession() as session:
        visitor, url = Visitor(origin, session), "https://dated.example/a"
        origin.put("dated.example", "/a", b"1")
        at, before = formatdate(now, usegmt=True), formatdate(now - 1, usegmt=True)

        assert (await visitor.get(url))[2].headers["last-modified"] == at
        assert (await visitor.get(url, If_Modified_Since=at))[0] == 304
        assert (await visitor.get(url, If_Modified_Since=before))[0] == 200
        assert (await visitor.get(url, If_Modified_Since="soon"))[0] == 200
        assert (await visitor.get(url, If_None_Match='"other"', If_Modified_Since=at))[0] == 200
        origin.files.put("dated.example", "/b", b"2", etag="", dated=False)
        bare = (await visitor.get("https://dated.example/b", If_Modified_Since=at))[2]
        assert bare.status == 200
        assert not {"etag", "last-modified"} & {name.lower() for name in bare.headers}


async def test_requests__are_kept_in_order_with_who_asked(visitor: Visitor) -> None:
    visitor.origin.put("a.example", "/1", b"{}")
    await visitor.get("https://a.example/1", User_Agent="Renown/test (+someone)")
    await visitor.get("https://b.example/2?x=y", User_Agent="other")

    first, second = visitor.origin.requests
    assert (first.host, first.path, first.status) == ("a.example", "/1", 200)
    assert first.user_agent == "Renown/test (+someone)"
    assert abs(first.at_seconds - time.time()) < 60
    assert (second.host, second.path, second.status) == ("b.example", "/2?x=y", 404)


async def test_slow_host__keeps_only_its_own_callers_waiting() -> None:
    files = Files()
    plan_world(1, files=files)
    slow = next(host for host, agent in files.residents.items() if agent.temper == "slow")
    async with Origin(files, slow_seconds=30) as origin, aiohttp.ClientSession() as session:
        visitor = Visitor(origin, session)
        waiting = asyncio.create_task(visitor.get(f"https://{slow}/"))
        origin.put("quick.example", "/", b"{}")
        assert (await visitor.get("https://quick.example/"))[0] == 200
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_edit_a_file__over_http__changes_behind_the_same_uri() -> None:
    files = Files()
    plan_world(1, files=files)
    async with Origin(files) as origin, aiohttp.ClientSession() as session:
        visitor = Visitor(origin, session)
        chosen = edit_a_file(files, Random(1), restless=True)
        assert chosen is not None
        home = files.homes[chosen]
        first = await visitor.get(f"https://{home.host}{home.path}")
        assert edit_a_file(files, Random(2), restless=True) == chosen
        tag = first[2].headers["etag"]
        second = await visitor.get(f"https://{home.host}{home.path}", If_None_Match=tag)

    assert first[0] == second[0] == 200
    assert json.loads(first[1])["description"] != json.loads(second[1])["description"]


async def test_edit_a_file__nobody_keeps_one__changes_nothing() -> None:
    assert edit_a_file(Files(), Random(1), restless=False) is None


async def test_origin__port_in_use__says_which() -> None:
    async with Origin() as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(SetupError, match=str(port)):
            async with Origin(port=port):
                pass
    async with Origin(port=port):  # free again
        pass
