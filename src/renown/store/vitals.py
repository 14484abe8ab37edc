"""What the database says of the whole installation: sizes, ages, backlogs. Cheap statements only.

Asked by one worker every quarter of a minute for the gauges, and by `/health`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn

STATES = ("active", "idle", "idle in transaction", "other")


class Server(msgspec.Struct, frozen=True):
    """The server: its connections by state, how many it takes, and the database's size."""

    connections: Mapping[str, int]
    connections_limit: int
    size_bytes: int


class AuditVitals(msgspec.Struct, frozen=True):
    """The audit log. Ages are seconds by the database's clock, 0 for none; `checkpoint_at` is None
    before the first."""

    leaves: int
    pending: int
    pending_oldest_seconds: float
    reviews_open: int
    reviews_oldest_seconds: float
    checkpoint_size: int
    checkpoint_at: datetime | None
    checkpoint_age_seconds: float | None


class CrawlVitals(msgspec.Struct, frozen=True):
    """The crawler's queue: URIs whose time has come, and since how long the first is due."""

    due: int
    oldest_due_seconds: float


# Who is no member of pg_monitor sees no state of other users' sessions, only that they are there.
CONNECTIONS: LiteralString = """
SELECT CASE WHEN state IN ('active', 'idle') THEN state
            WHEN state LIKE 'idle in transaction%' THEN 'idle in transaction'
            ELSE 'other' END,
       count(*)
  FROM pg_stat_activity
 WHERE backend_type = 'client backend'
 GROUP BY 1
"""
SERVER: LiteralString = """
SELECT current_setting('max_connections')::int
       - current_setting('superuser_reserved_connections')::int,
       pg_database_size(current_database())
"""


async def server(conn: Conn) -> Server:
    """How full the server is."""
    counted = {row[0]: row[1] for row in await conn.fetch(CONNECTIONS)}
    row = await conn.fetchrow(SERVER)
    assert row is not None
    return Server({state: counted.get(state, 0) for state in STATES}, *row)


VIEW_AGES: LiteralString = "SELECT view, age_seconds FROM v_view_age WHERE age_seconds IS NOT NULL"


async def view_ages(conn: Conn) -> dict[str, float]:
    """Seconds since each materialized view was refreshed; those never refreshed are left out."""
    return {row[0]: max(0.0, row[1]) for row in await conn.fetch(VIEW_AGES)}


QUARANTINED: LiteralString = """
SELECT c.slug, (SELECT count(*) FROM quarantine q WHERE q.chain_id = c.chain_id) FROM chain c
"""


async def quarantined(conn: Conn) -> dict[str, int]:
    """Logs held that could not become facts, by the slug of the chain."""
    return {row[0]: row[1] for row in await conn.fetch(QUARANTINED)}


MOST_COUNTED = 100_000
"""What is counted every few seconds is counted so far at most."""
# The first pending entry by id is among the oldest; ids come from one sequence. A review and the
# number of its entry may be committed at once, so an open one is looked up, too.
AUDIT: LiteralString = """
SELECT coalesce((SELECT seq + 1 FROM audit_leaf ORDER BY seq DESC LIMIT 1), 0),
       (SELECT count(*) FROM (SELECT FROM audit_pending LIMIT $1) AS p),
       coalesce((SELECT extract(epoch FROM now() - at)::float8
                   FROM audit_pending ORDER BY entry_id LIMIT 1), 0),
       r.open, r.oldest, coalesce(k.size, 0), k.at, extract(epoch FROM now() - k.at)::float8
  FROM (SELECT count(*) AS open,
               coalesce(extract(epoch FROM now() - min(f.at))::float8, 0) AS oldest
          FROM (SELECT o.at FROM audit_review_open o
                 WHERE NOT EXISTS (SELECT FROM audit_review v WHERE v.entry_id = o.entry_id)
                 ORDER BY o.entry_id LIMIT $1) AS f) r
  LEFT JOIN (SELECT size, at FROM audit_checkpoint ORDER BY size DESC LIMIT 1) k ON true
"""


async def audit(conn: Conn) -> AuditVitals:
    """How the audit log keeps up."""
    row = await conn.fetchrow(AUDIT, MOST_COUNTED)
    assert row is not None
    leaves, pending, pending_age, open_, open_age, size, at, age = row
    return AuditVitals(
        leaves=leaves,
        pending=pending,
        pending_oldest_seconds=max(0.0, pending_age),
        reviews_open=open_,
        reviews_oldest_seconds=max(0.0, open_age),
        checkpoint_size=size,
        checkpoint_at=at,
        checkpoint_age_seconds=None if age is None else max(0.0, age),
    )


CRAWL: LiteralString = """
SELECT count(*), coalesce(extract(epoch FROM now() - min(due_at))::float8, 0)
  FROM uri WHERE due_at <= now()
"""


async def crawl(conn: Conn) -> CrawlVitals:
    """How long the crawler's queue is."""
    row = await conn.fetchrow(CRAWL)
    assert row is not None
    return CrawlVitals(*row)
