"""From settings to what a command works with: a database, chains, nodes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import msgspec

from renown.cli.beside import beside
from renown.cli.console import CurrentStderr
from renown.cli.options import deployments
from renown.cli.process import in_thread
from renown.errors import BadSettings, DataDirectoryInUse, SetupError
from renown.ingest.supervise import Job
from renown.obs.logging import configure_logging
from renown.settings import Settings, load_settings
from renown.spec.deployments import Deployment, endpoints
from renown.store.embedded import EmbeddedPostgres, running_dsn
from renown.store.migrate import require_current
from renown.store.pool import Conn, Pool, connect, connect_pool, database_place

ATTACH_SECONDS = 15.0
"""How long another process may take to start the server of the data directory."""


class Database(msgspec.Struct, frozen=True):
    """Where the index is.

    url         for reads, maybe through a pooler
    direct_url  for writers, migrations and session locks
    server      the embedded server, when this process runs it
    """

    url: str
    direct_url: str
    server: EmbeddedPostgres | None = None

    @property
    def place(self) -> str:
        """`host:port/database`, for messages."""
        return database_place(self.direct_url)

    async def connect(self) -> Conn:
        """A connection of a writer's own."""
        return await connect(self.direct_url, application_name="renown-writer")

    async def listen(self) -> Conn:
        """A connection for hearing what changes."""
        return await connect(self.direct_url, application_name="renown-listener")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Conn]:
        """A connection for the reads of a command.

        Raises:
            SchemaBehind: the database is not migrated.
        """
        conn = await connect(self.direct_url, application_name="renown-cli", numeric_as_int=True)
        try:
            await require_current(conn)
            yield conn
        finally:
            await conn.close()


@asynccontextmanager
async def database(
    settings: Settings, *, alone: bool = False, create: bool = False, service: bool = False
) -> AsyncIterator[Database]:
    """The database the settings name: a server, or the embedded one of the data directory.

    The embedded one is started for as long as the block runs, unless another process has it
    running: then we are its guest.

    Args:
        alone: no guest: the data directory must be free.
        create: make the embedded cluster where there is none.
        service: start the embedded server again whenever it dies.

    Raises:
        DataDirectoryInUse: with `alone`.
        SetupError: no cluster there, or it does not start.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        direct = settings.database_direct_url
        yield Database(url, direct.get_secret_value() if direct is not None else url)
        return
    folder = settings.data_dir
    if not create and not (folder / "pgdata").exists():
        raise SetupError(
            f"there is no index in {folder} yet: run `renown up` first, "
            "or set DATABASE_URL or RENOWN_DATA_DIR"
        )
    server = EmbeddedPostgres(folder, bin_dir=settings.pg_bin_dir)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(in_thread(server.start, server.stop))
        except DataDirectoryInUse:
            if alone:
                raise
            url = await _guest_url(folder)
            yield Database(url, url)
        else:
            if service:
                await stack.enter_async_context(beside(server.keep_running()))
            yield Database(server.dsn(), server.dsn(), server)


@asynccontextmanager
async def api_pool(settings: Settings, where: Database) -> AsyncIterator[Pool]:
    """The API's connections, as the settings bound them."""
    pool = await connect_pool(
        where.url,
        min_size=settings.db_pool_min_size,
        max_size=settings.db_pool_max_size,
        max_queries=settings.db_max_queries,
        max_inactive_seconds=settings.db_max_inactive_time,
        connect_timeout_seconds=settings.db_timeout,
        command_timeout_seconds=settings.db_command_timeout,
        statement_cache_size=settings.pg_statement_cache,
        application_name="renown-api",
    )
    try:
        yield pool
    finally:
        await pool.close(grace_seconds=2)


def load(chains: Sequence[str] | None = None, *, service: bool = False, **given: Any) -> Settings:
    """The settings, with logs set up as they say. `chains` and `given` are of the command line.

    Args:
        service: it logs what happens; a short command warns only, unless a level is set.

    Raises:
        BadSettings: one line per wrong variable.
        ChainNotFound: one of `chains` is none.
    """
    slugs = tuple(deployment.slug for deployment in deployments(chains or ()))
    settings = load_settings(chains=slugs or None, **given)
    asked = service or "log_level" in settings.model_fields_set
    configure_logging(
        settings.log_format,
        settings.log_level if asked else "warning",
        stream=cast("TextIO", CurrentStderr()),
    )
    return settings


def chosen(settings: Settings) -> list[Deployment]:
    """The chains to follow, with the validation registries that the settings add."""
    return [
        msgspec.structs.replace(
            deployment,
            validation=tuple(
                dict.fromkeys(
                    (
                        *deployment.validation,
                        *settings.validation_contracts.get(deployment.chain_id, ()),
                    )
                )
            ),
        )
        for deployment in deployments(settings.chains)
    ]


def job(settings: Settings, deployment: Deployment, *, urls: Sequence[str] = ()) -> Job:
    """What to follow a chain by: `urls`, else the settings' nodes, else public ones.

    Raises:
        BadSettings: nobody knows a node.
    """
    urls = urls or settings.rpc_urls.get(deployment.chain_id) or endpoints(deployment.chain_id)
    if not urls:
        raise BadSettings(
            f"no public node is known for {deployment.slug}: set RPC_URL to one of yours"
        )
    return Job(
        deployment,
        urls,
        poll_seconds=settings.poll_seconds,
        batch_events=settings.backfill_batch_events,
    )


async def _guest_url(folder: Path) -> str:
    """URL of the server that another process runs, or is just starting, on `folder`."""
    give_up_at = time.monotonic() + ATTACH_SECONDS
    while time.monotonic() < give_up_at:
        if (url := running_dsn(folder)) is not None:
            return url
        await asyncio.sleep(0.1)
    raise DataDirectoryInUse(f"another Renown has {folder} but its database does not answer")
