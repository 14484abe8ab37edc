"""Indexes that nobody has read: they cost every write and serve, perhaps, no query."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, LiteralString

import msgspec

from renown.store.pool import Conn

YOUNG_SECONDS = 7 * 86_400
"""Statistics younger than this may have missed what is asked once a week."""
EMPTY_BYTES = 64 * 1_024
"""Up to this, an index is of a table that holds next to nothing."""


class Idle(msgspec.Struct, frozen=True):
    """What was never scanned since statistics began, largest first.

    Attributes:
        since: when they began, or later: after a crash, a restore or a reset; or when a migration
            was last applied, which may have made any of these. Nobody knows when an index was made.
        is_young: too young to judge by.
        indexes: {index, table, bytes, covered_by}; of those that keep rows unique none.
    """

    since: datetime
    age_seconds: float
    is_young: bool
    total_bytes: int
    indexes: list[dict[str, Any]]

    def when(self) -> str:
        """Since when, for people."""
        if not self.is_young:
            return f"since {self.since:%Y-%m-%d}"
        return (
            f"since statistics or this schema began {self.age_seconds / 3_600:,.0f} hours ago,"
            " which is too short to tell"
        )


# A database's own time is null until somebody resets it. When statistics are lost, as in a crash,
# they begin anew for the whole server.
SINCE: LiteralString = """
SELECT s.since, extract(epoch FROM clock_timestamp() - s.since)::float8
  FROM (SELECT greatest(b.stats_reset, d.stats_reset,
                        (SELECT max(m.applied_at) FROM schema_migration m)) AS since
          FROM pg_stat_bgwriter b, pg_stat_database d
         WHERE d.datname = current_database()) s
"""


async def idle(conn: Conn, indexes: Iterable[Mapping[str, Any]]) -> Idle:
    """Those of `indexes`, rows of `v_db_indexes`, that are idle."""
    row = await conn.fetchrow(SINCE)
    assert row is not None
    since, age_seconds = row
    unread = [
        {name: one[name] for name in ("index", "table", "bytes", "covered_by")}
        for one in indexes
        if one["scans"] == 0
        and one["is_valid"]
        and not (one["is_unique"] or one["is_primary"])
        and one["bytes"] > EMPTY_BYTES
    ]
    unread.sort(key=lambda one: (-one["bytes"], one["index"]))
    return Idle(
        since=since,
        age_seconds=age_seconds,
        is_young=age_seconds < YOUNG_SECONDS,
        total_bytes=sum(one["bytes"] for one in unread),
        indexes=unread,
    )
