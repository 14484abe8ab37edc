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
from renown.store.audit_entries import say_who_for_good
from renown.store.embedded import EmbeddedPostgres, running_dsn
from renown.store.migrate import Applied, Phase, migrate, pending, require_current
from renown.store.pool import Conn, Pool, connect, database_place, wait_until_there
from renown.store.roles import KINDS, Kind, Names, apply, create, existing, url_as

ATTACH_SECONDS = 15.0
"""How long another process may take to start the server of the data directory."""
START_SECONDS = 60.0
"""How long a service that starts waits for a database that is away."""


class Database(msgspec.Struct, frozen=True):
    """Where the index is.

    url         for the API, maybe through a pooler
    direct_url  for workers and session locks; of the embedded server: as the owner of everything
    server      the embedded server, when this process runs it
    roles       what the services of the embedded server act as; None: as the user of the URLs
    is_pooled   `direct_url` leads through a pooler, too, for want of another: no session is there
    """

    url: str
    direct_url: str
    server: EmbeddedPostgres | None = None
    roles: Names | None = None
    is_pooled: bool = False

    @property
    def place(self) -> str:
        """`host:port/database`, for messages."""
        return database_place(self.direct_url)

    def must_be_direct(self) -> None:
        """For all that sets something for its session, or holds locks with it.

        Through a pooler what we set would be another client's a moment later (who acts, and that
        the indexer writes), and our locks would be held by nobody.

        Raises:
            BadSettings: only a pooler is known.
        """
        if self.is_pooled:
            raise BadSettings(
                "set DATABASE_DIRECT_URL to PostgreSQL itself: this needs a session of its own, "
                "and RENOWN_PG_STATEMENT_CACHE=0 says that DATABASE_URL leads through PgBouncer"
            )

    async def connect(self) -> Conn:
        """A connection of a worker's own, with the rights of workers.

        Raises:
            BadSettings: only a pooler is known.
        """
        self.must_be_direct()
        conn = await connect(self._as("writer"), application_name="renown-writer")
        await say_who_for_good(conn)
        return conn

    async def briefly(self) -> Conn:
        """As `connect`, for single transactions that say themselves who acts: a pooler may be
        between."""
        cache = 0 if self.is_pooled else 100
        return await connect(
            self._as("writer"), application_name="renown-writer", statement_cache_size=cache
        )

    async def check_schema(self) -> None:
        """Through a pooler, too.

        Raises:
            SchemaBehind: the database is not migrated.
        """
        conn = await self.briefly()
        try:
            await require_current(conn)
        finally:
            await conn.close()

    async def listen(self) -> Conn:
        """A connection for hearing what changes."""
        return await connect(self._as("api"), application_name="renown-listener")

    async def own(self) -> Conn:
        """A connection for what only the owner of the tables may do.

        Raises:
            BadSettings: only a pooler is known.
        """
        self.must_be_direct()
        conn = await connect(self.direct_url, application_name="renown-owner")
        await say_who_for_good(conn)
        return conn

    async def migrate(self, *, phase: Phase = "all", dry_run: bool = False) -> list[Applied]:
        """Bring the schema to this version, with the roles' rights; see `store.migrate.migrate`.

        Raises:
            BadSettings: only a pooler is known.
        """
        self.must_be_direct()
        done = await migrate(self.direct_url, phase=phase, dry_run=dry_run)
        if self.roles is not None and not dry_run:
            await self._give_rights(self.roles)
        return done

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Conn]:
        """A connection for the reads of a command.

        Raises:
            SchemaBehind: the database is not migrated.
            BadSettings: only a pooler is known.
        """
        self.must_be_direct()
        conn = await connect(self.direct_url, application_name="renown-cli", numeric_as_int=True)
        try:
            await require_current(conn)
            await say_who_for_good(conn)
            yield conn
        finally:
            await conn.close()

    def _as(self, kind: Kind) -> str:
        return self.direct_url if self.roles is None else url_as(self.direct_url, kind, self.roles)

    async def _give_rights(self, names: Names) -> None:
        conn = await self.own()
        try:
            if len(await existing(conn)) < len(KINDS):
                await apply(conn, names)
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
        service: start the embedded server again whenever it dies; wait for one that is named and
            away, for a minute.

    Raises:
        DataDirectoryInUse: with `alone`.
        SetupError: no cluster there, or it does not start.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        secret = settings.database_direct_url
        direct = secret.get_secret_value() if secret is not None else url
        if service:
            await wait_until_there(direct, most_seconds=START_SECONDS)
        pooled = secret is None and settings.pg_statement_cache == 0
        yield Database(url, direct, is_pooled=pooled)
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
            yield _embedded(await _guest_url(folder))
        else:
            if service:
                await stack.enter_async_context(beside(server.keep_running()))
            where = _embedded(server.dsn(), server)
            await _prepare_roles(where)
            yield where


@asynccontextmanager
async def api_pool(settings: Settings, where: Database) -> AsyncIterator[Pool]:
    """The API's connections, as the settings bound them."""
    from renown.api.app import opened_pool

    async with opened_pool(settings, where.url, grace_seconds=2) as pool:
        yield pool


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


def _embedded(url: str, server: EmbeddedPostgres | None = None) -> Database:
    names = Names()
    return Database(url_as(url, "api", names), url, server, names)


async def _prepare_roles(where: Database) -> None:
    """Services can connect, and may do their work once there is a schema of this version."""
    assert where.roles is not None
    conn = await where.own()
    try:
        await create(conn, where.roles)
        if not await pending(conn) and len(await existing(conn)) < len(KINDS):
            await apply(conn, where.roles)
    finally:
        await conn.close()


async def _guest_url(folder: Path) -> str:
    """URL of the server that another process runs, or is just starting, on `folder`."""
    give_up_at = time.monotonic() + ATTACH_SECONDS
    while time.monotonic() < give_up_at:
        if (url := running_dsn(folder)) is not None:
            return url
        await asyncio.sleep(0.1)
    raise DataDirectoryInUse(f"another Renown has {folder} but its database does not answer")
