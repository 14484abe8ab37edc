"""The watcher over a real node: its errors, its pool, its reorganisations."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from renown.chain.devnet.place import place_registries
from renown.chain.rpc import Node
from renown.chain.tx.writer import writers_for
from renown.derive.operation import PlannedStep
from renown.spec import calls
from renown.spec.abi import NEW_FEEDBACK
from tests.e2e.devnet import devnet
from tests.fakes.acting_chain import GWEI
from tests.operations import CHAIN, SIGNER, Bench, registration, signed, unsigned

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

RATER = SIGNER.addresses[1]
LEFT = "SELECT count(*) FROM operation WHERE state <> 'included'"


class World:
    """A chain with one agent, of wallet 0, which `RATER` may rate."""

    def __init__(self, bench: Bench, node: Node) -> None:
        self.bench = bench
        self.node = node

    async def mine(self, blocks: int = 1) -> None:
        await self.node.call("anvil_mine", [hex(blocks)], Any)

    async def automine(self, on: bool) -> None:
        await self.node.call("evm_setAutomine", [on], Any)

    async def ratings(self) -> Counter[str]:
        """How often each transaction rated an agent."""
        topics = [f"0x{NEW_FEEDBACK.topic0.hex()}"]
        logs = await self.node.call(
            "eth_getLogs",
            [{"fromBlock": "0x0", "toBlock": "latest", "topics": topics}],
            list[dict[str, Any]],
        )
        return Counter(log["data"] for log in logs)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with devnet() as running:
        node = running.node
        await place_registries(node)
        writers = writers_for({CHAIN.chain_id: [running.url]})
        bench = await Bench.open(database_url, writers[CHAIN.chain_id])
        agent = await bench.ask(registration()[0], kind="register")
        await bench.look(2)
        assert (await bench.load(agent)).agent_id == 0
        yield World(bench, node)
        await bench.conn.close()
        await writers[CHAIN.chain_id].close()


def rating(number: int, agent_id: int = 0) -> PlannedStep:
    return PlannedStep(
        function=calls.GIVE_FEEDBACK,
        contract=CHAIN.reputation,
        summary="Rate it.",
        calldata=calls.give_feedback(agent_id, number),
    )


async def test_registration__of_two_steps__ends_final(world: World) -> None:
    bench = world.bench
    operation = await bench.ask(*registration(), kind="register")
    await bench.look(4)
    found = await bench.load(operation)
    assert (found.state, found.agent_id) == ("included", 1)
    await bench.finalise()
    await bench.look()
    assert (await bench.load(operation)).state == "final"


async def test_self_feedback__failed_with_the_registrys_words(world: World) -> None:
    bench = world.bench
    step = rating(1)
    foreseen = await bench.ask(step)
    sent = await bench.ask(step, mode="client")
    await bench.relay(sent, 1, await signed(step, 1))
    await bench.look(3)
    for operation in (foreseen, sent):
        found = await bench.load(operation)
        assert (found.state, found.steps[0].reason) == ("failed", "Self-feedback not allowed")
    assert (await bench.load(foreseen)).steps[0].signed == []
    assert (await bench.load(sent)).steps[0].block_number is not None


@pytest.mark.parametrize(
    ("gas", "words"), [(40_000, "out of gas"), (20_000, "the nodes refuse it: ")]
)
async def test_gas__too_low__says_so(world: World, gas: int, words: str) -> None:
    bench, step = world.bench, rating(1)
    made = unsigned(step, sender=RATER, gas=gas)
    operation = await bench.ask(step, sender=RATER, prepared=[made])
    await bench.look(2)
    found = await bench.load(operation)
    assert found.state == "failed"
    assert words in (found.steps[0].reason or "")


async def test_funds__too_little__failed_then_resumed_at_the_same_nonce(world: World) -> None:
    bench, step = world.bench, rating(1)
    place = f"0x{RATER.hex()}"
    await world.node.call("anvil_setBalance", [place, hex(1_000)], Any)
    made = unsigned(step, sender=RATER)
    operation = await bench.ask(step, sender=RATER, prepared=[made])
    await bench.look()
    found = await bench.load(operation)
    assert found.state == "failed"
    assert "funds" in (found.steps[0].reason or "").lower()
    await world.node.call("anvil_setBalance", [place, hex(10**20)], Any)
    await bench.resume(operation, 1)
    await bench.look(2)
    found = await bench.load(operation)
    assert found.state == "included"
    assert {one.nonce for one in found.steps[0].signed} == {0}
    assert set((await world.ratings()).values()) == {1}


async def test_stuck__without_blocks_and_the_base_fee_rises__replaced(world: World) -> None:
    bench = world.bench
    await world.automine(False)
    operation = await bench.ask(rating(1), sender=RATER)
    await bench.look()
    assert (await bench.load(operation)).state == "submitted"
    await world.node.call("anvil_setNextBlockBaseFeePerGas", [hex(50 * GWEI)], Any)
    await world.mine()
    await bench.look(2)
    found = await bench.load(operation)
    assert len(found.steps[0].signed) == 2, found
    await world.mine()
    await bench.look()
    found = await bench.load(operation)
    assert found.state == "included"
    assert [one.fate for one in found.steps[0].signed] == ["superseded", "included"]
    assert set((await world.ratings()).values()) == {1}


async def test_evicted__from_the_pool__is_offered_again(world: World) -> None:
    bench = world.bench
    await world.automine(False)
    operation = await bench.ask(rating(1), sender=RATER)
    await bench.look()
    await world.node.call("anvil_dropAllTransactions", [], Any)
    await bench.look()
    assert (await bench.load(operation)).steps[0].signed[0].send_count == 2
    await world.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"


async def test_reorg__of_the_nodes_own__what_became_of_it_is_told(world: World) -> None:
    bench = world.bench
    operation = await bench.ask(rating(1), sender=RATER)
    await bench.look(2)
    found = await bench.load(operation)
    first = found.steps[0].block_hash
    assert found.state == "included"
    await world.mine(2)
    await world.node.call("anvil_reorg", [3, []], Any)
    await bench.look(2)
    found = await bench.load(operation)
    assert "orphaned" in [event.state for event in found.events]
    await world.mine()
    await bench.look(2)
    found = await bench.load(operation)
    assert found.state == "included"
    assert found.steps[0].block_hash != first
    assert len(found.steps[0].signed) == 1
    assert set((await world.ratings()).values()) == {1}


async def test_watchers__two_at_one_chain__each_write_once(world: World) -> None:
    bench = world.bench
    operations = [await bench.ask(rating(n), sender=SIGNER.addresses[1 + n % 2]) for n in range(30)]
    both = [asyncio.create_task(bench.new_watcher().run()) for _ in range(2)]
    try:
        async with asyncio.timeout(30):
            while await bench.conn.fetchval(LEFT):  # noqa: ASYNC110 - others do the work
                await asyncio.sleep(0.05)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    for operation in operations:
        assert len((await bench.load(operation)).steps[0].signed) == 1
    ratings = await world.ratings()
    assert len(ratings) == 30
    assert set(ratings.values()) == {1}
