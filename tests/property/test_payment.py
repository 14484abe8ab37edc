"""Whatever is claimed in whatever order, a transfer counts once, and the first claim has it."""

from __future__ import annotations

import random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from renown.derive.payment import AgentThen, Claim, Outcome, Seen, settle
from renown.spec.deployments import DEVNET_CHAIN_ID
from renown.spec.tokens import DEVNET_DOLLAR, KNOWN_TOKENS
from renown.spec.transactions import Log, Receipt
from renown.spec.transfers import transfers
from tests.factories import person
from tests.fakes.payment_chain import Move, logs_of

PEOPLE = [person(n) for n in range(4)]
people = st.sampled_from(PEOPLE)
places = st.tuples(st.just(DEVNET_CHAIN_ID), st.integers(0, 2))
moves = st.lists(
    st.builds(
        Move,
        payer=people,
        payee=people,
        amount=st.integers(0, 2),
        token=st.sampled_from([DEVNET_DOLLAR, DEVNET_DOLLAR, person(9)]),
        signed=st.booleans(),
    ),
    max_size=6,
)
agents = st.dictionaries(
    places,
    st.builds(
        AgentThen,
        owner=st.none() | people,
        wallet=st.none() | people,
        is_wallet_its_own=st.booleans(),
        declared=st.frozensets(people, max_size=2),
        is_final=st.booleans(),
    ),
)


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    made = []
    for number in range(draw(st.integers(0, 6))):
        chain_id, agent_id = draw(places)
        made.append(
            Claim(
                claim_id=UUID(int=number),
                order=(draw(st.integers(0, 3)), 0, 0, 0),
                chain_id=chain_id,
                agent_id=agent_id,
                client=draw(st.none() | people),
                log_index=draw(st.none() | st.integers(0, 6)),
                payer=draw(st.none() | people),
                payee=draw(st.none() | people),
                proved=draw(st.frozensets(people, max_size=2) | st.just(frozenset(PEOPLE))),
                is_final=draw(st.booleans()),
            )
        )
    return made


def settled(
    found: list[Move], made: list[Claim], known: dict[tuple[int, int], AgentThen], *, final: bool
) -> Outcome:
    receipt = Receipt(
        tx_hash=b"\1" * 32,
        block_number=5,
        block_hash=b"\2" * 32,
        succeeded=True,
        sender=person(8),
        to=None,
        gas_used=1,
        logs=logs_of(found),
    )
    seen = Seen(is_known=True, receipt=receipt, time_seconds=60, is_final=final)
    return settle(seen, DEVNET_CHAIN_ID, KNOWN_TOKENS, made, known)


@given(found=moves, made=claims(), known=agents, final=st.booleans(), seed=st.integers(0, 99))
def test_settle__in_any_order__comes_out_the_same(found, made, known, final, seed):
    shuffled = made.copy()
    random.Random(seed).shuffle(shuffled)
    assert settled(found, made, known, final=final) == settled(found, shuffled, known, final=final)


@given(found=moves, made=claims(), known=agents, final=st.booleans())
def test_settle__whatever_is_claimed__every_transfer_counts_once_and_only_if_it_is_real(
    found, made, known, final
):
    outcome = settled(found, made, known, final=final)
    by_id = {claim.claim_id: claim for claim in made}
    real = set(transfers(logs_of(found)))
    places_of_logs = [one.transfer.log_index for one in outcome.counted]
    assert len(places_of_logs) == len(set(places_of_logs))
    rated = [one.feedback_claim_id for one in outcome.counted if one.feedback_claim_id]
    assert len(rated) == len(set(rated))
    assert set(outcome.verdicts) == set(by_id)
    for one in outcome.counted:
        then = known[one.chain_id, one.agent_id]
        assert one.transfer in real
        assert one.transfer.token == DEVNET_DOLLAR
        assert one.transfer.amount > 0
        assert one.transfer.payee in {then.owner, then.wallet, *then.declared}
        assert one.transfer.payer not in {then.owner, then.wallet}
        assert by_id[one.claim_id].place == (one.chain_id, one.agent_id)
        assert not one.is_final or (final and then.is_final)
        if by_id[one.claim_id].client is not None:
            assert one.claim_id == one.feedback_claim_id, "what a feedback brings is for it"
        if one.feedback_claim_id is not None:
            assert by_id[one.feedback_claim_id].client == one.transfer.payer
    good = {i for i, v in outcome.verdicts.items() if v.state in ("included", "confirmed")}
    feedback = {i for i in good if by_id[i].client is not None}
    assert feedback == set(rated), "each good feedback has a payment of its own"
    for verdict in outcome.verdicts.values():
        assert (verdict.state == "refused") == (verdict.reason is not None)


@given(found=moves, made=claims(), known=agents, final=st.booleans())
def test_settle__whatever_strangers_link__parties_and_ratings_come_out_as_without_them(
    found, made, known, final
):
    everything = settled(found, made, known, final=final).verdicts
    rated = [one for one in made if one.client is not None]
    said = [one for one in made if one.client is not None or one.proved == frozenset(PEOPLE)]
    strangers = [one for one in made if one.client is None and not one.proved]
    for part, others in ((rated, made), (said, [*said, *strangers])):
        alone = settled(found, part, known, final=final).verdicts
        beside = (
            everything if others is made else settled(found, others, known, final=final).verdicts
        )
        assert {one.claim_id: beside[one.claim_id] for one in part} == alone


@given(
    st.lists(
        st.builds(
            Log,
            address=st.binary(min_size=20, max_size=20),
            topics=st.lists(st.binary(max_size=33), max_size=4).map(tuple),
            payload=st.binary(max_size=40),
            log_index=st.integers(0, 9),
        ),
        max_size=5,
    )
)
def test_transfers__of_any_logs__never_raises(logs):
    assert transfers(logs) == transfers(logs[::-1]) or len({log.log_index for log in logs}) < len(
        logs
    )
