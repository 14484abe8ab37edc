"""What the API says about agents, feedback and chains, from facts stored by the writer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from eth_hash.auto import keccak

from renown.spec.events import (
    LegacyEvent,
    MetadataRefreshed,
    OperatorSet,
    Quarantined,
)
from renown.store.pool import connect
from renown.types import MAX_BIGINT, AgentRef, checksum_address
from tests.factories import ALICE, BASE, BOB, CAROL, DAVE, DEVNET, Story, person
from tests.integration.api import api_on, get, refused

HOSTILE = {
    0: "ipfs://bafy/ä?x=\u202e".encode(),
    1: b"nul\0inside",
    2: b"\xff\xfe not utf-8 \xed\xa0\x80",
    3: b"data:application/json;base64," + b"A" * 1_500_000,
    4: b"<script>alert(1)</script>\"'&",
    5: "\u202egnp.exe\u2066\x1b[31m\u200b".encode(),
    6: b"",
}
"""URIs of the agents of the devnet story, by agent id."""


def devnet_story() -> Story:
    story = Story()
    for agent_id, uri in HOSTILE.items():
        story.mint(agent_id, person(agent_id % 3), uri)
        story.next_block()
    story.metadata(0, b"plain", b"text").metadata(0, b"bad\xff", b"\0\xff").metadata(
        0, b"agentwallet", b"x"
    )
    story.metadata(1, b"agentWallet", b"7 bytes").metadata(2, b"agentWallet", DAVE).next_block()
    story.give(0, CAROL, 1, 10**38, 0, tag1=b"big").give(0, CAROL, 2, -(10**38), 18, tag1=b"small")
    story.give(
        0, DAVE, 1, 1, 18, tag1=b"big", tag2=b"t\xff", endpoint=b"e" * 5000, uri=b"u" * 20_000
    )
    story.give(4, CAROL, 1, tag1=HOSTILE[4], uri=HOSTILE[4], endpoint=HOSTILE[5]).next_block()
    story.give(0, DAVE, 2, -1, 0, tag1=b"").give(0, DAVE, 3, -2, 0, tag1=b"").revoke(0, CAROL, 2)
    story.respond(0, DAVE, 1, BOB, b"r" * 20_000).respond(0, DAVE, 1, CAROL).next_block()
    story.ask_validation(0, b"one").ask_validation(0, b"two").validate(0, b"one", 0).next_block()
    story.revoke(0, CAROL, 9).give(99, CAROL, 1).next_block()
    identity = DEVNET.identity
    story.add(MetadataRefreshed, identity, first_agent_id=0, last_agent_id=MAX_BIGINT)
    story.add(OperatorSet, identity, owner=ALICE, operator=BOB, approved=True)
    story.add(
        LegacyEvent,
        DEVNET.reputation,
        event="NewFeedback(uint256,address,uint8,bytes32,bytes32,string,bytes32)",
        agent_id=5,
        client=CAROL,
        topics=bytes(64),
        payload=b"\xff" * 20_000,
    )
    story.add(
        Quarantined,
        identity,
        reason="unknown-topic",
        event=None,
        topics=(keccak(b"?"),),
        payload=b"\0" * 9_000,
    )
    story.next_block()
    return story


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(database_url) as client:
        if not (await get(client, "/v1/chains"))["items"]:
            await devnet_story().write(database_url, final=3)
            base = Story(BASE, first_block=100)
            base.mint(0, ALICE, b"https://base.example").give(0, CAROL, 1, 55).next_block()
            await base.write(database_url, final=100)
            conn = await connect(database_url)
            await conn.execute("REFRESH MATERIALIZED VIEW network")
            await conn.close()
        yield client


def canonical(agent_id: int) -> str:
    return AgentRef(31337, DEVNET.identity, agent_id).key


# One agent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    [
        canonical(0),
        canonical(0).upper().replace("EIP", "eip").replace("0X", "0x"),
        "31337:0",
        "eip155:31337:0",
        str(AgentRef(31337, DEVNET.identity, 0).uuid),
        AgentRef(31337, DEVNET.identity, 0).uuid.hex,
        f"eip155:31337:0x{DEVNET.identity.hex()}%230",
        f"eip155:31337:0x{DEVNET.identity.hex()}%2F0",
        f"erc8004:31337:0x{DEVNET.identity.hex()}%2f0",
        "31337:000",
    ],
)
async def test_agent__any_spelling_of_its_key__is_found_under_the_canonical_one(
    client: httpx.AsyncClient, spelling: str
) -> None:
    canonical_key = canonical(0)

    for path in ("", "/metadata", "/feedback", "/validations", "/history", "/reputation"):
        await get(client, f"/v1/agents/{spelling}{path}")
    body = await get(client, f"/v1/agents/{spelling}")

    assert (body["key"], body["agent_id"], body["chain_id"]) == (canonical_key, "0", 31337)
    assert UUID(body["uuid"]) == AgentRef(31337, DEVNET.identity, 0).uuid
    assert body["owner"] == checksum_address(person(0))


@pytest.mark.parametrize("agent_id", HOSTILE)
async def test_agent__hostile_uri__comes_back_byte_for_byte(
    client: httpx.AsyncClient, agent_id: int
) -> None:
    raw = HOSTILE[agent_id]
    body = await get(client, f"/v1/agents/31337:{agent_id}", full=True)
    exact = await client.get(f"/v1/agents/31337:{agent_id}/uri")

    said = bytes.fromhex(body["uri_hex"][2:]) if "uri_hex" in body else body["uri"].encode()
    assert said == raw
    assert exact.content == raw
    assert exact.headers["content-type"] == "application/octet-stream"
    assert "attachment" in exact.headers["content-disposition"]
    assert ("uri_hex" in body) == (agent_id in (1, 2))


async def test_agent__long_uri__is_cut_and_says_so(client: httpx.AsyncClient) -> None:
    body = await get(client, "/v1/agents/31337:3")

    assert len(body["uri"]) == 16_384
    assert body["truncated"] == {"uri": len(HOSTILE[3])}


async def test_agent__wallet_states__tell_default_malformed_and_proved_apart(
    client: httpx.AsyncClient,
) -> None:
    found = [await get(client, f"/v1/agents/31337:{i}") for i in range(3)]

    assert [(a["wallet_state"], a["wallet"]) for a in found] == [
        ("default", checksum_address(person(0))),
        ("malformed", None),
        ("proved", checksum_address(DAVE)),
    ]


async def test_agent__another_registry_or_chain_or_id__is_not_found(
    client: httpx.AsyncClient,
) -> None:
    other = AgentRef(31337, person(77), 0).key
    await refused(client, f"/v1/agents/{other}", 404, "agent-not-found")
    await refused(client, "/v1/agents/31337:98", 404, "agent-not-found")
    await refused(client, f"/v1/agents/31337:{MAX_BIGINT}", 404, "agent-not-found")
    await refused(client, f"/v1/agents/{UUID(int=1)}", 404, "agent-not-found")
    await refused(client, "/v1/agents/424242:0", 404, "chain-not-found")
    await refused(client, f"/v1/agents/31337:{MAX_BIGINT + 1}", 400, "bad-agent-key")
    await refused(client, f"/v1/agents/31337:{2**256}", 400, "bad-agent-key")
    await refused(client, "/v1/agents/%F0%9F%98%80", 400, "bad-agent-key")
    await refused(client, "/v1/agents/31337:%D9%A3", 400, "bad-agent-key")


async def test_metadata__bytes_of_any_kind__are_text_only_where_they_are(
    client: httpx.AsyncClient,
) -> None:
    items = (await get(client, "/v1/agents/31337:0/metadata"))["items"]

    entries = {item.get("key_hex", item["key"]): item for item in items}
    assert set(entries) == {"plain", "0x" + b"bad\xff".hex(), "agentwallet"}
    assert entries["plain"]["value_text"] == "text"
    assert entries["plain"]["value_hex"] == "0x" + b"text".hex()
    assert entries["0x" + b"bad\xff".hex()]["value_text"] is None
    malformed = (await get(client, "/v1/agents/31337:1/metadata"))["items"]
    assert [(m["key"], m["value_text"]) for m in malformed] == [("agentWallet", "7 bytes")]


# Lists -----------------------------------------------------------------------------------------


async def test_agents__all_chains__newest_first_with_the_block_of_each_chain(
    client: httpx.AsyncClient,
) -> None:
    body = await get(client, "/v1/agents")

    times = [item["created_at"] for item in body["items"]]
    assert times == sorted(times, reverse=True)
    assert [block["chain_id"] for block in body["as_of"]] == [8453, 31337]
    assert len(body["items"]) == len(HOSTILE) + 1


@pytest.mark.parametrize(
    "query", ["", "chain=devnet", "chain=31337", "owner=0x" + person(0).hex(), "at=@1760000100"]
)
async def test_agents__pages_of_any_size__are_the_whole_without_repeats(
    client: httpx.AsyncClient, query: str
) -> None:
    whole = [item["key"] for item in (await get(client, f"/v1/agents?{query}"))["items"]]
    for limit in (1, 2, 3):
        found: list[str] = []
        cursor = ""
        while True:
            page = await get(client, f"/v1/agents?{query}&limit={limit}{cursor}")
            found += [item["key"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == whole
    assert whole


async def test_agents__owner__only_theirs_in_any_chain(client: httpx.AsyncClient) -> None:
    mine = await get(client, "/v1/agents", owner="0x" + person(0).hex().upper())

    assert [(i["chain_id"], i["agent_id"]) for i in mine["items"]] == [
        *((31337, "6"), (31337, "3"), (31337, "0"), (8453, "0"))
    ]


# Feedback ----------------------------------------------------------------------------------------


async def feedback(client: httpx.AsyncClient, /, **params: Any) -> list[tuple[str, str]]:
    body = await get(client, "/v1/agents/31337:0/feedback", **params)
    return [(item["client"], item["index"]) for item in body["items"]]


async def test_feedback__filters__compare_exactly_and_leave_out_the_revoked(
    client: httpx.AsyncClient,
) -> None:
    carol, dave = checksum_address(CAROL), checksum_address(DAVE)

    assert await feedback(client) == [(dave, "3"), (dave, "2"), (dave, "1"), (carol, "1")]
    assert (carol, "2") in await feedback(client, include_revoked=True)
    assert await feedback(client, client=carol) == [(carol, "1")]
    assert await feedback(client, client=carol.lower(), include_revoked=True) == [
        (carol, "2"),
        (carol, "1"),
    ]
    assert await feedback(client, tag1="big") == [(dave, "1"), (carol, "1")]
    assert await feedback(client, tag1="") == [(dave, "3"), (dave, "2")]
    assert await feedback(client, tag1="Big") == []
    assert await feedback(client, client=dave, tag1="big", tag2="t") == []


async def test_feedback__numbers_at_the_limits__are_exact_strings(
    client: httpx.AsyncClient,
) -> None:
    items = (await get(client, "/v1/agents/31337:0/feedback", include_revoked=True))["items"]

    values = {(i["client"], i["index"]): (i["value"], i["decimals"]) for i in items}
    assert values[checksum_address(CAROL), "1"] == (str(10**38), 0)
    assert values[checksum_address(CAROL), "2"] == (str(-(10**38)), 18)


async def test_feedback__long_strings__are_cut_in_pages_and_whole_alone(
    client: httpx.AsyncClient,
) -> None:
    page = (await get(client, "/v1/agents/31337:0/feedback", tag1="big"))["items"][0]
    alone = (await get(client, f"/v1/agents/31337:0/feedback/0x{DAVE.hex()}/1"))["items"][0]

    assert page["truncated"] == {"endpoint": 5_000, "uri": 20_000}
    assert (len(page["endpoint"]), len(page["uri"])) == (1_024, 16_384)
    assert (alone["endpoint"], alone["uri"]) == ("e" * 5_000, "u" * 20_000)
    assert alone["tag2_hex"] == "0x" + b"t\xff".hex()
    assert "truncated" not in alone


async def test_responses__oldest_first_with_the_record_they_answer(
    client: httpx.AsyncClient,
) -> None:
    path = f"/v1/agents/31337:0/feedback/0x{DAVE.hex()}/1"
    first = await get(client, f"{path}/responses", limit=1)
    second = await get(client, f"{path}/responses", limit=1, cursor=first["next_cursor"])

    assert first["items"][0]["responder"] == checksum_address(BOB)
    assert first["items"][0]["truncated"] == {"uri": 20_000}
    assert second["items"][0]["responder"] == checksum_address(CAROL)
    assert second["next_cursor"] is None
    given = (await get(client, path))["items"][0]
    assert given["responses"] == 2
    assert first["items"][0]["to_block"] == given["block_number"]
    await refused(client, f"/v1/agents/31337:0/feedback/0x{DAVE.hex()}/7", 404, "not-found")
    await refused(
        client, f"/v1/agents/31337:0/feedback/0x{DAVE.hex()}/7/responses", 404, "not-found"
    )
    await refused(client, f"/v1/agents/31337:0/feedback/0x{DAVE.hex()}/0", 400, "bad-parameter")


async def test_all_feedback__by_client_tag_and_chain__finds_every_agent_it_is_about(
    client: httpx.AsyncClient,
) -> None:
    async def about(**params: Any) -> list[tuple[int, str, bool]]:
        items = (await get(client, "/v1/feedback", **params))["items"]
        return [(i["chain_id"], i["agent_id"], i["attached"]) for i in items]

    carol = "0x" + CAROL.hex()
    everywhere = [(31337, "99", False), (31337, "4", True), (31337, "0", True), (8453, "0", True)]
    assert await about(client=carol) == everywhere
    assert await about(client=carol, chain="base") == [(8453, "0", True)]
    assert await about(tag1=HOSTILE[4].decode()) == [(31337, "4", True)]
    assert await about(tag1="big", tag2="") == [(31337, "0", True)]
    assert len(await about(chain="devnet")) == 6
    assert len(await about()) == 7
    first = await get(client, "/v1/feedback", client=carol, limit=2)
    rest = await get(client, "/v1/feedback", client=carol, limit=2, cursor=first["next_cursor"])
    found = [(i["chain_id"], i["agent_id"], i["attached"]) for i in first["items"] + rest["items"]]
    assert found == everywhere


# Reputation --------------------------------------------------------------------------------------


async def test_reputation__kept_sums__are_exact_per_pair_of_tags(
    client: httpx.AsyncClient,
) -> None:
    body = await get(client, "/v1/agents/31337:0/reputation")

    tags = {(t["tag1"], t["tag2"]): (t["given"], t["live"], t["live_sum"]) for t in body["tags"]}
    assert tags == {
        ("big", ""): (1, 1, str(10**56)),
        ("big", "t\ufffd"): (1, 1, "1"),
        ("small", ""): (1, 0, "0"),
        ("", ""): (2, 2, str(-3 * 10**18)),
    }
    assert body["counts"] == {
        "feedback": 5,
        "revoked": 1,
        "clients": 2,
        "responses": 2,
        "validations": 2,
        "validations_answered": 1,
    }
    assert body["summary"] is None


@pytest.mark.parametrize(
    ("clients", "tags", "expected"),
    [
        ([DAVE], "&tag1=big", ("1", 18, False, 1)),
        ([DAVE], "", ("0", 0, False, 3)),
        ([DAVE, DAVE], "&tag1=big", ("1", 18, False, 2)),
        ([CAROL], "", (str(10**38), 0, False, 1)),
        ([CAROL, DAVE, DAVE], "&tag1=big", ("-886533759346574857640019685980940970", 18, True, 3)),
        ([DAVE], "&tag1=nothing", ("0", 0, False, 0)),
        ([ALICE], "", ("0", 0, False, 0)),
        ([DAVE], "&tag1=&tag2=", ("0", 0, False, 3)),
    ],
)
async def test_reputation__clients__is_the_contracts_summary(
    client: httpx.AsyncClient,
    clients: list[bytes],
    tags: str,
    expected: tuple[str, int, bool, int],
) -> None:
    named = ",".join("0x" + c.hex() for c in clients)
    body = await get(client, f"/v1/agents/31337:0/reputation?clients={named}{tags}")

    summary = body["summary"]
    assert (
        summary["summary_value"],
        summary["summary_value_decimals"],
        summary["wrapped"],
        summary["count"],
    ) == expected
    assert summary["clients"] == len(clients)


async def test_reputation__too_many_or_no_clients__is_refused(client: httpx.AsyncClient) -> None:
    thousand = ",".join(["0x" + DAVE.hex()] * 1_000)
    path = "/v1/agents/31337:0/reputation"

    body = await get(client, f"{path}?clients={thousand}&tag1=big")
    assert body["summary"]["count"] == 1_000
    await refused(client, f"{path}?clients={thousand},0x{DAVE.hex()}", 400, "bad-parameter")
    await refused(client, f"{path}?clients=", 400, "bad-address")
    await refused(client, f"{path}?clients=0x12", 400, "bad-address")
    await refused(client, f"{path}?tag1=big", 400, "bad-parameter")


# Validations and history -------------------------------------------------------------------------


async def test_validations__pending_and_an_answer_of_zero__are_not_alike(
    client: httpx.AsyncClient,
) -> None:
    items = (await get(client, "/v1/agents/31337:0/validations"))["items"]

    assert [(i["request_uri"], i["pending"], i["response"], i["tag"]) for i in items] == [
        ("ipfs://two", True, None, None),
        ("ipfs://one", False, 0, "soft"),
    ]


async def test_history__all_kinds__in_order_and_marked(client: httpx.AsyncClient) -> None:
    whole = (await get(client, "/v1/agents/31337:0/history", limit=100))["items"]
    backwards = (await get(client, "/v1/agents/31337:0/history", limit=100, order="newest"))[
        "items"
    ]

    places = [(i["block_number"], i["log_index"]) for i in whole]
    assert places == sorted(places)
    assert backwards == whole[::-1]
    assert {i["kind"] for i in whole} == {
        *("agent_transferred", "agent_registered", "metadata_set", "feedback_given"),
        *("feedback_revoked", "response_appended", "validation_requested"),
        *("validation_responded", "metadata_refreshed"),
    }
    marked = [(i["kind"], i["standing"], i["reason"]) for i in whole if i["standing"] != "folded"]
    assert marked == [
        ("feedback_revoked", "unattached", "unknown-feedback"),
        ("metadata_refreshed", "notice", None),
    ]
    big = next(i for i in whole if i["kind"] == "feedback_given")
    assert big["fields"]["value"] == str(10**38)
    assert big["fields"]["feedback_index"] == "1"


async def test_history__pages__are_the_whole(client: httpx.AsyncClient) -> None:
    whole = (await get(client, "/v1/agents/31337:0/history", limit=100))["items"]
    for order, expected in (("oldest", whole), ("newest", whole[::-1])):
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await get(client, "/v1/agents/31337:0/history", limit=4, order=order, **cursor)
            found += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert found == expected


async def test_history__legacy_event__is_shown_and_its_payload_cut(
    client: httpx.AsyncClient,
) -> None:
    items = (await get(client, "/v1/agents/31337:5/history"))["items"]

    legacy = next(i for i in items if i["kind"] == "legacy_event")
    assert legacy["standing"] == "legacy"
    assert legacy["fields"]["event"].startswith("NewFeedback(")
    assert legacy["fields"]["truncated"] == {"payload": 20_000}


async def test_history__id_that_nobody_minted__has_one_if_events_name_it(
    client: httpx.AsyncClient,
) -> None:
    items = (await get(client, "/v1/agents/31337:99/history"))["items"]

    assert [(i["kind"], i["reason"]) for i in items] == [
        ("feedback_given", "unknown-agent"),
        ("metadata_refreshed", None),
    ]
    await refused(client, "/v1/agents/31337:99", 404, "agent-not-found")


# Chains ----------------------------------------------------------------------------------------


async def test_status__each_chain__says_what_is_known_and_null_for_the_rest(
    client: httpx.AsyncClient,
) -> None:
    items = (await get(client, "/v1/status"))["items"]
    devnet = next(i for i in items if i["slug"] == "devnet")

    assert devnet["phase"] == "follow"
    assert devnet["writer_alive"] is False
    assert (devnet["quarantined"], devnet["unattached"]) == (1, 2)
    assert devnet["blocks_to_go"] == 0
    assert devnet["coverage"] == {
        "state": "unknown",
        "checked_block": None,
        "checked_at": None,
        "agents_held": None,
        "agents_on_chain": None,
    }


async def test_status__while_a_process_holds_the_lease__the_writer_is_alive(
    client: httpx.AsyncClient, database_url: str
) -> None:
    from renown.store.lease import acquire

    conn = await connect(database_url)
    writer = await acquire(conn, BASE, start_block=1, genesis_hash=None, name="test")
    alive = {i["slug"]: i["writer_alive"] for i in (await get(client, "/v1/status"))["items"]}
    await writer.close()

    assert alive == {"base": True, "devnet": False}


async def test_chain__by_id_and_by_name__is_the_same(client: httpx.AsyncClient) -> None:
    by_id, by_name = await get(client, "/v1/chains/8453"), await get(client, "/v1/chains/base")

    assert by_id == by_name
    assert by_id["identity"] == checksum_address(BASE.identity)
    await refused(client, "/v1/chains/nope", 404, "chain-not-found")
    await refused(client, "/v1/agents?chain=nope", 404, "chain-not-found")
    await refused(client, "/v1/agents?chain=12345", 404, "chain-not-found")
    await refused(client, "/v1/feedback?chain=12345", 404, "chain-not-found")


async def test_network__counts__with_their_age(client: httpx.AsyncClient) -> None:
    body = await get(client, "/v1/network")

    devnet = next(i for i in body["items"] if i["slug"] == "devnet")
    assert (devnet["agents"], devnet["owners"], devnet["feedback"]) == (7, 3, 6)
    assert body["age_seconds"] >= 0
    assert [block["chain_id"] for block in body["as_of"]] == [8453, 31337]


async def test_quarantine__logs__with_their_bytes_cut(client: httpx.AsyncClient) -> None:
    (item,) = (await get(client, "/v1/quarantine", chain="devnet", reason="unknown-topic"))["items"]

    assert item["truncated"] == {"payload": 9_000}
    assert item["payload"] == "0x" + "00" * 4_096
    assert (await get(client, "/v1/quarantine", reason="oversized"))["items"] == []
    assert (await get(client, "/v1/quarantine", contract=item["contract"]))["items"] == [item]


async def test_outbox__positions__in_order_after_the_one_given(client: httpx.AsyncClient) -> None:
    body = await get(client, "/v1/outbox", chain="devnet")

    assert [(i["position"], i["kind"]) for i in body["items"]] == [(1, "extend")]
    assert (body["last_position"], body["oldest_position"]) == (1, 1)
    assert (await get(client, "/v1/outbox", chain="devnet", after=1))["items"] == []
