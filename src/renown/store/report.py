"""What an operator should know of the database, and what of it wants doing."""

from __future__ import annotations

from typing import Any, Literal, LiteralString, TypeAlias

import asyncpg
import msgspec

from renown.store import audit_triggers, roles
from renown.store import report_queries as q
from renown.store.idle_indexes import Idle, idle
from renown.store.pool import Conn
from renown.store.server_settings import Differing, differing

Severity: TypeAlias = Literal["warning", "info"]

DEAD_SHARE = 0.2
DEAD_ROWS = 10_000
BLOAT_BYTES = 100 * 2**20
UNUSED_BYTES = 10 * 2**20
SEQUENTIAL_ROWS = 100_000
CACHE_SHARE = 0.95
CACHE_BLOCKS = 1_000_000
LONG_TRANSACTION_SECONDS = 300
LONG_WAIT_SECONDS = 5
LOCK_SECONDS = 2
OLD_VIEW_SECONDS = 3_600
FREEZE_TRANSACTIONS = 1_000_000_000
PARTITION_BYTES = 100 * 2**30
CONNECTIONS_SHARE = 0.8
MOST_ALTERED = 20


class Finding(msgspec.Struct, frozen=True):
    """Something to look at.

    Attributes:
        code: stable, for scripts.
        what: what is so.
        do: what to do about it.
    """

    severity: Severity
    code: str
    subject: str
    what: str
    do: str


class Report(msgspec.Struct, frozen=True):
    """Findings first, then what they were taken from: rows as dictionaries."""

    findings: list[Finding]
    overview: dict[str, Any]
    tables: list[dict[str, Any]]
    indexes: list[dict[str, Any]]
    idle: Idle
    statements: list[dict[str, Any]] | None  # None: nobody counts them
    activity: list[dict[str, Any]]
    locks: list[dict[str, Any]]
    views: list[dict[str, Any]]
    partitions: list[dict[str, Any]]
    settings: list[Differing]


async def report(conn: Conn, *, memory_bytes: int | None, statements: int = 15) -> Report:
    """Look at everything once. `conn` is the owner's, of a database with the current schema.

    Args:
        memory_bytes: of the server's machine; None if nobody knows: settings are not looked at.
        statements: how many of those that took longest in all.
    """
    # To size a table takes a lock on it, and who has one may be just what is looked for.
    await conn.execute(f"SET lock_timeout = {round(LOCK_SECONDS * 1000)}")
    overview = await _one(conn, q.OVERVIEW)
    activity = await _rows(conn, q.ACTIVITY)
    locks = await _rows(conn, q.LOCKS)
    views = await _rows(conn, q.VIEWS)
    unseen: list[Finding] = []
    tables = await _sized(conn, q.TABLES, "tables", unseen)
    indexes = await _sized(conn, q.INDEXES, "indexes", unseen)
    unread = await idle(conn, indexes)
    partitions = await _sized(conn, q.PARTITIONS, "partitions", unseen)
    settings = [] if memory_bytes is None else await differing(conn, memory_bytes)
    slow = None
    if await conn.fetchval(q.HAS_STATEMENTS):
        slow = await _rows(conn, q.STATEMENTS, statements)
    findings = [
        *_of_server(overview),
        *_of_sessions(activity, locks),
        *unseen,
        *_of_views(views),
        *await _of_audit(conn),
        *await _of_roles(conn),
        *_of_tables(tables),
        *_of_indexes(indexes),
        *_of_idle(unread),
        *_of_partitions(partitions),
        *_of_statements(slow),
        *_of_settings(settings),
    ]
    findings.sort(key=lambda one: one.severity != "warning")
    return Report(
        *(findings, overview, tables, indexes, unread, slow, activity, locks, views, partitions),
        settings,
    )


def _of_server(seen: dict[str, Any]) -> list[Finding]:
    found = []
    blocks = seen["blocks_read"] + seen["blocks_hit"]
    if blocks > CACHE_BLOCKS and seen["cache_hit_share"] < CACHE_SHARE:
        found.append(
            _info(
                *("cache-misses", "database"),
                f"{seen['cache_hit_share']:.1%} of the blocks were in PostgreSQL's cache",
                "raise shared_buffers if memory is free (`renown db settings`)",
            )
        )
    if seen["connections"] > CONNECTIONS_SHARE * seen["connections_limit"]:
        found.append(
            _warning(
                *("connections", "server"),
                f"{seen['connections']} of {seen['connections_limit']} connections are taken",
                "see docs/operations/pool.md for the arithmetic; PgBouncer lets more share them",
            )
        )
    if not seen["data_checksums"]:
        found.append(
            _info(
                *("no-checksums", "server"),
                "damaged pages are not noticed",
                "stop the server and run pg_checksums --enable",
            )
        )
    return found


