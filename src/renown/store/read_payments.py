"""What was paid to agents, and what was claimed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec
from asyncpg import Record

from renown.store.pool import Conn
from renown.store.reads import (
    AGENT_ID,
    CHAIN,
    HEAD,
    HEAD_COLUMNS,
    HEAD_TEXT,
    NEVER,
    Head,
    KeyArgs,
    by_uuid,
    head_of,
)
from renown.types import MAX_BIGINT


class PaymentRow(msgspec.Struct, frozen=True, gc=False):
    """One payment. `client` and `feedback_index` are of the feedback it pays for; `amount` is an
    exact integer in decimal."""

    pay_chain_id: int
    tx_hash: bytes
    log_index: int
    claim_id: UUID
    by_account: bool
    client: bytes | None
    feedback_index: int | None
    token: bytes
    payer: bytes
    payee: bytes
    payee_basis: str
    amount: str
    is_final: bool
    block_number: int
    block_hash: bytes
    paid_at: datetime


class ClaimRow(msgspec.Struct, frozen=True, gc=False):
    """One claim. `client` and `feedback_index` are of the feedback whose file makes it; None where
    an account does."""

    claim_id: UUID
    chain_id: int
    agent_id: int
    pay_chain_id: int
    tx_hash: bytes
    log_index: int | None
    client: bytes | None
    feedback_index: int | None
    claimed_payer: bytes | None
    claimed_payee: bytes | None
    state: str
    reason: str | None
    detail: str | None
    created_at: datetime
    checked_at: datetime | None


class FeedbackClaim(msgspec.Struct, frozen=True, gc=False):
    """The claim that a feedback's file makes."""

    claim_id: UUID
    pay_chain_id: int
    tx_hash: bytes
    state: str
    reason: str | None
    detail: str | None


class Payments(msgspec.Struct, frozen=True, gc=False):
    """A page of one agent's payments. `agent_id` is None where there is no such agent."""

    head: Head
    agent_id: int | None
    version: int
    rows: list[PaymentRow]


class Claims(msgspec.Struct, frozen=True, gc=False):
    """A page of the claims about one agent, likewise."""

    head: Head
    agent_id: int | None
    version: int
    rows: list[ClaimRow]


class One(msgspec.Struct, frozen=True, gc=False):
    """One claim, and the payments that it brought or that pay for its feedback."""

    head: Head
    claim: ClaimRow
    payments: list[PaymentRow]


class AfterPayment(msgspec.Struct, frozen=True, gc=False):
    """Keyset position: the last payment of the page before."""

    paid_at: datetime = NEVER
    pay_chain_id: int = MAX_BIGINT
    tx_hash: bytes = b"\xff" * 33
    log_index: int = 0


class AfterClaim(msgspec.Struct, frozen=True, gc=False):
    """Keyset position: the last claim of the page before."""

    created_at: datetime = NEVER
    claim_id: UUID = UUID(int=2**128 - 1)


_AGENT: LiteralString = f"""
  FROM checkpoint k
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
"""
# What a feedback's claim brought is for that feedback (`derive.payment.Counted`), so the claim need
# not be read to know who made it.
_PAYMENT: LiteralString = """p.pay_chain_id, p.tx_hash, p.log_index, p.claim_id,
       p.claim_id IS DISTINCT FROM p.feedback_claim_id AS by_account, g.client, g.feedback_index,
       p.token, p.payer, p.payee, p.payee_basis, p.amount::text, p.is_final, p.block_number,
       p.block_hash, p.paid_at"""
_BESIDE: LiteralString = "LEFT JOIN payment_claim g ON g.claim_id = p.feedback_claim_id"
_CLAIM: LiteralString = """m.claim_id, m.chain_id, m.agent_id, m.pay_chain_id, m.tx_hash,
       m.log_index, m.client, m.feedback_index, m.claimed_payer, m.claimed_payee, m.state, m.reason,
       m.detail, m.created_at, m.checked_at"""

