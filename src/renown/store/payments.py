"""Payments found on the chain, and the settling of claims about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import LiteralString
from uuid import UUID

import msgspec
from asyncpg import Record

from renown.derive.payment import Claim, Counted, Seen, Verdict, look_again, settle
from renown.spec.deployments import DEPLOYMENTS
from renown.spec.tokens import Tokens
from renown.store import payees
from renown.store.audit_entries import say_follows
from renown.store.changes import announce_places
from renown.store.payment_claims import lock
from renown.store.pool import Conn, Tx


class Settled(msgspec.Struct, frozen=True):
    """How the claims about one transaction stand now.

    `changed` counts the claims whose state is another than before, by state and reason now;
    `counted` is what counts.
    """

    verdicts: dict[UUID, Verdict]
    changed: dict[tuple[str, str | None], int]
    counted: tuple[Counted, ...]


async def final_block(conn: Conn, chain_id: int) -> int | None:
    """The last final block of a chain as indexed; None where it is not indexed here."""
    found: int | None = await conn.fetchval(FINAL_BLOCK, chain_id)
    return found


async def settle_transaction(
    tx: Tx,
    pay_chain_id: int,
    tx_hash: bytes,
    seen: Seen,
    *,
    tokens: Tokens,
    now: datetime,
    made: UUID | None = None,
) -> Settled:
    """Settle the claims about one transaction as it was seen, and keep what counts.

    Payments that are final stay: where somebody does not see them, it is a node that lags. Of very
    many claims the first `CLAIMS_AT_ONCE` that are due are settled; the others stay due.

    Args:
        made: a claim that is settled whatever else is.
    """
    await say_follows(tx)
    await lock(tx, pay_chain_id, tx_hash)
    rows = await tx.fetch(CLAIMS, pay_chain_id, tx_hash, now, CLAIMS_AT_ONCE, made)
    if not seen.is_final and await tx.fetchval(HAS_FINAL, pay_chain_id, tx_hash):
        await tx.execute(WAIT, pay_chain_id, tx_hash, now + LAGGING)
        held = {r["claim_id"]: Verdict(r["state"], r["reason"], r["detail"]) for r in rows}
        return Settled(held, {}, ())
    claims = [_claim(row) for row in rows]
    receipt = seen.receipt
    agents = {}
    if receipt is not None and seen.time_seconds is not None:
        agents = await payees.agents_then(
            tx,
            (claim.place for claim in claims),
            pay_chain_id=pay_chain_id,
            block_number=receipt.block_number,
            time=seen.time_seconds,
        )
    outcome = settle(seen, pay_chain_id, tokens, claims, agents)
    verdicts: dict[UUID, Verdict] = {}
    changed: dict[tuple[str, str | None], int] = {}
    kept: list[tuple[UUID, str, str | None, str | None, int, datetime | None]] = []
    touched = set()
    apart = _block_seconds(pay_chain_id)
    is_displaced = False
    for claim, row in zip(claims, rows, strict=True):
        verdict, tries, pause = look_again(
            outcome.verdicts[claim.claim_id], seen, tries=row["tries"], block_seconds=apart
        )
        verdicts[claim.claim_id] = verdict
        due_at = None if pause is None else now + timedelta(seconds=pause)
        said = (verdict.state, verdict.reason, verdict.detail)
        if said[:2] != (row["state"], row["reason"]):
            changed[said[:2]] = changed.get(said[:2], 0) + 1
        if (*said, due_at is None) != (*_said(row), row["due_at"] is None):
            touched.add(claim.place)  # whether it is looked at again shows, too
        if (*said, tries, due_at) != (*_said(row), row["tries"], row["due_at"]):
            kept.append((claim.claim_id, *said, tries, due_at))
        was_good = row["state"] in ("included", "confirmed")
        is_displaced |= was_good and verdict.state == "refused"
    if kept:
        await tx.execute(KEEP_VERDICTS, *map(list, zip(*kept, strict=True)), now)
    if is_displaced:
        await tx.execute(RECONSIDER, pay_chain_id, tx_hash, now)
    touched |= await _keep_counted(tx, pay_chain_id, tx_hash, seen, outcome.counted)
    await announce_places(tx, touched)
    return Settled(verdicts, changed, outcome.counted)


LAGGING = timedelta(seconds=30)
CLAIMS_AT_ONCE = 500

HAS_FINAL: LiteralString = (
    "SELECT EXISTS (SELECT FROM payment WHERE pay_chain_id = $1 AND tx_hash = $2 AND is_final)"
)
WAIT: LiteralString = """
UPDATE payment_claim SET due_at = $3
 WHERE pay_chain_id = $1 AND tx_hash = $2 AND due_at < $3
