"""Claims that a transaction paid an agent: made by accounts and by feedback files, and dropped.

Everything that changes the claims or payments of one transaction holds that transaction's lock, so
that they are settled by one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from renown.errors import AlreadyLinked
from renown.store.changes import announce_agents, announce_places
from renown.store.pool import Conn, Tx, transaction

FactPlace = tuple[int, int, int]
"""Chain, block and log index of a feedback."""


class Due(msgspec.Struct, frozen=True):
    """A transaction whose claims are to be settled (again)."""

    pay_chain_id: int
    tx_hash: bytes
    due_at: datetime


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """A claim as an account makes it."""

    account_id: int
    chain_id: int
    agent_id: int
    pay_chain_id: int
    tx_hash: bytes
    log_index: int | None = None
    payer: bytes | None = None


class FeedbackLook(msgspec.Struct, frozen=True):
    """A feedback whose file may name a payment. `content` is its JSON, None where it vouches for
    none: not read, not what the record's hash says, or no feedback stands at that place."""

    chain_id: int
    block_number: int
    log_index: int
    agent_id: int | None
    client: bytes | None
    feedback_index: int | None
    content: str | None


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as a feedback file names it, beside the feedback."""

    place: FactPlace
    agent_id: int
    client: bytes
    feedback_index: int
    pay_chain_id: int
    tx_hash: bytes
    payer: bytes | None
    payee: bytes | None


async def lock(tx: Tx, pay_chain_id: int, tx_hash: bytes) -> None:
    """Hold a transaction's claims and payments until this one ends."""
    await tx.execute(LOCK, f"renown.payment.{pay_chain_id}.{tx_hash.hex()}")


async def link(tx: Tx, claim: Linked) -> UUID:
    """Keep an account's claim. The caller settles it in the same transaction.

    What others claim is in nobody's way: who is right shows when all are settled.

    Raises:
        AlreadyLinked: the account claims it already.
    """
    await lock(tx, claim.pay_chain_id, claim.tx_hash)
    held = await tx.fetchrow(HELD, *msgspec.structs.astuple(claim)[:6])
    if held is not None:
        raise AlreadyLinked("this payment is linked to the agent already", claim=str(held[0]))
    made: UUID = await tx.fetchval(LINK, *msgspec.structs.astuple(claim))
    await announce_agents(tx, claim.chain_id, [claim.agent_id])
    return made


LOCK: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
HELD: LiteralString = """
SELECT c.claim_id FROM payment_claim c
 WHERE c.account_id = $1 AND c.chain_id = $2 AND c.agent_id = $3
   AND c.pay_chain_id = $4 AND c.tx_hash = $5 AND c.state <> 'refused'
   AND (c.log_index IS NULL OR $6::integer IS NULL OR c.log_index = $6)
 LIMIT 1
"""
# The time is that under the lock, so that who comes second is second. The wallets are kept, so that
# what was right stays so when a wallet goes to another account.
LINK: LiteralString = """
INSERT INTO payment_claim (account_id, chain_id, agent_id, pay_chain_id, tx_hash, log_index,
                           claimed_payer, created_at, proved)
SELECT $1::bigint, $2, $3, $4::bigint, $5, $6, $7, clock_timestamp(),
       ARRAY(SELECT w.address FROM account_wallet w
              WHERE w.account_id = $1 AND w.chain_id IN (0, $4) ORDER BY w.address)
RETURNING claim_id
"""


# Feedback files ----------------------------------------------------------------------------------

# A window of attachments at a time, so that no statement reads all of them.
WALK: LiteralString = """
WITH near AS (
    SELECT chain_id, block_number, log_index, role, document_id FROM attachment
     WHERE (chain_id, block_number, log_index) > ($1::bigint, $2::bigint, $3::integer)
     ORDER BY chain_id, block_number, log_index LIMIT $4
), named AS (
    INSERT INTO payment_look (chain_id, block_number, log_index)
    SELECT n.chain_id, n.block_number, n.log_index
      FROM near n
      JOIN document d USING (document_id)
     WHERE n.role = 'feedback' AND d.content ?| ARRAY['proofOfPayment', 'proof_of_payment']
       AND NOT EXISTS (SELECT FROM payment_claim c
                        WHERE c.chain_id = n.chain_id AND c.feedback_block = n.block_number
                          AND c.feedback_log_index = n.log_index)
     ORDER BY 1, 2, 3
        ON CONFLICT DO NOTHING
)
SELECT chain_id, block_number, log_index FROM near
 ORDER BY chain_id DESC, block_number DESC, log_index DESC LIMIT 1
"""
FIRST_PLACE: FactPlace = (-1, -1, -1)


