"""What the API says was found: endpoints and hosts, findings, files beside feedback."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from renown.spec.findings import FINDINGS
from renown.store import read_attachments
from renown.store.pool import Conn, connect
from tests.factories import ALICE, CAROL, DAVE, Story
from tests.integration.api import api_on, get, refused
from tests.integration.conforming import require_conforming
from tests.shelf import keep, learn, profile, registration, serve, when

HTTPS = b"https://agent.example/agent.json"
SERVICES = [
    {"name": "MCP", "endpoint": "https://agent.example/mcp", "version": "2025-06-18"},
    {"name": "email", "endpoint": "a@agent.example"},
    {"name": "A2A", "endpoint": "https://agent.example/card.json"},
    {"name": "web", "endpoint": "javascript:alert(1)"},
]
CAPABILITIES = {"server": "s", "tools": ["<b>search</b>", "buy"], "protocol_version": "2025-06-18"}


async def add_endpoint(conn: Conn, position: int, protocol: str, **columns: Any) -> int:
    url = f"https://agent.example/{position}"
    values = {
        "hash": hashlib.sha256(f"{protocol}\0{url}".encode()).digest(),
        "protocol": protocol,
        "url": url,
        "host": "agent.example",
        **columns,
    }
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    endpoint_id: int = await conn.fetchval(
        f"INSERT INTO endpoint ({', '.join(values)}) VALUES ({places}) RETURNING endpoint_id",
        *values.values(),
    )
    await conn.execute(
        "INSERT INTO agent_endpoint VALUES (31337, 0, $1, $2, $3)", position, protocol, endpoint_id
    )
    return endpoint_id


async def attach(
    conn: Conn, place: tuple[int, int], role: str, uri: bytes, verdict: str, **columns: Any
) -> None:
    values = {
        "chain_id": 31337,
        "block_number": place[0],
        "log_index": place[1],
        "role": role,
        "agent_id": 0,
        "uri_id": await learn(conn, uri),
        "verdict": verdict,
        **columns,
    }
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await conn.execute(
        f"INSERT INTO attachment ({', '.join(values)}) VALUES ({places})", *values.values()
    )


async def fill(url: str) -> None:
    told = Story().mint(0, ALICE, HTTPS).mint(1, ALICE, HTTPS + b"?1").next_block()
    told.give(0, CAROL, 1, uri=b"ipfs://f1").give(0, CAROL, 2, uri=b"ipfs://f2")
    told.give(0, CAROL, 3).give(0, DAVE, 1, uri=b"ipfs://f1").next_block()
    told.respond(0, CAROL, 1, DAVE, b"ipfs://r").next_block()
    told.ask_validation(0, b"one").validate(0, b"one", 0).next_block()
    await told.write(url)
    conn = await connect(url)
    await serve(conn, HTTPS, registration(0, services=SERVICES), when(2))
    await serve(conn, HTTPS + b"?1", registration(1, services=SERVICES), when(2))
    now = datetime.now(UTC)
    mcp = await add_endpoint(
        conn,
        0,
        "mcp",
        verdict="alive",
        verdict_at=now,
        checked_at=now,
        latency_ms=120,
        capabilities=json.dumps(CAPABILITIES),
    )
    await add_endpoint(conn, 2, "a2a", verdict="dead", verdict_at=now, checked_at=now)
    for days, good in ((1, True), (2, True), (3, False), (29, True), (31, False)):
        await conn.execute(
            "INSERT INTO endpoint_check VALUES ($1, $2, $3, 'alive', 'ok', NULL, 200, 100)",
            *(mcp, now - timedelta(days=days), good),
        )
    await conn.execute(
        "INSERT INTO agent_domain VALUES (31337, 0, 'agent.example', 'confirmed', true, NULL, $1)",
        now,
    )
    findings = [
        {"code": "endpoint-dead", "path": "/services/2", "detail": "<script>alert(1)</script>"},
        {"code": "wallet-unproven", "path": "", "detail": ""},
    ]
    terms = ["finding=endpoint-dead", "finding=wallet-unproven"]
    await profile(conn, 0, findings=findings, terms=terms, name="A")
    await profile(conn, 1, findings=findings[1:], terms=terms[1:], document_id=None)
    await conn.execute("REFRESH MATERIALIZED VIEW term_count")
    kept = await keep(conn, b'{"feedback": 1}')
    differs = json.dumps([{"code": "file-value-differs", "path": "/value", "detail": "1"}])
    await attach(
        conn,
        *((2, 0), "feedback", b"ipfs://f1", "bytes"),
        document_id=kept,
        findings=differs,
        checked_at=when(3),
    )
    await attach(conn, (2, 1), "feedback", b"ipfs://elsewhere", "bytes", document_id=kept)
    await attach(conn, (3, 0), "response", b"ipfs://r", "mismatch", document_id=kept)
    await attach(conn, (4, 0), "request", b"ipfs://one", "content-id", document_id=kept)
    await conn.close()


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(database_url) as client:
        if not (await get(client, "/v1/chains"))["items"]:
            await fill(database_url)
        yield client


# Endpoints -----------------------------------------------------------------------------------


async def test_endpoints__of_a_file__stand_in_its_order_with_how_they_were_found(
    client: httpx.AsyncClient,
) -> None:
    body = await get(client, "/v1/agents/31337:0/endpoints")

    assert [(s["kind"], s["verdict"]) for s in body["items"]] == [
        ("mcp", "alive"),
        ("email", "unknown"),
        ("a2a", "dead"),
        ("web", "unknown"),
    ]
    (mcp,) = body["items"][0]["checks"]
    assert (mcp["recent_checks"], mcp["recent_good"], mcp["uptime"]) == (4, 3, 0.75)
    assert (mcp["latency_ms"], mcp["capabilities"]["tools"]) == (120, CAPABILITIES["tools"])
    assert body["items"][1]["checks"] == []
    assert body["domains"][0]["state"] == "confirmed"


async def test_endpoints__page_by_page__are_the_same(client: httpx.AsyncClient) -> None:
    first = await get(client, "/v1/agents/31337:0/endpoints", limit=3)
    rest = await get(client, "/v1/agents/31337:0/endpoints", limit=3, cursor=first["next_cursor"])

    assert [s["position"] for s in (*first["items"], *rest["items"])] == [0, 1, 2, 3]
    assert rest["next_cursor"] is None


async def test_endpoints__links_of_another_file_than_this__are_not_shown(
    client: httpx.AsyncClient, database_url: str
) -> None:
    conn = await connect(database_url)
    change = "UPDATE agent_profile SET document_id = $1 WHERE agent_id = 0"
    held = await conn.fetchval("SELECT document_id FROM agent_profile WHERE agent_id = 0")
    try:
        await conn.execute(change, held + 1_000)
        body = await get(client, "/v1/agents/31337:0/endpoints")
    finally:
        await conn.execute(change, held)
        await conn.close()

    assert {s["verdict"] for s in body["items"]} == {"unknown"}


async def test_endpoints__days_that_checks_shrank_to__count_too(
    client: httpx.AsyncClient, database_url: str
) -> None:
    conn = await connect(database_url)
    day = datetime.now(UTC).date() - timedelta(days=10)
    try:
        await conn.execute(
            "INSERT INTO endpoint_day SELECT endpoint_id, $1, 4, 0, 0, 0 FROM endpoint"
            " WHERE protocol = 'mcp'",
            day,
        )
        body = await get(client, "/v1/agents/31337:0/endpoints")
    finally:
        await conn.execute("DELETE FROM endpoint_day")
        await conn.close()

    (mcp,) = body["items"][0]["checks"]
    assert (mcp["recent_checks"], mcp["recent_good"]) == (8, 3)


# Findings --------------------------------------------------------------------------------------


async def test_findings__of_an_agent__say_what_they_mean_and_whether_they_are_of_now(
    client: httpx.AsyncClient,
) -> None:
    now = await get(client, "/v1/agents/31337:0/findings")
    before = await get(client, "/v1/agents/31337:1/findings")

    assert [f["code"] for f in now["items"]] == ["endpoint-dead", "wallet-unproven"]
    assert now["items"][0]["fix"] == FINDINGS["endpoint-dead"].fix
    assert (now["current"], before["current"]) == (True, False)


async def test_findings__across_the_network__are_all_codes_with_counts(
    client: httpx.AsyncClient,
) -> None:
    body = await get(client, "/v1/findings")
    counts = {item["code"]: item["agents"] for item in body["items"]}

    assert counts.keys() == FINDINGS.keys()
    assert (counts["wallet-unproven"], counts["endpoint-dead"], counts["html-page"]) == (2, 1, 0)
    assert counts["file-hash-weak"] is None
    assert [i["code"] for i in body["items"][:2]] == ["wallet-unproven", "endpoint-dead"]
    assert body["counted_at"] is not None
    assert body["items"][0]["chains"] == [{"chain_id": 31337, "agents": 2}]


async def test_findings__filtered__are_of_that_severity_subject_and_chain(
    client: httpx.AsyncClient,
) -> None:
    errors = (await get(client, "/v1/findings", severity="error", subject="uri"))["items"]

    assert {(e["severity"], e["subject"]) for e in errors} == {("error", "uri")}
    await get(client, "/v1/findings", chain="devnet")
    await refused(client, "/v1/findings?chain=1", 404, "chain-not-found")
    await refused(client, "/v1/findings?severity=fatal", 400, "bad-parameter")


async def test_finding__one_code__means_something_and_an_unknown_one_is_not_found(
    client: httpx.AsyncClient,
) -> None:
    one = await get(client, "/v1/findings/endpoint-dead")

    assert (one["agents"], one["title"]) == (1, FINDINGS["endpoint-dead"].title)
    await refused(client, "/v1/findings/nothing", 404, "not-found")


# Files beside facts ----------------------------------------------------------------------------


async def test_feedback__that_names_a_file__says_whether_it_is_what_was_promised(
    client: httpx.AsyncClient,
) -> None:
    items = (await get(client, "/v1/agents/31337:0/feedback"))["items"]
    found = {(i["client"].lower(), i["index"]): i["document"] for i in items}

    file = found["0x" + CAROL.hex(), "1"]
    assert (file["verdict"], file["document_class"]) == ("bytes", "object")
    assert file["findings"][0]["code"] == "file-value-differs"
    assert file["sha256"] == "0x" + hashlib.sha256(b'{"feedback": 1}').hexdigest()
    # A row left by a fact that a reorg took away names another URI than the fact there now.
    assert found["0x" + CAROL.hex(), "2"] is None
    assert found["0x" + CAROL.hex(), "3"] is None
    assert found["0x" + DAVE.hex(), "1"] is None
    across = (await get(client, "/v1/feedback", client="0x" + CAROL.hex()))["items"]
    assert [i["document"] is None for i in across] == [True, True, False]
    (record,) = (await get(client, f"/v1/agents/31337:0/feedback/0x{CAROL.hex()}/1"))["items"]
    assert record["document"] == file


async def test_feedback__that_a_reorg_put_in_the_place_of_what_was_read__lends_it_no_file(
    client: httpx.AsyncClient, database_url: str
) -> None:
    items = (await get(client, "/v1/agents/31337:0/feedback"))["items"]
    (one,) = [i for i in items if i["document"] is not None]
    block, log, transaction = (
        one["block_number"],
        one["log_index"],
        bytes.fromhex(one["tx_hash"][2:]),
    )
    conn = await connect(database_url)
    try:
        still = await read_attachments.of_feedback(conn, 31337, [(block, log, transaction)])
        other = await read_attachments.of_feedback(conn, 31337, [(block, log, bytes(32))])
    finally:
        await conn.close()

    assert [file is None for file, _ in still.values()] == [False]
    assert other == {}


async def test_feedback__whose_file_is_judged_anew__has_another_etag(
    client: httpx.AsyncClient, database_url: str
) -> None:
    path = "/v1/agents/31337:0/feedback"
    before = (await client.get(path)).headers["etag"]
    conn = await connect(database_url)
    try:
        await conn.execute("UPDATE attachment SET verdict = 'jcs' WHERE role = 'feedback'")
        after = await client.get(path, headers={"If-None-Match": before})
    finally:
        await conn.execute("UPDATE attachment SET verdict = 'bytes' WHERE role = 'feedback'")
        await conn.close()

    assert after.status_code == 200
    assert (await client.get(path, headers={"If-None-Match": before})).status_code == 304


async def test_responses_and_validations__have_their_files_too(client: httpx.AsyncClient) -> None:
    path = f"/v1/agents/31337:0/feedback/0x{CAROL.hex()}/1/responses"
    (response,) = (await get(client, path))["items"]
    (validation,) = (await get(client, "/v1/agents/31337:0/validations"))["items"]

    assert response["document"]["verdict"] == "mismatch"
    assert validation["request_document"]["verdict"] == "content-id"
    assert validation["response_document"] is None


# The contract ------------------------------------------------------------------------------------

PATHS = {
    "/v1/agents/{key}/registration": ["31337:0/registration", "31337:0/registration?form=raw"],
    "/v1/agents/{key}/documents": ["31337:0/documents", "31337:1/documents?limit=1"],
    "/v1/agents/{key}/documents/attempts": ["31337:0/documents/attempts"],
    "/v1/agents/{key}/endpoints": ["31337:0/endpoints", "31337:1/endpoints"],
    "/v1/agents/{key}/findings": ["31337:0/findings", "31337:1/findings"],
    "/v1/agents/{key}/feedback": ["31337:0/feedback"],
    "/v1/agents/{key}/validations": ["31337:0/validations"],
}


@pytest.mark.parametrize(
    ("route", "path"),
    [
        *((route, f"/v1/agents/{path}") for route, paths in PATHS.items() for path in paths),
        ("/v1/findings", "/v1/findings"),
        ("/v1/findings/{code}", "/v1/findings/html-page"),
    ],
)
async def test_answers__conform_to_the_document_and_have_no_undocumented_member(
    client: httpx.AsyncClient, route: str, path: str
) -> None:
    await require_conforming(client, route, path)
