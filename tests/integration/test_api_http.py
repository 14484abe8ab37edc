"""HTTP around the answers: entity tags, problems, cursors, CORS, headers, readiness."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from renown.api.app import create_app
from renown.errors import BadSettings
from renown.settings import Settings
from renown.store.pool import connect, connect_pool
from tests.factories import ALICE, BOB, CAROL, Story
from tests.integration.api import SETTINGS, api_on, get, refused

AGENT = "/v1/agents/31337:0"
TAGGED = [
    *(AGENT, f"{AGENT}/uri", f"{AGENT}/metadata", f"{AGENT}/feedback", f"{AGENT}/validations"),
    *(f"{AGENT}/history", f"{AGENT}/reputation", f"{AGENT}/reputation?clients=0x{CAROL.hex()}"),
    *(
        f"{AGENT}?at=1",
        "/v1/agents",
        "/v1/agents?chain=devnet",
        f"/v1/agents?owner=0x{ALICE.hex()}",
    ),
    *(f"{AGENT}/feedback/0x{CAROL.hex()}/1", f"/v1/feedback?client=0x{CAROL.hex()}"),
    *("/v1/chains", "/v1/chains/devnet", "/v1/network", "/v1/quarantine"),
]


@pytest.fixture
async def story(fresh_database_url: str) -> Story:
    story = Story().mint(0, ALICE, b"ipfs://one").mint(1, BOB).next_block()
    story.give(0, CAROL, 1).give(0, CAROL, 2).metadata(0, b"k", b"v").next_block()
    await story.write(fresh_database_url)
    return story


@pytest.fixture
async def client(fresh_database_url: str, story: Story) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(fresh_database_url) as client:
        yield client


# Entity tags -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TAGGED)
async def test_etag__only_the_head_moved__is_the_same_and_304_tells_the_new_block(
    client: httpx.AsyncClient, story: Story, fresh_database_url: str, path: str
) -> None:
    before = await client.get(path)
    await story.next_block().write(fresh_database_url, final=2)
    again = await client.get(path, headers={"If-None-Match": before.headers["etag"]})

    assert before.status_code == 200, before.text
    assert before.headers["etag"].startswith('W/"')
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == before.headers["etag"]
    assert "content-type" not in again.headers
    if "at=" not in path and path != "/v1/network":
        assert again.headers["renown-as-of"] != before.headers["renown-as-of"]
        assert "block=4" in again.headers["renown-as-of"]


@pytest.mark.parametrize(
    ("path", "changed_by"),
    [
        (AGENT, "give"), (AGENT, "say_uri"), (AGENT, "transfer"), (AGENT, "revoke"),
        (f"{AGENT}/feedback", "respond"), (f"{AGENT}/feedback", "revoke"),
        (f"{AGENT}/history", "revoke_unknown"), (f"{AGENT}/metadata", "metadata"),
        (f"{AGENT}/reputation", "give"), (f"{AGENT}/validations", "ask"),
        ("/v1/agents", "mint"), (f"/v1/agents?owner=0x{ALICE.hex()}", "transfer"),
        ("/v1/agents?limit=1", "transfer_of_1"), ("/v1/agents?chain=devnet", "give"),
        (f"/v1/agents?owner=0x{BOB.hex()}&limit=1", "transfer"),  # there is a second page now
        (f"/v1/feedback?client=0x{CAROL.hex()}", "give"),
    ],
)  # fmt: skip
async def test_etag__something_changed__is_another(
    client: httpx.AsyncClient, story: Story, fresh_database_url: str, path: str, changed_by: str
) -> None:
    tag = (await client.get(path)).headers["etag"]
    {
        "give": lambda: story.give(0, CAROL, 3),
        "say_uri": lambda: story.say_uri(0, b"ipfs://two"),
        "transfer": lambda: story.transfer(0, ALICE, BOB),
        "revoke": lambda: story.revoke(0, CAROL, 1),
        "revoke_unknown": lambda: story.revoke(0, CAROL, 77),
        "respond": lambda: story.respond(0, CAROL, 1),
        "metadata": lambda: story.metadata(0, b"k", b"w"),
        "ask": lambda: story.ask_validation(0, b"q"),
        "mint": lambda: story.mint(2, BOB),
        "transfer_of_1": lambda: story.transfer(1, BOB, CAROL),
    }[changed_by]()
    # The current block is stored already.
    await _moved_to_next_block(story).write(fresh_database_url)

    answer = await client.get(path, headers={"If-None-Match": tag})

    assert answer.status_code == 200
    assert answer.headers["etag"] != tag


def _moved_to_next_block(story: Story) -> Story:
    import msgspec

    stored = story.number
    story.next_block()
    story.facts = [
        msgspec.structs.replace(f, block_number=story.number) if f.block_number == stored else f
        for f in story.facts
    ]
    return story


async def test_status__says_how_things_stand_now__is_never_kept(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/status")

    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers


async def test_head__is_get_without_the_body(client: httpx.AsyncClient) -> None:
    got, head = await client.get(AGENT), await client.head(AGENT)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-length", "content-type", "renown-as-of"):
        assert head.headers[name] == got.headers[name]
    assert (await client.head("/static/style.css")).content == b""
    assert (await client.head("/nope")).status_code == 404


async def test_as_of__body_and_header__say_the_same_block(client: httpx.AsyncClient) -> None:
    answer = await client.get(AGENT)

    block = answer.json()["as_of"]
    assert re.match(
        rf'31337;block={block["block_number"]};hash="{block["block_hash"]}";time=@\d+;finality=',
        answer.headers["renown-as-of"],
    )


async def test_as_of__nothing_indexed_yet__is_null_and_not_zero(
    fresh_database_url: str,
) -> None:
    from renown.store.lease import acquire
    from tests.factories import BASE

    conn = await connect(fresh_database_url)
    await (await acquire(conn, BASE, start_block=0, genesis_hash=None, name="test")).close()
    async with api_on(fresh_database_url) as client:
        block = (await get(client, "/v1/chains/base"))["as_of"]
        status = (await get(client, "/v1/status"))["items"][0]
        await refused(client, "/v1/agents/8453:0", 404, "agent-not-found")
        await refused(client, "/v1/agents/8453:0?at=0", 400, "block-beyond-head")

    assert block == {"chain_id": 8453} | dict.fromkeys(
        ("block_number", "block_hash", "time", "finality")
    )
    for name in ("block_number", "head_block", "final_block", "blocks_to_go", "lag_seconds"):
        assert status[name] is None


# Problems ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("/nope", 404, "route-not-found"),
        ("/v1/agents/", 404, "route-not-found"),
        ("/v1/agents/31337:0/", 404, "route-not-found"),
        (f"{AGENT}?foo=1", 400, "bad-parameter"),
        (f"{AGENT}?at=1&at=2", 400, "bad-parameter"),
        (f"{AGENT}?full=perhaps", 400, "bad-parameter"),
        ("/v1/agents?limit=0", 400, "bad-parameter"),
        ("/v1/agents?limit=101", 400, "bad-parameter"),
        ("/v1/agents?limit=-1", 400, "bad-parameter"),
        ("/v1/agents?limit=1e2", 400, "bad-parameter"),
        ("/v1/agents?owner=vitalik.eth", 400, "bad-address"),
        ("/v1/agents?cursor=AAAA", 400, "bad-cursor"),
        (f"{AGENT}/feedback/0x12/1", 400, "bad-address"),
        (f"{AGENT}/feedback/0x{CAROL.hex()}/99999999999999999999", 400, "bad-parameter"),
        (f"{AGENT}/history?order=sideways", 400, "bad-parameter"),
        ("/v1/outbox", 400, "bad-parameter"),
        ("/v1/quarantine?reason=%00", 400, "bad-parameter"),
        ("/v1/chains/%00", 404, "chain-not-found"),
        ("/v1/agents?chain=%00", 404, "chain-not-found"),
        ("/v1/agents/%00", 400, "bad-agent-key"),
        ("/v1/agents/%ff%fe", 400, "bad-agent-key"),
    ],
)
async def test_problem__every_mistake__is_named_with_what_to_mend(
    client: httpx.AsyncClient, path: str, status: int, slug: str
) -> None:
    problem = await refused(client, path, status, slug)

    assert {"type", "title", "status", "detail", "instance"} <= set(problem)
    assert problem["status"] == status
    assert problem["detail"]
    assert (await client.get(problem["type"])).status_code == 200


async def test_problem__unknown_parameter__names_the_known_ones(client: httpx.AsyncClient) -> None:
    problem = await refused(client, f"{AGENT}/history?orde=newest", 400, "bad-parameter")

    assert problem["parameter"] == "orde"
    assert problem["known"] == ["at", "cursor", "limit", "order"]


async def test_problem__wrong_method__says_which_are_right(client: httpx.AsyncClient) -> None:
    answer = await client.post(AGENT, json={})

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["type"] == "/problems/method-not-allowed"


async def test_problem__a_browser_outside_the_api__gets_a_page(client: httpx.AsyncClient) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml"}
    page = await client.get("/agents/<script>x", headers=browser)
    data = await client.get("/v1/agents/xyz", headers=browser)

    assert (page.status_code, page.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "<script>" not in page.text
    assert data.headers["content-type"] == "application/problem+json"


async def test_problem__mistake_of_ours__says_nothing_of_our_insides(
    client: httpx.AsyncClient, fresh_database_url: str
) -> None:
    conn = await connect(fresh_database_url)
    await conn.execute("ALTER TABLE agent RENAME COLUMN owner TO secret_column")
    await conn.close()

    answer = await client.get(AGENT)

    assert answer.status_code == 500
    assert answer.json() == {
        "type": "/problems/internal",
        "title": "Unexpected server error.",
        "status": 500,
        "detail": "The operator has to look.",
        "instance": AGENT,
    }
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_problem__database_away__says_when_to_try_again_and_not_where_it_was() -> None:
    pool = await connect_pool("postgresql://who:secret@127.0.0.1:1/nowhere", min_size=0)
    app = create_app(Settings(**SETTINGS), pool=pool)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        answers = [await client.get(path) for path in (AGENT, "/readyz", "/v1/status", "/")]
        alive = await client.get("/healthz")
    await pool.close(grace_seconds=1)

    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"] == "2"
        assert not re.search("127|nowhere|who|secret", answer.text)
    assert alive.status_code == 200


async def test_readyz__schema_of_another_version__is_not_ready(
    client: httpx.AsyncClient, fresh_database_url: str
) -> None:
    assert (await client.get("/readyz")).text == "ready\n"
    async with api_on(fresh_database_url.rsplit("/", 1)[0] + "/postgres") as empty:
        answer = await empty.get("/readyz")

    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/schema-behind")


# Cursors -----------------------------------------------------------------------------------------


async def test_cursor__another_path_filter_or_key__is_refused(
    client: httpx.AsyncClient, fresh_database_url: str
) -> None:
    cursor = (await get(client, f"{AGENT}/feedback", limit=1))["next_cursor"]
    good = await get(client, f"{AGENT}/feedback", limit=7, cursor=cursor)
    pool = await connect_pool(fresh_database_url, min_size=1, max_size=1)
    other = create_app(Settings(**SETTINGS | {"cursor_secret": "another secret of 16"}), pool=pool)

    assert [i["index"] for i in good["items"]] == ["1"]
    for path in (
        f"{AGENT}/feedback?tag1=starred&cursor={cursor}",
        f"/v1/agents/31337:1/feedback?cursor={cursor}",
        f"{AGENT}/history?cursor={cursor}",
        f"/v1/agents?cursor={cursor}",
        f"{AGENT}/feedback?cursor={cursor[:-1]}",
        f"{AGENT}/feedback?cursor={cursor}x",
    ):
        await refused(client, path, 400, "bad-cursor")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=other), base_url="http://api"
    ) as stranger:
        await refused(stranger, f"{AGENT}/feedback?cursor={cursor}", 400, "bad-cursor")
    await pool.close()


async def test_cursor__rows_come_while_paging__are_neither_repeated_nor_lost(
    client: httpx.AsyncClient, story: Story, fresh_database_url: str
) -> None:
    first = await get(client, f"{AGENT}/feedback", limit=1)
    await story.next_block().give(0, CAROL, 3).write(fresh_database_url)
    second = await get(client, f"{AGENT}/feedback", limit=1, cursor=first["next_cursor"])

    assert [i["index"] for i in first["items"] + second["items"]] == ["2", "1"]
    assert second["next_cursor"] is None


# Headers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [AGENT, f"{AGENT}/uri", "/", "/nope", "/static/style.css", "/docs"]
)
async def test_headers__every_answer__forbids_sniffing_framing_and_scripts(
    client: httpx.AsyncClient, path: str
) -> None:
    headers = (await client.get(path)).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["access-control-allow-origin"] == "*"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy
    assert "access-control-allow-credentials" not in headers


async def test_cors__preflight__may_read_from_anywhere(client: httpx.AsyncClient) -> None:
    answer = await client.options(
        AGENT, headers={"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    )

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "If-None-Match" in answer.headers["access-control-allow-headers"]


async def test_metrics__after_requests__count_them_by_route_and_never_by_path(
    client: httpx.AsyncClient,
) -> None:
    for path in (AGENT, "/v1/agents/31337:1", "/nope", "/v1/agents/xyz"):
        await client.get(path)

    text = (await client.get("/metrics")).text

    assert 'route="/v1/agents/{key}",status="200"' in text
    assert 'route="/v1/agents/{key}",status="400"' in text
    assert 'route="unmatched",status="404"' in text
    assert not re.search(r'="[^"]*31337', text)  # a time may happen to have these digits


def test_create_app__without_any_database__says_which_setting_is_missing() -> None:
    with pytest.raises(BadSettings, match="DATABASE_URL"):
        create_app(Settings(**SETTINGS))


async def test_create_app__with_a_url__opens_and_closes_its_own_pool(
    fresh_database_url: str, story: Story
) -> None:
    given: Any = {"database_url": fresh_database_url, **SETTINGS}
    app = create_app(Settings(**given))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert (await client.get("/readyz")).status_code == 503
        async with app.router.lifespan_context(app):
            assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
