"""Which operations are due, and which watcher is at them.

A claim is a lease with a name of its own: while it runs nobody else looks, and whoever holds it may
be dead afterwards. As long as nobody asks for another look `due_at` is the end of the lease, to the
microsecond; anything else there means that somebody has, be the lease over or not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from renown.store.operation_changes import locked
from renown.store.operation_rows import OPERATION, OperationRow, operation_row
from renown.store.pool import Conn, Tx


class ClaimLost(Exception):
    """Another watcher is at this operation."""


class Reach(msgspec.Struct, frozen=True):
    """What a watcher can do anything about.

    Attributes:
        chains: whose operations it looks after.
        wallets: those that its signer signs for.
        signing_chains: on these; None: on all of them.
    """

    chains: Sequence[int]
    wallets: Sequence[bytes] = ()
    signing_chains: Collection[int] | None = None


# What only waits for a signature is left to those who can give it. OFFSET keeps the transactions a
# lookup by operation: PostgreSQL would else read all that were ever signed into a table of hashes.
SIGNABLE: LiteralString = """
(o.mode = 'client' OR o.sender = ANY($2::bytea[]) AND o.chain_id = ANY($3::bigint[])
 OR EXISTS (SELECT FROM operation_transaction t
             WHERE t.operation_id = o.operation_id AND NOT t.settled OFFSET 0))
"""
CLAIM: LiteralString = (
    """
WITH due AS (
    SELECT o.operation_id, o.chain_id FROM operation o
     WHERE o.due_at <= now() AND (o.claimed_until IS NULL OR o.claimed_until <= now())
       AND o.chain_id = ANY($1::bigint[]) AND """
    + SIGNABLE
    + """
     ORDER BY o.due_at LIMIT $5
       FOR UPDATE OF o SKIP LOCKED)
UPDATE operation SET claimed_by = $4, claimed_until = now() + $6 * interval '1 second',
       due_at = now() + $6 * interval '1 second'
 WHERE operation_id IN (
           SELECT operation_id FROM due WHERE chain_id = (SELECT chain_id FROM due LIMIT 1))
RETURNING operation_id
"""
)
CLAIMED: LiteralString = OPERATION + " WHERE o.operation_id = ANY($1::uuid[]) ORDER BY o.created_at"


async def claim(
    conn: Conn, claim_id: UUID, most: int, seconds: float, *, reach: Reach
) -> list[OperationRow]:
    """Take up to `most` operations that are due, longest due first and all of one chain, for
    `seconds`, under a name that no other claim has."""
    found = await conn.fetch(CLAIM, *_reached(reach), claim_id, most, seconds)
    if not found:
        return []
    return [operation_row(row) for row in await conn.fetch(CLAIMED, [row[0] for row in found])]


def _reached(reach: Reach) -> tuple[Sequence[int], Sequence[bytes], list[int]]:
    chains = reach.chains if reach.signing_chains is None else reach.signing_chains
    return reach.chains, reach.wallets, list(chains)


HOLDER: LiteralString = """
SELECT claimed_by IS NOT DISTINCT FROM $2 FROM operation WHERE operation_id = $1
"""


async def held(tx: Tx, operation_id: UUID, claim_id: UUID) -> OperationRow:
    """The operation as it is now, locked, if this claim still holds it.

    Raises:
        ClaimLost: it took too long, and another watcher took over; or the operation is gone.
        OperationNotFound
    """
    operation = await locked(tx, operation_id)
    if not await tx.fetchval(HOLDER, operation_id, claim_id):
        raise ClaimLost(operation_id)
    return operation


RELEASE: LiteralString = """
UPDATE operation
   SET claimed_by = NULL, claimed_until = NULL,
       due_at = CASE WHEN due_at IS DISTINCT FROM claimed_until THEN due_at
                     ELSE now() + $3 * interval '1 second' END
 WHERE operation_id = $1 AND claimed_by = $2
