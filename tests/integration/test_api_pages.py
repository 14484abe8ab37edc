"""The pages for people: complete without scripts, and deaf to what strangers write."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import httpx
import pytest

from renown.api.web.links import REL
from renown.spec.findings import FINDINGS
from renown.store.pool import connect
from renown.types import AgentRef
from tests.factories import ALICE, CAROL, DEVNET, Story
from tests.integration.api import api_on, get
from tests.shelf import profile, registration, serve, when

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
                story.mint(agent_id, ALICE, b"https://files.example/%d" % agent_id)
            story.next_block()
            await story.write(database_url)
            await _fill_shelf(database_url)
        yield client


async def _fill_shelf(url: str) -> None:
    """Agents 20 to 29 say each of the hostile strings wherever a file has room for one."""
    conn = await connect(url)
    for number, evil in enumerate(XSS):
        text, agent_id = evil.decode("utf-8", "replace"), 20 + number
        plain = text.replace("\0", "")
        services = [
            {"name": text, "endpoint": text, "version": text, "mcpTools": [text]},
            {"name": "MCP", "endpoint": f"https://good.example/{text}", "skills": [text]},
        ]
        said = {"name": text, "description": text, "image": text, "services": services}
        uri = b"https://files.example/%d" % agent_id
        await serve(conn, uri, registration(agent_id), when(15))
        file = registration(agent_id, **said, supportedTrust=[text], tags=[text], **{text: text})
        await serve(conn, uri, file, when(16), final_url=f"https://{plain}")
        endpoint_id = await conn.fetchval(
            "INSERT INTO endpoint (hash, protocol, url, host, verdict, capabilities)"
            " VALUES (sha256($1), 'mcp', $2, 'good.example', 'alive', $3) RETURNING endpoint_id",
            *(
                evil,
                f"https://good.example/{number}",
                json.dumps({"tools": [plain]}),
            ),
        )
        await conn.execute(
            "INSERT INTO agent_endpoint VALUES (31337, $1, 1, 'mcp', $2)", agent_id, endpoint_id
        )
        await conn.execute(
            "INSERT INTO agent_domain VALUES (31337, $1, $2, 'confirmed', false, NULL, now())",
            *(agent_id, plain),
        )
        found = [{"code": "placeholder", "path": plain, "detail": plain}]
        terms = ["state=strict", "kind=mcp", "name=yes"]
        texts = {"name": plain, "description": plain, "image": plain}
        await profile(conn, agent_id, findings=found, terms=terms, **texts)
    await conn.close()


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


@pytest.mark.parametrize("agent_id", [*range(len(XSS)), *range(20, 30)])
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
        if tag == "a" and attributes.get("rel") == REL:
            assert target.startswith("https://good.example/"), target
        else:
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


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/agents/31337:0", "/agents/31337:20", "/docs", "/problems/bad-cursor"),
        *("/findings", "/findings/html-page", "/agents", "/agents?q=agent&kind=mcp"),
    ],
)
async def test_pages__structure__is_what_readers_and_keyboards_need(
    client: httpx.AsyncClient, path: str
) -> None:
    tags = Tags((await client.get(path)).text)

    names = [tag for tag, _ in tags.found]
    assert names.count("h1") == names.count("main") == names.count("title") == 1
    assert dict(tags.found)["html"]["lang"] == "en"
    labels = {a["for"] for tag, a in tags.found if tag == "label"}
    fields = [a for tag, a in tags.found if tag in ("input", "select")]
    assert {a["id"] for a in fields if a.get("type") != "hidden"} <= labels
    ids = [a["id"] for _, a in tags.found if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in tags.found if "aria-labelledby" in a} <= set(ids)
    assert all("scope" in a for tag, a in tags.found if tag == "th")
    assert all("alt" in a for tag, a in tags.found if tag == "img")


async def test_agent_page__with_a_file__shows_what_it_says_and_how_that_was_found(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/agents/31337:25")).text

    tags = Tags(page)
    assert "{{ 7*7 }}" in page
    assert ">49<" not in page
    for heading in ("What it says of itself", "Services", "Findings", "Its file over time"):
        assert heading in page
    assert ("a", {"href": "/findings/placeholder"}) in tags.found
    assert [a["src"] for tag, a in tags.found if tag == "img"] == ["/static/icon.svg"]
    assert 'class="mark alive"' in page


async def test_findings_pages__each_code__has_a_page_and_an_unknown_one_has_none(
    client: httpx.AsyncClient,
) -> None:
    listed = Tags((await client.get("/findings")).text)
    codes = {
        a["href"] for tag, a in listed.found if tag == "a" and "/findings/" in (a["href"] or "")
    }

    assert codes == {f"/findings/{code}" for code in FINDINGS}
    assert FINDINGS["html-page"].title in (await client.get("/findings/html-page")).text
    missing = await client.get("/findings/nope", headers={"accept": "text/html"})
    assert (missing.status_code, missing.headers["content-type"][:9]) == (404, "text/html")


async def test_find__any_key__leads_to_the_page_under_the_canonical_one(
    client: httpx.AsyncClient,
) -> None:
    key = AgentRef(31337, DEVNET.identity, 3).key
    for asked in ("31337:3", str(AgentRef(31337, DEVNET.identity, 3).uuid), f" {key} "):
        answer = await client.get("/agents", params={"q": asked})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/agents/{key}")
    assert (await client.get("/agents", params={"q": "//evil.example"})).status_code == 200


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


# Search ----------------------------------------------------------------------------------------


async def test_search_page__words_and_conditions__find_agents_and_narrow_by_links(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/agents", params={"state": "strict"})).text

    links = [a["href"] or "" for tag, a in Tags(page).found if tag == "a"]
    assert f"/agents/{AgentRef(31337, DEVNET.identity, 20).key}" in links
    assert "/agents?state=strict&kind=mcp" in links  # a facet narrows
    assert "/agents" in links  # the condition can be taken away
    assert "10 agents" in page


async def test_search_page__empty_fields_of_the_form__leave_the_address(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/agents?q=&kind=&state=strict&sort=+")

    assert (answer.status_code, answer.headers["location"]) == (303, "/agents?state=strict")


async def test_search_page__a_filter_that_is_none__is_an_error_page_and_no_result(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/agents?state=nonsense", headers={"accept": "text/html"})

    assert (answer.status_code, answer.headers["content-type"][:9]) == (400, "text/html")


@pytest.mark.parametrize("evil", XSS)
async def test_search_page__hostile_names_and_words__become_no_element_and_no_link(
    client: httpx.AsyncClient, evil: bytes
) -> None:
    for query in ({"q": evil.decode("utf-8", "replace")}, {"tag1": evil}, {"sort": "newest"}):
        answer = await client.get("/agents", params=query)
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 400:
            continue
        tags = Tags(answer.text)
        assert not {"script", "style", "svg", "iframe", "textarea"} & {tag for tag, _ in tags.found}
        for _, attributes in tags.found:
            assert not any(name.startswith("on") or name == "style" for name in attributes)
            target = attributes.get("href") or attributes.get("src") or "/"
            assert re.match(r"[/#](?!/)|/$", target), target
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x00-\x08\x1b]", answer.text)
        assert tags.open == []
