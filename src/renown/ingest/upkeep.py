"""What an installation does beside following.

Counts are refreshed, the outbox and the kept first answers are trimmed, coverage is checked.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
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

TERMS_EVERY = 10
"""Rounds between two counts of terms, which reads every agent's row."""

REFRESH: LiteralString = "SELECT refresh_view('network')"
REFRESH_TERMS: LiteralString = "SELECT refresh_view('term_count')"
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
    terms_every: int = TERMS_EVERY,
) -> None:
    """Keep the network's counts fresh and what is kept for a while within it, until cancelled.

    Args:
        terms_every: rounds between two counts of the terms that agents are found by.
    """
    for round_number in itertools.count():
        try:
            conn = await connect()
            try:
                with naming_failures():
                    await say_unattended(conn)
                    await conn.execute(REFRESH)
                    if round_number % terms_every == 0:
                        await conn.execute(REFRESH_TERMS)
                    await conn.execute(TRIM_OUTBOX, OUTBOX_DAYS)
                    await idempotency.prune(conn)
            finally:
                conn.terminate()
        except Exception as exc:  # noqa: BLE001 - beside the indexer, never in its way
            log.warning("upkeep_failed", error=type(exc).__name__, reason=str(exc))
        await asyncio.sleep(period_seconds)


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