"""
FINAL_BLOCK: LiteralString = "SELECT final_block FROM checkpoint WHERE chain_id = $1"
# An account's claim was made when it came, a feedback's when the feedback was given. Who was
# refused for good is not asked again: what came since can only take from others, see `RECONSIDER`.
# What counts is always there, and of the rest the earliest come first: so however many there are,
# none of a later look can have had what one of an earlier look was refused.
CLAIMS: LiteralString = """
WITH looked AS (
    SELECT d.claim_id
      FROM payment_claim d
      LEFT JOIN block b ON b.chain_id = d.chain_id AND b.number = d.feedback_block
     WHERE d.pay_chain_id = $1 AND d.tx_hash = $2 AND d.due_at IS NOT NULL
     ORDER BY d.due_at > $3, coalesce(b.time, d.created_at), d.chain_id, d.feedback_block,
              d.feedback_log_index
     LIMIT $4
)
SELECT c.claim_id, c.chain_id, c.agent_id, c.client, c.log_index, c.claimed_payer,
       c.claimed_payee, c.feedback_block, c.feedback_log_index, c.feedback_is_final, c.proved,
       coalesce(b.time, c.created_at) AS said_at, c.tries, c.state, c.reason, c.detail, c.due_at
  FROM payment_claim c
  LEFT JOIN block b ON b.chain_id = c.chain_id AND b.number = c.feedback_block
 WHERE c.pay_chain_id = $1 AND c.tx_hash = $2
   AND (c.state IN ('included', 'confirmed') OR c.claim_id = $5::uuid
        OR c.claim_id IN (SELECT claim_id FROM looked))
"""
KEEP_VERDICTS: LiteralString = """
UPDATE payment_claim c
   SET state = v.state, reason = v.reason, detail = v.detail, tries = v.tries, due_at = v.due_at,
       checked_at = $7
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::timestamptz[])
       AS v (claim_id, state, reason, detail, tries, due_at)
 WHERE c.claim_id = v.claim_id
"""
# An earlier claim was found that took a transfer away: what stood behind may have it better now.
RECONSIDER: LiteralString = """
UPDATE payment_claim SET due_at = $3
 WHERE pay_chain_id = $1 AND tx_hash = $2 AND state = 'refused'
   AND reason IN ('used-by-other-agent', 'used-by-other-feedback')
"""
COUNTED: LiteralString = """
SELECT log_index, chain_id, agent_id, claim_id, feedback_claim_id, token, payer, payee,
       payee_basis, amount, is_final, block_hash
  FROM payment WHERE pay_chain_id = $1 AND tx_hash = $2 ORDER BY log_index
"""
UNCOUNT: LiteralString = "DELETE FROM payment WHERE pay_chain_id = $1 AND tx_hash = $2"
COUNT: LiteralString = """
INSERT INTO payment (pay_chain_id, tx_hash, log_index, chain_id, agent_id, claim_id,
                     feedback_claim_id, token, payer, payee, payee_basis, amount, is_final,
                     block_hash, block_number, paid_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""


def _block_seconds(chain_id: int) -> float:
    """The usual time between two blocks; a guess for chains that nobody described."""
    deployment = DEPLOYMENTS.get(chain_id)
    return 2.0 if deployment is None else deployment.finality.block_seconds


def _said(row: Record) -> tuple[str, str | None, str | None]:
    return row["state"], row["reason"], row["detail"]


def _claim(row: Record) -> Claim:
    moment = int(row["said_at"].timestamp() * 1_000_000)
    given = row["feedback_block"]
    return Claim(
        claim_id=row["claim_id"],
        order=(
            moment,
            0 if given is None else row["chain_id"],
            given or 0,
            row["feedback_log_index"] or 0,
        ),
        chain_id=row["chain_id"],
        agent_id=row["agent_id"],
        client=row["client"],
        log_index=row["log_index"],
        payer=row["claimed_payer"],
        payee=row["claimed_payee"],
        proved=frozenset(row["proved"]),
        is_final=given is None or row["feedback_is_final"],
    )


async def _keep_counted(
    tx: Tx, pay_chain_id: int, tx_hash: bytes, seen: Seen, counted: Sequence[Counted]
) -> set[tuple[int, int]]:
    """Keep the payments of a transaction, in place of those held. Returns the agents concerned."""
    held = [tuple(row) for row in await tx.fetch(COUNTED, pay_chain_id, tx_hash)]
    block_hash = seen.receipt.block_hash if seen.receipt else b""
    rows = [
        (
            *(one.transfer.log_index, one.chain_id, one.agent_id, one.claim_id),
            *(one.feedback_claim_id, one.transfer.token, one.transfer.payer, one.transfer.payee),
            *(one.basis, one.transfer.amount, one.is_final, block_hash),
        )
        for one in counted
    ]
    if held == rows:
        return set()
    await tx.execute(UNCOUNT, pay_chain_id, tx_hash)
    if rows:
        assert seen.receipt is not None
        assert seen.time_seconds is not None
        paid_at = datetime.fromtimestamp(seen.time_seconds, UTC)
        number = seen.receipt.block_number
        await tx.executemany(
            COUNT, [(pay_chain_id, tx_hash, *row, number, paid_at) for row in rows]
        )
    return {(row[1], row[2]) for row in (*held, *rows)}
