"""The servers behind the devnet's endpoints, asked without a network."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from renown.chain.devnet.asked import Asked, Reply
from renown.chain.devnet.files import WELL_KNOWN
from renown.chain.devnet.mcp_server import served_tools
from renown.chain.devnet.personas import Persona, flagship
from renown.chain.devnet.registrations import REGISTRY_ID, registration, tools_of
from renown.chain.devnet.residents import FICKLE_SECONDS, answer, mood

AGENT = flagship(1, 7)
STREAM = "application/json, text/event-stream"


def like(**changes: Any) -> Persona:
    return msgspec.structs.replace(AGENT, **changes)


def get(agent: Persona, path: str) -> Reply:
    return answer(agent, 0, Asked(method="GET", host=agent.host, path=path))


def call(agent: Persona, message: Any, *, session: str = "", accept: str = STREAM) -> Reply:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    headers = {"accept": accept, **({"mcp-session-id": session} if session else {})}
    asked = Asked(method="POST", host=agent.host, path="/mcp", headers=headers, body=body)
    return answer(agent, 1, asked)


def message(method: str, number: int | None = 1, **params: Any) -> dict[str, Any]:
    said = {"jsonrpc": "2.0", "method": method, "params": params}
    return said if number is None else said | {"id": number}


@pytest.mark.parametrize("streams", [False, True])
def test_mcp__initialized__lists_its_tools_page_by_page(streams) -> None:
    def said(reply: Reply) -> Any:
        if not streams:
            return json.loads(reply.body)
        assert reply.content_type == "text/event-stream"
        (data,) = [line for line in reply.body.splitlines() if line.startswith(b"data: ")]
        return json.loads(data[6:])

    agent = like(streams=streams)
    begun = call(agent, message("initialize", protocolVersion="2025-11-25"))
    session = begun.headers["mcp-session-id"]
    assert said(begun)["result"]["protocolVersion"] == "2025-11-25"
    assert call(agent, message("notifications/initialized", None), session=session).status == 202

    first = said(call(agent, message("tools/list", 2), session=session))
    cursor = first["result"]["nextCursor"]
    second = said(call(agent, message("tools/list", 3, cursor=cursor), session=session))

    assert (first["id"], second["id"]) == (2, 3)
    assert "nextCursor" not in second["result"]
    listed = [tool["name"] for page in (first, second) for tool in page["result"]["tools"]]
    assert listed == tools_of(agent, 1)
    assert len(listed) == 3


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"not json", 400, -32700),
        (b"[" * 100_000, 400, -32700),
        (b"[]", 400, -32600),
        ({"id": 1}, 400, -32600),
        (message("tools/list"), 404, -32000),  # no session
    ],
)
def test_mcp__nonsense__is_an_error(sent, status, code) -> None:
    reply = call(AGENT, sent)

    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (status, code)


def test_mcp__unknown_method__is_not_answered_as_a_known_one() -> None:
    session = call(AGENT, message("initialize")).headers["mcp-session-id"]
    reply = call(like(streams=False), message("nonsense/method", 9), session=session)

    assert json.loads(reply.body)["error"]["code"] == -32601


def test_mcp__dishonest_agent__has_other_tools_than_it_declares() -> None:
    declared = registration(AGENT)["services"][0]["mcpTools"]

    assert set(declared) == set(served_tools(AGENT, 0))
    assert not set(declared) & set(served_tools(like(honest=False), 0))


def test_x402__both_versions__ask_for_the_same_amount() -> None:
    old, new = (get(like(x402_version=version), "/pay") for version in (1, 2))

    assert old.status == new.status == 402
    terms = json.loads(old.body)["accepts"][0]
    said = json.loads(base64.b64decode(new.headers["PAYMENT-REQUIRED"]))
    assert terms["maxAmountRequired"] == said["accepts"][0]["amount"] == str(AGENT.price_units)
    assert terms["resource"] == said["resource"]["url"] == f"https://{AGENT.host}/pay"
    assert (json.loads(old.body)["x402Version"], said["x402Version"]) == (1, 2)
    assert (terms["network"], said["accepts"][0]["network"]) == ("base-sepolia", "eip155:84532")


def test_card__names_the_agent_and_its_skills() -> None:
    card = json.loads(get(AGENT, "/.well-known/agent-card.json").body)

    assert card["name"] == AGENT.name
    assert [skill["id"] for skill in card["skills"]] == tools_of(AGENT, 0)


@pytest.mark.parametrize(
    ("proof", "status", "named"),
    [("confirms", 200, 7), ("confirms fully", 200, 7), ("contradicts", 200, 8)],
)
def test_well_known__says_which_agent_is_its_own(proof, status, named) -> None:
    reply = get(like(domain_proof=proof), WELL_KNOWN)

    assert reply.status == status
    (entry,) = json.loads(reply.body)["registrations"]
    assert entry == {"agentId": named, "agentRegistry": REGISTRY_ID}


def test_well_known__missing_or_elsewhere() -> None:
    assert get(like(domain_proof="missing"), WELL_KNOWN).status == 404
    away = get(like(domain_proof="redirects"), WELL_KNOWN)
    assert away.status == 302
    assert AGENT.host not in away.headers["Location"]


def test_page__markup_in_a_name__is_text() -> None:
    reply = get(like(name="<script>alert(1)</script>"), "/")

    assert b"<script>" not in reply.body


@pytest.mark.parametrize("path", ["/", "/mcp", "/nonsense-4f1b", "/pay"])
@pytest.mark.parametrize(
    ("temper", "status"), [("hollow", 200), ("parrot", 200), ("tollgate", 402)]
)
def test_answer__a_liar__says_the_same_everywhere(temper, status, path) -> None:
    agent = like(temper=temper)

    assert get(agent, path).status == status
    assert call(agent, message("nonsense/method")).status == status


@pytest.mark.parametrize("path", ["/nonsense-4f1b", "/mcp/nonsense", "/.well-known/other.json"])
def test_answer__an_honest_host__knows_no_nonsense(path) -> None:
    assert get(AGENT, path).status == 404


def test_mood__by_temper_and_time() -> None:
    def at(temper: str, seconds: float) -> int | None:
        asked = Asked(method="GET", host=AGENT.host, path="/", at_seconds=seconds)
        found = mood(like(temper=temper), asked)
        return None if found is None else found.status

    assert at("good", 0) is None
    assert at("slow", 0) is None
    assert at("gone", 0) == 404
    assert at("failing", 0) == 503
    assert at("fickle", FICKLE_SECONDS - 1) is None
    assert at("fickle", FICKLE_SECONDS) == 502
    assert at("fickle", 2 * FICKLE_SECONDS) is None
