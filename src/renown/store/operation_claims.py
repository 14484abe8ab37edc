"""Which operations are due, and which watcher is at them.

A claim is a lease: while it runs nobody else looks, and whoever holds it may be dead afterwards.
Meanwhile `due_at` is the end of the lease; something earlier there means that somebody has asked
for another look since.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from renown.store.operation_changes import locked
from renown.store.operation_rows import OPERATION, OperationRow, operation_row
from renown.store.pool import Conn, Tx


class ClaimLost(Exception):
    """Another watcher is at this operation."""


CLAIM: LiteralString = """
UPDATE operation SET claimed_by = $1, claimed_until = now() + $3 * interval '1 second',
       due_at = now() + $3 * interval '1 second'
 WHERE operation_id IN (
           SELECT operation_id FROM operation
            WHERE due_at <= now() AND (claimed_until IS NULL OR claimed_until <= now())
              AND chain_id = ANY($4::bigint[])
            ORDER BY due_at LIMIT $2
              FOR UPDATE SKIP LOCKED)
RETURNING operation_id
"""
CLAIMED: LiteralString = OPERATION + " WHERE o.operation_id = ANY($1::uuid[]) ORDER BY o.created_at"


async def claim(
    conn: Conn, watcher: UUID, most: int, seconds: float, *, chains: list[int]
) -> list[OperationRow]:
    """Take up to `most` operations of `chains` that are due, longest due first, for `seconds`."""
    found = [row[0] for row in await conn.fetch(CLAIM, watcher, most, seconds, chains)]
    if not found:
        return []
    return [operation_row(row) for row in await conn.fetch(CLAIMED, found)]


HOLDER: LiteralString = """
SELECT claimed_by IS NOT DISTINCT FROM $2 FROM operation WHERE operation_id = $1
"""


async def held(tx: Tx, operation_id: UUID, watcher: UUID) -> OperationRow:
    """The operation as it is now, locked, if `watcher` still holds it.

    Raises:
        ClaimLost: it took too long, and another watcher took over; or the operation is gone.
        OperationNotFound
    """
    operation = await locked(tx, operation_id)
    if not await tx.fetchval(HOLDER, operation_id, watcher):
        raise ClaimLost(operation_id)
    return operation


RELEASE: LiteralString = """
UPDATE operation
   SET claimed_by = NULL, claimed_until = NULL,
       due_at = CASE WHEN due_at < claimed_until THEN due_at
                     ELSE now() + $3 * interval '1 second' END
 WHERE operation_id = $1 AND claimed_by = $2
"""


async def release(
    conn: Conn, operation_id: UUID, watcher: UUID, due_in_seconds: float | None
) -> None:
    """Let go. To be looked at again then, or at once where somebody has asked meanwhile; None: when
    somebody asks."""
    await conn.execute(RELEASE, operation_id, watcher, due_in_seconds)


RENEW: LiteralString = """
UPDATE operation
   SET claimed_until = now() + $3 * interval '1 second',
       due_at = CASE WHEN due_at < claimed_until THEN due_at
                     ELSE now() + $3 * interval '1 second' END
 WHERE operation_id = ANY($1::uuid[]) AND claimed_by = $2
"""
RELEASE_ALL: LiteralString = """
UPDATE operation SET claimed_by = NULL, claimed_until = NULL, due_at = now() WHERE claimed_by = $1
"""


async def renew(conn: Conn, operation_ids: Sequence[UUID], watcher: UUID, seconds: float) -> None:
    """Hold on to those of these that are still held."""
    await conn.execute(RENEW, operation_ids, watcher, seconds)


async def release_all(conn: Conn, watcher: UUID) -> None:
    """Let go of everything, to be looked at by others now."""
    await conn.execute(RELEASE_ALL, watcher)


NEXT_DUE: LiteralString = """
SELECT extract(epoch FROM min(greatest(due_at, coalesce(claimed_until, due_at))) - now())::float8
  FROM operation WHERE due_at IS NOT NULL AND chain_id = ANY($1::bigint[])
"""


async def next_due_seconds(conn: Conn, chains: list[int]) -> float | None:
    """Seconds until something of these chains can be claimed, maybe negative; None for nothing."""
    found: float | None = await conn.fetchval(NEXT_DUE, chains)
    return found


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