OF_AGENT: LiteralString = f"""
SELECT {HEAD_TEXT}, a.agent_id, coalesce(s.version, 0), x.*
{_AGENT}
  LEFT JOIN LATERAL (
       SELECT {_PAYMENT}
         FROM payment p
         {_BESIDE}
        WHERE p.chain_id = {CHAIN} AND p.agent_id = {AGENT_ID} AND a.agent_id IS NOT NULL
          AND (p.paid_at, p.pay_chain_id, p.tx_hash, p.log_index)
              < ($3::timestamptz, $4::bigint, $5::bytea, $6::integer)
          AND ($7::boolean IS NULL OR p.is_final = $7)
        ORDER BY p.paid_at DESC, p.pay_chain_id DESC, p.tx_hash DESC, p.log_index DESC
        LIMIT $8) x ON true
 WHERE k.chain_id = {CHAIN}
 ORDER BY x.paid_at DESC, x.pay_chain_id DESC, x.tx_hash DESC, x.log_index DESC
"""
OF_AGENT_BY_UUID: LiteralString = by_uuid(OF_AGENT)


async def of_agent(
    conn: Conn,
    key: KeyArgs,
    *,
    is_final: bool | None = None,
    after: AfterPayment | None = None,
    limit: int,
) -> Payments | None:
    """An agent's payments, newest first, of its own chain and others.

    None where the chain (or UUID) is unknown.

    Args:
        is_final: only those that are, or are not.
    """
    start = after or AfterPayment()
    rows = await conn.fetch(
        *key.asks(OF_AGENT, OF_AGENT_BY_UUID),
        *(start.paid_at, start.pay_chain_id, start.tx_hash, start.log_index, is_final, limit),
    )
    if not rows:
        return None
    return Payments(*_heading(rows[0]), [PaymentRow(*r) for r in _beyond(rows)])


CLAIMS_OF_AGENT: LiteralString = f"""
SELECT {HEAD_TEXT}, a.agent_id, coalesce(s.version, 0), x.*
{_AGENT}
  LEFT JOIN LATERAL (
       SELECT {_CLAIM}
         FROM payment_claim m
        WHERE m.chain_id = {CHAIN} AND m.agent_id = {AGENT_ID} AND a.agent_id IS NOT NULL
          AND (m.created_at, m.claim_id) < ($3::timestamptz, $4::uuid)
          AND ($5::text IS NULL OR m.state = $5)
        ORDER BY m.created_at DESC, m.claim_id DESC LIMIT $6) x ON true
 WHERE k.chain_id = {CHAIN}
 ORDER BY x.created_at DESC, x.claim_id DESC
"""
CLAIMS_OF_AGENT_BY_UUID: LiteralString = by_uuid(CLAIMS_OF_AGENT)


async def claims_of_agent(
    conn: Conn,
    key: KeyArgs,
    *,
    state: str | None = None,
    after: AfterClaim | None = None,
    limit: int,
) -> Claims | None:
    """What was claimed to have paid an agent, newest first. None as for `of_agent`."""
    start = after or AfterClaim()
    rows = await conn.fetch(
        *key.asks(CLAIMS_OF_AGENT, CLAIMS_OF_AGENT_BY_UUID),
        *(start.created_at, start.claim_id, state, limit),
    )
    if not rows:
        return None
    return Claims(*_heading(rows[0]), [ClaimRow(*r) for r in _beyond(rows)])


CLAIM: LiteralString = f"""
SELECT {HEAD}, {_CLAIM}
  FROM payment_claim m
  JOIN chain c USING (chain_id)
  JOIN checkpoint k USING (chain_id)
 WHERE m.claim_id = $1
"""
OF_CLAIM: LiteralString = f"""
SELECT {_PAYMENT}
  FROM payment p
  {_BESIDE}
 WHERE p.claim_id = $1 OR p.feedback_claim_id = $1
 ORDER BY p.log_index
"""


async def claim(conn: Conn, claim_id: UUID) -> One | None:
    """One claim; None where there is none."""
    row = await conn.fetchrow(CLAIM, claim_id)
    if row is None:
        return None
    payments = [PaymentRow(*r) for r in await conn.fetch(OF_CLAIM, claim_id)]
    return One(Head(*row[:HEAD_COLUMNS]), ClaimRow(*row[HEAD_COLUMNS:]), payments)


def _heading(row: Record) -> tuple[Head, int | None, int]:
    return head_of(row[0]), row[1], row[2]


def _beyond(rows: Sequence[Record]) -> Iterable[Sequence[Any]]:
    """What stands behind the heading of each row that has anything there."""
    return (row[3:] for row in rows if row[3] is not None)
