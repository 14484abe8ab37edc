"""All numbers about one agent in one statement."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.reads import HEAD, HEAD_COLUMNS, Head, KeyArgs


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
       p.paid_feedback_count, p.payment_count, p.final_payment_count, p.payer_count,
       p.first_paid_at, p.last_paid_at, t.totals,
       m.settled_claims, m.good_claims, m.pending_claims
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN agent a
    ON a.chain_id = c.chain_id
   AND a.agent_id = coalesce($2::bigint, (SELECT agent_id FROM agent WHERE uuid = $3::uuid))
  LEFT JOIN agent_stats s ON s.chain_id = a.chain_id AND s.agent_id = a.agent_id
 CROSS JOIN LATERAL (
       SELECT count(x.feedback_claim_id) AS paid_feedback_count, count(*) AS payment_count,
              count(*) FILTER (WHERE x.is_final) AS final_payment_count,
              count(DISTINCT x.payer) AS payer_count,
              min(x.paid_at) AS first_paid_at, max(x.paid_at) AS last_paid_at
         FROM payment x WHERE x.chain_id = a.chain_id AND x.agent_id = a.agent_id) p
 CROSS JOIN LATERAL (
       SELECT coalesce(jsonb_agg(jsonb_build_object(
                  'chain_id', y.pay_chain_id, 'token', '0x' || encode(y.token, 'hex'),
                  'amount', y.amount::text, 'count', y.count)
                  ORDER BY y.pay_chain_id, y.token), '[]')::text AS totals
         FROM (SELECT z.pay_chain_id, z.token, sum(z.amount) AS amount, count(*) AS count
                 FROM payment z WHERE z.chain_id = a.chain_id AND z.agent_id = a.agent_id
                GROUP BY z.pay_chain_id, z.token) y) t
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE w.state = 'confirmed'
                               OR w.state = 'refused' AND w.due_at IS NULL) AS settled_claims,
              count(*) FILTER (WHERE w.state = 'confirmed') AS good_claims,
              count(*) FILTER (WHERE w.state IN ('pending', 'included')
                               OR w.state = 'refused' AND w.due_at IS NOT NULL) AS pending_claims
         FROM payment_claim w WHERE w.chain_id = a.chain_id AND w.agent_id = a.agent_id) m
 WHERE c.chain_id = coalesce($1::bigint, (SELECT chain_id FROM agent WHERE uuid = $3::uuid))
"""


async def of_agent(conn: Conn, key: KeyArgs) -> StatsRow | None:
    """The numbers of the agent of `key`; None where its chain (or UUID) is unknown."""
    row = await conn.fetchrow(STATS, key.chain_id, key.agent_id, key.uuid)
    if row is None:
        return None
    return StatsRow(Head(*row[:HEAD_COLUMNS]), *row[HEAD_COLUMNS:])
