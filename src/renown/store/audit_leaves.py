"""The audit log's sequence: entries that wait for it, and the leaves and nodes made of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from renown.store.audit_payload import PAYLOAD
from renown.store.pool import Conn, Tx


class WaitingEntry(msgspec.Struct, frozen=True):
    """An entry of the log, as far as the order and the rules of review need it.

    Attributes:
        before, after, detail: JSON texts.
        payload: what is hashed if no rule wants a person for it.
    """

    entry_id: int
    at: datetime
    action: str
    subject: str
    account_id: int | None
    key_id: str | None
    address: bytes | None
    method: str | None
    route: str | None
    status: int | None
    request_id: UUID | None
    db_user: str
    program: str
    before: str | None
    after: str | None
    detail: str | None
    payload: str


class Leaf(msgspec.Struct, frozen=True):
    """A row of `audit_leaf`."""

    seq: int
    entry_id: int
    at: datetime
    rule: str | None
    leaf_hash: bytes
    link_hash: bytes


class Head(msgspec.Struct, frozen=True):
    """Where the sequence ends: `size` leaves, and the link of the last; None where there is none.
    `size` is one more than the highest number, whatever was taken away below it."""

    size: int
    link_hash: bytes | None


class Backlog(msgspec.Struct, frozen=True):
    """What waits, of the first `MOST_COUNTED`. `lost` are entries that are no longer there:
    somebody removed them."""

    entries: int
    oldest_seconds: float
    lost: int


HEAD: LiteralString = "SELECT seq + 1, link_hash FROM audit_leaf ORDER BY seq DESC LIMIT 1"

_READ: LiteralString = """
l.entry_id, l.at, l.action, l.subject, l.account_id, l.key_id, l.address, l.method, l.route,
       l.status, l.request_id, l.db_user, l.program, l.before::text, l.after::text, l.detail::text
"""
# Entry by entry, by the primary keys: it stops at the limit, however much waits and however little
# the planner knows of tables that were empty a moment ago.
PLAN: LiteralString = """
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_sort = off;
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off;
SET LOCAL max_parallel_workers_per_gather = 0
"""
WAITING: LiteralString = f"""
SELECT {_READ}, {PAYLOAD}
  FROM audit_pending p
 CROSS JOIN LATERAL (
       SELECT * FROM audit_log
        WHERE entry_id = p.entry_id AND at = p.at
          AND p.at >= to_timestamp(946684800) AND p.at < to_timestamp(253370764800) OFFSET 0) l
 CROSS JOIN (SELECT NULL::text) AS f (rule)
 WHERE NOT EXISTS (SELECT FROM audit_leaf known WHERE known.entry_id = p.entry_id)
 ORDER BY p.entry_id
 LIMIT $1
"""
LATEST: LiteralString = f"""
SELECT * FROM (
    SELECT f.seq, {_READ}, ''
      FROM (SELECT * FROM audit_leaf ORDER BY seq DESC LIMIT $1) f
     CROSS JOIN LATERAL (
           SELECT * FROM audit_log WHERE entry_id = f.entry_id AND at = f.at OFFSET 0) l) AS one
 ORDER BY seq
"""
WITH_RULES: LiteralString = f"""
SELECT l.entry_id, {PAYLOAD}
  FROM unnest($1::bigint[], $2::timestamptz[], $3::text[]) AS f (entry_id, at, rule)
  JOIN audit_log l ON l.entry_id = f.entry_id AND l.at = f.at
"""
TAKEN: LiteralString = "DELETE FROM audit_pending WHERE entry_id = ANY($1::bigint[])"
TAKEN_BEFORE: LiteralString = """
DELETE FROM audit_pending p USING audit_leaf f WHERE f.entry_id = p.entry_id AND f.at = p.at
"""
# Counted up to some number, the first by id: who is far behind knows enough then.
MOST_COUNTED = 100_000
BACKLOG: LiteralString = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(p.at)
                                       FILTER (WHERE isfinite(p.at))), 0)::float,
       count(*) FILTER (WHERE NOT EXISTS (
           SELECT FROM audit_log l WHERE l.entry_id = p.entry_id AND l.at = p.at))
  FROM (SELECT entry_id, at FROM audit_pending ORDER BY entry_id LIMIT $1) AS p
"""
TO_REVIEW: LiteralString = """
INSERT INTO audit_review_open (entry_id, at)
SELECT f.entry_id, f.at FROM unnest($1::bigint[], $2::timestamptz[]) AS f (entry_id, at)
 WHERE NOT EXISTS (SELECT FROM audit_review r WHERE r.entry_id = f.entry_id)
    ON CONFLICT DO NOTHING
"""
PARTITIONS: LiteralString = "SELECT ensure_audit_partitions()"


async def head(conn: Conn) -> Head:
    """Where the sequence ends."""
    row = await conn.fetchrow(HEAD)
    return Head(0, None) if row is None else Head(row[0], row[1])


async def waiting(tx: Tx, limit: int) -> list[WaitingEntry]:
    """The first entries that wait, by their ids. Those that are gone from the log are left out."""
    await tx.execute(PLAN)
    return [WaitingEntry(*row) for row in await tx.fetch(WAITING, limit)]


async def latest(tx: Tx, count: int) -> list[WaitingEntry]:
    """The last entries of the sequence, in its order, with empty payloads."""
    await tx.execute(PLAN)
    return [WaitingEntry(*row[1:]) for row in await tx.fetch(LATEST, count)]


async def payloads_with_rules(tx: Tx, wanted: Sequence[tuple[WaitingEntry, str]]) -> dict[int, str]:
    """What is hashed of these entries with these rules, by entry id."""
    if not wanted:
        return {}
    entries, rules = zip(*wanted, strict=True)
    rows = await tx.fetch(
        WITH_RULES, [e.entry_id for e in entries], [e.at for e in entries], list(rules)
    )
    return {row[0]: row[1] for row in rows}


async def append_leaves(
    tx: Tx, leaves: Sequence[Leaf], nodes: Sequence[tuple[int, int, bytes]]
) -> None:
    """Put leaves, and the nodes they complete, behind the others; their entries wait no more.

    Another that numbers leaves at the same time cannot: both would make the same row.
    """
    await _copied(tx, "audit_leaf", Leaf.__struct_fields__, map(msgspec.structs.astuple, leaves))
    await _copied(tx, "audit_node", ("level", "index", "hash"), nodes)
    await tx.execute(TAKEN, [leaf.entry_id for leaf in leaves])
    if ruled := [leaf for leaf in leaves if leaf.rule is not None]:
        await tx.execute(TO_REVIEW, [f.entry_id for f in ruled], [f.at for f in ruled])


async def forget_taken(conn: Conn) -> None:
    """Entries that are leaves do not wait, whatever was written into the table of those that do."""
    await conn.execute(TAKEN_BEFORE)


async def backlog(conn: Conn) -> Backlog:
    """What waits to be taken."""
    row = await conn.fetchrow(BACKLOG, MOST_COUNTED)
    assert row is not None
    return Backlog(row[0], max(0.0, row[1]), row[2])


async def ensure_partitions(tx: Tx) -> int:
    """Make the partitions of the coming months; returns how many. Does not wait long for locks."""
    await tx.execute("SET LOCAL lock_timeout = '3s'")
    made: int = await tx.fetchval(PARTITIONS)
    return made


async def _copied(tx: Tx, table: str, columns: Sequence[str], rows: Any) -> None:
    await tx.copy_records_to_table(table, columns=columns, records=rows)
