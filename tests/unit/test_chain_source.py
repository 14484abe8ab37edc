"""A source over fake nodes, in memory: what it hands out equals the chain, or it raises."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random

import pytest

from renown.chain.reader import Sampling
from renown.chain.source import CallReverted, ChainSource, VerifiedRange
from renown.errors import (
    NodeError,
    NodeInconsistent,
    NodeRefused,
    NoNodeLeft,
)
from renown.spec.deployments import FinalityPolicy
from tests.fakes.chain import FakeChain
from tests.fakes.faults import PROVIDERS, Chaos, Fault, RangeLimit
from tests.fakes.node import FakeNode
from tests.fakes.world import (
    DEVNET,
    EVERYTHING,
    IDENTITY,
    as_dicts,
    busy_chain,
    feedback_log,
    mint_log,
    source_of,
    truth,
)

LYING = [
    Fault.EMPTY,
    Fault.DROPPED,
    Fault.DUPLICATED,
    Fault.FORGED,
    Fault.UNSORTED,
    Fault.WRONG_BLOCK_HASH,
    Fault.WRONG_ADDRESS,
    Fault.REMOVED,
]


@functools.cache
def sparse_chain(blocks: int) -> FakeChain:
    return busy_chain(blocks, busy=0.01)


async def backfill(source: ChainSource, first: int, last: int, **more: int) -> list[VerifiedRange]:
    """All ranges; they must join without gap or overlap."""
    parts = [part async for part in source.final_ranges(first, last, **more)]
    assert parts[0].first == first
    assert parts[-1].last == last
    for before, after in itertools.pairwise(parts):
        assert after.first == before.last + 1
    return parts


def all_logs(parts: list[VerifiedRange]) -> list[tuple[str, str, str]]:
    return [entry for part in parts for entry in as_dicts(part.logs)]


# Backfill ----------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 4, 9])
async def test_final_ranges__honest_node__hands_out_the_chain(concurrency):
    chain = busy_chain(3_000)
    node = FakeNode(chain)

    async with source_of(node) as source:
        parts = await backfill(source, 0, 2_990, concurrency=concurrency)

    assert all_logs(parts) == truth(chain, 0, 2_990)
    for part in parts:
        assert set(part.blocks) == {int(log.block_number, 16) for log in part.logs}
        for number, ref in part.blocks.items():
            block = chain.block(number)
            assert block is not None
            assert "0x" + ref.hash.hex() == block.hash
            assert ref.number == number


@pytest.mark.parametrize("limit", PROVIDERS, ids=lambda limit: limit.provider)
async def test_final_ranges__each_providers_limit__leaves_no_gap(limit: RangeLimit):
    chain = sparse_chain(12_000 if limit.blocks > 4_000 else 2_500)
    node = FakeNode(chain)
    node.limit = limit
    last = chain.head.number - 10

    async with source_of(node) as source:
        source.pool.members[0].sizer._blocks = 50_000
        parts = await backfill(source, 0, last)

    assert all_logs(parts) == truth(chain, 0, last)


async def test_final_ranges__transient_chaos__still_hands_out_the_chain():
    chain = busy_chain(1_500, busy=0.1)
    nodes = [FakeNode(chain, f"n{i}") for i in range(3)]

    async with source_of(*nodes) as source:
        for i, node in enumerate(nodes):
            node.chaos = Chaos(seed=i, rate=0.25)
            source.pool.members[i].sizer._blocks = 50
        parts = await backfill(source, 0, 1_490)

    assert all_logs(parts) == truth(chain, 0, 1_490)


@pytest.mark.parametrize("lie", LYING)
async def test_final_ranges__a_lying_node_beside_an_honest_one__is_found_out(lie):
    chain = busy_chain(200, busy=0.3)
    liar, honest = FakeNode(chain, "liar"), FakeNode(chain, "honest")
    liar.fail(lie, "eth_getLogs", times=None)

    async with source_of(liar, honest, sampling=EVERYTHING) as source:
        parts = await backfill(source, 0, 190)
        status = source.status()

    assert all_logs(parts) == truth(chain, 0, 190)
    assert status[0].contradictions > 0
    assert status[1].contradictions == 0


@pytest.mark.parametrize("lie", [lie for lie in LYING if lie is not Fault.EMPTY])
async def test_final_ranges__a_lying_node_alone__is_not_believed(lie):
    chain = busy_chain(60, busy=0.5)
    liar = FakeNode(chain)
    liar.fail(lie, "eth_getLogs", times=None)

    async with source_of(liar, sampling=EVERYTHING) as source:
        with pytest.raises(NodeInconsistent):
            await backfill(source, 0, 50)


async def test_final_ranges__error_in_the_middle__comes_after_everything_before_it():
    chain = busy_chain(400, busy=0.2)
    node = FakeNode(chain)
    got: list[VerifiedRange] = []

    async with source_of(node) as source:
        source.pool.members[0].sizer._blocks = 20
        with pytest.raises(NodeError):
            async for part in source.final_ranges(0, 390, concurrency=4):
                got.append(part)
                if len(got) == 3:
                    node.fail(Fault.HTML, times=None)

    assert [entry for part in got for entry in as_dicts(part.logs)] == truth(chain, 0, got[-1].last)


async def test_final_ranges__reader_stops_early__leaves_nothing_behind():
    chain = busy_chain(2_000)

    async with source_of(FakeNode(chain)) as source:
        source.pool.members[0].sizer._blocks = 50
        ranges = source.final_ranges(0, 1_990)
        async for _part in ranges:
            break
        await ranges.aclose()

        assert source._budget.used_bytes == 0


async def test_final_ranges__slow_reader__holds_the_fetching_up():
    chain = busy_chain(2_000, busy=1.0)
    node = FakeNode(chain)

    async with source_of(node) as source:
        source._budget.limit_bytes = 150_000
        source._budget.usual_part_bytes = 50_000
        source.pool.members[0].sizer._blocks = 20
        source.pool.members[0].sizer.limit_blocks = 20
        seen = 0
        async for part in source.final_ranges(0, 1_990, concurrency=12):
            seen += 1
            await asyncio.sleep(0.001)  # a reader with other things to do
            assert source._budget.used_bytes <= 150_000 + 3 * part.size_bytes

    assert seen >= 90


async def test_final_ranges__never_asks_past_the_nodes_own_head():
    chain = busy_chain(300)
    lagging, good = FakeNode(chain, "lagging"), FakeNode(chain, "good")
    lagging.lag, lagging.past_head = 200, "empty"

    async with source_of(lagging, good) as source:
        parts = await backfill(source, 0, 290)

    assert all_logs(parts) == truth(chain, 0, 290)
    for method, params in lagging.asked:
        if method == "eth_getLogs" and "toBlock" in params[0]:
            assert int(params[0]["toBlock"], 16) <= 100


# Window ------------------------------------------------------------------------------------


async def test_window__honest_node__has_every_header():
    chain = busy_chain(120, bloom_noise=200)

    async with source_of(FakeNode(chain)) as source:
        window = await source.window(100, 120)

    assert sorted(window.blocks) == list(range(100, 121))
    assert as_dicts(window.logs) == truth(chain, 100, 120)


@pytest.mark.parametrize("lie", LYING)
async def test_window__a_lying_node_beside_an_honest_one__is_found_out(lie):
    chain = busy_chain(60, busy=0.5)
    liar, honest = FakeNode(chain, "liar"), FakeNode(chain, "honest")
    liar.fail(lie, "eth_getLogs", times=None)

    async with source_of(liar, honest) as source:
        window = await source.window(40, 60)

    assert as_dicts(window.logs) == truth(chain, 40, 60)
    assert source.status()[0].contradictions > 0


@pytest.mark.parametrize("lie", LYING)
async def test_window__a_node_that_lies_once__is_asked_again(lie):
    chain = busy_chain(60, busy=0.5)
    node = FakeNode(chain)
    node.fail(lie, "eth_getLogs")

    async with source_of(node) as source:
        window = await source.window(40, 60)

    assert as_dicts(window.logs) == truth(chain, 40, 60)
    assert source.status()[0].contradictions > 0


async def test_window__empty_answer_of_a_node_alone__is_contradicted_by_the_bloom():
    chain = busy_chain(60, busy=0.5)
    node = FakeNode(chain)
    node.fail(Fault.EMPTY, "eth_getLogs", times=1)  # by range; by block hash it is honest

    async with source_of(node) as source:
        window = await source.window(40, 60)

    assert as_dicts(window.logs) == truth(chain, 40, 60)


async def test_window__chain_without_blooms__is_checked_by_another_operator():
    chain = busy_chain(60, busy=0.5, blooms=False)
    liar, honest = FakeNode(chain, "liar"), FakeNode(chain, "honest")
    liar.fail(Fault.EMPTY, "eth_getLogs", times=None)
    third = FakeNode(chain, "third")

    async with source_of(liar, honest, third) as source:
        window = await source.window(40, 60)

    assert as_dicts(window.logs) == truth(chain, 40, 60)


async def test_window__two_nodes_and_no_blooms__nobody_is_believed():
    chain = busy_chain(60, busy=0.5, blooms=False)
    liar, honest = FakeNode(chain, "liar"), FakeNode(chain, "honest")
    liar.fail(Fault.EMPTY, "eth_getLogs", times=None)

    async with source_of(liar, honest) as source:
        with pytest.raises(NodeInconsistent):
            await source.window(40, 60)


async def test_window__node_without_block_hash_filters__is_still_read():
    chain = busy_chain(60, busy=0.5)
    node = FakeNode(chain)
    node.by_hash = False

    async with source_of(node) as source:
        window = await source.window(40, 60)

    assert as_dicts(window.logs) == truth(chain, 40, 60)


async def test_window__reorg_between_headers_and_logs__is_read_again():
    chain = busy_chain(60, busy=0.5)
    node = FakeNode(chain)
    dice = random.Random(3)
    honest = node._handlers["eth_getLogs"]

    def reorg_first(params, head):
        node._handlers["eth_getLogs"] = honest
        chain.reorg(5, [[feedback_log(dice)] for _ in range(6)])
        return honest(params, head)

    node._handlers["eth_getLogs"] = reorg_first
    async with source_of(node) as source:
        window = await source.window(40, 60)

    assert as_dicts(window.logs) == truth(chain, 40, 60)
    assert [ref.hash.hex() for ref in window.blocks.values()] == [
        block.hash[2:] for n in range(40, 61) if (block := chain.block(n)) is not None
    ]


async def test_window__beyond_every_head__is_refused():
    async with source_of(FakeNode(busy_chain(20))) as source:
        with pytest.raises(NodeError):
            await source.window(15, 25)


@pytest.mark.parametrize("limit", PROVIDERS[:12], ids=lambda limit: limit.provider)
async def test_window__wider_than_the_provider_takes__is_read_in_parts(limit: RangeLimit):
    chain = busy_chain(900, busy=0.05)
    node = FakeNode(chain)
    node.limit = limit

    async with source_of(node) as source:
        window = await source.window(100, 900)

    assert as_dicts(window.logs) == truth(chain, 100, 900)


# Head --------------------------------------------------------------------------------------


async def test_head__tag__is_final_and_depth_where_there_is_none():
    chain = busy_chain(100, finality_lag=30)
    node = FakeNode(chain)
    async with source_of(node) as source:
        head = await source.head()
        assert (head.latest.number, head.finalized, head.safe) == (100, 70, 70)

    node.tags = False
    async with source_of(node) as source:
        head = await source.head()
        assert (head.finalized, head.safe) == (92, None)

    async with source_of(node, policy=FinalityPolicy(tag=None, depth_blocks=20)) as source:
        assert (await source.head()).finalized == 80


async def test_head__tag_fails_for_a_while__never_falls_back_to_depth():
    chain = busy_chain(100, finality_lag=30)
    node = FakeNode(chain)
    async with source_of(node) as source:
        await source.head()
        node.tags = False
        chain.extend(50)

        heads = [await source.head() for _ in range(5)]

    assert {head.finalized for head in heads} == {70}


async def test_head__finalized_goes_back__stays():
    chain = busy_chain(100, finality_lag=20)
    node = FakeNode(chain)
    async with source_of(node) as source:
        before = (await source.head()).finalized
        node.finalized_back = 50

        assert (await source.head()).finalized == before == 80


async def test_head__back_and_forth_behind_a_balancer__never_goes_back():
    chain = busy_chain(100)
    node = FakeNode(chain, seed=4)
    node.lags = (0, 20)
    numbers: list[int] = []
    async with source_of(node) as source:
        for _ in range(30):
            chain.append()
            head = (await source.head()).latest.number
            if head > max(numbers, default=0):
                await source.window(head - 40, head)  # as the indexer does
            numbers.append(head)

    assert numbers == sorted(numbers)
    assert numbers[-1] > 120


async def test_head__lagging_first_node__asks_the_others():
    chain = busy_chain(100)
    first, second = FakeNode(chain, "first"), FakeNode(chain, "second")
    async with source_of(first, second) as source:
        assert (await source.head()).latest.number == 100
        chain.extend(5)
        first.lag = 30

        assert (await source.head()).latest.number == 105


@pytest.mark.parametrize("depth", [1, 7])
async def test_head__reorg__is_handed_out_though_it_is_lower(depth):
    chain = busy_chain(50)
    async with source_of(FakeNode(chain)) as source:
        await source.window(30, 50)
        await source.head()

        chain.reorg(depth, [[] for _ in range(depth)])
        head = await source.head()
        assert head.latest.hash.hex() == chain.head.hash[2:]
        assert head.latest.number == 50

        if depth > 1:
            chain.reorg(depth, [[] for _ in range(depth - 1)])
            assert (await source.head()).latest.hash.hex() == chain.head.hash[2:]


# The rest ----------------------------------------------------------------------------------


async def test_block__known_unknown_and_future():
    chain = busy_chain(20)
    async with source_of(FakeNode(chain)) as source:
        found = await source.block(7)
        assert found is not None
        wanted = chain.block(7)
        assert wanted is not None
        assert found.hash.hex() == wanted.hash[2:]
        assert await source.block(21) is None


@pytest.mark.parametrize("created", [0, 1, 7, 63, 64, 100])
async def test_find_start_block__bisects_on_code(created):
    chain = busy_chain(100, busy=0)
    chain.deploy(IDENTITY, created)
    node = FakeNode(chain)

    async with source_of(node) as source:
        assert await source.find_start_block(DEVNET.identity) == created

    assert node.count("eth_getCode") <= 10


async def test_find_start_block__pruned_state__asks_a_node_that_keeps_it():
    chain = busy_chain(100, busy=0)
    chain.deploy(IDENTITY, 33)
    pruned, archive = FakeNode(chain, "pruned"), FakeNode(chain, "archive")
    pruned.pruned_below = 90

    async with source_of(pruned, archive) as source:
        assert await source.find_start_block(DEVNET.identity) == 33
    async with source_of(pruned) as source:
        with pytest.raises(NodeRefused):
            await source.find_start_block(DEVNET.identity)


async def test_find_start_block__no_contract__says_so():
    async with source_of(FakeNode(busy_chain(10))) as source:
        with pytest.raises(NodeRefused, match="no code"):
            await source.find_start_block(DEVNET.identity)


@pytest.mark.parametrize("agents", [0, 1, 2, 3, 17, 64, 100, 333])
async def test_highest_agent_id__any_count__is_found_by_owner_of(agents):
    chain = FakeChain(1)
    if agents:
        chain.append([mint_log(i) for i in range(agents)])
    chain.append()

    async with source_of(FakeNode(chain)) as source:
        found = await source.highest_agent_id(chain.head.number)

    assert found == (agents - 1 if agents else None)


async def test_highest_agent_id__at_a_past_block__counts_what_was_then():
    chain = FakeChain(1)
    for i in range(9):
        chain.append([mint_log(i)])

    async with source_of(FakeNode(chain)) as source:
        assert await source.highest_agent_id(4) == 3


async def test_highest_agent_id__contract_without_owner_of__is_a_revert_and_blames_nobody():
    node = FakeNode(FakeChain(1))
    node._handlers["eth_call"] = lambda params, head: node._call(
        [{"to": "0x", "data": "0x"}, "0x0"], head
    )

    async with source_of(node) as source:
        with pytest.raises(CallReverted):
            await source.highest_agent_id(0)
        assert source.status()[0].contradictions == 0


async def test_call__revert__is_an_answer_with_data_and_is_not_retried():
    node = FakeNode(FakeChain(1))
    async with source_of(node) as source:
        with pytest.raises(CallReverted) as caught:
            await source.call(DEVNET.identity, bytes.fromhex("6352211e") + bytes(32), 0)

    assert caught.value.selector.hex() == "7e273289"
    assert node.count("eth_call") == 1


async def test_count_logs__another_operator__counts_the_same():
    chain = busy_chain(500)
    a, b = FakeNode(chain, "a"), FakeNode(chain, "b")
    async with source_of(a, b) as source:
        first = await source.count_logs(0, 490)
        second = await source.count_logs(0, 490, avoid_host=first.host)

    assert first.host != second.host
    assert first.logs == second.logs == len(truth(chain, 0, 490))
    assert first.by_block == second.by_block
    assert (
        first.by_contract
        == second.by_contract
        == {
            DEVNET.identity: 0,
            DEVNET.reputation: first.logs,
            DEVNET.validation[0]: 0,
        }
    )


async def test_count_logs__one_operator_only__cannot_be_independent():
    async with source_of(FakeNode(busy_chain(50), "a")) as source:
        with pytest.raises(NoNodeLeft):
            await source.count_logs(0, 40, avoid_host="a.test")


async def test_final_ranges__empty_answer_for_an_empty_chain__is_confirmed_by_a_second_operator():
    chain = busy_chain(300, busy=0)
    liar, honest = FakeNode(chain, "liar"), FakeNode(chain, "honest")
    sampling = Sampling(empty_ranges=0, busy_ranges=0, second_operator=1.0)

    async with source_of(liar, honest, sampling=sampling) as source:
        await backfill(source, 0, 290)

    assert honest.count("eth_getLogs") >= 1