"""


async def release(
    conn: Conn, operation_id: UUID, claim_id: UUID, due_in_seconds: float | None
) -> None:
    """Let go. To be looked at again then, or at once where somebody has asked meanwhile; None: when
    somebody asks."""
    await conn.execute(RELEASE, operation_id, claim_id, due_in_seconds)


RENEW: LiteralString = """
UPDATE operation
   SET claimed_until = now() + $3 * interval '1 second',
       due_at = CASE WHEN due_at IS DISTINCT FROM claimed_until THEN due_at
                     ELSE now() + $3 * interval '1 second' END
 WHERE operation_id = ANY($1::uuid[]) AND claimed_by = $2
"""
RELEASE_ALL: LiteralString = """
UPDATE operation SET claimed_by = NULL, claimed_until = NULL, due_at = now()
 WHERE claimed_by = ANY($1::uuid[]) AND due_at IS NOT NULL
"""


async def renew(conn: Conn, operation_ids: Sequence[UUID], claim_id: UUID, seconds: float) -> None:
    """Hold on to those of these that are still held."""
    await conn.execute(RENEW, operation_ids, claim_id, seconds)


async def release_all(conn: Conn, claim_ids: Sequence[UUID]) -> None:
    """Let go of all that these claims hold, to be looked at by others now."""
    await conn.execute(RELEASE_ALL, claim_ids)


NEXT_DUE: LiteralString = (
    """
SELECT extract(epoch FROM
           min(greatest(o.due_at, coalesce(o.claimed_until, o.due_at))) - now())::float8
  FROM operation o
 WHERE o.due_at IS NOT NULL AND o.chain_id = ANY($1::bigint[]) AND """
    + SIGNABLE
)


async def next_due_seconds(conn: Conn, reach: Reach) -> float | None:
    """Seconds until something can be claimed, maybe negative; None for nothing."""
    found: float | None = await conn.fetchval(NEXT_DUE, *_reached(reach))
    return found


# By the ids in an array: of a join PostgreSQL would think that it concerns many of all steps.
UNSIGNED: LiteralString = (
    """
WITH late AS (
    SELECT o.operation_id,
           (SELECT min(w.step) FROM operation_step w
             WHERE w.operation_id = o.operation_id AND w.state = 'prepared') AS step,
           'nobody who signs for the wallet 0x' || encode(o.sender, 'hex')
           || ' on this chain has looked at it yet' AS problem
      FROM operation o
     WHERE o.due_at <= now() - $4 * interval '1 second' AND o.chain_id = ANY($1::bigint[])
       AND (o.claimed_until IS NULL OR o.claimed_until <= now()) AND NOT """
    + SIGNABLE
    + """)
UPDATE operation_step s SET updated_at = now(), problem = l.problem
  FROM late l
 WHERE s.operation_id = ANY(ARRAY(SELECT operation_id FROM late))
   AND s.operation_id = l.operation_id AND s.step = l.step AND s.problem IS DISTINCT FROM l.problem
"""
)


async def note_unsigned(conn: Conn, reach: Reach, after_seconds: float) -> None:
    """Say of what this watcher cannot sign, and nobody has for so long, that it waits for that."""
    await conn.execute(UNSIGNED, *_reached(reach), after_seconds)


class Backlog(msgspec.Struct, frozen=True):
    """Operations that are watched, by chain, and since when the one longest due has waited."""

    watched: dict[int, int]
    oldest_due_seconds: float


BACKLOG: LiteralString = """
SELECT chain_id, count(*),
       extract(epoch FROM now() - min(due_at) FILTER (
           WHERE claimed_until IS NULL OR claimed_until <= now()))::float8
  FROM operation WHERE due_at IS NOT NULL GROUP BY chain_id
"""


async def backlog(conn: Conn) -> Backlog:
    """What there is to watch."""
    rows = await conn.fetch(BACKLOG)
    oldest = max((row[2] or 0.0 for row in rows), default=0.0)
    return Backlog({row[0]: row[1] for row in rows}, max(0.0, oldest))


NOW: LiteralString = "SELECT now()"


async def clock(conn: Conn) -> datetime:
    """The database's time, which all rows are dated by."""
    found: datetime = await conn.fetchval(NOW)
    return found
