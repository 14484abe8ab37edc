"""Payments of one agent, claims of payment, and what became of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct

from renown.api.answers.answer import Answer, Page, more
from renown.api.answers.as_of import AsOf, as_of
from renown.api.answers.moment import read_at
from renown.api.answers.values import (
    Address,
    Block,
    Count,
    Hash,
    Id,
    Time,
    Whole,
    address,
    address_or_none,
    hex_text,
)
from renown.derive.payment import Basis, Reason, State
from renown.errors import NotFound
from renown.spec.tokens import Tokens, token_at
from renown.store import read_payments as store
from renown.store.pool import Conn
from renown.store.read_payments import ClaimRow, FeedbackClaim, PaymentRow
from renown.store.reads import key_args
from renown.types import AgentKey

ClaimState = Annotated[
    State,
    Meta(
        description="`pending`: in no block, or not looked at. `included`: right, but a"
        " reorganisation may undo it. `confirmed`: right, for good. `refused`: see `reason`."
    ),
]
PaymentState = Literal["included", "confirmed"]
WhyRefused = Annotated[Reason | None, Meta(description="Why it was refused; null otherwise.")]
Moment = Annotated[datetime, Meta(tz=True, description="UTC.")]


class LinkPayment(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A transaction that paid the agent: named by its hash, or by the settlement response of x402
    that came with the paid answer."""

    chain: Annotated[
        str | int | None,
        Meta(description="Where it was paid: a chain's id or short name. Default: the agent's."),
    ] = None
    tx_hash: Annotated[str, Meta(pattern="^0x[0-9a-fA-F]{64}$")] | None = None
    log_index: Annotated[
        Annotated[int, Meta(ge=0, le=2**31 - 1)] | None,
        Meta(description="Of the transfer within its block. Default: every one to the agent."),
    ] = None
    settlement: Annotated[
        str | dict[str, Any] | None,
        Meta(
            description="Header `X-PAYMENT-RESPONSE` (v1) or `PAYMENT-RESPONSE` (v2) as it came, or"
            " the object in it."
        ),
    ] = None


class TokenOf(Struct, frozen=True):
    """The token that was paid in. `symbol` and `decimals` are null for one that does not count any
    more."""

    address: Address
    symbol: str | None
    decimals: Annotated[int | None, Meta(description="An amount is read as amount / 10^decimals.")]


class FeedbackPaid(Struct, frozen=True):
    """Which feedback of the agent a payment is for."""

    client: Address
    index: Id


class Payment(Struct, kw_only=True, frozen=True):
    """One transfer on the chain that paid the agent. It counts once."""

    state: PaymentState
    chain_id: Annotated[int, Meta(description="Where it was paid, which need not be the agent's.")]
    tx_hash: Hash
    log_index: Count
    token: TokenOf
    amount: Annotated[Whole, Meta(description="In the token's smallest unit.")]
    payer: Annotated[Address, Meta(description="Whose tokens moved, whoever sent them.")]
    payee: Address
    payee_basis: Annotated[
        Basis,
        Meta(
            description="Why the receiver stands for the agent: its `wallet` at that block, its"
            " `owner`, or an address that it `declared` to be paid at."
        ),
    ]
    feedback: Annotated[
        FeedbackPaid | None, Meta(description="The feedback that this payment is proof for.")
    ]
    said_by: Annotated[
        Literal["account", "feedback"], Meta(description="Who brought it to our notice.")
    ]
    claim: UUID
    block_number: Block
    block_hash: Hash
    time: Time


class PaymentPage(Page[Payment], kw_only=True):
    """A page of one agent's payments, newest first."""


class Claim(Struct, kw_only=True, frozen=True):
    """What somebody says: that a transaction paid an agent."""

    claim: UUID
    state: ClaimState
    reason: WhyRefused
    detail: str | None
    chain_id: Annotated[int, Meta(description="Of the transaction.")]
    tx_hash: Hash
    log_index: Annotated[Count | None, Meta(description="Null: any transfer to the agent.")]
    said_by: Literal["account", "feedback"]
    feedback: FeedbackPaid | None
    claimed_payer: Address | None
    claimed_payee: Address | None
    created_at: Moment
    checked_at: Moment | None


class ClaimPage(Page[Claim], kw_only=True):
    """A page of the claims about one agent, newest first."""


class ClaimWithPayments(Struct, kw_only=True, frozen=True):
    """One claim, and the payments that it brought or that pay for its feedback."""

    as_of: AsOf
    agent_chain_id: int
    agent_id: Id
    claim: Claim
    payments: list[Payment]


class ProofOfPayment(Struct, kw_only=True, frozen=True):
    """The payment that a feedback's file names, and what became of it on the chain."""

    state: ClaimState
    reason: WhyRefused
    detail: str | None
    claim: UUID
    chain_id: int
    tx_hash: Hash


