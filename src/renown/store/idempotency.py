"""First answers to requests that came with an idempotency key, kept for a day."""

from __future__ import annotations

from typing import Any, LiteralString
from uuid import UUID, uuid4

import msgspec

from renown.store.pool import Conn, Tx

LOCK_SECONDS = 60.0
"""After so long without an answer, whoever began is taken for dead, and the key begins anew."""


class Begun(msgspec.Struct, frozen=True):
    """The request is ours to answer; `attempt` is what we hold its lock by."""

    attempt: UUID


class Kept(msgspec.Struct, frozen=True):
    """It was answered before. Headers are (name, value) pairs."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Running(msgspec.Struct, frozen=True):
    """Somebody else is at it, for so long at most."""

    seconds_left: float


class OtherRequest(msgspec.Struct, frozen=True):
    """The key was used for something else."""


# A key is taken over where its day is over, or where its holder died; never for another request.
BEGIN: LiteralString = """
INSERT INTO idempotency AS i (account_id, key_hash, request_hash, locked_until, attempt)
VALUES ($1, $2, $3, now() + make_interval(secs => $4), $5)
ON CONFLICT (account_id, key_hash) DO UPDATE
   SET request_hash = excluded.request_hash, started_at = now(),
       locked_until = excluded.locked_until, attempt = excluded.attempt,
       status = NULL, headers = NULL, body = NULL
 WHERE i.started_at < now() - interval '24 hours'
    OR i.status IS NULL AND i.locked_until < now() AND i.request_hash = excluded.request_hash
RETURNING attempt
"""
FOUND: LiteralString = """
SELECT request_hash, status, headers, body,
       extract(epoch FROM locked_until - now())::float8 AS seconds_left
  FROM idempotency WHERE account_id = $1 AND key_hash = $2
"""


async def begin(
    conn: Conn,
    account_id: int,
    key_hash: bytes,
    request_hash: bytes,
    *,
    lock_seconds: float = LOCK_SECONDS,
) -> Begun | Kept | Running | OtherRequest:
    """Take the key for this request, or say what became of it. Commit before the work begins."""
    while True:
        attempt: UUID | None = await conn.fetchval(
            BEGIN, account_id, key_hash, request_hash, lock_seconds, uuid4()
        )
        if attempt is not None:
            return Begun(attempt)
        row = await conn.fetchrow(FOUND, account_id, key_hash)
        if row is None:
            continue  # pruned or released in between
        if row["request_hash"] != request_hash:
            return OtherRequest()
        if row["status"] is None:
            return Running(max(0.0, row["seconds_left"]))
        headers = msgspec.json.decode(row["headers"], type=list[tuple[str, str]])
        return Kept(row["status"], headers, row["body"])


KEEP: LiteralString = """
UPDATE idempotency SET status = $4, headers = $5::jsonb, body = $6
 WHERE account_id = $1 AND key_hash = $2 AND attempt = $3 AND status IS NULL
"""


async def keep(tx: Tx, account_id: int, key_hash: bytes, attempt: UUID, answer: Kept) -> bool:
    """Keep the answer, in the transaction of what it tells of.

    False where the lock was lost to another attempt: the caller must then undo everything.
    """
    headers = msgspec.json.encode(answer.headers).decode()
    done: str = await tx.execute(
        KEEP, account_id, key_hash, attempt, answer.status, headers, answer.body
    )
    return done == "UPDATE 1"


RELEASE: LiteralString = """
DELETE FROM idempotency
 WHERE account_id = $1 AND key_hash = $2 AND attempt = $3 AND status IS NULL
"""


async def release(conn: Conn, account_id: int, key_hash: bytes, attempt: UUID) -> None:
    """Nothing was done: the key is as if never used."""
    await conn.execute(RELEASE, account_id, key_hash, attempt)


PRUNE: LiteralString = """
DELETE FROM idempotency WHERE (account_id, key_hash) IN (
       SELECT account_id, key_hash FROM idempotency
        WHERE started_at < now() - interval '24 hours' ORDER BY started_at LIMIT $1)
"""


async def prune(conn: Conn, *, most: int = 10_000) -> int:
    """Forget up to `most` answers that are older than a day, oldest first; how many it were."""
    done: Any = await conn.execute(PRUNE, most)
    return int(done.rpartition(" ")[2])