def _of_sessions(activity: list[dict[str, Any]], locks: list[dict[str, Any]]) -> list[Finding]:
    found = []
    for row in activity:
        seconds = row["transaction_seconds"] or 0
        if seconds > LONG_TRANSACTION_SECONDS:
            severity: Severity = "warning" if "idle" in (row["state"] or "") else "info"
            found.append(
                Finding(
                    *(severity, "long-transaction", f"process {row['pid']}"),
                    f"{row['program'] or row['db_user']} has had a transaction open for "
                    f"{seconds:,.0f} s ({row['state']}); vacuum removes nothing newer",
                    f"if nobody needs it: SELECT pg_terminate_backend({row['pid']})",
                )
            )
    found += [
        _warning(
            *("lock-wait", f"process {row['waiting_pid']}"),
            f"{row['waiting_program']} has waited {row['waiting_seconds']:,.0f} s for process "
            f"{row['blocking_pid']} ({row['blocking_program']}, {row['blocking_state']})",
            f"if it hangs: SELECT pg_terminate_backend({row['blocking_pid']})",
        )
        for row in locks
        if (row["waiting_seconds"] or 0) > LONG_WAIT_SECONDS
    ]
    return found


def _of_views(views: list[dict[str, Any]]) -> list[Finding]:
    return [
        _warning(
            *("old-view", row["view"]),
            f"was last counted {row['age_seconds']:,.0f} s ago",
            "an indexer counts every minute: see whether one runs, and its log for upkeep_failed",
        )
        for row in views
        if row["age_seconds"] is not None and row["age_seconds"] > OLD_VIEW_SECONDS
    ]


async def _of_audit(conn: Conn) -> list[Finding]:
    seen = await _one(conn, q.AUDIT)
    found = []
    if seen["in_rest"]:
        found.append(
            _warning(
                *("audit-rest", "audit_log_rest"),
                "entries of months without a partition of their own are in it",
                "start the notary, or run SELECT ensure_audit_partitions() as the owner",
            )
        )
    if not seen["next_month"]:
        found.append(
            _warning(
                *("audit-partition-missing", "audit_log"),
                "next month has no partition",
                "start the notary, or run SELECT ensure_audit_partitions() as the owner",
            )
        )
    found += [
        _warning(
            *("audit-trigger", "audit log"),
            what,
            "find out who did that and since when: what was changed meanwhile may not be told",
        )
        for what in (await audit_triggers.altered(conn))[:MOST_ALTERED]
    ]
    return found


async def _of_roles(conn: Conn) -> list[Finding]:
    held = await roles.existing(conn)
    found = []
    if missing := [kind for kind in roles.KINDS if kind not in held]:
        found.append(
            _info(
                *("roles-missing", ", ".join(missing)),
                "every process may do everything to every table",
                "run `renown db roles --yes`, and give each process a user of its role",
            )
        )
    found += [
        _warning(
            *("role-without-limits", row["member"]),
            f"logs in as a member of {row['role']}, without limits of time or of connections",
            "run `renown db roles --yes` again: limits are set on the logins there are",
        )
        for row in await conn.fetch(q.UNLIMITED, list(held.values()))
    ]
    return found