async def walk(conn: Conn, after: FactPlace, *, limit: int = 2_000) -> FactPlace | None:
    """Note, among the next attachments after a place, the files that name payments nobody looked
    at: they were read before anyone did. Returns the place reached; None at the end."""
    row = await conn.fetchrow(WALK, *after, limit)
    return None if row is None else (row[0], row[1], row[2])


LOOKS: LiteralString = """
SELECT l.chain_id, l.block_number, l.log_index, f.agent_id, f.client, f.feedback_index,
       CASE WHEN x.verdict NOT IN ('pending', 'mismatch', 'unfetchable')
             AND u.hash = sha256(f.uri) THEN d.content::text END
  FROM (SELECT * FROM payment_look ORDER BY chain_id, block_number, log_index LIMIT $1) l
  LEFT JOIN feedback_given f USING (chain_id, block_number, log_index)
  LEFT JOIN attachment x USING (chain_id, block_number, log_index)
  LEFT JOIN uri u ON u.uri_id = x.uri_id
  LEFT JOIN document d ON d.document_id = x.document_id
 ORDER BY l.chain_id, l.block_number, l.log_index
"""
LOOKED: LiteralString = """
DELETE FROM payment_look l
 USING unnest($1::bigint[], $2::bigint[], $3::integer[]) AS w (chain_id, block_number, log_index)
 WHERE (l.chain_id, l.block_number, l.log_index) = (w.chain_id, w.block_number, w.log_index)
"""
OF_FEEDBACK: LiteralString = """
SELECT claim_id, agent_id, client, feedback_index, pay_chain_id, tx_hash, claimed_payer,
       claimed_payee
  FROM payment_claim
 WHERE chain_id = $1 AND feedback_block = $2 AND feedback_log_index = $3
"""
NAME: LiteralString = """
INSERT INTO payment_claim (chain_id, feedback_block, feedback_log_index, agent_id, client,
                           feedback_index, pay_chain_id, tx_hash, claimed_payer, claimed_payee)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


async def looks(tx: Tx, *, limit: int) -> list[FeedbackLook]:
    """The next feedback to be looked at for payments."""
    return [FeedbackLook(*row) for row in await tx.fetch(LOOKS, limit)]


async def looked(tx: Tx, seen: Sequence[FeedbackLook]) -> None:
    """These were looked at."""
    columns = [(one.chain_id, one.block_number, one.log_index) for one in seen]
    await tx.execute(LOOKED, *(list(column) for column in zip(*columns, strict=True)))


async def name(tx: Tx, place: FactPlace, named: Named | None) -> bool:
    """Keep what a feedback's file names, None for nothing, in place of what it named before.

    Returns whether that changed anything.
    """
    held = await tx.fetchrow(OF_FEEDBACK, *place)
    if named is not None:
        new = msgspec.structs.astuple(named)[1:]
        if held is not None and tuple(held)[1:] == new:
            return False
    if held is not None:
        await drop(tx, [held[0]])
    if named is not None:
        await tx.execute(NAME, *place, *new)
        await announce_agents(tx, place[0], [named.agent_id])
    return named is not None or held is not None


# What became of the feedback ----------------------------------------------------------------------

GONE: LiteralString = """
SELECT c.claim_id
  FROM payment_claim c
  LEFT JOIN feedback_given f
    ON f.chain_id = c.chain_id AND f.block_number = c.feedback_block
   AND f.log_index = c.feedback_log_index
 WHERE c.feedback_block IS NOT NULL AND NOT c.feedback_is_final
   AND (f.agent_id, f.client, f.feedback_index)
       IS DISTINCT FROM (c.agent_id, c.client, c.feedback_index)
 LIMIT $1
"""
STAY: LiteralString = """
UPDATE payment_claim c SET feedback_is_final = true, due_at = coalesce(c.due_at, $1)
  FROM checkpoint k
 WHERE k.chain_id = c.chain_id AND c.feedback_block IS NOT NULL AND NOT c.feedback_is_final
   AND c.feedback_block <= k.final_block
   AND EXISTS (SELECT FROM feedback_given f
                WHERE f.chain_id = c.chain_id AND f.block_number = c.feedback_block
                  AND f.log_index = c.feedback_log_index)
RETURNING c.chain_id, c.agent_id
"""


async def gone(tx: Tx, *, limit: int = 500) -> int:
    """Drop the claims of feedback that a reorganisation took away. Returns how many."""
    found = [row[0] for row in await tx.fetch(GONE, limit)]
    await drop(tx, found)
    return len(found)


async def stay(conn: Conn, now: datetime) -> int:
    """Mark the claims whose feedback became final. To be called after `gone`."""
    async with transaction(conn) as tx:
        rows = await tx.fetch(STAY, now)
        await announce_places(tx, ((row[0], row[1]) for row in rows))
    return len(rows)


OF_CLAIMS: LiteralString = """
SELECT DISTINCT pay_chain_id, tx_hash, chain_id, agent_id FROM payment_claim
 WHERE claim_id = ANY($1::uuid[]) ORDER BY pay_chain_id, tx_hash
