"""Which transfers pay which agent and which feedback."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any
from uuid import UUID

import msgspec
import pytest

from renown.derive.payment import (
    NOT_READ,
    NOT_SEEN,
    AgentThen,
    Claim,
    Outcome,
    Seen,
    Verdict,
    look_again,
    settle,
)
from renown.spec.deployments import DEVNET_CHAIN_ID
from renown.spec.tokens import KNOWN_TOKENS
from renown.spec.transactions import Receipt
from tests.factories import ALICE, BOB, CAROL, DAVE, person
from tests.fakes.payment_chain import FACILITATOR, Move, logs_of

WALLET, SHOP = person(20), person(21)
AGENT = (DEVNET_CHAIN_ID, 1)
OTHER = (DEVNET_CHAIN_ID, 2)
THEN = AgentThen(owner=ALICE, wallet=WALLET, is_wallet_its_own=True, declared=frozenset({SHOP}))
UNPROVED = msgspec.structs.replace(THEN, is_wallet_its_own=False)


def seen(*moves: Move, succeeded: bool = True, final: bool = True) -> Seen:
    receipt = Receipt(
        tx_hash=b"\1" * 32,
        block_number=5,
        block_hash=b"\2" * 32,
        succeeded=succeeded,
        sender=FACILITATOR,
        to=None,
        gas_used=1,
        logs=logs_of(moves),
    )
    return Seen(is_known=True, receipt=receipt, time_seconds=60, is_final=final)


def claim(number: int = 1, at: int = 1, place: tuple[int, int] = AGENT, **fields: Any) -> Claim:
    return Claim(
        claim_id=UUID(int=number),
        order=(at, 0, 0, 0),
        chain_id=place[0],
        agent_id=place[1],
        **fields,
    )


def outcome(found: Seen, claims: Sequence[Claim], **agents: AgentThen) -> Outcome:
    known = {AGENT: agents.get("agent", THEN), OTHER: agents.get("other", THEN)}
    return settle(found, DEVNET_CHAIN_ID, KNOWN_TOKENS, claims, known)


def verdict(found: Seen, one: Claim, **agents: AgentThen) -> Verdict:
    return outcome(found, [one], **agents).verdicts[one.claim_id]


PAID = Move(BOB, WALLET)


@pytest.mark.parametrize(
    ("found", "fields", "reason"),
    [
        (seen(PAID, succeeded=False), {}, "transaction-failed"),
        (seen(), {}, "no-transfer"),
        (seen(PAID), {"log_index": 7}, "no-transfer"),
        (seen(Move(BOB, WALLET, 0)), {}, "no-transfer"),
        (seen(Move(BOB, WALLET, token=CAROL)), {}, "token-not-allowed"),
        (seen(Move(BOB, CAROL)), {}, "wrong-receiver"),
        (seen(Move(BOB, bytes(20))), {}, "wrong-receiver"),
        (seen(Move(BOB, ALICE)), {}, "wrong-receiver"),  # the owner, but no feedback says so
        (seen(PAID), {"payer": CAROL}, "claimed-otherwise"),
        (seen(PAID), {"payee": ALICE, "client": BOB}, "claimed-otherwise"),
        (seen(PAID), {"client": CAROL}, "wrong-payer"),
        (seen(Move(ALICE, WALLET)), {}, "self-payment"),
        (seen(Move(WALLET, WALLET)), {}, "self-payment"),
        (seen(Move(BOB, SHOP)), {}, "not-a-party"),
        (seen(Move(BOB, SHOP)), {"proved": frozenset({CAROL})}, "not-a-party"),
    ],
)
def test_settle__when_nothing_counts__then_refused_with_the_code(
    found: Seen, fields: dict[str, Any], reason: str
) -> None:
    result = verdict(found, claim(**fields))
    assert (result.state, result.reason, result.is_settled) == ("refused", reason, True)
    assert result.detail


@pytest.mark.parametrize(
    ("moves", "fields", "basis", "amount"),
    [
        ([PAID], {}, "wallet", 1_000_000),
        ([Move(BOB, WALLET, 3, signed=True)], {"client": BOB}, "wallet", 3),
        ([Move(BOB, ALICE)], {"client": BOB}, "owner", 1_000_000),
        ([Move(BOB, SHOP)], {"client": BOB}, "declared", 1_000_000),
        ([Move(BOB, SHOP)], {"proved": frozenset({BOB})}, "declared", 1_000_000),
        ([Move(BOB, SHOP)], {"proved": frozenset({SHOP})}, "declared", 1_000_000),
        ([Move(DAVE, CAROL), Move(BOB, WALLET, 9)], {"log_index": 1}, "wallet", 9),
        ([PAID], {"payer": BOB, "payee": WALLET, "client": BOB}, "wallet", 1_000_000),
    ],
)
def test_settle__when_a_transfer_counts__then_confirmed_on_its_basis(
    moves: list[Move], fields: dict[str, Any], basis: str, amount: int
) -> None:
    one = claim(**fields)
    found = outcome(seen(*moves), [one])
    assert found.verdicts[one.claim_id] == Verdict("confirmed", is_settled=True)
    assert [(c.basis, c.transfer.amount, c.is_final) for c in found.counted] == [
        (basis, amount, True)
    ]


def test_settle__when_before_registration__then_refused() -> None:
    assert verdict(seen(PAID), claim(), agent=AgentThen()).reason == "before-registration"


def test_settle__when_anything_is_not_final__then_included_and_looked_at_again() -> None:
    for found, one, agent in (
        (seen(PAID, final=False), claim(), THEN),
        (seen(PAID), claim(is_final=False, client=BOB), THEN),
        (seen(PAID), claim(), msgspec.structs.replace(THEN, is_final=False)),
    ):
        assert verdict(found, one, agent=agent) == Verdict("included")


def test_settle__when_in_no_block_or_the_agents_chain_lags__then_pending() -> None:
    one = claim()
    assert verdict(Seen(is_known=True), one).state == "pending"
    assert verdict(NOT_SEEN, one).state == "pending"
    lagging = settle(seen(PAID), DEVNET_CHAIN_ID, KNOWN_TOKENS, [one], {})
    assert (lagging.verdicts[one.claim_id].state, lagging.counted) == ("pending", ())


def test_settle__when_no_node_is_configured__then_refused_but_not_settled() -> None:
    found = verdict(NOT_READ, claim())
    assert (found.reason, found.is_settled) == ("chain-not-read", False)


def test_settle__when_two_feedbacks_name_one_payment__then_the_earlier_has_it() -> None:
    first, second = claim(1, at=10, client=BOB), claim(2, at=20, client=BOB)
    for given in ([first, second], [second, first]):
        found = outcome(seen(PAID), given)
        assert found.verdicts[first.claim_id].state == "confirmed"
        assert found.verdicts[second.claim_id].reason == "used-by-other-feedback"
        assert [c.feedback_claim_id for c in found.counted] == [first.claim_id]


def test_settle__when_two_feedbacks_name_two_transfers__then_each_has_one() -> None:
    first, second = claim(1, at=10, client=BOB), claim(2, at=20, client=BOB)
    found = outcome(seen(PAID, Move(BOB, WALLET, 7)), [second, first])
    assert {v.state for v in found.verdicts.values()} == {"confirmed"}
    assert [(c.transfer.log_index, c.feedback_claim_id) for c in found.counted] == [
        (0, first.claim_id),
        (1, second.claim_id),
    ]


def test_settle__when_an_account_linked_what_a_feedback_names__then_one_payment_for_both() -> None:
    linked = claim(1, at=10, proved=frozenset({BOB}))
    rated = claim(2, at=20, client=BOB)
    found = outcome(seen(PAID), [rated, linked])
    assert {v.state for v in found.verdicts.values()} == {"confirmed"}
    assert [(c.claim_id, c.feedback_claim_id) for c in found.counted] == [
        (linked.claim_id, rated.claim_id)
    ]


@pytest.mark.parametrize("turns", list(permutations(range(4))))
def test_settle__when_a_feedback_brings_a_payment__then_it_is_for_that_feedback(turns) -> None:
    made = [
        claim(1, at=turns[0], client=BOB),
        claim(2, at=turns[1], client=BOB),
        claim(3, at=turns[2]),
        claim(4, at=turns[3], proved=frozenset({BOB})),
    ]
    for some in (made, made[:2], made[:3], made[1:]):
        for moves in ([PAID], [PAID, Move(BOB, WALLET, 7)]):
            for one in outcome(seen(*moves), some).counted:
                is_of_feedback = one.claim_id.int <= 2
                assert (one.claim_id == one.feedback_claim_id) == is_of_feedback


def test_settle__when_two_agents_share_a_wallet__then_the_earlier_claim_has_the_payment() -> None:
    mine, theirs = claim(1, at=20), claim(2, at=10, place=OTHER)
    found = outcome(seen(PAID), [mine, theirs])
    assert found.verdicts[mine.claim_id].reason == "used-by-other-agent"
    assert [(c.chain_id, c.agent_id) for c in found.counted] == [OTHER]


def test_settle__when_the_wallet_is_not_its_own_by_proof__then_a_party_has_to_say_so() -> None:
    assert verdict(seen(PAID), claim(), agent=UNPROVED).reason == "not-a-party"
    for fields in ({"client": BOB}, {"proved": frozenset({BOB})}, {"proved": frozenset({WALLET})}):
        assert verdict(seen(PAID), claim(**fields), agent=UNPROVED).state == "confirmed"


def test_settle__when_a_stranger_links_to_a_sibling_agent__then_the_parties_word_goes_before() -> (
    None
):
    stranger = claim(1, at=1, place=OTHER)
    for agent in (THEN, UNPROVED):
        for said in (
            {"client": BOB},
            {"proved": frozenset({BOB})},
            {"proved": frozenset({WALLET})},
        ):
            party = claim(2, at=2, **said)
            found = outcome(seen(PAID), [stranger, party], agent=agent, other=agent)
            assert found.verdicts[party.claim_id].state == "confirmed"
            assert found.verdicts[stranger.claim_id].state == "refused"
            assert [(c.chain_id, c.agent_id) for c in found.counted] == [AGENT]


def test_settle__when_the_owner_links_before_a_bad_rating__then_the_payers_feedback_has_it() -> (
    None
):
    owner = claim(1, at=1, place=OTHER, proved=frozenset({WALLET}))
    payer = claim(2, at=2, place=OTHER, proved=frozenset({BOB}))
    rated = claim(3, at=3, client=BOB)
    found = outcome(seen(PAID), [owner, payer, rated])
    assert found.verdicts[rated.claim_id].state == "confirmed"
    assert {found.verdicts[one.claim_id].reason for one in (owner, payer)} == {
        "used-by-other-agent"
    }


def test_settle__when_a_party_links_what_a_stranger_linked__then_the_payment_is_the_partys() -> (
    None
):
    stranger, party = claim(1, at=1), claim(2, at=2, proved=frozenset({BOB}))
    again = claim(3, at=3, proved=frozenset({WALLET}))
    found = outcome(seen(PAID), [stranger, party, again])
    assert [one.claim_id for one in found.counted] == [party.claim_id]


def test_look_again__when_nobody_knows_it__then_growing_pauses_and_an_answer() -> None:
    tries, pauses = 0, []
    while True:
        found, tries, pause = look_again(
            Verdict("pending"), NOT_SEEN, tries=tries, block_seconds=2.0
        )
        if pause is None:
            break
        pauses.append(pause)
    assert (found.state, found.reason, found.is_settled) == (
        "refused",
        "unknown-transaction",
        True,
    )
    assert pauses == sorted(pauses)
    assert 3 * 86_400 < sum(pauses) < 14 * 86_400


def test_look_again__when_it_was_seen__then_patience_starts_anew() -> None:
    _, tries, pause = look_again(
        Verdict("pending"), Seen(is_known=True), tries=5, block_seconds=12.0
    )
    assert (tries, pause) == (0, 24.0)
