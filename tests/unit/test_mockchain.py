"""The mock chain of the benchmarks must be a chain the registries could have written."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from bench import forms, world
from bench.node import FINAL_BLOCKS, MockNode
from eth_hash.auto import keccak

from renown.decode import Decoder
from renown.spec import events
from renown.spec.logs import RawLog

ADDRESSES = ["0x" + registry.hex() for registry in forms.REGISTRIES]
SIZE = 4_000
NO_CAP = 10**9


def node_of(density: str, *, keep: bool = False) -> MockNode:
    content = world.make(SIZE, density=density)
    return MockNode(content, max_range_blocks=NO_CAP, max_logs=NO_CAP, keep=keep)


@pytest.fixture(scope="module", params=["network", "dense"])
def node(request: pytest.FixtureRequest) -> MockNode:
    """Not to be steered: shared by the tests that only read."""
    return node_of(request.param)


def ask(node: MockNode, method: str, *params: Any) -> Any:
    reply = answer(node, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert "error" not in reply, reply
    return reply["result"]


def refusal(node: MockNode, method: str, *params: Any) -> Any:
    return answer(node, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})["error"]


def answer(node: MockNode, request: Any) -> Any:
    return msgspec.json.decode(node.answer(msgspec.json.encode(request)))


def logs_of(node: MockNode, first: int = 0, last: int | None = None) -> list[Any]:
    end = node.head if last is None else last
    wish = {"address": ADDRESSES, "fromBlock": hex(first), "toBlock": hex(end)}
    found: list[Any] = ask(node, "eth_getLogs", wish)
    return found


def facts_of(node: MockNode) -> list[Any]:
    logs = msgspec.convert(logs_of(node), list[RawLog])
    return Decoder(forms.IDENTITY, forms.REPUTATION, [forms.VALIDATION]).decode_many(logs)


def bloom_of(logs: list[Any]) -> int:
    bloom = 0
    for log in logs:
        for item in (log["address"], *log["topics"]):
            digest = keccak(bytes.fromhex(item[2:]))
            for i in (0, 2, 4):
                bloom |= 1 << (int.from_bytes(digest[i : i + 2]) % 2048)
    return bloom


def test_headers__from_first_to_head__link_and_carry_their_logs(node: MockNode) -> None:
    by_block = defaultdict(list)
    for log in logs_of(node):
        by_block[int(log["blockNumber"], 16)].append(log)

    parent = "0x" + "0" * 64
    for number in range(node.head + 1):
        header = ask(node, "eth_getBlockByNumber", hex(number), False)
        assert int(header["number"], 16) == number
        assert header["parentHash"] == parent
        assert int(header["logsBloom"], 16) == bloom_of(by_block[number])
        assert len(set(header["transactions"])) == 100
        for log in by_block[number]:
            assert log["blockHash"] == header["hash"]
            assert log["blockTimestamp"] == header["timestamp"]
            place = int(log["transactionIndex"], 16)
            assert header["transactions"][place] == log["transactionHash"]
        parent = header["hash"]


def test_logs__of_the_whole_chain__ascend_with_gaps_and_all_decode(node: MockNode) -> None:
    facts = facts_of(node)

    places = [(fact.block_number, fact.log_index) for fact in facts]
    assert places == sorted(set(places))
    assert len(facts) == node.world.logs >= SIZE
    assert not [fact for fact in facts if isinstance(fact, events.Quarantined)]
    steps = {b[1] - a[1] for a, b in itertools.pairwise(places) if a[0] == b[0]}
    assert {1, 2} <= steps  # other contracts log in between


def test_agents__in_log_order__have_gapless_ids_and_move_from_their_owner(node: MockNode) -> None:
    owners: dict[int, bytes] = {}
    registered = []
    previous: Any = None
    for fact in facts_of(node):
        if isinstance(fact, events.AgentTransferred):
            if fact.from_address == bytes(20):
                assert fact.agent_id == len(owners)
            else:
                assert owners[fact.agent_id] == fact.from_address
                assert (previous.agent_id, previous.key, previous.value, previous.tx_hash) == (
                    fact.agent_id,
                    b"agentWallet",
                    b"",
                    fact.tx_hash,
                )
            owners[fact.agent_id] = fact.to_address
        elif isinstance(fact, events.AgentRegistered):
            registered.append(fact.agent_id)
            assert owners[fact.agent_id] == fact.owner
        previous = fact

    assert registered == list(range(len(owners)))
    for agent in (0, 7, len(owners) - 1):
        call = {"to": ADDRESSES[0], "data": f"0x6352211e{agent:064x}"}
        assert ask(node, "eth_call", call, "latest")[-40:] == owners[agent].hex()
    unknown = refusal(node, "eth_call", {"to": ADDRESSES[0], "data": f"0x6352211e{99999:064x}"})
    assert unknown["code"] == 3
    assert unknown["data"].startswith("0x7e273289")


def test_registrations__of_every_form__emit_what_the_contract_does(node: MockNode) -> None:
    kinds_by_tx = defaultdict(list)
    for fact in facts_of(node):
        kinds_by_tx[fact.tx_hash].append(events.KINDS[type(fact)])

    forms_seen = {tuple(kinds) for kinds in kinds_by_tx.values() if "agent_registered" in kinds}

    bare = ("agent_transferred", "agent_registered", "metadata_set")
    with_uri = ("agent_transferred", "metadata_refreshed", "agent_registered", "metadata_set")
    assert forms_seen == {bare, with_uri, (*with_uri, "metadata_set")}


def test_feedback__per_agent_and_client__counts_from_one_and_is_answered_only_if_given(
    node: MockNode,
) -> None:
    agents = 0
    last: dict[tuple[int, bytes], int] = defaultdict(int)
    revoked = set()
    for fact in facts_of(node):
        if isinstance(fact, events.AgentRegistered):
            agents += 1
        elif isinstance(fact, events.FeedbackGiven):
            assert fact.agent_id < agents
            last[fact.agent_id, fact.client] += 1
            assert fact.feedback_index == last[fact.agent_id, fact.client]
        elif isinstance(fact, events.FeedbackRevoked | events.ResponseAppended):
            assert 1 <= fact.feedback_index <= last[fact.agent_id, fact.client]
            if isinstance(fact, events.FeedbackRevoked):
                revoked.add((fact.agent_id, fact.client, fact.feedback_index))

    assert node.world.counts["revoke"] == len(revoked)
    (agent, client), most = max(last.items(), key=lambda item: item[1])
    assert agent == world.HEAVY_AGENT
    assert most == node.world.counts["heavy_feedback"]
    data = f"0xf2d81759{agent:064x}{client.hex():0>64}"
    index = ask(node, "eth_call", {"to": ADDRESSES[1], "data": data}, "latest")
    assert int(index, 16) == most


def test_world__made_twice__is_the_same_and_another_seed_is_not() -> None:
    once, twice = node_of("network"), node_of("network")
    other = MockNode(world.make(SIZE, seed=1), max_range_blocks=NO_CAP, max_logs=NO_CAP)

    assert logs_of(once) == logs_of(twice)
    assert logs_of(once)[:50] != logs_of(other)[:50]


def test_million_events__by_default__hold_the_reviewer_of_base() -> None:
    content = world.make(100_000)

    assert 0.9 < content.counts["heavy_feedback"] / 4_133.1 < 1.1
    assert 2.8 < content.logs / len(content.blocks) < 3.2
    assert len(content.blocks) < content.last_block / 5  # most blocks are empty


def test_kept__against_rendering_at_request__is_the_same() -> None:
    live, kept = node_of("network"), node_of("network", keep=True)

    assert logs_of(kept) == logs_of(live)
    assert logs_of(kept, 100, 900) == logs_of(live, 100, 900)
    for number in (0, 1, *live.world.blocks[5:20]):
        asked = (hex(number), False)
        assert ask(kept, "eth_getBlockByNumber", *asked) == ask(
            live, "eth_getBlockByNumber", *asked
        )


@pytest.mark.parametrize("keep", [False, True])
def test_reorg__of_same_events__changes_hashes_only(keep: bool) -> None:
    node = node_of("dense", keep=keep)
    before = logs_of(node)
    old_head = ask(node, "eth_getBlockByNumber", "latest", False)

    first = ask(node, "mock_reorg", 10, 0)

    after = logs_of(node)
    assert first == node.head - 9
    assert [log["topics"] + [log["data"]] for log in after] == [
        log["topics"] + [log["data"]] for log in before
    ]
    for old, new in zip(before, after, strict=True):
        assert (old["blockHash"] != new["blockHash"]) == (int(old["blockNumber"], 16) >= first)
    assert ask(node, "eth_getBlockByNumber", "latest", False)["hash"] != old_head["hash"]
    assert refusal(node, "eth_getLogs", {"blockHash": old_head["hash"]})["code"] == -32000


@pytest.mark.parametrize("keep", [False, True])
def test_reorgs__that_move_events__keep_their_order_and_the_links(keep: bool) -> None:
    node = node_of("dense", keep=keep)
    end = node.head
    stream = [log["data"] for log in logs_of(node)]
    ask(node, "mock_setHead", end - 10)

    for depth, shift in ((8, 3), (4, 0), (16, 2)):
        ask(node, "mock_reorg", depth, shift)
        moved = logs_of(node)
        assert [log["data"] for log in moved] == stream[: len(moved)]
        assert ask(node, "mock_logsUpTo", node.head) == len(moved)
    ask(node, "mock_setHead", end + 5)

    assert [log["data"] for log in logs_of(node)] == stream
    parent = None
    for number in range(end - 40, node.head + 1):
        header = ask(node, "eth_getBlockByNumber", hex(number), False)
        assert parent in (None, header["parentHash"])
        logs = ask(node, "eth_getLogs", {"blockHash": header["hash"], "address": ADDRESSES})
        assert int(header["logsBloom"], 16) == bloom_of(logs)
        assert {log["blockHash"] for log in logs} <= {header["hash"]}
        parent = header["hash"]


def test_logs__by_address_and_topic__are_those_that_match(node: MockNode) -> None:
    everything = logs_of(node)
    whole = {"fromBlock": "0x0", "toBlock": "latest"}
    revoked = "0x25156fd3288212246d8b008d5921fde376c71ed14ac2e072a506eb06fde6d09d"

    reputation = ask(node, "eth_getLogs", {"address": ADDRESSES[1], **whole})
    revocations = ask(node, "eth_getLogs", {"address": ADDRESSES, "topics": [[revoked]], **whole})

    assert reputation == [log for log in everything if log["address"] == ADDRESSES[1]]
    assert revocations == [log for log in everything if log["topics"][0] == revoked]
    assert ask(node, "eth_getLogs", {"address": "0x" + "1" * 40, **whole}) == []


def test_refusals__as_nodes_word_them(node: MockNode) -> None:
    strict = MockNode(node.world, max_range_blocks=100, max_logs=20)
    head = node.head

    def logs(first: int, last: int) -> Any:
        return refusal(strict, "eth_getLogs", {"fromBlock": hex(first), "toBlock": hex(last)})

    assert logs(head, head + 1)["message"] == "block range extends beyond current head block"
    assert logs(5, 4)["message"] == "invalid block range params"
    if head > 200:
        assert logs(0, 100)["message"] == "block range is too wide (maximum 100)"
    assert "query returned more than 20" in logs(head - 99 if head > 99 else 0, head)["message"]
    assert refusal(strict, "eth_nothing")["code"] == -32601
    assert refusal(strict, "eth_getLogs", 7)["code"] == -32602
    assert answer(strict, {"method": 1})["error"]["code"] == -32700


def test_tags_batches_and_code__as_an_indexer_asks() -> None:
    node = node_of("network")
    calls = [
        {"jsonrpc": "2.0", "id": 7, "method": "eth_chainId", "params": []},
        {"jsonrpc": "2.0", "id": "b", "method": "eth_blockNumber", "params": []},
    ]

    chain, head = answer(node, calls)

    assert (chain["id"], chain["result"], head["id"]) == (7, "0x7a69", "b")
    assert int(head["result"], 16) == node.head
    finalized = ask(node, "eth_getBlockByNumber", "finalized", False)
    assert int(finalized["number"], 16) == node.head - FINAL_BLOCKS
    assert ask(node, "eth_getBlockByNumber", hex(node.head + 1), False) is None
    assert ask(node, "eth_getBlockByHash", finalized["hash"], False) == finalized
    assert ask(node, "eth_getCode", ADDRESSES[0], "0x0") == "0x"
    assert len(ask(node, "eth_getCode", ADDRESSES[0], "0x1")) > 2
