"""Many chains in one process: each has its nodes, its writer and its own fate.

A chain whose nodes or database fail is tried again with a growing pause; one that needs an operator
stops and says so; the others go on.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from renown.chain.backfill import ByteBudget
from renown.chain.source import ChainSource
from renown.decode import Decoder
from renown.errors import LeaseLost, NodeError, NodeRefused, RenownError, StoreError
from renown.ingest.indexer import BATCH_EVENTS, Indexer, Limits
from renown.ingest.measured import NodeMeter
from renown.ingest.progress import Progress
from renown.spec.deployments import Deployment
from renown.store.lease import acquire, stored_start_block
from renown.store.pool import Conn
from renown.store.writer import Writer

log = structlog.get_logger()

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
LONGEST_STANDBY_SECONDS = 5.0
"""Soon at first: the backend of a writer that was killed may hold the lease for a moment more."""


class Job(msgspec.Struct, frozen=True):
    """One chain to follow, and through which nodes."""

    deployment: Deployment
    urls: Sequence[str]
    start_block: int | None = None
    poll_seconds: float | None = None
    batch_events: int = BATCH_EVENTS
    seed: int = 0


class Supervisor:
    """Runs jobs until cancelled.

    Args:
        connect: makes a new direct connection to the database for a writer.
        on_progress: told whenever a chain moves.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Conn]],
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._connect = connect
        self._on_progress = on_progress
        self._budget = ByteBudget()  # one for all chains: the process has one memory
        self.progress: dict[int, Progress] = {}
        self.problems: dict[int, str] = {}

    async def run(self, jobs: Sequence[Job], *, until: int | None = None) -> None:
        """Follow every job's chain; returns when all have stopped or reached `until`.

        Raises:
            RenownError: of the first chain that can go on no more, when it is the only one.
        """
        results = await asyncio.gather(
            *(self.follow(job, until=until) for job in jobs), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures and (len(failures) == len(jobs) or not isinstance(failures[0], RenownError)):
            raise failures[0]

    async def follow(self, job: Job, *, until: int | None = None) -> None:
        """Follow one chain. Raises only what trying again cannot mend."""
        slug = job.deployment.slug
        pause = standby = FIRST_PAUSE_SECONDS
        while True:
            before = self._stored(job)
            try:
                await self._attempt(job, until)
            except LeaseLost as lost:
                self._problem(job, lost)
                log.warning("standing_by", chain=slug, reason=lost.detail)
                await asyncio.sleep(standby)
                standby = min(LONGEST_STANDBY_SECONDS, standby * 2)
            except (NodeError, StoreError) as failed:
                self._problem(job, failed)
                if not failed.retryable:
                    raise
                if self._stored(job) != before:
                    pause = FIRST_PAUSE_SECONDS  # it moved, so this is a new trouble
                log.warning(
                    "chain_interrupted",
                    chain=slug,
                    error=type(failed).__name__,
                    reason=failed.detail,
                    retry_seconds=round(pause, 1),
                )
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
            except RenownError as stopped:
                self._problem(job, stopped)
                log.error("chain_stopped", chain=slug, reason=stopped.detail)
                raise
            except Exception as unforeseen:
                # Said now: with other chains in this process nobody else hears of it for long.
                problem = RenownError(f"{slug}: unexpected {type(unforeseen).__name__}")
                self._problem(job, problem)
                log.exception("chain_stopped", chain=slug, reason=problem.detail)
                raise
            else:
                return

    async def _attempt(self, job: Job, until: int | None) -> None:
        deployment = job.deployment
        async with ChainSource(
            deployment,
            job.urls,
            contracts=deployment.contracts,
            seed=job.seed,
            observer=NodeMeter(),
            budget=self._budget,
        ) as source:
            conn = await self._connect()
            try:
                start_block = await _start_block(conn, job, source)
                genesis = await source.block(0)
                writer = await acquire(
                    conn,
                    deployment,
                    start_block=start_block,
                    genesis_hash=genesis.hash if genesis else None,
                    name=f"{socket.gethostname()}:{os.getpid()}",
                )
                await self._index(job, source, writer, until)
            finally:
                conn.terminate()

    async def _index(
        self, job: Job, source: ChainSource, writer: Writer, until: int | None
    ) -> None:
        deployment = job.deployment
        policy = deployment.finality
        indexer = Indexer(
            source,
            writer,
            Decoder(deployment.identity, deployment.reputation, deployment.validation),
            Limits(
                reorg_limit_blocks=policy.reorg_limit_blocks,
                poll_seconds=job.poll_seconds or min(max(policy.block_seconds / 2, 0.25), 6.0),
                batch_events=job.batch_events,
            ),
            on_progress=self._on_progress,
        )
        self.progress[deployment.chain_id] = indexer.progress
        self.problems.pop(deployment.chain_id, None)
        try:
            await indexer.run(until=until)
        except RenownError as stopped:
            if not stopped.retryable and not isinstance(stopped, LeaseLost):
                await writer.report(
                    head=indexer.progress.head_block,
                    final=writer.checkpoint.final_block,
                    safe=None,
                    phase="stopped",
                    problem=stopped.detail,
                )
            raise

    def _stored(self, job: Job) -> int:
        progress = self.progress.get(job.deployment.chain_id)
        return progress.block_number if progress else -1

    def _problem(self, job: Job, error: RenownError) -> None:
        chain_id = job.deployment.chain_id
        self.problems[chain_id] = error.detail
        if progress := self.progress.get(chain_id):
            progress.problem = error.detail
            self._on_progress(progress)


async def _start_block(conn: Conn, job: Job, source: ChainSource) -> int:
    """Where indexing began, or is to begin. Only a chain that is new here may need old state."""
    stored = await stored_start_block(conn, job.deployment)
    if stored is not None:
        return stored
    if job.start_block is not None:
        return job.start_block
    listed = job.deployment.start_block
    if listed is not None and not job.deployment.start_block_unsure:
        return listed
    try:
        found = await source.find_start_block(job.deployment.identity)
    except NodeRefused:
        if listed is None:
            raise
        log.warning("start_block_unsure", chain=job.deployment.slug, start_block=listed)
        return listed
    return found if listed is None else min(found, listed)