ProofOrNone = Annotated[
    ProofOfPayment | None,
    Meta(
        description="The payment that its file names, as it stands now, whatever `at` asks for;"
        " null where the file names none, or is not read."
    ),
]


async def of_agent(
    conn: Conn,
    key: AgentKey,
    *,
    tokens: Tokens,
    state: PaymentState | None = None,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[PaymentPage]:
    """An agent's payments, newest first.

    Raises:
        AgentNotFound, ChainNotFound.
    """
    is_final = None if state is None else state == "confirmed"
    start = store.AfterPayment(_moment(after[0]), *after[1:]) if after else None

    async def read(_: int) -> store.Payments | None:
        return await store.of_agent(
            conn, key_args(key), is_final=is_final, after=start, limit=limit + 1
        )

    page, head, _ = await read_at(conn, key, None, read)
    shown, last = more(page.rows, limit)
    body = PaymentPage(as_of=as_of(head), items=[_payment(row, tokens) for row in shown])
    place = None
    if last:
        place = (last.paid_at.isoformat(), last.pay_chain_id, last.tx_hash, last.log_index)
    return Answer(body, [body.as_of], after=place)


async def claims_of_agent(
    conn: Conn,
    key: AgentKey,
    *,
    state: State | None = None,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[ClaimPage]:
    """What was claimed to have paid an agent, newest first.

    Raises:
        AgentNotFound, ChainNotFound.
    """
    start = store.AfterClaim(_moment(after[0]), UUID(after[1])) if after else None

    async def read(_: int) -> store.Claims | None:
        return await store.claims_of_agent(
            conn, key_args(key), state=state, after=start, limit=limit + 1
        )

    page, head, _ = await read_at(conn, key, None, read)
    shown, last = more(page.rows, limit)
    body = ClaimPage(as_of=as_of(head), items=[_claim(row) for row in shown])
    place = (last.created_at.isoformat(), str(last.claim_id)) if last else None
    return Answer(body, [body.as_of], after=place)


async def claim(conn: Conn, claim_id: UUID, *, tokens: Tokens) -> Answer[ClaimWithPayments]:
    """One claim. Raises NotFound."""
    found = await store.claim(conn, claim_id)
    if found is None:
        raise NotFound("there is no such claim of payment", claim=str(claim_id))
    block = as_of(found.head)
    body = ClaimWithPayments(
        as_of=block,
        agent_chain_id=found.claim.chain_id,
        agent_id=str(found.claim.agent_id),
        claim=_claim(found.claim),
        payments=[_payment(row, tokens) for row in found.payments],
    )
    return Answer(body, [block])


def proof(one: FeedbackClaim) -> ProofOfPayment:
    """The payment that a feedback's file names, as answers say it."""
    return ProofOfPayment(
        state=one.state,  # type: ignore[arg-type]
        reason=one.reason,  # type: ignore[arg-type]
        detail=one.detail,
        claim=one.claim_id,
        chain_id=one.pay_chain_id,
        tx_hash=hex_text(one.tx_hash),
    )


def token_of(tokens: Tokens, chain_id: int, raw: bytes) -> TokenOf:
    """A token as answers name it."""
    known = token_at(tokens, chain_id, raw)
    if known is None:
        return TokenOf(address(raw), None, None)
    return TokenOf(address(raw), known.symbol, known.decimals)


def _payment(row: PaymentRow, tokens: Tokens) -> Payment:
    return Payment(
        state="confirmed" if row.is_final else "included",
        chain_id=row.pay_chain_id,
        tx_hash=hex_text(row.tx_hash),
        log_index=row.log_index,
        token=token_of(tokens, row.pay_chain_id, row.token),
        amount=row.amount,
        payer=address(row.payer),
        payee=address(row.payee),
        payee_basis=row.payee_basis,  # type: ignore[arg-type]
        feedback=_feedback(row.client, row.feedback_index),
        said_by="account" if row.by_account else "feedback",
        claim=row.claim_id,
        block_number=row.block_number,
        block_hash=hex_text(row.block_hash),
        time=row.paid_at,
    )


def _claim(row: ClaimRow) -> Claim:
    feedback = _feedback(row.client, row.feedback_index)
    return Claim(
        claim=row.claim_id,
        state=row.state,  # type: ignore[arg-type]
        reason=row.reason,  # type: ignore[arg-type]
        detail=row.detail,
        chain_id=row.pay_chain_id,
        tx_hash=hex_text(row.tx_hash),
        log_index=row.log_index,
        said_by="account" if feedback is None else "feedback",
        feedback=feedback,
        claimed_payer=address_or_none(row.claimed_payer),
        claimed_payee=address_or_none(row.claimed_payee),
        created_at=row.created_at,
        checked_at=row.checked_at,
    )


def _feedback(client: bytes | None, index: int | None) -> FeedbackPaid | None:
    return None if client is None else FeedbackPaid(address(client), str(index))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
