"""Retention: old entries go, month by month, and an entry says which. Those entries, leaves, nodes,
checkpoints and reviews stay, so that what is left can be verified as before. Of a month that goes
as a whole they are moved to the partition of the rest.

Everything counts from times that the caller gives; the database's clock decides nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, LiteralString

import asyncpg
import msgspec
from asyncpg import Record

from renown.errors import AuditBroken, BadSettings
from renown.obs.acting import ACTING
from renown.store.audit_entries import NewEntry, append
from renown.store.audit_payload import PAYLOAD
from renown.store.pool import Conn, Tx, transaction

MOST_RANGES = 2_000
"""In one entry; more are told in several."""
_REST = "audit_log_rest"
_PARTITION = re.compile(r"audit_log_[a-z0-9_]{1,40}", re.ASCII)


class Month(msgspec.Struct, frozen=True):
    """What retention makes of one partition's share of one month.

    Attributes:
        first, beyond: the entries' bounds in time, the first included.
        partition: which holds them.
        is_whole: whether nothing of the partition would be left.
        go, stay: how many entries would go, and how many of that age stay, because they wait
            for a review or for the notary.
    """

    first: datetime
    beyond: datetime
    partition: str
    is_whole: bool
    go: int
    stay: int


class Removed(msgspec.Struct, frozen=True):
    """What was done with one of them."""

    month: Month
    entries: int
    is_dropped: bool


# What retention itself wrote explains what is gone, so it stays.
_MAY_GO: LiteralString = """l.action <> 'retention' AND f.seq IS NOT NULL
       AND (f.rule IS NULL OR EXISTS (
           SELECT FROM audit_review r WHERE r.entry_id = l.entry_id))"""

PARTITIONS: LiteralString = """
SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'audit_log'::regclass ORDER BY c.relname
"""
PLAN: LiteralString = f"""
SELECT date_trunc('month', l.at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month,
       l.tableoid::regclass::text AS partition,
       count(*) FILTER (WHERE {_MAY_GO}) AS go, count(*) FILTER (WHERE NOT ({_MAY_GO})) AS stay
  FROM audit_log l LEFT JOIN audit_leaf f ON f.entry_id = l.entry_id
 WHERE l.at < $1 AND l.at >= to_timestamp(946684800) AND l.action <> 'retention'
 GROUP BY 1, 2 ORDER BY 1, 2
"""


async def plan(conn: Conn, before: datetime) -> list[Month]:
    """What would go of the entries older than `before`, the oldest first."""
    rows = await conn.fetch(PLAN, before)
    held: dict[str, int] = {}
    for row in rows:
        held[row["partition"]] = held.get(row["partition"], 0) + 1
    return [_month(row, before, held[row["partition"]]) for row in rows]


LOCK: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended('renown.audit retention', 0))"
SAY_SO: LiteralString = "SELECT set_config('renown.retention', 'on', true)"
LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '5s'"
# Changed entries do not go: that they were changed could not be seen any more.
CHANGED: LiteralString = f"""
SELECT f.seq FROM audit_log l JOIN audit_leaf f ON f.entry_id = l.entry_id
 WHERE l.at >= $1 AND l.at < $2 AND {_MAY_GO}
   AND f.leaf_hash <> sha256('\\x00'::bytea || convert_to({PAYLOAD}, 'UTF8'))
 ORDER BY f.seq LIMIT 1
"""
_RANGES: LiteralString = """
SELECT min(seq) AS first, max(seq) AS last, count(*) AS entries
  FROM (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS run FROM gone) g
 GROUP BY run ORDER BY 1
"""
DELETE: LiteralString = f"""
WITH gone AS (
    DELETE FROM audit_log l USING audit_leaf f
     WHERE f.entry_id = l.entry_id AND l.at >= $1 AND l.at < $2 AND {_MAY_GO}
    RETURNING f.seq)
{_RANGES}
"""


async def remove(conn: Conn, month: Month) -> Removed:
    """Remove what may go of a month, with the entry that says so, in one transaction.

    A month that another run has removed meanwhile gives nothing more.

    Raises:
        AuditBroken: an entry of it is not what was hashed; nothing is removed.
        BadSettings: the connection is not the owner's.
        StoreError: the partition was not to be had in time; nothing is removed.
    """
    async with _as_owner(conn) as tx:
        await tx.execute(LOCK)
        await tx.execute(LOCK_TIMEOUT)
        await tx.execute(SAY_SO)
        ranges = await _dropped(tx, month) if month.is_whole else None
        is_dropped = ranges is not None
        if ranges is None:
            await _require_unchanged(tx, month.first, month.beyond)
            ranges = await tx.fetch(DELETE, month.first, month.beyond)
        entries = _entries(ranges)
        for told in _portions(ranges):
            await append(tx, [_entry(month.beyond, told, month=f"{month.first:%Y-%m}")])
    return Removed(month, entries, is_dropped)


DESTROY: LiteralString = "DELETE FROM audit_address_key WHERE day < $1"


async def destroy_address_keys(conn: Conn, before: datetime) -> int:
    """Destroy the keys of pseudonyms of the days before that of `before`; returns how many.

    From then on nobody can try addresses against the pseudonyms of those days, also not those of
    entries that stay for their review.

    Raises:
        BadSettings: the connection is not the owner's.
    """
    async with _as_owner(conn) as tx:
        await tx.execute(LOCK)
        done = await tx.execute(DESTROY, before.astimezone(UTC).date())
        days = int(done.rpartition(" ")[2])
        if days:
            await append(tx, [_entry(before, [], days=days)])
    return days


COUNT_KEYS: LiteralString = "SELECT count(*) FROM audit_address_key WHERE day < $1"


async def address_keys_before(conn: Conn, before: datetime) -> int:
    """How many days' keys `destroy_address_keys` would destroy."""
    count: int = await conn.fetchval(COUNT_KEYS, before.astimezone(UTC).date())
    return count


@asynccontextmanager
async def _as_owner(conn: Conn) -> AsyncIterator[Tx]:
    try:
        async with transaction(conn) as tx:
            yield tx
    except asyncpg.InsufficientPrivilegeError as exc:
        raise BadSettings(
            "this user of the database may not remove entries: run it as the database's owner, "
            "by DATABASE_DIRECT_URL"
        ) from exc


async def _dropped(tx: Tx, month: Month) -> Sequence[Record] | None:
    """The ranges of a partition that was dropped; None where it cannot be."""
    if not _PARTITION.fullmatch(month.partition) or month.partition == _REST:
        return None
    if month.partition not in {row[0] for row in await tx.fetch(PARTITIONS)}:
        return []  # another run was here
    name: Any = month.partition  # checked: it is one of the log's own, and no word of strangers
    # Nobody adds to it now, and only to it: the log itself is locked for the moment of the drop.
    await tx.execute(f"LOCK TABLE ONLY {name} IN SHARE ROW EXCLUSIVE MODE")
    left = await tx.fetchval(
        f"SELECT count(*) FROM {name} l LEFT JOIN audit_leaf f ON f.entry_id = l.entry_id"
        f" WHERE l.at >= $1 OR l.action <> 'retention' AND NOT ({_MAY_GO})",
        month.beyond,
    )
    if left:
        return None
    await _require_unchanged(tx, month.first, month.beyond)
    ranges = await tx.fetch(
        f"WITH gone AS (SELECT f.seq FROM {name} l JOIN audit_leaf f ON f.entry_id = l.entry_id"
        f" WHERE {_MAY_GO})" + _RANGES
    )
    await tx.execute(f"ALTER TABLE audit_log DETACH PARTITION {name}")
    # Into the partition itself: they have their numbers, and wait for none.
    await tx.execute(f"INSERT INTO {_REST} SELECT * FROM {name} WHERE action = 'retention'")
    await tx.execute(f"DROP TABLE {name}")
    return ranges


async def _require_unchanged(tx: Tx, first: datetime, beyond: datetime) -> None:
    seq = await tx.fetchval(CHANGED, first, beyond)
    if seq is not None:
        raise AuditBroken(
            f"entry {seq} of the log is not what was hashed: nothing was removed;"
            " see `renown audit verify`",
            seq=seq,
        )


def _entry(
    before: datetime, ranges: Sequence[Record], *, month: str | None = None, days: int = 0
) -> NewEntry:
    detail: dict[str, Any] = {
        "before": before.astimezone(UTC).isoformat(),
        "removed": _entries(ranges),
        "ranges": [[row["first"], row["last"]] for row in ranges],
        "address_keys_destroyed": days,
    }
    acting = ACTING.get()
    if acting is not None and acting.command is not None:
        detail |= {"command": acting.command, "person": acting.person}
    return NewEntry(action="retention", subject="audit_log", subject_key=month, detail=detail)


def _entries(ranges: Sequence[Record]) -> int:
    return sum(row["entries"] for row in ranges)


def _portions(ranges: Sequence[Record]) -> list[Sequence[Record]]:
    return [ranges[at : at + MOST_RANGES] for at in range(0, len(ranges), MOST_RANGES)]


def _month(row: Record, before: datetime, months: int) -> Month:
    first: datetime = row["month"]
    beyond = _month_after(first)
    return Month(
        first=first,
        beyond=min(before, beyond),
        partition=row["partition"],
        is_whole=beyond <= before and months == 1 and not row["stay"],
        go=row["go"],
        stay=row["stay"],
    )


def _month_after(time: datetime) -> datetime:
    time = time.astimezone(UTC)
    year, month = divmod(time.year * 12 + time.month, 12)
    return dt.datetime(year, month + 1, 1, tzinfo=UTC)
