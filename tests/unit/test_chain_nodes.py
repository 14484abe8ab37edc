from __future__ import annotations

import asyncio

import pytest

from renown.chain.nodes import Member, NodePool, Patience
from renown.chain.pace import Pace
from renown.chain.rpc import Node, Refusal
from renown.errors import (
    BeyondHead,
    NodeError,
    NodeInconsistent,
    NodeRefused,
    NodeTimeout,
    NoNodeLeft,
    RangeTooWide,
    WrongChain,
)
from tests.fakes.chain import FakeChain
from tests.fakes.faults import Fault
from tests.fakes.node import FakeNode, MemoryTransport
from tests.fakes.world import QUICK, busy_chain, source_of


class Clock:
    """Time that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def pool_of(
    *fakes: FakeNode, clock: Clock | None = None, patience: Patience | None = None
) -> NodePool:
    clock = clock or Clock()
    nodes = [Node(f.url, transport=MemoryTransport(f), deadline_seconds=0.05) for f in fakes]
    return NodePool(
        31337, nodes, seed=1, patience=patience or Patience(), clock=clock, sleep=clock.sleep
    )


async def height(member: Member) -> tuple[str, int]:
    return member.host, int(await member.node.call("eth_blockNumber", [], str), 16)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.TIMEOUT,
        Fault.RESET,
        Fault.HTML,
        Fault.UNAVAILABLE,
        Fault.CUT,
        Fault.WRONG_ID,
        Fault.NULL,
        Fault.INTERNAL,
        Fault.RATE_LIMITED,
        Fault.RATE_LIMITED_WITH_TIME,
        Fault.PRUNED,
    ],
)
async def test_ask__first_node_fails__the_second_answers(fault):
    chain = busy_chain(5)
    bad, good = FakeNode(chain, "bad"), FakeNode(chain, "good")
    bad.fail(fault, "eth_blockNumber", times=None)

    assert await pool_of(bad, good).ask("x", height) == ("good.test", 5)


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.RESET, Fault.HTML, Fault.RATE_LIMITED])
async def test_ask__one_node_that_recovers__is_asked_again_after_growing_pauses(fault):
    clock, node = Clock(), FakeNode(busy_chain(5))
    node.fail(fault, "eth_blockNumber", times=3)

    assert (await pool_of(node, clock=clock).ask("x", height))[1] == 5
    assert sum(clock.slept) > 0.3


async def test_ask__nobody_recovers__ends_with_the_hosts_and_their_errors():
    chain = busy_chain(2)
    nodes = [FakeNode(chain, "one"), FakeNode(chain, "two")]
    for node in nodes:
        node.fail(Fault.HTML, "eth_blockNumber", times=None)

    with pytest.raises(NoNodeLeft) as caught:
        await pool_of(*nodes).ask("the height", height)

    assert set(caught.value.context["nodes"]) == {"one.test", "two.test"}
    assert "502" in caught.value.detail


async def test_ask__unknown_refusal__is_retried_a_bounded_number_of_times_then_raised():
    node = FakeNode(busy_chain(2))

    async def odd(member: Member) -> str:
        return await member.node.call("eth_odd", [], str)

    with pytest.raises(NodeRefused):
        await pool_of(node).ask("x", odd)

    assert node.count("eth_odd") <= Patience().attempts


async def test_ask__too_wide__is_the_callers_matter():
    node = FakeNode(busy_chain(2))

    async def wide(_member: Member) -> str:
        raise RangeTooWide("less")

    pool = pool_of(node)
    with pytest.raises(RangeTooWide):
        await pool.ask("x", wide)

    assert pool.status()[0].failures == 0


async def test_ask__behind__prefers_the_node_that_has_the_block():
    chain = busy_chain(10)
    lagging, good = FakeNode(chain, "lagging"), FakeNode(chain, "good")
    pool = pool_of(lagging, good)
    pool.members[0].saw_head(3)
    pool.members[1].saw_head(10)

    assert (await pool.ask("x", height, reach=8))[0] == "good.test"
    assert (await pool.ask("x", height))[0] == "lagging.test"


async def test_ask__contradiction__parks_and_counts():
    chain = busy_chain(10)
    pool = pool_of(FakeNode(chain, "liar"), FakeNode(chain, "good"))

    async def checked(member: Member) -> str:
        if member.host == "liar.test":
            raise NodeInconsistent("caught")
        return member.host

    assert await pool.ask("x", checked) == "good.test"
    liar = pool.status()[0]
    assert (liar.contradictions, liar.state) == (1, "parked")


async def test_ask__avoid__asks_another_operator_or_nobody():
    chain = busy_chain(3)
    pool = pool_of(FakeNode(chain, "a"), FakeNode(chain, "b"))

    assert (await pool.ask("x", height, avoid={"a.test"}))[0] == "b.test"
    with pytest.raises(NoNodeLeft):
        await pool.ask("x", height, avoid={"a.test", "b.test"})


async def test_start__every_node_on_another_chain__stops():
    node = FakeNode(busy_chain(1))
    node.chain_id = 1

    with pytest.raises(WrongChain):
        await pool_of(node).start()


async def test_start__one_node_on_another_chain__is_never_asked():
    chain, other = busy_chain(5), FakeChain(9, chain_id=10)
    wrong, right = FakeNode(other, "wrong"), FakeNode(chain, "right")
    pool = pool_of(wrong, right)

    await pool.start()

    assert (await pool.ask("x", height))[0] == "right.test"
    assert pool.status()[0].state == "wrong-chain"
    assert wrong.count("eth_blockNumber") == 0


async def test_chain_id__is_checked_again_after_an_hour():
    clock, node = Clock(), FakeNode(busy_chain(5))
    pool = pool_of(node, clock=clock)
    await pool.start()
    node.chain_id = 1

    assert (await pool.ask("x", height))[1] == 5
    clock.now += 3_601
    with pytest.raises(WrongChain):
        await pool.ask("x", height)

    node.chain_id = None
    clock.now += 3_601
    assert (await pool.ask("x", height))[1] == 5


async def test_start__unreachable_node__is_checked_at_first_use():
    node = FakeNode(busy_chain(5))
    node.fail(Fault.RESET)
    pool = pool_of(node)

    await pool.start()

    assert pool.status()[0].state == "unchecked"
    assert (await pool.ask("x", height))[1] == 5


async def test_rate_limit__retry_after__is_kept():
    clock, node = Clock(), FakeNode(busy_chain(5))
    pool = pool_of(node, clock=clock)
    await pool.start()

    async def limited(member: Member) -> str:
        if clock.now < 1_010:
            raise Refusal("slow", http_status=429, retry_after_seconds=20)
        return member.host

    await pool.ask("x", limited)

    assert clock.now >= 1_000 + 20 * 0.75
    assert pool.status()[0].requests_per_second is not None


def test_pace__refusals__slow_down_and_good_answers_speed_up_again():
    pace = Pace()
    for i in range(100):
        assert pace.reserve(i / 50) == 0  # 50 a second, unlimited
    pace.refused(2.0)
    assert pace.rate is not None
    slowed = pace.rate
    assert 5 < slowed < 50

    waits = [pace.reserve(2.0) for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(9 / slowed, rel=0.05)

    for _ in range(1_000):
        pace.succeeded()
    assert pace.rate is None


async def test_observer__every_question__is_told_by_host():
    told: list[tuple[str, str]] = []

    class Observer:
        def node_asked(self, chain_id: int, host: str, what: str, outcome: str, seconds: float):
            told.append((host, outcome))

    chain = busy_chain(5)
    bad, good = FakeNode(chain, "bad"), FakeNode(chain, "good")
    async with source_of(bad, good, observer=Observer()) as source:
        bad.fail(Fault.HTML, "eth_getBlockByNumber")
        await source.head()

    assert ("bad.test", "failed") in told
    assert ("good.test", "ok") in told


@pytest.mark.parametrize("error", [NodeTimeout("t"), BeyondHead("b"), NodeInconsistent("i")])
async def test_ask__single_node__raises_what_it_is(error: NodeError):
    async def failing(_member: Member) -> str:
        raise error

    wanted = NoNodeLeft if isinstance(error, NodeTimeout) else type(error)
    with pytest.raises(wanted):
        await pool_of(FakeNode(busy_chain(1)), patience=QUICK).ask("x", failing)


def test_pool__without_nodes__asks_for_a_url():
    with pytest.raises(NoNodeLeft, match="RPC_URL"):
        NodePool(1, [], seed=1)


async def test_ask__somebody_waits__no_node_for_long__is_said_soon_each_time():
    clock, gone = Clock(), FakeNode(busy_chain(5), "gone")
    gone.fail(Fault.RESET, "eth_blockNumber", times=None)
    patience = Patience(attempts=4, backoff_seconds=0.2, backoff_cap_seconds=60, wait_seconds=3)
    pool = pool_of(gone, clock=clock, patience=patience)

    for _ in range(30):
        before = clock.now
        with pytest.raises(NoNodeLeft, match=r"the last said: (?!no other)"):
            await pool.ask("a height", height)
        assert clock.now - before <= 3
