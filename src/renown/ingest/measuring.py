"""Gauges of the whole installation, set by one worker: what no process knows of itself."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import structlog

from renown.obs import metrics
from renown.store import standing, vitals
from renown.store.pool import Conn, naming_failures

log = structlog.get_logger()

PERIOD_SECONDS = 15.0
STATEMENT_SECONDS = 10.0


async def measure_for_ever(
    connect: Callable[[], Awaitable[Conn]],
    folders: Mapping[str, Path],
    *,
    period_seconds: float = PERIOD_SECONDS,
) -> None:
    """Set the gauges every period, until cancelled.

    Args:
        connect: opens a connection, which is kept until it breaks.
        folders: that this installation writes to, by the name they have in metrics.
    """
    conn: Conn | None = None
    try:
        while True:
            measure_disks(folders)
            try:
                if conn is None or conn.is_closed():
                    conn = await connect()
                async with asyncio.timeout(STATEMENT_SECONDS):
                    with naming_failures():
                        await measure(conn)
            except Exception as exc:  # noqa: BLE001 - beside the indexer, never in its way
                log.warning("measuring_failed", error=type(exc).__name__, reason=str(exc))
                if conn is not None:
                    conn.terminate()
                    conn = None
            await asyncio.sleep(period_seconds)
    finally:
        if conn is not None:
            conn.terminate()


async def measure(conn: Conn) -> None:
    """Ask the database about everything, and set the gauges."""
    server = await vitals.server(conn)
    for state, count in server.connections.items():
        metrics.DB_CONNECTIONS.labels(state).set(count)
    metrics.DB_CONNECTIONS_LIMIT.set(server.connections_limit)
    metrics.DB_SIZE.set(server.size_bytes)
    for view, age_seconds in (await vitals.view_ages(conn)).items():
        metrics.VIEW_AGE.labels(view).set(age_seconds)
    for slug, count in (await vitals.quarantined(conn)).items():
        metrics.QUARANTINED_LOGS.labels(slug).set(count)
    for chain in await standing.standings(conn):
        for state in COVERAGE_STATES:
            metrics.COVERAGE.labels(chain.slug, state).set(state == chain.coverage_state)
    await _measure_audit(conn)


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


def measure_disks(folders: Mapping[str, Path]) -> None:
    """Set the gauges of room on the disks; those of folders that are not there stay as they are."""
    for place, folder in folders.items():
        try:
            usage = shutil.disk_usage(folder)
        except OSError:
            continue
        metrics.DISK_FREE.labels(place).set(usage.free)
        metrics.DISK_SIZE.labels(place).set(usage.total)


COVERAGE_STATES = ("proven", "single-source", "gap", "unknown")