def _of_tables(tables: list[dict[str, Any]]) -> list[Finding]:
    found = []
    for row in tables:
        all_rows = row["live_rows"] + row["dead_rows"]
        if row["dead_rows"] > DEAD_ROWS and row["dead_rows"] > DEAD_SHARE * all_rows:
            found.append(
                _warning(
                    *("dead-rows", row["table"]),
                    f"{row['dead_rows']:,} of {all_rows:,} rows are dead; "
                    f"vacuumed {row['vacuumed_at'] or 'never'}",
                    f"look for what holds vacuum back (long transactions, replication slots); "
                    f"VACUUM (ANALYZE) {row['table']}",
                )
            )
        if (row["bloat_bytes"] or 0) > max(BLOAT_BYTES, row["table_bytes"] * 0.4):
            found.append(
                _info(
                    *("bloat", row["table"]),
                    f"about {_mib(row['bloat_bytes'])} of {_mib(row['table_bytes'])} are air "
                    "(estimate)",
                    "new rows fill it; to give it back: pg_repack, or VACUUM FULL in a pause",
                )
            )
        if row["oldest_transactions"] > FREEZE_TRANSACTIONS:
            found.append(
                _warning(
                    *("old-transactions", row["table"]),
                    f"its oldest row is {row['oldest_transactions']:,} transactions old; "
                    "at two thousand million the server stops",
                    f"VACUUM (FREEZE) {row['table']}",
                )
            )
        scans = row["sequential_scans"] or 0
        if row["live_rows"] > SEQUENTIAL_ROWS and scans > 100 * (row["index_scans"] or 0) + 1_000:
            found.append(
                _info(
                    *("sequential-scans", row["table"]),
                    f"was read from end to end {scans:,} times",
                    "see which statement does so (`renown db report` lists the dear ones)",
                )
            )
    return found


def _of_indexes(indexes: list[dict[str, Any]]) -> list[Finding]:
    found = []
    for row in indexes:
        if not row["is_valid"]:
            found.append(
                _warning(
                    *("invalid-index", row["index"]),
                    "costs every write and serves no read",
                    f"REINDEX INDEX CONCURRENTLY {row['index']}, or drop it",
                )
            )
        elif row["covered_by"]:
            found.append(
                _info(
                    *("duplicate-index", row["index"]),
                    f"{row['covered_by']} begins with the same columns ({_mib(row['bytes'])})",
                    "drop it, unless it is Renown's own: then tell us",
                )
            )
    return found


def _of_idle(unread: Idle) -> list[Finding]:
    do = "look on replicas, too, before you drop one of yours"
    if unread.is_young:
        do = "look again in a week; then on replicas, too, before you drop one of yours"
    return [
        _info(
            *("unused-index", row["index"]),
            f"{_mib(row['bytes'])} that nobody has read {unread.when()}",
            do,
        )
        for row in unread.indexes
        if row["bytes"] > UNUSED_BYTES and not row["covered_by"]
    ]


def _of_partitions(partitions: list[dict[str, Any]]) -> list[Finding]:
    return [
        _info(
            *("large-partition", row["partition"]),
            f"has {_mib(row['bytes'])}",
            "nothing is wrong; plan disk and backups with it",
        )
        for row in partitions
        if row["bytes"] > PARTITION_BYTES
    ]


def _of_statements(slow: list[dict[str, Any]] | None) -> list[Finding]:
    if slow is not None:
        return []
    return [
        _info(
            *("no-statement-statistics", "pg_stat_statements"),
            "nobody counts what statements cost",
            "shared_preload_libraries = 'pg_stat_statements', restart, then as a superuser "
            "CREATE EXTENSION pg_stat_statements",
        )
    ]


def _of_settings(settings: list[Differing]) -> list[Finding]:
    if not settings:
        return []
    names = ", ".join(one.name for one in settings)
    return [
        _info(
            *("settings", "server"),
            f"{len(settings)} settings are not as recommended: {names}",
            "`renown db settings` prints what to set, and why",
        )
    ]


async def _rows(conn: Conn, query: LiteralString, *args: object) -> list[dict[str, Any]]:
    return [dict(row) for row in await conn.fetch(query, *args)]


async def _sized(
    conn: Conn, query: LiteralString, what: str, unseen: list[Finding]
) -> list[dict[str, Any]]:
    try:
        return await _rows(conn, query)
    except asyncpg.LockNotAvailableError:
        unseen.append(
            _warning(
                *("not-seen", what),
                "somebody has locked a table for himself alone",
                "see who, under activity, and look again when he is done",
            )
        )
        return []


async def _one(conn: Conn, query: LiteralString) -> dict[str, Any]:
    row = await conn.fetchrow(query)
    assert row is not None
    return dict(row)


def _warning(code: str, subject: str, what: str, do: str) -> Finding:
    return Finding("warning", code, subject, what, do)


def _info(code: str, subject: str, what: str, do: str) -> Finding:
    return Finding("info", code, subject, what, do)


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.1f} MiB"
