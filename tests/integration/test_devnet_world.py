"""The seeded world on a real chain: what its logs say, and what the registries answer."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak

from renown.chain.devnet.addresses import IDENTITY, REPUTATION, VALIDATION
from renown.chain.devnet.cast import Cast
from renown.chain.devnet.place import place_registries
from renown.chain.devnet.seed import register_raw, seed_world
from renown.chain.devnet.uri_forms import NOT_UTF8
from renown.chain.devnet.world import SCENE_AGENTS
from renown.chain.rpc import CallReverted, Node
from renown.spec.contracts import contract, selector
from tests.anvil import running_anvil

SEED = 11

TOPICS = {
    topic: text.partition("(")[0]
    for name in ("identity_registry", "reputation_registry", "validation_registry")
    for text, topic in contract(name).topics.items()
}
MINT = bytes(32)


async def logs_of(node: Node, address: bytes | None = None) -> list[dict[str, Any]]:
    wanted = {"fromBlock": "0x0", "toBlock": "latest"}
    if address is not None:
        wanted["address"] = f"0x{address.hex()}"
    return await node.call("eth_getLogs", [wanted], list[dict[str, Any]])


def event(log: dict[str, Any]) -> str:
    return TOPICS[bytes.fromhex(log["topics"][0][2:])]


def topic(log: dict[str, Any], place: int) -> bytes:
    return bytes.fromhex(log["topics"][place][2:])


def by_transaction(logs: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for log in logs:
        groups[log["transactionHash"]].append(log)
    return list(groups.values())


async def read(node: Node, signature: str, *arguments: object, returns: str) -> Any:
    types = [t for t in signature[signature.index("(") + 1 : -1].split(",") if t]
    calldata = selector(signature) + encode(types, arguments)
    call = {"to": f"0x{IDENTITY.hex()}", "data": f"0x{calldata.hex()}"}
    answer = await node.call("eth_call", [call, "latest"], str)
    return decode([returns], bytes.fromhex(answer[2:]))[0]


@pytest.mark.slow
async def test_seed_world__same_seed_and_clock__same_logs_block_for_block():
    found = []
    for _ in range(2):
        async with running_anvil() as node:
            summary = await seed_world(node, SEED, agents=10)
            found.append(await logs_of(node))
            assert summary.agents == summary.first_agent_id + 10 + SCENE_AGENTS

    assert found[0] == found[1]


@pytest.mark.slow
async def test_seed_world__default__counts_are_the_chains_and_log_orders_the_standards():
    done: list[tuple[int, int]] = []
    async with running_anvil() as node:
        summary = await seed_world(node, SEED, progress=lambda *now: done.append(now))
        identity, reputation = await logs_of(node, IDENTITY), await logs_of(node, REPUTATION)
        second = Cast(SEED).second_validation_registry
        validation = [*await logs_of(node, VALIDATION), *await logs_of(node, second)]

    assert done[-1][0] == done[-1][1]
    assert summary.last_block - summary.first_block < 100
    names = [event(log) for log in (*identity, *reputation, *validation)]
    for kind, name in {
        "feedback-given": "NewFeedback",
        "feedback-revoked": "FeedbackRevoked",
        "response-appended": "ResponseAppended",
        "uri-updated": "URIUpdated",
        "validation-requested": "ValidationRequest",
        "validation-responded": "ValidationResponse",
    }.items():
        extra = 1 if name == "URIUpdated" else 0  # the re-entrant registrant's
        assert names.count(name) == summary.counts[kind] + extra, name
    assert names.count("Registered") == summary.agents
    assert [event(log) for log in reputation].count("Upgraded") == 2

    seen_orders = set()
    for logs in by_transaction(identity):
        order = tuple(event(log) for log in logs)
        if order[0] == "Transfer" and topic(logs[0], 1) == MINT and len(order) <= 4:
            seen_orders.add(order)
        if order[-1] == "Transfer" and topic(logs[-1], 1) != MINT:
            assert order == ("MetadataSet", "Transfer")
            assert decode(["bytes", "bytes"], bytes.fromhex(logs[0]["data"][2:])) == (
                b"agentWallet",
                b"",
            )
    assert {
        ("Transfer", "Registered", "MetadataSet"),
        ("Transfer", "MetadataUpdate", "Registered", "MetadataSet"),
    } <= seen_orders


async def test_seed_world__reentrant_registrations__logs_contradict_the_state():
    async with running_anvil() as node:
        await seed_world(node, SEED, agents=0)
        logs = await logs_of(node, IDENTITY)
        registrant = Cast(SEED).registrant
        tricks = [
            group
            for group in by_transaction(logs)
            if any(event(log) == "Registered" and topic(log, 2)[12:] == registrant for log in group)
        ]
        orders = [tuple(event(log) for log in group) for group in tricks]

        assert orders == [
            ("Transfer", "MetadataUpdate", "URIUpdated", "Registered", "MetadataSet"),
            ("Transfer", "MetadataSet", "Registered", "MetadataSet"),
            ("Transfer", "MetadataSet", "Transfer", "Registered", "MetadataSet"),
            ("Transfer", "Transfer", *("Registered", "MetadataSet") * 2),
        ]
        adopted, unwalleted, moved, nested = (int.from_bytes(topic(g[0], 3)) for g in tricks)
        uri = await read(node, "tokenURI(uint256)", adopted, returns="bytes")
        assert uri == b"https://true.example/agent.json"
        wallet = await read(node, "getAgentWallet(uint256)", unwalleted, returns="address")
        assert int(wallet, 16) == 0
        assert decode(["bytes"], bytes.fromhex(tricks[0][3]["data"][2:])) == (b"",)
        inner, outer = (topic(log, 1) for log in tricks[3] if event(log) == "Registered")
        assert int.from_bytes(inner) == int.from_bytes(outer) + 1 == nested + 1
        assert topic(tricks[2][2], 2)[12:] == Cast(SEED).account("receiver")
        assert moved != nested


async def test_seed_world__behind_agents_that_are_there__keeps_their_ids_apart():
    async with running_anvil() as node:
        ids = await register_raw(node, [b"first", b"second"])
        one = await seed_world(node, SEED, agents=3)
        two = await seed_world(node, SEED, agents=3)

    assert ids == [0, 1]
    assert (one.first_agent_id, two.first_agent_id) == (2, 2 + one.agents)


async def test_register_raw__any_bytes__come_back_from_state_and_log():
    rng = random.Random(1)
    uris = [b"", b"\x00", NOT_UTF8, b"x" * 31, b"x" * 32, b"\xff" * 33, "\u2b50".encode()]
    uris += [rng.randbytes(rng.randint(0, 200)) for _ in range(250)]
    uris.append(rng.randbytes(30_000))

    async with running_anvil() as node:
        ids = await register_raw(node, uris)
        logged = [
            decode(["bytes"], bytes.fromhex(log["data"][2:]))[0]
            for log in await logs_of(node, IDENTITY)
            if event(log) == "Registered"
        ]
        kept = [await read(node, "tokenURI(uint256)", i, returns="bytes") for i in ids]

    assert ids == list(range(len(uris)))
    assert logged == kept == uris


async def test_next_agent__unknown__reverts_as_the_standard_says():
    async with running_anvil() as node:
        await place_registries(node)
        with pytest.raises(CallReverted) as refused:
            await read(node, "ownerOf(uint256)", 0, returns="address")

    assert refused.value.selector == keccak(b"ERC721NonexistentToken(uint256)")[:4]
