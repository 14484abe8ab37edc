"""Everything that can be counted about one agent, in one answer."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from renown.api.answers.answer import Answer, present
from renown.api.answers.as_of import AsOf, as_of
from renown.api.answers.moment import read_at
from renown.api.answers.payments import TokenOf, token_of
from renown.api.answers.values import (
    Address,
    Block,
    Count,
    Id,
    Key,
    Time,
    Whole,
    address,
    address_or_none,
    agent_key,
)
from renown.spec.tokens import Tokens
from renown.store import read_stats as store
from renown.store.pool import Conn
from renown.store.reads import key_args
from renown.types import AgentKey

_PLACES = Decimal("0.000001")


class IdentityStats(Struct, kw_only=True, frozen=True):
    """Who the agent is, and since when."""

    owner: Address
    wallet: Address | None
    wallet_state: Literal["unset", "default", "proved", "cleared", "malformed"]
    registered_block: Block
    registered_at: Time
    transfers: Annotated[int, Meta(ge=0, description="Changes of owner; the mint is none.")]


class FeedbackStats(Struct, kw_only=True, frozen=True):
    """What clients said. Superseded records are in no count."""

    given: Annotated[int, Meta(ge=0, description="Revoked ones too.")]
    revoked: Count
    clients: Count
    responses: Count
    paid: Annotated[int, Meta(ge=0, description="With proof of a payment that stands.")]


class Total(Struct, kw_only=True, frozen=True):
    """What was paid in one token."""

    chain_id: int
    token: TokenOf
    amount: Annotated[Whole, Meta(description="Exact, in the token's smallest unit.")]
    payments: Count


class Rate(Struct, kw_only=True, frozen=True):
    """An exact ratio of two counts."""

    good: Count
    of: Annotated[int, Meta(ge=1)]
    ratio: Annotated[
        str,
        Meta(pattern="^[01]\\.[0-9]{6}$", description="Rounded to six places, half to even."),
    ]


class PaymentStats(Struct, kw_only=True, frozen=True):
    """What was paid to the agent, as found on the chains."""

    payments: Count
    confirmed: Annotated[int, Meta(ge=0, description="Of those, how many are final.")]
    payers: Annotated[int, Meta(ge=0, description="Distinct ones.")]
    totals: list[Total]
    first_at: Time | None
    last_at: Time | None
    open_claims: Annotated[int, Meta(ge=0, description="Not settled for good yet.")]
    success: Annotated[
        Rate | None,
        Meta(description="Claims that turned out right, of all that are settled; null: none is."),
    ]


class ValidationStats(Struct, kw_only=True, frozen=True):
    """What validators were asked, and answered."""

    requested: Count
    responded: Count


class Trust(Struct, kw_only=True, frozen=True):
    """How far the agent is to be trusted. Nothing scores agents yet."""

    level: Literal["unrated"] = "unrated"


class AgentStats(Struct, kw_only=True, frozen=True):
    """The numbers of one agent: identity, feedback, payments, validations, trust."""

    as_of: AsOf
    key: Key
    chain_id: int
    agent_id: Id
    identity: IdentityStats
    feedback: FeedbackStats
    payments: PaymentStats
    validations: ValidationStats
    trust: Trust


async def of_agent(conn: Conn, key: AgentKey, *, tokens: Tokens) -> Answer[AgentStats]:
    """All that can be counted about an agent.

    Raises:
        AgentNotFound, ChainNotFound.
    """

    async def read(_: int) -> store.StatsRow | None:
        return await store.of_agent(conn, key_args(key))

    row, head, _ = await read_at(conn, key, None, read)
    assert row.agent_id is not None
    block = as_of(head)
    body = AgentStats(
        as_of=block,
        key=agent_key(head.chain_id, head.registry, row.agent_id),
        chain_id=head.chain_id,
        agent_id=str(row.agent_id),
        identity=_identity(row),
        feedback=FeedbackStats(
            given=row.feedback_count,
            revoked=row.revoked_count,
            clients=row.client_count,
            responses=row.response_count,
            paid=row.paid_feedback_count,
        ),
        payments=_payments(row, tokens),
        validations=ValidationStats(
            requested=row.validation_count, responded=row.validation_responded_count
        ),
        trust=Trust(),
    )
    return Answer(body, [block], present=present(head, row.agent_id))


def _identity(row: store.StatsRow) -> IdentityStats:
    assert row.owner is not None
    assert row.created_at is not None
    assert row.created_block is not None
    return IdentityStats(
        owner=address(row.owner),
        wallet=address_or_none(row.wallet),
        wallet_state=row.wallet_state,  # type: ignore[arg-type]
        registered_block=row.created_block,
        registered_at=row.created_at,
        transfers=row.transfer_count or 0,
    )


def _payments(row: store.StatsRow, tokens: Tokens) -> PaymentStats:
    totals = [
        Total(
            chain_id=one["chain_id"],
            token=token_of(tokens, one["chain_id"], bytes.fromhex(one["token"][2:])),
            amount=one["amount"],
            payments=one["count"],
        )
        for one in json.loads(row.totals)
    ]
    return PaymentStats(
        payments=row.payment_count,
        confirmed=row.final_payment_count,
        payers=row.payer_count,
        totals=totals,
        first_at=row.first_paid_at,
        last_at=row.last_paid_at,
        open_claims=row.pending_claims,
        success=_rate(row.good_claims, row.settled_claims),
    )


def _rate(good: int, of: int) -> Rate | None:
    if of == 0:
        return None
    ratio = (Decimal(good) / Decimal(of)).quantize(_PLACES, ROUND_HALF_EVEN)
    return Rate(good=good, of=of, ratio=f"{ratio:f}")
