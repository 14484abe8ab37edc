"""Which nonce the server signs with, what it offers, and when it looks again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renown.chain.tx.fees import Fees
from renown.derive.operation import StepState
from renown.ingest.operations import pace
from renown.ingest.operations.judging import (
    FREED_NONCE,
    LOST_BLOCK,
    STILL_KNOWN,
    USED_NONCE,
    Doubt,
    InBlock,
    NonceFree,
    NonceUsed,
    NowFinal,
    Sight,
    ThrownBack,
    Verdict,
    judge,
)
from renown.ingest.operations.reasons import registered_agent
from renown.ingest.operations.signing import NotNow, choose_nonce, outbid
from renown.spec.abi import REGISTERED
from renown.spec.transactions import Log, Receipt
from renown.store.operation_nonces import HeldNonce
from renown.store.operations import OperationRow, SignedRow, StepRow

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OURS, OTHER = UUID(int=1), UUID(int=2)
TX, BLOCK, BRANCH = b"\1" * 32, b"\2" * 32, b"\3" * 32
OWNER, REGISTRY = b"\4" * 20, b"\5" * 20


def held(nonce: int, *, mine: bool = False, waiting: bool = False) -> HeldNonce:
    return HeldNonce(nonce, OURS if mine else OTHER, 1, waiting)


def signed(nonce: int = 0, **more: Any) -> SignedRow:
    usual: dict[str, Any] = {
        "step": 1,
        "tx_hash": TX,
        "max_fee_wei": 1_000,
        "priority_fee_wei": 10,
        "signed_at": NOW,
        "sent_at": NOW,
        "send_count": 1,
        "fate": "live",
        "error": None,
        "used_block": None,
        "settled": False,
    }
    return SignedRow(nonce=nonce, **(usual | more))


def step(state: StepState = "prepared", *ones: SignedRow, **more: Any) -> StepRow:
    empty = "template nonce gas max_fee_wei priority_fee_wei tx_hash block_number block_hash"
    usual: dict[str, Any] = dict.fromkeys((*empty.split(), "gas_used", "reason", "problem"))
    usual |= {"function": "f()", "contract": b"\6" * 20, "calldata": b"\7", "summary": ""}
    return StepRow(step=1, state=state, signed=list(ones), updated_at=NOW, **(usual | more))


def operation(*steps: StepRow, mode: str = "managed") -> OperationRow:
    return OperationRow(
        operation_id=OURS,
        account_id=1,
        chain_id=31337,
        kind="feedback",
        mode=mode,  # type: ignore[arg-type]
        sender=OWNER,
        agent_id=None,
        request={},
        state="prepared",
        created_at=NOW,
        updated_at=NOW,
        steps=list(steps),
    )


def chosen(count: int, nonces: list[HeldNonce], row: StepRow) -> int:
    return choose_nonce(count, nonces, operation(row), row)


# Nonces -------------------------------------------------------------------------------------------


@given(st.integers(0, 50), st.sets(st.integers(0, 60)))
def test_nonce__for_a_new_step__is_the_least_free_one(count: int, taken: set[int]) -> None:
    nonce = chosen(count, [held(n) for n in taken], step())
    assert nonce >= count
    assert nonce not in taken
    assert set(range(count, nonce)) <= taken


def test_nonce__lower_one_not_taken_by_a_node_yet__waits() -> None:
    with pytest.raises(NotNow, match="not been taken"):
        chosen(5, [held(5, waiting=True)], step())
    assert chosen(5, [held(5), held(7, waiting=True)], step()) == 6


def test_nonce__signed_before_and_unused__is_kept() -> None:
    refused = signed(5, fate="refused")
    assert chosen(5, [held(5, mine=True)], step("prepared", refused)) == 5


def test_nonce__signed_before_and_another_operation_has_it__waits() -> None:
    with pytest.raises(NotNow, match="another operation has the nonce 5"):
        chosen(5, [held(5)], step("prepared", signed(5, fate="refused")))


def test_nonce__used_but_not_for_good__waits() -> None:
    with pytest.raises(NotNow, match="until block 9 is final"):
        chosen(6, [], step("prepared", signed(5, fate="superseded", used_block=9)))
    with pytest.raises(NotNow, match="was just used"):
        chosen(6, [], step("prepared", signed(5)))


def test_nonce__used_for_good__is_a_new_one() -> None:
    over = signed(5, fate="superseded", used_block=9, settled=True)
    assert chosen(6, [], step("prepared", over)) == 6


# Fees ---------------------------------------------------------------------------------------------


@given(st.integers(1, 10**12), st.integers(1, 10**10), st.integers(1, 10**12))
def test_outbid__replaces__by_an_eighth_at_least(most: int, tip: int, before: int) -> None:
    fees = Fees(max_fee_wei=most, priority_fee_wei=tip, base_fee_wei=1)
    old = signed(max_fee_wei=before, priority_fee_wei=min(before, tip))
    new_most, new_tip = outbid(fees, [old], None)
    assert new_most * 8 >= old.max_fee_wei * 9
    assert new_tip * 8 >= old.priority_fee_wei * 9
    assert new_tip <= new_most
    assert outbid(fees, [], None) == (most, tip)


def test_outbid__above_the_cap__waits() -> None:
    fees = Fees(max_fee_wei=100, priority_fee_wei=1, base_fee_wei=1)
    with pytest.raises(NotNow, match="offers 110 at most"):
        outbid(fees, [signed(max_fee_wei=100)], 110)


# Judging ------------------------------------------------------------------------------------------


def receipt(*, block: int = 7, block_hash: bytes = BLOCK, succeeded: bool = True) -> Receipt:
    return Receipt(
        tx_hash=TX,
        block_number=block,
        block_hash=block_hash,
        succeeded=succeeded,
        sender=OWNER,
        to=REGISTRY,
        gas_used=1,
        logs=(),
    )


IN_BLOCK: dict[str, Any] = {"tx_hash": TX, "block_number": 7, "block_hash": BLOCK}
USED = signed(fate="superseded", used_block=7)
SEEN = {TX: receipt()}
FAILED = {TX: receipt(succeeded=False)}


@pytest.mark.parametrize(
    ("row", "sight", "verdict"),
    [
        (step("submitted", signed()), Sight(receipts={}, count=0, head=9), None),
        (step("submitted", signed()), Sight(receipts=SEEN, count=1, head=9), InBlock(receipt())),
        (step("failed", signed()), Sight(receipts=SEEN, count=1, head=9), InBlock(receipt())),
        (step("dropped", USED), Sight(receipts=SEEN, count=1, head=9), InBlock(receipt())),
        (
            step("submitted", signed()),
            Sight(receipts={}, count=1, head=9),
            Doubt(USED_NONCE),
        ),
        (
            step("submitted", signed(), problem=USED_NONCE),
            Sight(receipts={}, count=1, head=9),
            NonceUsed(9),
        ),
        (
            step("submitted", signed(), problem=USED_NONCE),
            Sight(receipts={}, count=0, head=9),
            Doubt(None),
        ),
        (  # whatever else is said: nothing is given up that somebody knows
            step("submitted", signed(), problem=USED_NONCE),
            Sight(receipts={}, count=1, head=9, is_known=True),
            Doubt(STILL_KNOWN),
        ),
        (
            step("submitted", signed(), problem=STILL_KNOWN),
            Sight(receipts={}, count=1, head=9, is_known=True),
            None,
        ),
        (
            step("submitted", signed(), problem=STILL_KNOWN),
            Sight(receipts={}, count=1, head=9),
            Doubt(USED_NONCE),
        ),
        (
            step("dropped", USED),
            Sight(receipts={}, count=1, head=9, final_block=7, is_known=True),
            Doubt(STILL_KNOWN),
        ),
        (step("dropped", USED), Sight(receipts={}, count=0, head=6), Doubt(FREED_NONCE)),
        (
            step("dropped", USED, problem=FREED_NONCE),
            Sight(receipts={}, count=0, head=9),
            NonceFree(),
        ),
        (
            step("dropped", USED, problem=FREED_NONCE),
            Sight(receipts={}, count=1, head=9),
            Doubt(None),
        ),
        (step("dropped", USED), Sight(receipts={}, count=1, head=9, final_block=6), None),
        (step("dropped", USED), Sight(receipts={}, count=1, head=9, final_block=7), NowFinal()),
        (step("included", signed(), **IN_BLOCK), Sight(receipts=SEEN, count=1, head=9), None),
        (
            step("included", signed(), **IN_BLOCK),
            Sight(receipts=SEEN, count=1, head=9, final_block=7, indexed_hash=BLOCK),
            NowFinal(),
        ),
        (  # what succeeded left a fact, so the index has its block
            step("included", signed(), **IN_BLOCK),
            Sight(receipts=SEEN, count=1, head=9, final_block=7),
            None,
        ),
        (
            step("failed", signed(), **IN_BLOCK),
            Sight(receipts=FAILED, count=1, head=9, final_block=7),
            NowFinal(),
        ),
        (  # the node says that it failed, and the index has what it did
            step("failed", signed(), **IN_BLOCK),
            Sight(receipts=FAILED, count=1, head=9, final_block=7, is_indexed=True),
            None,
        ),
        (  # our own index has another block there
            step("included", signed(), **IN_BLOCK),
            Sight(receipts=SEEN, count=1, head=9, final_block=7, indexed_hash=BRANCH),
            None,
        ),
        (
            step("included", signed(), **IN_BLOCK),
            Sight(receipts={TX: receipt(block_hash=BRANCH)}, count=1, head=9, final_block=7),
            ThrownBack(),
        ),
        (
            step("included", signed(), **IN_BLOCK),
            Sight(receipts={}, count=0, head=9, block_hash=BRANCH),
            ThrownBack(),
        ),
        (  # the node lags
            step("included", signed(), **IN_BLOCK),
            Sight(receipts={}, count=0, head=9, block_hash=BLOCK),
            None,
        ),
        (
            step("included", signed(), **IN_BLOCK),
            Sight(receipts={}, count=0, head=6),
            Doubt(LOST_BLOCK),
        ),
        (
            step("included", signed(), problem=LOST_BLOCK, **IN_BLOCK),
            Sight(receipts={}, count=0, head=6),
            ThrownBack(),
        ),
        (step("prepared", USED), Sight(receipts=FAILED, count=1, head=9), None),
        (
            step("prepared", USED),
            Sight(receipts=FAILED, count=1, head=9, final_block=7),
            NowFinal(),
        ),
        (step("prepared", USED), Sight(receipts=SEEN, count=1, head=9), InBlock(receipt())),
        (
            step("included", signed(settled=True), **IN_BLOCK),
            Sight(receipts={}, count=0, head=9, block_hash=BRANCH),
            None,
        ),
    ],
)
def test_judge__a_sight__means(row: StepRow, sight: Sight, verdict: Verdict) -> None:
    assert judge(row, sight, patient_seconds=2, age_seconds=60) == verdict


@pytest.mark.parametrize(
    ("row", "sight"),
    [
        (step("submitted", signed(), problem=USED_NONCE), Sight(receipts={}, count=1, head=9)),
        (
            step("included", signed(), problem=LOST_BLOCK, **IN_BLOCK),
            Sight(receipts={}, count=0, head=6),
        ),
        (step("dropped", USED, problem=FREED_NONCE), Sight(receipts={}, count=0, head=6)),
    ],
)
def test_judge__doubted_just_now__is_not_believed_yet(row: StepRow, sight: Sight) -> None:
    assert judge(row, sight, patient_seconds=2, age_seconds=1) is None


# Pace ---------------------------------------------------------------------------------------------


def due(row: StepRow, age: float, mode: str = "client") -> float | None:
    return pace.due_in(operation(row, mode=mode), [age], 2.0)


def test_due__nothing_signed__never() -> None:
    assert due(step(), 1) is None
    assert due(step("failed"), 1) is None


def test_due__managed_and_its_turn__at_once_and_rarer_the_longer_it_is_held_up() -> None:
    assert due(step(), 1, "managed") == pace.SOONEST_SECONDS
    waits = [due(step(problem="no signer"), age, "managed") for age in (1, 10, 100, 1_000)]
    assert waits == [0.5, 5, 50, 60]


def test_due__on_its_way__by_blocks_then_rarer() -> None:
    assert [due(step("submitted", signed()), age) for age in (0, 80, 10_000)] == [1, 10, 60]


def test_due__no_node_has_it__doubles() -> None:
    waits = [due(step("submitted", signed(sent_at=None, send_count=n)), 0) for n in (0, 1, 4, 99)]
    assert waits == [0.25, 0.5, 4, 60]


def test_due__settled__never() -> None:
    assert due(step("final", signed(settled=True), **IN_BLOCK), 1) is None


def test_due__refused_and_never_seen__is_given_up_after_a_week() -> None:
    refused = step("failed", signed(fate="refused"))
    assert due(refused, 0) == 5
    assert due(refused, 8 * 86_400) is None


# The registered agent -----------------------------------------------------------------------------


def registered(agent_id: int, owner: bytes = OWNER, by: bytes = REGISTRY) -> Log:
    topics = (REGISTERED.topic0, agent_id.to_bytes(32), bytes(12) + owner)
    return Log(by, topics, b"", 0)


def test_agent__of_nested_registrations__is_the_outer_one_which_is_last() -> None:
    logs = (registered(8), registered(7))
    found = Receipt(
        tx_hash=TX,
        block_number=1,
        block_hash=BLOCK,
        succeeded=True,
        sender=OWNER,
        to=REGISTRY,
        gas_used=1,
        logs=logs,
    )
    assert registered_agent(found, REGISTRY, OWNER) == 7


@pytest.mark.parametrize(
    "log",
    [
        registered(7, owner=b"\x99" * 20),
        registered(7, by=b"\x99" * 20),
        registered(2**63),
        Log(REGISTRY, (REGISTERED.topic0,), b"", 0),
        Log(REGISTRY, (), b"", 0),
    ],
)
def test_agent__of_a_log_of_others__is_none(log: Log) -> None:
    found = Receipt(
        tx_hash=TX,
        block_number=1,
        block_hash=BLOCK,
        succeeded=True,
        sender=OWNER,
        to=REGISTRY,
        gas_used=1,
        logs=(log,),
    )
    assert registered_agent(found, REGISTRY, OWNER) is None