"""
FREE: LiteralString = """
UPDATE payment SET feedback_claim_id = NULL WHERE feedback_claim_id = ANY($1::uuid[])
RETURNING pay_chain_id, tx_hash
"""
UNCOUNT: LiteralString = """
DELETE FROM payment WHERE claim_id = ANY($1::uuid[]) RETURNING pay_chain_id, tx_hash
"""
# Who stood behind, and who shared what was dropped; others cannot gain by it.
WAKE_OTHERS: LiteralString = """
UPDATE payment_claim c SET due_at = now()
  FROM unnest($2::bigint[], $3::bytea[]) AS w (pay_chain_id, tx_hash)
 WHERE (c.pay_chain_id, c.tx_hash) = (w.pay_chain_id, w.tx_hash)
   AND c.claim_id <> ALL($1::uuid[])
   AND (c.state IN ('included', 'confirmed')
        OR c.reason IN ('used-by-other-agent', 'used-by-other-feedback'))
RETURNING c.pay_chain_id, c.tx_hash, c.chain_id, c.agent_id
"""
DROP: LiteralString = "DELETE FROM payment_claim WHERE claim_id = ANY($1::uuid[])"
# Claims before payments, as everybody who settles: whoever counts anew locks both tables whole.
IN_ORDER: LiteralString = "LOCK TABLE payment_claim IN ROW EXCLUSIVE MODE"


async def drop(tx: Tx, claim_ids: Sequence[UUID]) -> None:
    """Remove claims with what they brought; others on the same payments are settled anew."""
    if not claim_ids:
        return
    rows = await tx.fetch(OF_CLAIMS, claim_ids)
    for pay_chain_id, tx_hash in sorted({(row[0], row[1]) for row in rows}):
        await lock(tx, pay_chain_id, tx_hash)
    await tx.execute(IN_ORDER)
    freed = await tx.fetch(FREE, claim_ids) + await tx.fetch(UNCOUNT, claim_ids)
    if freed:
        chains, hashes = zip(*sorted({(row[0], row[1]) for row in freed}), strict=True)
        rows += await tx.fetch(WAKE_OTHERS, claim_ids, chains, hashes)
    await tx.execute(DROP, claim_ids)
    await announce_places(tx, ((row[2], row[3]) for row in rows))


# Due ---------------------------------------------------------------------------------------------

DUE: LiteralString = """
SELECT pay_chain_id, tx_hash, min(due_at)
  FROM ((SELECT pay_chain_id, tx_hash, due_at FROM payment_claim
          WHERE due_at <= $1 AND account_id IS NOT NULL ORDER BY due_at LIMIT $2)
         UNION ALL
        (SELECT pay_chain_id, tx_hash, due_at FROM payment_claim
          WHERE due_at <= $1 AND account_id IS NULL ORDER BY due_at LIMIT $2)) c
 GROUP BY pay_chain_id, tx_hash ORDER BY min(due_at)
"""
POSTPONE: LiteralString = """
UPDATE payment_claim SET due_at = $3
 WHERE pay_chain_id = $1 AND tx_hash = $2 AND due_at IS NOT NULL AND due_at < $3
"""
# In two halves, as the indexes of what is due are.
WAITING: LiteralString = """
SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at))::float8, 0)
  FROM (SELECT created_at FROM payment_claim
         WHERE due_at IS NOT NULL AND account_id IS NOT NULL AND state = 'pending'
         UNION ALL
        SELECT created_at FROM payment_claim
         WHERE due_at IS NOT NULL AND account_id IS NULL AND state = 'pending') c
"""


async def due(conn: Conn, now: datetime, *, limit: int) -> list[Due]:
    """Transactions whose claims are to be settled, longest due first: up to `limit` that accounts
    linked, and as many that feedback names, so that a flood of files keeps nobody waiting."""
    return [Due(*row) for row in await conn.fetch(DUE, now, limit)]


async def postpone(conn: Conn, one: Due, until: datetime) -> None:
    """Nobody could tell: look again later."""
    await conn.execute(POSTPONE, one.pay_chain_id, one.tx_hash, until)


async def waiting(conn: Conn) -> tuple[int, float]:
    """How many claims are pending, and for how many seconds the oldest has been."""
    row = await conn.fetchrow(WAITING)
    assert row is not None
    return row[0], max(0.0, row[1])
