"""Attempts to read URIs, each kept; old ones shrink to the changes and to counts per day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn, Tx


class Resolution(msgspec.Struct, frozen=True):
    """One attempt, see table `resolution`."""

    uri_id: int
    attempted_at: datetime
    outcome: str
    reason: str | None
    status: int | None
    size_bytes: int | None
    duration_ms: int
    document_id: int | None
    verified: bool | None
    final_url: str | None


async def add(tx: Tx, rows: Sequence[Resolution]) -> None:
    """Keep attempts, none of which is held already."""
    if rows:
        await tx.copy_records_to_table(
            "resolution", records=[msgspec.structs.astuple(row) for row in rows], columns=COLUMNS
        )


COLUMNS = Resolution.__struct_fields__

# Shrinking ---------------------------------------------------------------------------------------

OLDEST: LiteralString = "SELECT min(attempted_at) FROM resolution WHERE attempted_at < $1"
# An attempt is dropped if the one before it came out the same; the first of a run stays, and so
# does what the URI's own row speaks of. In one snapshot, so a whole run shrinks at once.
SHRINK: LiteralString = """
WITH same AS (
    SELECT r.uri_id, r.attempted_at, r.outcome
      FROM resolution r
      JOIN uri u USING (uri_id)
     CROSS JOIN LATERAL (
           SELECT p.outcome, p.status, p.document_id FROM resolution p
            WHERE p.uri_id = r.uri_id AND p.attempted_at < r.attempted_at
            ORDER BY p.attempted_at DESC LIMIT 1) p
     WHERE r.attempted_at >= $1 AND r.attempted_at < $2
       AND r.attempted_at IS DISTINCT FROM u.attempted_at
       AND r.attempted_at IS DISTINCT FROM u.fetched_at
       AND p.document_id IS NOT DISTINCT FROM r.document_id
       AND (r.document_id IS NOT NULL
            OR (p.outcome, p.status) IS NOT DISTINCT FROM (r.outcome, r.status))
), gone AS (
    DELETE FROM resolution r USING same s
     WHERE r.uri_id = s.uri_id AND r.attempted_at = s.attempted_at
    RETURNING r.uri_id, (r.attempted_at AT TIME ZONE 'UTC')::date AS day,
              r.document_id IS NOT NULL AS good
), counted AS (
    INSERT INTO resolution_day AS d (uri_id, day, attempts, good)
    SELECT uri_id, day, count(*), count(*) FILTER (WHERE good) FROM gone GROUP BY uri_id, day
        ON CONFLICT (uri_id, day) DO UPDATE
       SET attempts = d.attempts + excluded.attempts, good = d.good + excluded.good
)
SELECT count(*) FROM gone
"""


async def oldest_day(conn: Conn, before: datetime) -> date | None:
    """The UTC day of the oldest attempt before a time, if there is one."""
    found = await conn.fetchval(OLDEST, before)
    return None if found is None else found.date()


async def shrink(tx: Tx, since: datetime, before: datetime) -> int:
    """Of the attempts in a span of time keep the changes only, and count the rest per UTC day.

    Returns how many attempts went. A second time none goes.
    """
    gone: int = await tx.fetchval(SHRINK, since, before)
    return gone
