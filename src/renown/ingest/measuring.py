"""Gauges of the whole installation, set by one worker: what no process knows of itself.

Also how long work waits, which no worker can tell that does not run.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from time import time

import structlog

from renown.obs import metrics
from renown.store import operation_claims, payment_claims, standing, vitals
from renown.store.pool import Conn, naming_failures

log = structlog.get_logger()

PERIOD_SECONDS = 15.0
STATEMENT_SECONDS = 10.0
COVERAGE_STATES = ("proven", "single-source", "gap", "unknown")


async def measure_for_ever(
    connect: Callable[[], Awaitable[Conn]], *, period_seconds: float = PERIOD_SECONDS
) -> None:
    """Set the gauges of what the database knows every period, until cancelled.

    Args:
        connect: opens a connection, which is kept until it breaks.
    """
    conn: Conn | None = None
    try:
        while True:
            try:
                if conn is None or conn.is_closed():
                    conn = await connect()
                await measure(conn)
            except Exception as exc:  # noqa: BLE001 - beside the indexer, never in its way
                _log_failure("connection", exc)
            await asyncio.sleep(period_seconds)
    finally:
        if conn is not None:
            conn.terminate()


async def measure_disks_for_ever(
    folders: Mapping[str, Path], *, period_seconds: float = PERIOD_SECONDS
) -> None:
    """Set the gauges of room on the disks of `folders` every period, until cancelled."""
    while True:
        await asyncio.to_thread(measure_disks, folders)
        await asyncio.sleep(period_seconds)


async def measure(conn: Conn) -> None:
    """Ask the database about everything, and set the gauges.

    One part that fails keeps its old values and its old time, and the others are measured.
    """
    for part, measure_part in _PARTS.items():
        try:
            async with asyncio.timeout(STATEMENT_SECONDS):
                with naming_failures():
                    await measure_part(conn)
        except Exception as exc:  # noqa: BLE001 - whatever is wrong with it is not with the others
            _log_failure(part, exc)
            if conn.is_closed():
                return
        else:
            metrics.MEASURED.labels(part).set(time())


def measure_disks(folders: Mapping[str, Path]) -> None:
    """Set the gauges of room on the disks; those of folders that are not there stay as they are."""
    for place, folder in folders.items():
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        metrics.DISK_FREE.labels(place).set(usage.free)
        metrics.DISK_SIZE.labels(place).set(usage.total)
        metrics.MEASURED.labels("disks").set(time())


async def _measure_server(conn: Conn) -> None:
    server = await vitals.server(conn)
    for state, count in server.connections.items():
        metrics.DB_CONNECTIONS.labels(state).set(count)
    metrics.DB_CONNECTIONS_LIMIT.set(server.connections_limit)
    metrics.DB_SIZE.set(server.size_bytes)


async def _measure_views(conn: Conn) -> None:
    for view, age_seconds in (await vitals.view_ages(conn)).items():
        metrics.VIEW_AGE.labels(view).set(age_seconds)


async def _measure_quarantine(conn: Conn) -> None:
    for slug, count in (await vitals.quarantined(conn)).items():
        metrics.QUARANTINED_LOGS.labels(slug).set(count)


async def _measure_coverage(conn: Conn) -> None:
    for chain in await standing.standings(conn):
        for state in COVERAGE_STATES:
            metrics.COVERAGE.labels(chain.slug, state).set(state == chain.coverage_state)


async def _measure_operations(conn: Conn) -> None:
    counted = await operation_claims.backlog(conn)
    for chain in await standing.standings(conn):
        watched = counted.watched.get(chain.chain_id, 0)
        metrics.OPERATIONS_WATCHED.labels(chain.slug).set(watched)
    metrics.OPERATIONS_OLDEST.set(counted.oldest_due_seconds)


async def _measure_payments(conn: Conn) -> None:
    pending, oldest_seconds = await payment_claims.waiting(conn)
    metrics.PAYMENTS_PENDING.set(pending)
    metrics.PAYMENTS_OLDEST.set(oldest_seconds)


async def _measure_crawl(conn: Conn) -> None:
    queue = await vitals.crawl(conn)
    metrics.CRAWL_BACKLOG.set(queue.due)
    metrics.CRAWL_OLDEST.set(queue.oldest_due_seconds)


async def _measure_audit(conn: Conn) -> None:
    audit = await vitals.audit(conn)
    metrics.AUDIT_LEAVES.set(audit.leaves)
    metrics.AUDIT_PENDING.set(audit.pending)
    metrics.AUDIT_PENDING_OLDEST.set(audit.pending_oldest_seconds)
    metrics.AUDIT_REVIEWS_OPEN.set(audit.reviews_open)
    metrics.AUDIT_REVIEWS_OLDEST.set(audit.reviews_oldest_seconds)
    metrics.AUDIT_CHECKPOINT_SIZE.set(audit.checkpoint_size)
    if audit.checkpoint_at is not None:
        metrics.AUDIT_CHECKPOINT.set(audit.checkpoint_at.timestamp())


def _log_failure(part: str, exc: Exception) -> None:
    log.warning("measuring_failed", part=part, error=type(exc).__name__, reason=str(exc))


_PARTS: Mapping[str, Callable[[Conn], Awaitable[None]]] = {
    "server": _measure_server,
    "views": _measure_views,
    "quarantine": _measure_quarantine,
    "coverage": _measure_coverage,
    "operations": _measure_operations,
    "payments": _measure_payments,
    "crawl": _measure_crawl,
    "audit": _measure_audit,
}
