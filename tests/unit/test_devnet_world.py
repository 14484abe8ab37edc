from __future__ import annotations

import json
from collections import Counter

import pytest
from eth_abi.abi import decode

from renown.chain.devnet import content
from renown.chain.devnet.addresses import REPUTATION
from renown.chain.devnet.calls import Feedback
from renown.chain.devnet.cases import summary_cases
from renown.chain.devnet.cast import Cast
from renown.chain.devnet.ledger import Block, Ledger, Transaction
from renown.chain.devnet.personas import persona
from renown.chain.devnet.registrations import careful_file
from renown.chain.devnet.uri_forms import NOT_UTF8, URI_FORMS
from renown.chain.devnet.world import plan_world

ALICE, BOB, CAROL = (Cast(0).account(name) for name in ("alice", "bob", "carol"))

OVERLOADS = {"f2c298be": ["bytes"], "8ea42286": ["bytes", "(bytes,bytes)[]"]}
"""Arguments of the two `register` functions that take a URI, by selector."""


def transactions(steps):
    return [step for step in steps if isinstance(step, Transaction)]


def ratings(steps):
    fields = ["uint256", "int128", "uint8", "bytes", "bytes", "bytes", "bytes", "bytes32"]
    return [
        decode(fields, step.calldata[4:])
        for step in transactions(steps)
        if step.kind == "feedback-given" and step.to == REPUTATION
    ]


def test_plan_world__same_seed__same_steps():
    assert plan_world(5) == plan_world(5)


def test_plan_world__other_seed_or_first_agent__other_steps():
    assert plan_world(5) != plan_world(6)
    assert plan_world(5) != plan_world(5, first_agent_id=1)


def test_plan_world__default__is_lively_and_short():
    steps = plan_world(1)

    kinds = Counter(step.kind for step in steps if not isinstance(step, Block))
    assert sum(isinstance(step, Block) for step in steps) < 100
    assert isinstance(steps[-1], Block)
    assert kinds["agent-registered"] >= 60
    assert kinds["feedback-given"] >= 400
    assert set(kinds) == {
        "agent-approved",
        "agent-registered",
        "agent-registered-reentrantly",
        "agent-transferred",
        "contract-deployed",
        "feedback-given",
        "feedback-revoked",
        "metadata-set",
        "money-made",
        "operator-set",
        "paid",
        "paid-by-signature",
        "registry-upgraded",
        "response-appended",
        "uri-updated",
        "validation-requested",
        "validation-responded",
        "wallet-proved",
        "wallet-unset",
    }


@pytest.mark.parametrize("seed", range(5))
def test_plan_world__any_seed__shows_every_scale_bound_and_odd_tag(seed):
    given = ratings(plan_world(seed))

    assert {decimals for _, _, decimals, *_ in given} == set(range(19))
    assert {0, -1, 10**38, -(10**38)} <= {value for _, value, *_ in given}
    assert set(content.ODD_TAGS) <= {tag1 for _, _, _, tag1, *_ in given}


def test_plan_world__default__has_a_busy_agent_and_a_busy_client():
    steps = plan_world(1)

    agents = Counter(agent_id for agent_id, *_ in ratings(steps))
    clients = Counter(s.sender for s in transactions(steps) if s.kind == "feedback-given")
    assert agents.most_common(1)[0][1] > 80
    assert clients.most_common(1)[0][1] > 60


def test_plan_world__enough_agents__registers_every_form_of_uri():
    steps = plan_world(2, agents=len(URI_FORMS))

    registered = [
        decode(OVERLOADS[step.calldata[:4].hex()], step.calldata[4:])[0]
        for step in transactions(steps)
        if step.kind == "agent-registered" and step.calldata[:4].hex() in OVERLOADS
    ]
    for part in (
        *(b"ipfs://b", b"ipfs://ipfs/", b"ipfs://0x", b"https://agents-", b"http://plain"),
        *(b"https://127.", b"http://169.", b"data:application/json;base64,ey"),
        *(b"charset=utf-8", b"data:application/json,%7B", b";utf8,{", b"base64,{", b"enc=gzip"),
        *(b'{"type"', b"[{", b"ar://", b"ipns://", b"ftp://", b"tinybanana", b"{agentId}"),
        *(NOT_UTF8, b"/\x00/", b"javascript:", b"data:text/plain,long", b"svg"),
    ):
        assert any(part in uri for uri in registered), part
    assert b"" in registered


def test_registration_file__any__is_what_a_careful_writer_makes():
    for number in range(50):
        document = json.loads(careful_file(persona(1, number), number % 4))

        assert document["type"] == "https://eips.ethereum.org/EIPS/eip-8004#registration-v1"
        assert {"name", "description", "image", "services"} <= document.keys()
        registry = "eip155:31337:0x8004A818BFB912233c491871b3d84c89A494BD9e"
        assert document["registrations"] == [{"agentId": number, "agentRegistry": registry}]
        assert all(s["name"] and s["endpoint"] for s in document["services"])


def test_ledger__owner_operator_and_approved__may_not_rate_but_a_former_owner_may():
    ledger = Ledger()
    agent_id = ledger.register(ALICE)
    said = Feedback(1)
    ledger.set_operator(ALICE, BOB)
    ledger.approve(agent_id, CAROL)
    assert [ledger.give_feedback(agent_id, who, said) for who in (ALICE, BOB, CAROL)] == [None] * 3

    ledger.transfer(agent_id, CAROL)

    assert ledger.give_feedback(agent_id, ALICE, said) == (agent_id, ALICE, 1)
    assert ledger.give_feedback(agent_id, BOB, said) == (agent_id, BOB, 1)
    assert ledger.give_feedback(agent_id, ALICE, said) == (agent_id, ALICE, 2)


def test_ledger__stranger_edits__is_refused_before_it_is_planned():
    ledger = Ledger()
    agent_id = ledger.register(ALICE)

    with pytest.raises(ValueError, match="does not manage"):
        ledger.set_uri(agent_id, b"", by=BOB)


def test_ledger__nothing_planned__makes_no_block():
    ledger = Ledger()
    ledger.end_block()

    assert ledger.take_steps() == ()


def test_summary_cases__same_seed__same_cases():
    assert summary_cases(3, 50) == summary_cases(3, 50)
    assert len(summary_cases(3, 52).cases) == 52
