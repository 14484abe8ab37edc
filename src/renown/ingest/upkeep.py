"""What an installation does beside following.

Counts are refreshed, the outbox and the kept first answers are trimmed, coverage is checked.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import LiteralString

import structlog

from renown.chain.source import ChainSource
from renown.ingest import coverage
from renown.ingest.supervise import Job
from renown.store import idempotency
from renown.store.audit_entries import say_unattended
from renown.store.pool import Conn, naming_failures

log = structlog.get_logger()

REFRESH_SECONDS = 60.0
COVERAGE_SECONDS = 3_600.0
RETRY_SECONDS = 60.0
OUTBOX_DAYS = 30

VIEWS: Mapping[str, int] = {
    "network": 1,
    "leaderboard_newest": 1,
    "leaderboard_clients": 5,
    "leaderboard_paid": 5,
    "term_count": 10,
    "leaderboard_busiest": 10,
}
"""Rounds between two counts of each view. The dear ones read a row or an event of every agent."""

EVERY_ROUND: Mapping[str, int] = dict.fromkeys(VIEWS, 1)

COUNTING_SHARE = 0.05
"""How much of the time may go into counting one view: what takes long is done less often."""

REFRESH: LiteralString = "SELECT refresh_view($1)"
# Nor is it counted when another indexer of this installation just did.
TOO_SOON: LiteralString = """
SELECT view FROM v_view_age
 WHERE view = $1 AND age_seconds < greatest($2, duration_ms / 1000 / $3)
   AND refreshed_at IS NOT NULL
"""
TRIM_OUTBOX: LiteralString = """
DELETE FROM outbox o
 WHERE written_at < now() - make_interval(days => $1)
   AND position < (SELECT position FROM checkpoint k WHERE k.chain_id = o.chain_id)
"""
CAUGHT_UP: LiteralString = "SELECT phase = 'follow' FROM checkpoint WHERE chain_id = $1"


async def refresh_for_ever(
    connect: Callable[[], Awaitable[Conn]],
    *,
    period_seconds: float = REFRESH_SECONDS,
    views: Mapping[str, int] = VIEWS,
) -> None:
    """Keep what is counted on a schedule fresh and what is kept for a while within it, until
    cancelled.

    Args:
        views: rounds between two counts, by view.
    """
    for round_number in itertools.count():
        try:
            conn = await connect()
            try:
                with naming_failures():
                    await say_unattended(conn)
                    await conn.execute(TRIM_OUTBOX, OUTBOX_DAYS)
                    await idempotency.prune(conn)
                    for view, every in views.items():
                        if round_number % every == 0:
                            await _refresh_if_it_can(conn, view, period_seconds * every / 2)
            finally:
                conn.terminate()
        except Exception as exc:  # noqa: BLE001 - beside the indexer, never in its way
            log.warning("upkeep_failed", error=type(exc).__name__, reason=str(exc))
        await asyncio.sleep(period_seconds)


async def refresh(
    conn: Conn,
    views: Sequence[str],
    *,
    at_least_seconds: float = 0.0,
    share: float = COUNTING_SHARE,
) -> None:
    """Count views anew, except those counted within `at_least_seconds`, or of late in view of how
    long they take."""
    for view in views:
        if not await conn.fetch(TOO_SOON, view, at_least_seconds, share):
            await conn.execute(REFRESH, view)


async def _refresh_if_it_can(conn: Conn, view: str, at_least_seconds: float) -> None:
    """One that cannot be counted keeps no other from it: its age says that something is wrong."""
    try:
        await refresh(conn, [view], at_least_seconds=at_least_seconds)
    except Exception as exc:
        if conn.is_closed():
            raise
        log.warning("view_not_counted", view=view, error=type(exc).__name__, reason=str(exc))


async def check_for_ever(
    connect: Callable[[], Awaitable[Conn]],
    jobs: Sequence[Job],
    *,
    period_seconds: float = COVERAGE_SECONDS,
    retry_seconds: float = RETRY_SECONDS,
) -> None:
    """Check each chain's coverage once it has caught up, then every period, until cancelled."""

    async def check_one(job: Job) -> None:
        for round_number in itertools.count():
            state = await _check(connect, job, round_number)
            # A gap does not close by itself in a minute, and to look for it again is not free.
            await asyncio.sleep(retry_seconds if state in (None, "unknown") else period_seconds)

    await asyncio.gather(*(check_one(job) for job in jobs))


async def _check(connect: Callable[[], Awaitable[Conn]], job: Job, round_number: int) -> str | None:
    deployment = job.deployment
    try:
        conn = await connect()
        try:
            with naming_failures():
                if not await conn.fetchval(CAUGHT_UP, deployment.chain_id):
                    return None
                contracts = await coverage.contracts(conn, deployment)
                async with ChainSource(
                    deployment, job.urls, contracts=contracts, seed=job.seed
                ) as source:
                    outcome = await coverage.check(
                        source, conn, deployment, seed=job.seed + round_number
                    )
        finally:
            conn.terminate()
    except Exception as exc:  # noqa: BLE001 - beside the indexer, never in its way
        log.warning(
            "coverage_unknown", chain=deployment.slug, error=type(exc).__name__, reason=str(exc)
        )
        return None
    say = log.error if outcome.state == "gap" else log.info
    say("coverage_checked", chain=deployment.slug, state=outcome.state, findings=outcome.findings)
    return outcome.state
