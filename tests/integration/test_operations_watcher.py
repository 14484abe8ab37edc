"""The watcher over a chain that misbehaves: what is claimed of operations is true, and every call
takes effect once at most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from renown.errors import OperationConflict, SignerError
from renown.ingest.operations.watcher import Watcher
from renown.spec.transactions import Sent, UnsignedTransaction
from renown.store.forget import forget
from renown.store.operations import StepRow
from renown.store.pool import connect
from tests.fakes.acting_chain import GWEI, ActingChain, Died, dies_at
from tests.operations import CHAIN, SENDER, SIGNER, Bench, feedback, registration, signed

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def bench(database_url: str) -> AsyncIterator[Bench]:
    opened = await Bench.open(database_url)
    yield opened
    await opened.conn.close()


def once(bench: Bench) -> None:
    """No call took effect twice."""
    assert set(bench.chain.executed().values()) <= {1}


def named_agent(step: StepRow) -> int:
    """The agent that a call of `setAgentURI` is about."""
    assert step.calldata is not None
    return int.from_bytes(step.calldata[4:36])


# Managed, as it should be -------------------------------------------------------------------------


async def test_managed__one_call__signed_sent_included_final(bench: Bench) -> None:
    operation = await bench.ask()
    await bench.look()
    assert await bench.states(operation) == ["prepared", "submitted"]
    bench.chain.mine()
    await bench.look()
    found = await bench.load(operation)
    assert (found.state, found.steps[0].block_number) == ("included", 1)
    assert found.steps[0].block_hash == bench.chain.blocks[1].hash
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    await bench.finalise()
    await bench.look()
    found = await bench.load(operation)
    assert found.state == "final"
    assert found.steps[0].signed[0].settled
    assert await bench.conn.fetchval("SELECT due_at FROM operation") is None
    assert list(bench.chain.offers.values()) == [1]


async def test_managed__registration__second_step_is_filled_in_and_signed(bench: Bench) -> None:
    bench.chain.foreign_agents = 7
    operation = await bench.ask(*registration(), kind="register")
    await bench.look()
    bench.chain.mine()
    await bench.look(2)
    found = await bench.load(operation)
    assert (found.agent_id, found.state) == (7, "submitted")
    assert named_agent(found.steps[1]) == 7
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    once(bench)


async def test_managed__many_of_one_wallet__nonces_without_gap_or_repeat(bench: Bench) -> None:
    for _ in range(50):
        await bench.ask()
    await bench.look()
    nonces = sorted(nonce for sender, nonce in bench.chain.pool)
    assert nonces == list(range(50))
    bench.chain.mine()
    await bench.look()
    states = await bench.conn.fetch("SELECT DISTINCT state FROM operation")
    assert [row[0] for row in states] == ["included"]
    once(bench)


async def test_managed__no_signer_has_the_wallet__waits_and_says_so(bench: Bench) -> None:
    operation = await bench.ask(sender=b"\x77" * 20)
    await bench.look()
    found = await bench.load(operation)
    assert found.state == "prepared"
    assert "no signer here has the wallet" in (found.steps[0].problem or "")
    assert not bench.chain.offers


async def test_managed__it_would_fail__fails_at_the_second_look_and_is_never_signed(
    bench: Bench,
) -> None:
    step = feedback(1)
    assert step.calldata is not None
    bench.chain.reverting.add(step.calldata)
    operation = await bench.ask(step)
    await bench.look()
    assert (await bench.load(operation)).state == "prepared"
    await bench.look()
    found = await bench.load(operation)
    assert (found.state, found.steps[0].reason) == ("failed", "Self-feedback not allowed")
    assert found.steps[0].signed == []
    assert await bench.conn.fetchval("SELECT due_at FROM operation") is None


class _Lying:
    """A signer that signs at another nonce than it is asked to."""

    addresses = SIGNER.addresses

    async def sign(self, transaction: UnsignedTransaction) -> bytes:
        return (await signed(feedback(1), transaction.nonce + 1)).raw


async def test_managed__signer_signs_something_else__nothing_is_kept(bench: Bench) -> None:
    operation = await bench.ask(feedback(1))
    lied = Watcher(
        lambda: connect(bench.url),
        {CHAIN.chain_id: bench.chain},
        _Lying(),  # type: ignore[arg-type]
    )
    await lied.run_once()
    found = await bench.load(operation)
    assert (found.state, found.steps[0].signed) == ("prepared", [])
    assert "signed another transaction" in (found.steps[0].problem or "")
    assert not bench.chain.offers
    assert SignerError.retryable


# Nodes that fail ----------------------------------------------------------------------------------


async def test_send__answer_lost__the_same_bytes_again_and_one_effect(bench: Bench) -> None:
    operation = await bench.ask()
    bench.chain.answers_lost = 1
    await bench.look()
    found = await bench.load(operation)
    assert found.state == "submitted"
    assert "no node has confirmed" in (found.steps[0].problem or "")
    await bench.look()
    found = await bench.load(operation)
    assert found.steps[0].problem is None
    assert list(bench.chain.offers.values()) == [2]
    assert found.steps[0].signed[0].send_count == 2
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    once(bench)


async def test_send__answer_lost_and_mined_at_once__included(bench: Bench) -> None:
    operation = await bench.ask()
    bench.chain.answers_lost, bench.chain.automine = 1, True
    await bench.look(2)
    assert (await bench.load(operation)).state == "included"
    assert list(bench.chain.offers.values()) == [1]


async def test_chain__down__nothing_is_lost_and_it_goes_on(bench: Bench) -> None:
    operation = await bench.ask()
    bench.chain.is_down = True
    await bench.look(3)
    assert (await bench.load(operation)).state == "prepared"
    bench.chain.is_down = False
    await bench.look()
    bench.chain.is_down = True
    await bench.look()
    assert (await bench.load(operation)).state == "submitted"
    bench.chain.is_down = False
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    once(bench)


@pytest.mark.parametrize("code", ["funds", "gas", "chain", "invalid"])
async def test_send__refused_for_good__failed_with_the_nodes_words(bench: Bench, code: str) -> None:
    operation = await bench.ask()
    bench.chain.refusals = [Sent("refused", f"words about {code}", code)]  # type: ignore[arg-type]
    await bench.look()
    found = await bench.load(operation)
    assert found.state == "failed"
    assert f"words about {code}" in (found.steps[0].reason or "")
    assert found.steps[0].signed[0].fate == "refused"
    # Watched on: somebody may have it mined all the same.
    assert await bench.conn.fetchval("SELECT due_at FROM operation") is not None


async def test_send__refused_but_mined__included_after_all(bench: Bench) -> None:
    operation = await bench.ask()
    bench.chain.refusals = [Sent("refused", "insufficient funds", "funds")]
    await bench.look()
    assert (await bench.load(operation)).state == "failed"
    tx_hash = (await bench.load(operation)).steps[0].signed[0].tx_hash
    raw = await bench.conn.fetchval("SELECT raw FROM operation_transaction")
    await bench.chain.send(raw)
    bench.chain.mine()
    await bench.look()
    found = await bench.load(operation)
    assert (found.state, found.steps[0].tx_hash) == ("included", tx_hash)


@pytest.mark.parametrize("code", ["funds", "gas"])
async def test_send__refused_after_it_was_taken__is_not_failed(bench: Bench, code: str) -> None:
    operation = await bench.ask()
    await bench.look()
    bench.chain.evict()
    bench.chain.refusals = [Sent("refused", "not now", code)]  # type: ignore[arg-type]
    await bench.look()
    found = await bench.load(operation)
    assert found.state == "submitted"
    assert "not now" in (found.steps[0].problem or "")
    await bench.look()
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    once(bench)


async def test_send__evicted__the_same_bytes_are_offered_again(bench: Bench) -> None:
    operation = await bench.ask()
    await bench.look()
    bench.chain.evict()
    await bench.look()
    assert list(bench.chain.offers.values()) == [2]
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"


async def test_receipt__denied_by_a_node_that_lags__stays_included(bench: Bench) -> None:
    operation = await bench.ask()
    await bench.look()
    bench.chain.mine()
    await bench.look()
    bench.chain.hidden = set(bench.chain.offers)
    await bench.look(3)
    assert await bench.states(operation) == ["prepared", "submitted", "included"]


async def test_block__not_shown_once__doubted_and_twice__orphaned(bench: Bench) -> None:
    operation = await bench.ask()
    await bench.look()
    bench.chain.mine()
    await bench.look()
    bench.chain.hidden, bench.chain.hides_blocks = set(bench.chain.offers), True
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    await bench.look()
    assert (await bench.load(operation)).state == "orphaned"
    bench.chain.hidden, bench.chain.hides_blocks = set(), False
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    once(bench)


# Reverts and trying again -------------------------------------------------------------------------


async def reverted(bench: Bench) -> UUID:
    """A managed operation whose transaction failed in block 1."""
    operation = await bench.ask()
    await bench.look()
    bench.chain.reverted = set(bench.chain.offers)
    bench.chain.mine()
    await bench.look()
    return operation


async def test_revert__in_a_block__failed_with_the_decoded_reason(bench: Bench) -> None:
    step = feedback(1)
    assert step.calldata is not None
    operation = await bench.ask(step)
    await bench.look()
    bench.chain.reverting.add(step.calldata)
    bench.chain.mine()
    await bench.look()
    found = await bench.load(operation)
    assert (found.state, found.steps[0].reason) == ("failed", "Self-feedback not allowed")
    assert found.steps[0].block_number == 1


async def test_resume__after_a_revert__signed_at_a_new_nonce_once_that_is_final(
    bench: Bench,
) -> None:
    operation = await reverted(bench)
    await bench.resume(operation, 1)
    # A reorganisation could still bring the first one back, and both would take effect.
    await bench.look(3)
    found = await bench.load(operation)
    assert (found.state, len(found.steps[0].signed)) == ("prepared", 1)
    assert "waiting until block 1 is final" in (found.steps[0].problem or "")
    await bench.finalise()
    await bench.look()
    bench.chain.mine()
    await bench.look()
    found = await bench.load(operation)
    assert found.state == "included"
    assert [one.nonce for one in found.steps[0].signed] == [0, 1]
    once(bench)


async def test_resume__after_a_revert_that_a_reorg_undoes__is_not_signed_again(
    bench: Bench,
) -> None:
    operation = await reverted(bench)
    await bench.resume(operation, 1)
    bench.chain.reverted = set()
    bench.chain.reorganise(1)
    await bench.look(2)
    found = await bench.load(operation)
    assert (found.state, len(found.steps[0].signed)) == ("included", 1)
    once(bench)


async def test_resume__after_a_refusal__signed_again_at_the_same_nonce(bench: Bench) -> None:
    operation = await bench.ask()
    bench.chain.refusals = [Sent("refused", "insufficient funds", "funds")]
    await bench.look()
    await bench.resume(operation, 1)
    await bench.look()
    found = await bench.load(operation)
    assert [(one.nonce, one.fate) for one in found.steps[0].signed] == [(0, "refused"), (0, "live")]
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    once(bench)


async def test_revert_then_reorg__that_succeeds__is_what_counts(bench: Bench) -> None:
    operation = await reverted(bench)
    bench.chain.reverted = set()
    bench.chain.reorganise(1)
    await bench.look()
    assert await bench.states(operation) == [
        *("prepared", "submitted", "failed", "orphaned", "included")
    ]
    once(bench)


# Reorganisations ----------------------------------------------------------------------------------


async def test_reorg__into_another_block__both_are_told(bench: Bench) -> None:
    operation = await bench.ask()
    await bench.look()
    bench.chain.mine(3)
    await bench.look()
    first = (await bench.load(operation)).steps[0].block_hash
    bench.chain.reorganise(3)
    await bench.look()
    found = await bench.load(operation)
    assert found.state == "included"
    assert found.steps[0].block_hash == bench.chain.blocks[1].hash != first
    assert await bench.states(operation) == [
        "prepared",
        "submitted",
        "included",
        "orphaned",
        "included",
    ]
    assert list(bench.chain.offers.values()) == [1]


async def test_reorg__that_loses_it__the_same_bytes_are_offered_again(bench: Bench) -> None:
    operation = await bench.ask()
    await bench.look()
    bench.chain.mine(2)
    await bench.look()
    bench.chain.reorganise(2, keep=False)
    await bench.look()
    assert (await bench.load(operation)).state == "orphaned"
    assert list(bench.chain.offers.values()) == [2]
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    once(bench)


async def test_reorg__other_transaction_takes_its_nonce__dropped_until_that_is_final(
    bench: Bench,
) -> None:
    operation = await bench.ask()
    await bench.look()
    bench.chain.mine()
    await bench.look()
    bench.chain.reorganise(1, keep=False, mine=False)
    other = await signed(feedback(999), 0)
    await bench.chain.send(other.raw)
    bench.chain.mine()
    await bench.look(2)
    found = await bench.load(operation)
    assert found.state == "dropped"
    assert "used by another transaction" in (found.steps[0].reason or "")
    assert not found.steps[0].signed[0].settled
    await bench.finalise()
    await bench.look()
    assert (await bench.load(operation)).steps[0].signed[0].settled
    await bench.resume(operation, 1)
    await bench.look()
    bench.chain.mine()
    await bench.look()
    found = await bench.load(operation)
    assert (found.state, found.steps[0].signed[-1].nonce) == ("included", 1)
    once(bench)


async def test_dropped__the_other_is_thrown_back__it_is_on_its_way_again(bench: Bench) -> None:
    operation = await bench.ask()
    await bench.look()
    bench.chain.evict()
    await bench.chain.send((await signed(feedback(999), 0)).raw)
    bench.chain.mine()
    await bench.look(2)
    assert (await bench.load(operation)).state == "dropped"
    bench.chain.reorganise(1, keep=False, mine=False)
    await bench.look(2)
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"


async def test_reorg__agent_gets_another_id__the_second_step_is_signed_anew(bench: Bench) -> None:
    operation = await bench.ask(*registration(), kind="register")
    await bench.look()
    bench.chain.mine()
    await bench.look(2)  # the second step is sent, and in no block
    assert (await bench.load(operation)).agent_id == 0
    bench.chain.foreign_agents = 5
    pool = bench.chain.pool.copy()
    bench.chain.pool.clear()
    bench.chain.reorganise(1)
    bench.chain.pool.update(pool)
    await bench.look(2)
    found = await bench.load(operation)
    assert found.agent_id == 5
    assert named_agent(found.steps[1]) == 5
    assert {one.nonce for one in found.steps[1].signed} == {1}
    bench.chain.mine()
    await bench.look(2)
    found = await bench.load(operation)
    assert found.state == "included"
    assert len(bench.chain.executed()) == 2
    once(bench)


async def test_reorg__stale_call_is_mined__it_is_not_called_applied(bench: Bench) -> None:
    operation = await bench.ask(*registration(), kind="register")
    await bench.look()
    bench.chain.mine()
    await bench.look(2)
    bench.chain.foreign_agents = 5
    bench.chain.reorganise(1)  # both are mined, the second names agent 0
    await bench.look(2)
    found = await bench.load(operation)
    assert (found.state, found.agent_id) == ("partly_applied", 5)
    assert "agent id" in (found.steps[1].reason or "")


# Stuck --------------------------------------------------------------------------------------------


async def test_stuck__managed__replaced_by_the_same_call_at_the_same_nonce(bench: Bench) -> None:
    operation = await bench.ask()
    await bench.look()
    bench.chain.base_fee_wei = 20 * GWEI
    bench.chain.mine()
    await bench.look(2)
    found = await bench.load(operation)
    first, second = found.steps[0].signed
    assert first.nonce == second.nonce
    assert second.max_fee_wei * 8 >= first.max_fee_wei * 9
    bench.chain.mine()
    await bench.look()
    found = await bench.load(operation)
    assert (found.state, found.steps[0].tx_hash) == ("included", second.tx_hash)
    assert [one.fate for one in found.steps[0].signed] == ["superseded", "included"]
    once(bench)


async def test_stuck__first_of_two_is_mined__that_one_counts(bench: Bench) -> None:
    operation = await bench.ask()
    await bench.look()
    first = next(iter(bench.chain.pool.values()))
    bench.chain.base_fee_wei = 20 * GWEI
    await bench.look(2)
    bench.chain.pool[SENDER, 0] = first
    bench.chain.base_fee_wei = GWEI
    bench.chain.mine()
    await bench.look()
    found = await bench.load(operation)
    assert (found.state, found.steps[0].tx_hash) == ("included", first.tx_hash)
    assert [one.fate for one in found.steps[0].signed] == ["included", "superseded"]


async def test_stuck__above_the_cap__waits_and_says_so(bench: Bench) -> None:
    operation = await bench.ask()
    await bench.look()
    bench.watcher = bench.new_watcher(max_fee_wei=3 * GWEI)
    bench.chain.base_fee_wei = 20 * GWEI
    await bench.look(2)
    found = await bench.load(operation)
    assert (found.state, len(found.steps[0].signed)) == ("submitted", 1)
    assert "the server offers 3000000000 at most" in (found.steps[0].problem or "")


async def test_stuck__of_a_caller__is_told_that_a_replacement_is_taken(bench: Bench) -> None:
    step = feedback(1)
    operation = await bench.ask(step, mode="client")
    await bench.relay(operation, 1, await signed(step, 0))
    await bench.look()
    bench.chain.base_fee_wei = 20 * GWEI
    await bench.look(2)
    found = await bench.load(operation)
    assert "another signed at nonce 0" in (found.steps[0].problem or "")
    await bench.relay(operation, 1, await signed(step, 0, max_fee_wei=50 * GWEI))
    await bench.look()
    bench.chain.mine()
    await bench.look()
    found = await bench.load(operation)
    assert (found.state, len(found.steps[0].signed)) == ("included", 2)
    once(bench)


# What callers sign --------------------------------------------------------------------------------


async def test_client__several_steps_at_once__all_are_sent(bench: Bench) -> None:
    steps = [feedback(n) for n in range(1, 5)]
    operation = await bench.ask(*steps, mode="client")
    for number, step in enumerate(steps, 1):
        await bench.relay(operation, number, await signed(step, number - 1))
    await bench.look()
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    once(bench)


async def test_client__registration__the_second_step_comes_ready_to_be_signed(
    bench: Bench,
) -> None:
    steps = registration()
    operation = await bench.ask(*steps, kind="register", mode="client")
    await bench.relay(operation, 1, await signed(steps[0], 0))
    await bench.look()
    bench.chain.mine()
    await bench.look()
    found = await bench.load(operation)
    second = found.steps[1]
    assert (found.state, second.state, second.nonce) == ("partly_applied", "prepared", 1)
    assert second.gas == 100_000
    assert (second.max_fee_wei, second.priority_fee_wei) == (3 * GWEI, GWEI)
    filled = msgspec.structs.replace(steps[1], calldata=second.calldata)
    await bench.relay(operation, 2, await signed(filled, 1))
    await bench.look()
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    once(bench)


async def test_client__nonce_gap__says_what_is_missing(bench: Bench) -> None:
    step = feedback(1)
    operation = await bench.ask(step, mode="client")
    await bench.relay(operation, 1, await signed(step, 3))
    bench.chain.refusals = [Sent("refused", "nonce too high", "nonce-high")]
    await bench.look()
    found = await bench.load(operation)
    assert found.state == "submitted"
    assert "nonces below 3 are missing" in (found.steps[0].problem or "")


async def test_client__nonce_already_used__dropped(bench: Bench) -> None:
    await bench.chain.send((await signed(feedback(999), 0)).raw)
    bench.chain.mine()
    step = feedback(1)
    operation = await bench.ask(step, mode="client")
    await bench.relay(operation, 1, await signed(step, 0))
    await bench.look(2)
    found = await bench.load(operation)
    assert (found.state, found.steps[0].reason) == (
        "dropped",
        "its nonce was used by another transaction of the sender",
    )


async def test_client__another_nonce_while_the_first_may_land__refused(bench: Bench) -> None:
    step = feedback(1)
    operation = await bench.ask(step, mode="client")
    await bench.relay(operation, 1, await signed(step, 0))
    with pytest.raises(OperationConflict, match="sign with its nonce, 0"):
        await bench.relay(operation, 1, await signed(step, 1))
    await bench.relay(operation, 1, await signed(step, 0))
    assert await bench.states(operation) == ["prepared", "submitted"]


async def test_client__new_nonce_before_the_drop_is_final__refused(bench: Bench) -> None:
    step = feedback(1)
    operation = await bench.ask(step, mode="client")
    await bench.relay(operation, 1, await signed(step, 0))
    await bench.chain.send((await signed(feedback(999), 0)).raw)
    bench.chain.mine()
    await bench.look(2)
    assert (await bench.load(operation)).state == "dropped"
    await bench.resume(operation, 1)
    with pytest.raises(OperationConflict, match="wait until block"):
        await bench.relay(operation, 1, await signed(step, 1))
    await bench.finalise()
    await bench.look()
    await bench.relay(operation, 1, await signed(step, 1))
    await bench.look()
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    once(bench)


# Deaths and company -------------------------------------------------------------------------------

PLACES = (
    *("claimed", "looked", "signed", "stored", "offering", "offered", "noted"),
    *("judged", "kept", "filled", "released"),
)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("place", PLACES)
async def test_death__at_any_place__nothing_is_lost_and_nothing_sent_twice(
    bench: Bench, place: str, times: int
) -> None:
    bench.chain.automine = True
    rating = await bench.ask()
    agent = await bench.ask(*registration(), kind="register")
    died = False
    for _ in range(2):
        doomed = bench.new_watcher(point=dies_at(place, times))
        try:
            await bench.age(60)
            await doomed.run_once()
        except (Died, BaseExceptionGroup):
            died = True
        await bench.claims_run_out()
    await bench.finalise(len(bench.chain.blocks) + 10)
    await bench.look(5)
    assert died or (place, times) == ("filled", 2)
    for operation in (rating, agent):
        found = await bench.load(operation)
        assert found.state == "final", found
        assert all(len(step.signed) == 1 for step in found.steps)
    assert len(bench.chain.executed()) == 3
    once(bench)


async def test_watchers__two_at_once__share_the_work(bench: Bench) -> None:
    bench.chain.automine = True
    operations = [await bench.ask(sender=SIGNER.addresses[n % 3]) for n in range(40)]
    both = [bench.new_watcher(), bench.new_watcher()]
    for _ in range(8):
        await bench.age(60)
        await asyncio.gather(*(watcher.run_once() for watcher in both))
    for operation in operations:
        found = await bench.load(operation)
        assert (found.state, len(found.steps[0].signed)) == ("included", 1)
    once(bench)


async def test_watcher__that_slept_through_its_claim__changes_nothing(bench: Bench) -> None:
    operation = await bench.ask()
    asleep = asyncio.Event()
    woken = asyncio.Event()

    class Slow(ActingChain):
        async def nonce(self, address: bytes, block: Any = "latest") -> int:
            asleep.set()
            await woken.wait()
            return await super().nonce(address)

    slow = Watcher(lambda: connect(bench.url), {CHAIN.chain_id: Slow()}, SIGNER, claim_seconds=20.0)
    sleeping = asyncio.create_task(slow.run_once())
    await asleep.wait()
    await bench.claims_run_out()
    await bench.watcher.run_once()
    woken.set()
    await sleeping
    assert len((await bench.load(operation)).steps[0].signed) == 1


async def test_run__woken_by_a_notification__without_waiting(bench: Bench) -> None:
    running = asyncio.create_task(bench.watcher.run())
    try:
        await asyncio.sleep(0.3)
        operation = await bench.ask()
        async with asyncio.timeout(2):
            while (await bench.load(operation)).state != "submitted":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    held = await bench.conn.fetchval("SELECT count(*) FROM operation WHERE claimed_by IS NOT NULL")
    assert held == 0


async def test_forget__a_chain__drops_its_operations_and_nothing_is_sent_any_more(
    bench: Bench,
) -> None:
    await bench.ask()
    await forget(bench.conn, CHAIN.chain_id)
    await bench.look()
    for table in ("operation", "operation_step", "operation_event"):
        assert await bench.conn.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert not bench.chain.offers
