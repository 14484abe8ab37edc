"""Indexing as `renown up` and `renown index` do it: watched, with its upkeep beside it."""

from __future__ import annotations

from collections.abc import Sequence

from renown.chain.source import ChainSource, Patience
from renown.cli.beside import beside
from renown.cli.console import say
from renown.cli.display import ChainView, shown
from renown.cli.runtime import Database
from renown.errors import RenownError, WrongChain
from renown.ingest import upkeep
from renown.ingest.collector import calm_collector
from renown.ingest.measuring import measure_for_ever
from renown.ingest.supervise import Job, Supervisor
from renown.spec.deployments import DEVNET_CHAIN_ID

DEVNET_REFRESH_SECONDS = 5.0
"""A devnet is small: its counts may be taken often, and whoever tries it out waits for them."""

BRIEF = Patience(attempts=3, deadline_seconds=10.0)
"""For a question that somebody waits for."""


async def follow(
    where: Database,
    jobs: Sequence[Job],
    *,
    until: int | None,
) -> None:
    """Follow the chains of `jobs` and show how it goes, until cancelled or `until` is stored.

    Raises:
        RenownError: of the first chain that can go on no more, when it is the only one.
    """
    calm_collector()
    supervisor = Supervisor(where.connect)

    def views() -> list[ChainView]:
        return [
            ChainView(
                job.deployment.slug,
                supervisor.progress.get(job.deployment.chain_id),
                supervisor.problems.get(job.deployment.chain_id),
            )
            for job in jobs
        ]

    small = all(job.deployment.chain_id == DEVNET_CHAIN_ID for job in jobs)
    period_seconds = DEVNET_REFRESH_SECONDS if small else upkeep.REFRESH_SECONDS
    retry_seconds = DEVNET_REFRESH_SECONDS if small else upkeep.RETRY_SECONDS
    async with (
        shown(views),
        beside(
            *(_warn_if_silent(job) for job in jobs),
            upkeep.refresh_for_ever(
                where.connect,
                period_seconds=period_seconds,
                views=upkeep.EVERY_ROUND if small else upkeep.VIEWS,
            ),
            upkeep.check_for_ever(where.connect, jobs, retry_seconds=retry_seconds),
            measure_for_ever(where.connect),
        ),
    ):
        await supervisor.run(jobs, until=until)


async def _warn_if_silent(job: Job) -> None:
    """Say soon that no node answers; the indexer has the patience to wait for minutes first."""
    deployment = job.deployment
    try:
        async with ChainSource(
            deployment, job.urls, contracts=(), seed=job.seed, patience=BRIEF
        ) as source:
            await source.head()
    except WrongChain:
        return  # the indexer stops for it, and says so
    except RenownError as exc:
        say(f"{deployment.slug}: {exc.detail}; trying on. Is RPC_URL right, is the network there?")
