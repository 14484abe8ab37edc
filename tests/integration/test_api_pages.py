"""The pages for people: complete without scripts, and deaf to what strangers write."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import httpx
import pytest

from renown.types import AgentRef
from tests.factories import ALICE, CAROL, DEVNET, Story
from tests.integration.api import api_on, get

XSS = [
    b"<script>alert(1)</script>",
    b'"><img src=x onerror=alert(1)>',
    b"javascript:alert(1)",
    b"data:text/html,<script>alert(1)</script>",
    b"</textarea><svg onload=alert(1)>",
    b"{{ 7*7 }}{% raw %}",
    b"'><a href=//evil.example>",
    "\u202egnp.exe \u2066x\u200b".encode(),
    b"\x00\xff\x1b[2J",
    b"]]></style><style>*{display:none}",
]


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(database_url) as client:
        if not (await get(client, "/v1/chains"))["items"]:
            story = Story()
            for agent_id, evil in enumerate(XSS):
                story.mint(agent_id, ALICE, evil).metadata(agent_id, evil, evil)
                story.give(
                    agent_id, CAROL, 1, -150, 2, tag1=evil, tag2=evil, endpoint=evil, uri=evil
                )
                story.ask_validation(agent_id, evil)
                story.next_block()
            for agent_id in range(len(XSS), 30):
                story.mint(agent_id)
            story.next_block()
            await story.write(database_url)
        yield client


class Tags(HTMLParser):
    """Which elements and attributes a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("agent_id", range(len(XSS)))
async def test_agent_page__hostile_strings__become_no_element_and_no_link(
    client: httpx.AsyncClient, agent_id: int
) -> None:
    page = await client.get(f"/agents/31337:{agent_id}")

    assert page.status_code == 200, page.text
    tags = Tags(page.text)
    assert not {"script", "style", "svg", "iframe", "textarea"} & {tag for tag, _ in tags.found}
    for tag, attributes in tags.found:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        target = attributes.get("href") or attributes.get("src") or "/"
        assert target.startswith(("/", "#")), (tag, target)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x00-\x08\x1b]", page.text)
    assert tags.open == []


async def test_home__chains_and_newest_agents__stand_there_and_older_ones_follow(
    client: httpx.AsyncClient,
) -> None:
    home = await client.get("/")

    tags = Tags(home.text)
    links = [a["href"] or "" for tag, a in tags.found if tag == "a"]
    newest = f"/agents/{AgentRef(31337, DEVNET.identity, 29).key}"
    assert newest in links
    assert "unknown" in home.text
    older = next(link for link in links if link.startswith("/?cursor="))
    rest = await client.get(older)
    assert newest not in rest.text
    assert f"/agents/{AgentRef(31337, DEVNET.identity, 0).key}" in rest.text
    assert (await client.get(newest)).status_code == 200


@pytest.mark.parametrize("path", ["/", "/agents/31337:0", "/docs", "/problems/bad-cursor"])
async def test_pages__structure__is_what_readers_and_keyboards_need(
    client: httpx.AsyncClient, path: str
) -> None:
    tags = Tags((await client.get(path)).text)

    names = [tag for tag, _ in tags.found]
    assert names.count("h1") == names.count("main") == names.count("title") == 1
    assert dict(tags.found)["html"]["lang"] == "en"
    labels = {a["for"] for tag, a in tags.found if tag == "label"}
    assert {a["id"] for tag, a in tags.found if tag == "input"} <= labels
    ids = [a["id"] for _, a in tags.found if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in tags.found if "aria-labelledby" in a} <= set(ids)
    assert all("scope" in a for tag, a in tags.found if tag == "th")
    assert all("alt" in a for tag, a in tags.found if tag == "img")


async def test_find__any_key__leads_to_the_page_under_the_canonical_one(
    client: httpx.AsyncClient,
) -> None:
    key = AgentRef(31337, DEVNET.identity, 3).key
    for asked in ("31337:3", str(AgentRef(31337, DEVNET.identity, 3).uuid), f" {key} "):
        answer = await client.get("/agents", params={"key": asked})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/agents/{key}")
    assert (await client.get("/agents", params={"key": "//evil.example"})).status_code == 400


async def test_home__no_chain_yet__says_how_to_begin(fresh_database_url: str) -> None:
    async with api_on(fresh_database_url) as client:
        page = await client.get("/")

    assert "renown up" in page.text


async def test_docs__every_route_of_the_contract__is_listed(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    page = (await client.get("/docs")).text

    assert document["openapi"].startswith("3.1")
    for path in document["paths"]:
        assert path in page
