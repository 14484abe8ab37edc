"""What the API says of agents' files: state, forms, the past by two times, history, diffs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from renown.store.pool import connect
from tests.factories import ALICE, BOB, Story
from tests.integration.api import api_on, get, refused
from tests.integration.conforming import require_conforming
from tests.shelf import fail, keep, learn, profile, registration, serve, when

HTTPS = b"https://agent.example/agent.json"
IPFS = b"ipfs://bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
DATA = b"data:application/json," + registration(3)
STATES = {
    0: "strict",
    1: "strict",
    2: "none",
    3: "strict",
    4: "unreachable",
    5: "pending",
    6: "unsupported",
    7: "unreadable",
    8: "foreign",
    9: "none",
}
EVIL = b"<html><script>alert(1)</script></html>"
ONE, TWO, THREE = (registration(0, name=f"Version {n}", n=n) for n in (1, 2, 3))


def story() -> Story:
    """Agent 0 is of a mutable file; agent 1 said three URIs; the rest are one state each."""
    told = Story(first_block=10)
    told.next_block()
    told.mint(0, ALICE, HTTPS).mint(1, ALICE, b"https://old.example/").mint(2).mint(3, BOB, DATA)
    told.mint(4, ALICE, b"https://dead.example/").mint(5, ALICE, b"https://new.example/")
    told.mint(6, ALICE, b"gopher://x").mint(7, ALICE, b"https://html.example/")
    told.mint(8, ALICE, b"https://other.example/").mint(9, ALICE, b"https://gone.example/")
    told.next_block(10)  # 21
    told.say_uri(1, IPFS).say_uri(9, b"")
    told.next_block(10)  # 31
    told.say_uri(1, HTTPS)
    for _ in range(10):
        told.next_block(10).metadata(2, b"k", b"v")
    return told


async def fill(url: str) -> None:
    await story().write(url, final=20)
    conn = await connect(url)
    await fail(conn, HTTPS, when(12), outcome="timeout")
    await serve(conn, HTTPS, ONE, when(30))
    await serve(conn, HTTPS, ONE, when(45), outcome="not-modified")
    await serve(conn, HTTPS, TWO, when(60))
    await fail(conn, HTTPS, when(70), outcome="http-error", status=503)
    await serve(conn, HTTPS, THREE, when(90), final_url="https://agent.example/v3.json")
    await serve(conn, IPFS, registration(1), when(10_000), verified=True)
    await serve(conn, DATA, registration(3), when(10_000))
    await fail(conn, b"https://dead.example/", when(50), outcome="dns-failed", reason="no-name")
    await learn(conn, b"https://new.example/")
    await learn(conn, b"gopher://x")
    await serve(conn, b"https://html.example/", EVIL, when(50))
    await serve(conn, b"https://other.example/", b'{"hello": 1}', when(50))
    await serve(conn, b"https://gone.example/", registration(9), when(50))
    await profile(
        conn,
        3,
        findings=[
            {"code": "wallet-unproven", "path": "", "detail": ""},
            {"code": "code-of-tomorrow", "path": "/x", "detail": "d"},
            {"code": "endpoint-dead", "path": "/services/0", "detail": "no answer"},
        ],
    )
    await profile(conn, 7, state="unreadable", document_id=None)
    await conn.close()


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(database_url) as client:
        if not (await get(client, "/v1/chains"))["items"]:
            await fill(database_url)
        yield client


def path(agent_id: int, rest: str = "registration") -> str:
    return f"/v1/agents/31337:{agent_id}/{rest}"


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


# The file of now -----------------------------------------------------------------------------


@pytest.mark.parametrize("agent_id", STATES)
async def test_registration__whatever_became_of_the_uri__is_a_state_and_no_error(
    client: httpx.AsyncClient, agent_id: int
) -> None:
    found = await get(client, path(agent_id))

    assert found["state"] == STATES[agent_id]
    assert (found["sha256"] is None) == (
        found["state"] in ("none", "pending", "unsupported", "unreachable")
    )


async def test_registration__normalised__says_what_when_and_how_it_was_read(
    client: httpx.AsyncClient,
) -> None:
    found = await get(client, path(0))

    assert found["registration"]["name"] == "Version 3"
    assert found["registration"]["claims"][0]["this"] is True
    assert found["registration"]["other"] == {"n": 3}
    assert found["sha256"] == "0x" + sha(THREE)
    assert (found["uri"], found["uri_kind"], found["fixed"]) == (HTTPS.decode(), "https", False)
    assert found["fetched_at"] == when(90).isoformat().replace("+00:00", "Z")
    assert found["final_url"] == "https://agent.example/v3.json"
    assert found["attempt"]["outcome"] == "ok"
    assert found["moment"] is None
    assert "content" not in found


async def test_registration__raw__is_the_json_as_found(client: httpx.AsyncClient) -> None:
    found = await get(client, path(0), form="raw")

    assert found["content"] == json.loads(THREE)
    assert "registration" not in found
    assert (await get(client, path(7), form="raw"))["content"] is None


async def test_registration__served__is_the_bytes_and_nothing_a_browser_would_show(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get(path(7), params={"form": "served"})

    assert answer.content == EVIL
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["etag"] == f'"{sha(EVIL)}"'
    again = await client.get(
        path(7), params={"form": "served"}, headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


async def test_registration__served_without_a_document__says_why_there_is_none(
    client: httpx.AsyncClient,
) -> None:
    problem = await refused(client, path(4) + "?form=served", 404, "not-found")

    assert problem["state"] == "unreachable"


async def test_registration__findings__are_the_agents_while_its_row_is_of_this_file(
    client: httpx.AsyncClient,
) -> None:
    whole, alone = await get(client, path(3)), await get(client, path(7))

    assert whole["findings_about"] == "agent"
    assert [f["code"] for f in whole["findings"]] == [
        "endpoint-dead",
        "wallet-unproven",
        "code-of-tomorrow",
    ]
    assert alone["findings_about"] == "document"
    assert "html-page" in {f["code"] for f in alone["findings"]}


async def test_registration__etag__changes_with_the_file_and_not_with_the_head(
    fresh_database_url: str,
) -> None:
    told = Story().mint(0, ALICE, HTTPS).next_block()
    await told.write(fresh_database_url)
    conn = await connect(fresh_database_url)
    await serve(conn, HTTPS, ONE, when(1))
    async with api_on(fresh_database_url) as client:
        first = (await client.get(path(0))).headers["etag"]
        told.mint(1).next_block()
        await told.write(fresh_database_url)
        moved = await client.get(path(0), headers={"If-None-Match": first})
        await serve(conn, HTTPS, TWO, when(2))
        changed = await client.get(path(0), headers={"If-None-Match": first})
    await conn.close()

    assert (moved.status_code, changed.status_code) == (304, 200)


# The file of then ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "state", "name"),
    [
        (11, "unknown", None),  # nobody had read it
        (21, "unreachable", None),  # tried, in vain
        (31, "strict", "Version 1"),
        (51, "strict", "Version 1"),
        (61, "strict", "Version 2"),
        (81, "strict", "Version 2"),  # a failure takes nothing back
        (91, "strict", "Version 3"),
    ],
)
async def test_registration__of_a_mutable_uri_then__is_the_last_file_read_by_then(
    client: httpx.AsyncClient, at: int, state: str, name: str | None
) -> None:
    found = await get(client, path(0), at=at)

    assert found["state"] == state
    assert (found["registration"] or {"name": None})["name"] == name
    assert found["as_of"]["block_number"] == at
    assert found["moment"] == found["as_of"]["time"]
    assert found["fetched_at"] is None or found["fetched_at"] <= found["moment"]


@pytest.mark.parametrize("agent_id", [1, 3])
async def test_registration__of_a_fixed_uri_then__is_its_file_whenever_it_was_read(
    client: httpx.AsyncClient, agent_id: int
) -> None:
    found = await get(client, path(agent_id), at=21)

    assert (found["fixed"], found["state"]) == (True, "strict")
    assert found["registration"]["name"] == f"Agent {agent_id}"
    assert found["fetched_at"] > found["moment"]


async def test_registration__then__is_of_the_uri_that_held_then(client: httpx.AsyncClient) -> None:
    uris = [(await get(client, path(1), at=at))["uri"] for at in (11, 21, 31)]

    assert uris == ["https://old.example/", IPFS.decode(), HTTPS.decode()]
    assert (await get(client, path(1), at=11))["state"] == "pending"
    assert (await get(client, path(9), at=21))["uri"] == ""
    assert (await get(client, path(9), at=11))["state"] == "unknown"


async def test_registration__at_a_time_between_blocks__counts_what_was_read_up_to_it(
    client: httpx.AsyncClient,
) -> None:
    moment = when(15).isoformat().replace("+00:00", "Z")
    found = await get(client, path(0), at=moment)

    assert found["as_of"]["block_number"] == 11
    assert found["moment"] == moment
    assert (found["state"], found["attempt"]["outcome"]) == ("unreachable", "timeout")


async def test_registration__served_then__is_the_bytes_of_then(client: httpx.AsyncClient) -> None:
    for at, body in ((31, ONE), (61, TWO), (91, THREE)):
        answer = await client.get(path(0), params={"form": "served", "at": at})
        assert answer.content == body


async def test_registration__beyond_head_or_before_the_mint__is_refused(
    client: httpx.AsyncClient,
) -> None:
    await refused(client, path(0) + "?at=9999", 400, "block-beyond-head")
    await refused(client, path(0) + "?at=10", 404, "agent-not-found")
    await refused(client, path(77), 404, "agent-not-found")


# History ---------------------------------------------------------------------------------------


async def test_documents__a_file_that_changed_three_times__has_versions_and_diffs(
    client: httpx.AsyncClient,
) -> None:
    items = (await get(client, path(0, "documents")))["items"]

    assert [(v["number"], v["state"]) for v in items] == [
        (1, "unreachable"),
        (2, "strict"),
        (3, "strict"),
        (4, "strict"),
    ]
    assert [v["sha256"] for v in items[1:]] == ["0x" + sha(b) for b in (ONE, TWO, THREE)]
    assert items[1]["first_seen"] == when(30).isoformat().replace("+00:00", "Z")
    assert items[1]["last_seen"] == when(45).isoformat().replace("+00:00", "Z")
    assert items[1]["outcomes"] == {"ok": 1, "not-modified": 1}
    assert items[2]["outcomes"] == {"ok": 1, "http-error": 1}
    assert items[2]["last_seen"] < items[2]["last_attempt"]
    assert (items[1]["changes"], items[1]["compared_with"]) == (None, None)
    assert items[2]["compared_with"] == 2
    assert items[2]["changes"] == [
        {"op": "replace", "path": "/n", "before": 1, "after": 2, "cut": False},
        {
            "op": "replace",
            "path": "/name",
            "before": "Version 1",
            "after": "Version 2",
            "cut": False,
        },
    ]


async def test_documents__another_uri__is_a_version_from_its_block_on(
    client: httpx.AsyncClient,
) -> None:
    items = (await get(client, path(1, "documents")))["items"]

    assert [v["uri"] for v in items[:3]] == ["https://old.example/", IPFS.decode(), HTTPS.decode()]
    assert [(v["said_block"], v["until_block"]) for v in items[:3]] == [
        (11, 21),
        (21, 31),
        (31, None),
    ]
    assert [v["state"] for v in items[:2]] == ["pending", "strict"]
    # The file was known already when the agent pointed to it, so its first version counts.
    assert [v["sha256"] for v in items[2:]] == ["0x" + sha(b) for b in (ONE, TWO, THREE)]
    assert items[2]["compared_with"] == 2


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_documents__page_by_page__are_the_same_versions_and_diffs(
    client: httpx.AsyncClient, limit: int
) -> None:
    for agent_id in (0, 1, 2, 9):
        whole = (await get(client, path(agent_id, "documents")))["items"]
        pages: list[Any] = []
        cursor: dict[str, Any] = {}
        while True:
            page = await get(client, path(agent_id, "documents"), limit=limit, **cursor)
            pages += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert pages == whole


async def test_documents__empty_uris__are_versions_without_a_document(
    client: httpx.AsyncClient,
) -> None:
    (never,) = (await get(client, path(2, "documents")))["items"]
    gone, emptied = (await get(client, path(9, "documents")))["items"]

    assert (never["state"], never["uri"]) == ("none", "")
    assert (gone["until_block"], emptied["state"]) == (21, "none")


async def test_documents__what_a_uri_led_to_once_it_was_given_up__is_no_version_of_the_agent(
    client: httpx.AsyncClient,
) -> None:
    given_up = (await get(client, path(9, "documents")))["items"][0]

    assert (given_up["uri"], given_up["state"]) == ("https://gone.example/", "unknown")
    assert (given_up["sha256"], given_up["outcomes"]) == (None, {})


async def test_attempts__newest_first__tell_each_with_its_outcome(
    client: httpx.AsyncClient,
) -> None:
    first = await get(client, path(1, "documents/attempts"), limit=4)
    rest = await get(client, path(1, "documents/attempts"), limit=4, cursor=first["next_cursor"])
    items = first["items"] + rest["items"]

    assert rest["next_cursor"] is None
    assert [i["outcome"] for i in items] == [
        "ok",
        "ok",
        "http-error",
        "ok",
        "not-modified",
        "ok",
        "timeout",
    ]
    assert items[2]["status"] == 503
    assert items[0]["verified"] is True


async def test_diff__by_default_and_by_number__tells_what_changed(
    client: httpx.AsyncClient,
) -> None:
    last = await get(client, path(0, "documents/diff"))
    far = await get(client, path(0, "documents/diff"), before=2, after=4)

    assert (last["before"]["number"], last["after"]["number"]) == (3, 4)
    assert [c["after"] for c in last["changes"]] == [3, "Version 3"]
    assert [c["before"] for c in far["changes"]] == [1, "Version 1"]


@pytest.mark.parametrize(
    ("query", "status", "slug"),
    [
        ("?before=1", 404, "not-found"),
        ("?before=3&after=2", 400, "bad-parameter"),
        ("?after=9", 404, "not-found"),
        ("?before=0", 400, "bad-parameter"),
    ],
)
async def test_diff__of_versions_that_are_not_there__is_refused(
    client: httpx.AsyncClient, query: str, status: int, slug: str
) -> None:
    await refused(client, path(0, "documents/diff") + query, status, slug)


async def test_diff__of_what_is_no_json__says_so(client: httpx.AsyncClient) -> None:
    await refused(client, path(7, "documents/diff"), 404, "not-found")


# Documents by hash -----------------------------------------------------------------------------


async def test_document__by_its_hash__is_its_bytes_or_its_json(client: httpx.AsyncClient) -> None:
    served = await client.get(f"/v1/documents/{sha(ONE)}")
    content = await client.get(f"/v1/documents/0x{sha(ONE).upper()}", params={"form": "json"})

    assert served.content == ONE
    assert "immutable" in served.headers["cache-control"]
    assert served.headers["content-disposition"].startswith("attachment;")
    assert content.json() == json.loads(ONE)
    assert content.headers["content-type"] == "application/json"
    await refused(client, f"/v1/documents/{sha(b'nobody')}", 404, "not-found")
    await refused(client, f"/v1/documents/{sha(EVIL)}?form=json", 404, "not-found")
    await refused(client, "/v1/documents/xyz", 400, "bad-parameter")


async def test_document__hostile_values__come_back_as_json_and_nothing_else(
    client: httpx.AsyncClient, database_url: str
) -> None:
    body = registration(
        0, name="</script><script>alert(1)</script>", big=10**40, deep=[[[]]], nul="a\0b"
    )
    conn = await connect(database_url)
    await keep(conn, body)
    await conn.close()

    answer = await client.get(f"/v1/documents/{sha(body)}", params={"form": "json"})

    assert answer.json()["big"] == str(10**40)
    assert answer.json()["nul"] == "a\ufffdb"
    assert (await client.get(f"/v1/documents/{sha(body)}")).content == body


@pytest.mark.parametrize(
    ("route", "query"),
    [
        *(("registration", f"31337:{agent_id}/registration") for agent_id in STATES),
        ("registration", "31337:0/registration?at=31&form=raw"),
        ("registration", "31337:0/registration?at=11"),
        ("documents", "31337:0/documents"),
        ("documents", "31337:9/documents"),
        ("documents/attempts", "31337:4/documents/attempts"),
        ("documents/diff", "31337:0/documents/diff"),
    ],
)
async def test_answers__conform_to_the_document_and_have_no_undocumented_member(
    client: httpx.AsyncClient, route: str, query: str
) -> None:
    await require_conforming(client, f"/v1/agents/{{key}}/{route}", f"/v1/agents/{query}")
