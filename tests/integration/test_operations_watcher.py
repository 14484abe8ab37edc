"""The watcher over a chain that misbehaves: what is claimed of operations is true, and every call
takes effect once at most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from renown.api.answers.operations import next_of
from renown.chain.devnet.wallets import devnet_wallet
from renown.chain.tx.signer import LocalSigner
from renown.derive.operation import AwaitsAgentId, Mode, PlannedStep
from renown.derive.plan import fill_agent_id
from renown.errors import NodeTimeout, OperationConflict, SignerError
from renown.ingest.operations.judging import STILL_KNOWN
from renown.ingest.operations.offering import FORGOTTEN
from renown.ingest.operations.watcher import Watcher
from renown.spec.deployments import DEPLOYMENTS
from renown.spec.transactions import Sent, UnsignedTransaction
from renown.store import operation_claims as claims
from renown.store import operations
from renown.store.forget import forget
from renown.store.operations import StepRow
from renown.store.pool import connect, transaction
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


def completed(step: PlannedStep) -> bytes:
    """The call of a step that names the first agent."""
    assert isinstance(step.template, AwaitsAgentId)
    return fill_agent_id(step.template, 0, CHAIN.chain_id, step.contract)[0]


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


async def test_managed__between_two_steps__it_is_on_its_way_until_one_fails(bench: Bench) -> None:
    steps = registration()
    bench.chain.reverting.add(completed(steps[1]))
    operation = await bench.ask(*steps, kind="register")
    await bench.look()
    bench.chain.mine()
    await bench.look()
    found = await bench.load(operation)
    assert [step.state for step in found.steps] == ["included", "prepared"]
    assert found.state == "submitted"
    await bench.look(2)
    assert (await bench.load(operation)).state == "partly_applied"


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
    assert (await bench.load(operation)).steps[0].problem is None  # somebody else may come
    await bench.conn.execute("UPDATE operation SET due_at = now() - interval '2 minutes'")
    await bench.watcher.run_once()
    found = await bench.load(operation)
    assert found.state == "prepared"
    assert "nobody who signs for the wallet 0x7777" in (found.steps[0].problem or "")
    assert not bench.chain.offers
    assert await bench.conn.fetchval("SELECT claimed_by FROM operation") is None


async def test_managed__watcher_without_the_wallet__leaves_what_is_to_be_signed_to_others(
    bench: Bench,
) -> None:
    operation = await bench.ask(*registration(), kind="register")
    without = Watcher(lambda: connect(bench.url), {CHAIN.chain_id: bench.chain})
    assert await without.run_once() == 0
    await bench.look()
    bench.chain.mine()
    await bench.age(60)
    assert await without.run_once() > 0  # what was sent is watched by anybody
    found = await bench.load(operation)
    assert [step.state for step in found.steps] == ["included", "prepared"]
    assert found.steps[1].problem is None
    await bench.look()
    assert (await bench.load(operation)).steps[1].state == "submitted"


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

    addresses, chains = SIGNER.addresses, None

    async def sign(self, transaction: UnsignedTransaction) -> bytes:
        return (await signed(feedback(1), transaction.nonce + 1)).raw


async def test_managed__signer_signs_something_else__nothing_is_kept(bench: Bench) -> None:
    operation = await bench.ask(feedback(1))
    lied = Watcher(
        lambda: connect(bench.url),
        {CHAIN.chain_id: bench.chain},
        _Lying(),  # type: ignore[arg-type]
        signer_is_open=True,
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


async def test_send__evicted_and_one_node_is_away__offered_to_the_others(bench: Bench) -> None:
    class OneAway(ActingChain):
        async def known(self, tx_hash: bytes) -> bool:
            if not await super().known(tx_hash):
                raise NodeTimeout("one node does not answer, and the others do not have it")
            return True

    bench.chain = OneAway()
    bench.watcher = bench.new_watcher()
    operation = await bench.ask()
    await bench.look()
    bench.chain.evict()
    await bench.look()
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"


async def test_send__evicted_again_and_again__says_that_it_is_forgotten(bench: Bench) -> None:
    operation = await bench.ask()
    await bench.look()
    for _ in range(4):
        bench.chain.evict()
        await bench.look()
    found = await bench.load(operation)
    assert (found.state, found.steps[0].problem) == ("submitted", FORGOTTEN)


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
    await bench.look(3)
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


async def test_client__registration__waits_while_the_second_step_cannot_be_completed(
    bench: Bench,
) -> None:
    steps = registration()
    call = completed(steps[1])
    bench.chain.reverting.add(call)  # as a node says that has not seen the registration
    operation = await bench.ask(*steps, kind="register", mode="client")
    await bench.relay(operation, 1, await signed(steps[0], 0))
    await bench.look()
    bench.chain.mine()
    await bench.look()
    found = await bench.load(operation)
    assert (found.state, found.steps[1].calldata) == ("partly_applied", None)
    assert next_of(found) == "wait"
    await bench.finalise()
    await bench.look(2)  # it is believed; the registration is final, and it goes on all the same
    found = await bench.load(operation)
    assert (found.steps[1].calldata, found.steps[1].gas) == (call, None)
    assert found.steps[1].problem == "it would fail: Self-feedback not allowed"
    assert next_of(found) == "resume"
    bench.chain.reverting.clear()
    await bench.look()
    found = await bench.load(operation)
    assert (found.steps[1].gas, found.steps[1].problem) == (100_000, None)
    assert next_of(found) == "sign"


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


@pytest.mark.parametrize("knows", ["node", "index"])
async def test_nonce_used__no_receipt_but_somebody_knows_it__never_given_up(
    bench: Bench, knows: str
) -> None:
    operation = await bench.ask()
    await bench.look()
    bench.chain.mine()
    (tx_hash,) = bench.chain.offers
    bench.chain.hidden.add(tx_hash)  # it took effect, and its receipt is lost
    if knows == "index":
        bench.chain.forgotten.add(tx_hash)
        await bench.indexed(tx_hash, 1)
    bench.chain.mine(3)
    await bench.finalise()
    await bench.look(4)
    found = await bench.load(operation)
    assert (found.state, found.steps[0].problem) == ("submitted", STILL_KNOWN)
    assert not found.steps[0].signed[0].settled
    with pytest.raises(OperationConflict):
        await bench.resume(operation, 1)
    bench.chain.hidden.clear()
    await bench.look(2)
    assert (await bench.load(operation)).state == "final"
    once(bench)


@pytest.mark.parametrize("mode", ["managed", "client"])
async def test_dropped__turns_out_to_have_been_mined__is_not_signed_again(
    bench: Bench, mode: Mode
) -> None:
    step = feedback(1)
    operation = await bench.ask(step, mode=mode)
    if mode == "client":
        await bench.relay(operation, 1, await signed(step, 0))
    await bench.look()
    bench.chain.mine()
    (tx_hash,) = bench.chain.offers
    bench.chain.hidden.add(tx_hash)
    bench.chain.forgotten.add(tx_hash)  # and the index is not as far yet
    await bench.look(2)
    assert (await bench.load(operation)).state == "dropped"
    await bench.resume(operation, 1)
    await bench.indexed(tx_hash, 1)
    await bench.finalise()
    await bench.look(3)
    found = await bench.load(operation)
    assert (found.state, found.steps[0].problem) == ("prepared", STILL_KNOWN)
    if mode == "client":
        with pytest.raises(OperationConflict, match="no node shows its receipt"):
            await bench.relay(operation, 1, await signed(step, 1))
    bench.chain.hidden.clear()
    await bench.look(2)
    assert (await bench.load(operation)).state == "final"
    once(bench)


async def test_nonce_used__by_a_node_that_is_ahead_of_others__not_undone_at_once(
    bench: Bench,
) -> None:
    step = feedback(1)
    operation = await bench.ask(step, mode="client")
    await bench.relay(operation, 1, await signed(step, 0))
    await bench.chain.send((await signed(feedback(999), 0)).raw)
    bench.chain.mine()
    await bench.look(2)
    assert (await bench.load(operation)).state == "dropped"
    ahead = bench.chain.blocks.pop()
    await bench.look()
    bench.chain.blocks.append(ahead)
    await bench.look()
    found = await bench.load(operation)
    assert (found.state, found.steps[0].problem) == ("dropped", None)


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
    with pytest.raises(OperationConflict, match="sign it again when block 1 is final"):
        await bench.relay(operation, 1, await signed(step, 1))
    await bench.finalise()
    await bench.look()
    await bench.relay(operation, 1, await signed(step, 1))
    await bench.look()
    bench.chain.mine()
    await bench.look()
    assert (await bench.load(operation)).state == "included"
    once(bench)


async def test_client__nonce_of_another_operation__refused_and_the_first_lands(
    bench: Bench,
) -> None:
    steps = [feedback(101), feedback(102)]
    first, second = [await bench.ask(step, mode="client") for step in steps]
    await bench.relay(first, 1, await signed(steps[0], 0))
    dearer = await signed(steps[1], 0, max_fee_wei=50 * GWEI)
    with pytest.raises(OperationConflict, match="sign this one with another, such as 1"):
        await bench.relay(second, 1, dearer)
    await bench.relay(first, 1, await signed(steps[0], 0, max_fee_wei=9 * GWEI))  # replaced
    await bench.relay(second, 1, await signed(steps[1], 1))
    await bench.look()
    bench.chain.mine()
    await bench.look()
    assert {(await bench.load(one)).state for one in (first, second)} == {"included"}
    once(bench)


async def test_client__two_at_once_with_one_nonce__one_is_refused(bench: Bench) -> None:
    steps = [feedback(101), feedback(102)]
    asked = [await bench.ask(step, mode="client") for step in steps]
    other = await connect(bench.url)
    try:
        async with transaction(other) as tx:
            await operations.add_signed(tx, asked[0], 1, await signed(steps[0], 0))
            late = asyncio.create_task(bench.relay(asked[1], 1, await signed(steps[1], 0)))
            await asyncio.sleep(0.1)
            assert not late.done()
        with pytest.raises(OperationConflict):
            await late
    finally:
        await other.close()


# Claims -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lease_seconds", [30.0, 0.05])
@pytest.mark.parametrize("renewed", [False, True])
async def test_claim__signature_handed_in_meanwhile__is_looked_at_though_the_lease_be_over(
    bench: Bench, lease_seconds: float, renewed: bool
) -> None:
    step = feedback(7)
    operation = await bench.ask(step, mode="client")
    await bench.conn.execute("UPDATE operation SET due_at = now()")
    mine, reach = uuid4(), claims.Reach([CHAIN.chain_id])
    claimed = await claims.claim(bench.conn, mine, 20, lease_seconds, reach=reach)
    assert [one.operation_id for one in claimed] == [operation]
    await asyncio.sleep(0.1)
    await bench.relay(operation, 1, await signed(step, 0))
    if renewed:
        await claims.renew(bench.conn, [operation], mine, lease_seconds)
    await claims.release(bench.conn, operation, mine, None)
    assert await bench.watcher.run_once() > 0
    assert (await bench.load(operation)).steps[0].signed[0].sent_at is not None


async def test_claim__taken_over_by_another_of_the_same_watcher__changes_nothing(
    bench: Bench,
) -> None:
    operation = await bench.ask()
    late, reach = uuid4(), claims.Reach([CHAIN.chain_id], SIGNER.addresses)
    await claims.claim(bench.conn, late, 20, 0.01, reach=reach)
    await asyncio.sleep(0.05)
    assert await claims.claim(bench.conn, uuid4(), 20, 30.0, reach=reach)
    await claims.release(bench.conn, operation, late, None)
    held = await bench.conn.fetchrow("SELECT claimed_by, due_at FROM operation")
    assert held is not None
    assert None not in tuple(held)
    async with transaction(bench.conn) as tx:
        with pytest.raises(claims.ClaimLost):
            await claims.held(tx, operation, late)


async def test_chain__that_does_not_answer__keeps_no_other_waiting(bench: Bench) -> None:
    asked = 0

    class Away(ActingChain):
        async def _answer(self) -> None:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.4)
            raise NodeTimeout("no node answers")

    away = Away(DEPLOYMENTS[8453])
    await bench.ask()
    await bench.conn.execute("UPDATE operation SET chain_id = $1", away.chain_id)
    await bench.conn.execute(
        """INSERT INTO operation (account_id, chain_id, kind, mode, sender, request, state, due_at)
           SELECT account_id, chain_id, kind, mode, sender, request, state, due_at
             FROM operation, generate_series(1, 400)"""
    )
    await bench.conn.execute(
        """INSERT INTO operation_step (operation_id, step, function, contract, summary)
           SELECT operation_id, 1, '', '', '' FROM operation ON CONFLICT DO NOTHING"""
    )
    chains = {away.chain_id: away, CHAIN.chain_id: bench.chain}
    watcher = Watcher(lambda: connect(bench.url), chains, SIGNER, signer_is_open=True)
    running = asyncio.create_task(watcher.run())
    try:
        async with asyncio.timeout(10):
            while not asked:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            for _ in range(3):
                operation = await bench.ask()
                while (await bench.load(operation)).state != "submitted":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert asked <= 8  # not once for every batch


async def test_signer__slow__holds_no_lock_and_signs_anew_where_its_nonce_was_taken(
    bench: Bench,
) -> None:
    asleep, woken = asyncio.Event(), asyncio.Event()

    class Far(LocalSigner):
        async def sign(self, transaction: UnsignedTransaction) -> bytes:
            if not asleep.is_set():
                asleep.set()
                await woken.wait()
            return await super().sign(transaction)

    far = Far.from_keys([devnet_wallet(0).private_key])
    slow = await bench.ask()
    watcher = Watcher(
        lambda: connect(bench.url), {CHAIN.chain_id: bench.chain}, far, signer_is_open=True
    )
    waiting = asyncio.create_task(watcher.run_once())
    await asleep.wait()
    quick = await bench.ask()
    async with asyncio.timeout(5):
        await bench.watcher.run_once()
    assert (await bench.load(quick)).steps[0].signed[0].nonce == 0
    woken.set()
    await waiting
    (one,) = (await bench.load(slow)).steps[0].signed
    assert one.nonce == 1
    bench.chain.mine()
    await bench.look()
    assert {(await bench.load(each)).state for each in (slow, quick)} == {"included"}


async def test_signer__that_never_answers__is_said_and_tried_again(bench: Bench) -> None:
    class Mute(LocalSigner):
        async def sign(self, transaction: UnsignedTransaction) -> bytes:
            await asyncio.Event().wait()
            return b""

    mute = Mute.from_keys([devnet_wallet(0).private_key])
    operation = await bench.ask()
    watcher = Watcher(
        lambda: connect(bench.url),
        {CHAIN.chain_id: bench.chain},
        mute,
        signer_is_open=True,
        claim_seconds=1.0,
    )
    await watcher.run_once()
    found = await bench.load(operation)
    assert "the signer failed: it did not answer" in (found.steps[0].problem or "")
    assert found.steps[0].signed == []
    await bench.look()
    assert (await bench.load(operation)).state == "submitted"


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
    await bench.look(4)
    await bench.finalise()
    await bench.look()
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
