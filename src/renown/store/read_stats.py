"""All numbers about one agent in one statement."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.reads import AGENT_ID, CHAIN, HEAD, HEAD_COLUMNS, Head, KeyArgs, by_uuid


class StatsRow(msgspec.Struct, frozen=True, gc=False):
    """Numbers of one agent.

    `agent_id` and all that follow it up to `version` are None where there is no such agent.
    `totals` is JSON: a list of {chain_id, token, amount (text), count}. `settled_claims` counts
    claims that are final, refused ones too; `good_claims` those of them that were right.
    """

    head: Head
    agent_id: int | None
    owner: bytes | None
    wallet: bytes | None
    wallet_state: str | None
    created_block: int | None
    created_at: datetime | None
    transfer_count: int | None
    version: int
    feedback_count: int
    revoked_count: int
    client_count: int
    response_count: int
    validation_count: int
    validation_responded_count: int
    paid_feedback_count: int
    payment_count: int
    final_payment_count: int
    payer_count: int
    first_paid_at: datetime | None
    last_paid_at: datetime | None
    totals: str
    settled_claims: int
    good_claims: int
    pending_claims: int


STATS: LiteralString = f"""
SELECT {HEAD}, a.agent_id, a.owner, a.wallet, a.wallet_state, a.created_block, a.created_at,
       a.transfer_count, coalesce(s.version, 0), coalesce(s.feedback_count, 0),
       coalesce(s.revoked_count, 0), coalesce(s.client_count, 0), coalesce(s.response_count, 0),
       coalesce(s.validation_count, 0), coalesce(s.validation_responded_count, 0),
       coalesce(p.paid_feedback_count, 0), coalesce(p.payment_count, 0),
       coalesce(p.final_payment_count, 0), coalesce(p.payer_count, 0), p.first_paid_at,
       p.last_paid_at, coalesce(p.totals, '[]'), coalesce(p.settled_claims, 0),
       coalesce(p.good_claims, 0), coalesce(p.pending_claims, 0)
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN agent_payment_stats p ON p.chain_id = {CHAIN} AND p.agent_id = {AGENT_ID}
 WHERE c.chain_id = {CHAIN}
"""
STATS_BY_UUID: LiteralString = by_uuid(STATS)


async def of_agent(conn: Conn, key: KeyArgs) -> StatsRow | None:
    """The numbers of the agent of `key`; None where its chain (or UUID) is unknown."""
    row = await conn.fetchrow(*key.asks(STATS, STATS_BY_UUID))
    if row is None:
        return None
    return StatsRow(Head(*row[:HEAD_COLUMNS]), *row[HEAD_COLUMNS:])
