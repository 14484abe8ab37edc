"""The web application: routes, errors, the contract, and the pool it reads through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from renown.api import openapi, problems, web
from renown.api.access.authenticate import Authenticator
from renown.api.access.client_address import TrustedProxies
from renown.api.access.gate import Gate
from renown.api.access.limiting import Limiter
from renown.api.access.pseudonyms import Pseudonyms
from renown.api.audited.book import Book
from renown.api.audited.middleware import Audited
from renown.api.audited.refusals import Refusals
from renown.api.cache.running import caching
from renown.api.compressed import Compressed
from renown.api.deps import Desk
from renown.api.health import Expected, Watch
from renown.api.measured import Measured
from renown.api.pages import Cursors
from renown.api.routes import (
    accounts,
    agents,
    audit,
    chains,
    documents,
    exports,
    feedback,
    hosted,
    keys,
    leaderboards,
    marks,
    operations,
    operations_acting,
    payments,
    search,
    sessions,
    stats,
    writes,
)
from renown.api.routing import add_routes
from renown.api.short_way import ShortWay
from renown.api.web import found, leading, pages, searching, status
from renown.api.wire import Wire
from renown.errors import BadSettings
from renown.obs import metrics
from renown.obs.logging import configure_logging
from renown.obs.tracing import TRACES
from renown.settings import Settings, load_settings
from renown.shared.answers import SharedAnswers
from renown.shared.redis import SharedStore
from renown.spec.deployments import find
from renown.store.pool import Conn, Pool, PoolName, connect, connect_pool, wait_until_there
from renown.store.replica import Replica

if TYPE_CHECKING:
    from renown.chain.tx.signer import Signer
    from renown.chain.tx.writer import ChainWriter

START_SECONDS = 60.0
"""How long a start waits for a database that is away."""


def create_app(
    settings: Settings | None = None,
    *,
    pool: Pool | None = None,
    writers: Mapping[int, ChainWriter] | None = None,
    signer: Signer | None = None,
    signer_is_open: bool = False,
    listen: Callable[[], Awaitable[Conn]] | None = None,
) -> FastAPI:
    """The API and its pages.

    Without arguments it reads the environment and sets up the log, so that a server can be told to
    make it: `uvicorn --factory renown.api.app:create_app`.

    Args:
        settings: where the database is and how cursors are signed.
        pool: an open pool to read through, which stays its owner's to close; without it one is
            opened when the app starts and closed when it stops.
        writers: the nodes of each chain that can be written to; theirs to open and close.
        signer: whose wallets the server signs with, and `signer_is_open` whether for everybody.
        listen: opens a connection for hearing what changes, never through a pooler; without it
            the settings' direct URL is used. Where there is neither, no answers are kept.

    Raises:
        BadSettings: settings are wrong, or name no database and `pool` is missing.
    """
    chosen = settings or load_settings()
    if settings is None:  # a server's: unconfigured, tracebacks would show what variables hold
        configure_logging(chosen.log_format, chosen.log_level)
    if pool is None and chosen.database_url is None:
        raise BadSettings("DATABASE_URL is needed to serve the API on its own")
    desk = Desk(
        pool,
        Cursors(chosen.cursor_key()),
        chosen.exports_folder,
        public_url=chosen.public_base_url,
        writers=writers,
        signer=signer,
        signer_is_open=signer_is_open,
        allowance=chosen.allowance,
        sign_up=chosen.sign_up,
        tokens=chosen.tokens,
    )
    shared = None
    if chosen.redis_url is not None:
        shared = SharedStore(chosen.redis_url.get_secret_value())
        desk.dear.shared = SharedAnswers(shared, chosen.cursor_key(), version("renown"))
    proxies = TrustedProxies(chosen.trusted_proxies)
    pseudonyms, refusals = Pseudonyms(desk.reading), Refusals()
    book = desk.book = Book(desk.reading, pseudonyms, refusals)
    desk.gate = Gate(
        Authenticator(desk.reading, chosen.key_peppers()),
        Limiter(chosen.limits, shared),
        public_reads=chosen.public_reads,
        trusted_proxies=proxies,
        limits=chosen.limits,
        pseudonyms=pseudonyms,
    )
    desk.watch = Watch(desk, _expected(chosen), shared)
    _configure(chosen, signs=signer is not None)
    hear = listen or _listener(chosen)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, TRACES.stop)
            if shared is not None:
                stack.push_async_callback(shared.close)
            if pool is None:
                assert chosen.database_url is not None
                url = chosen.database_url.get_secret_value()
                await wait_until_there(url, most_seconds=START_SECONDS)
                desk.pool = await stack.enter_async_context(opened_pool(chosen, url))
            if chosen.database_replica_url is not None and desk.pool is not None:
                desk.replica = await stack.enter_async_context(_opened_replica(chosen, desk.pool))
            stack.push_async_callback(book.close)
            stack.push_async_callback(desk.gate.close)
            forget = desk.gate.authenticator.forget
            await stack.enter_async_context(caching(desk.kept, desk.dear, hear, on_key=forget))
            await stack.enter_async_context(desk.watch.kept_up())
            yield
        desk.replica = None
        if pool is None:
            desk.pool = None

    app = FastAPI(
        title=openapi.TITLE,
        version=version("renown"),
        lifespan=lifespan,
        docs_url=None,  # theirs load scripts from other hosts; ours is a page
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        # Looked for with each request otherwise; what we measure is in `measured`.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.desk = desk
    data = (agents, search, documents, feedback, chains, leaderboards, exports, operations)
    more = (payments, stats)
    acting = (accounts, keys, sessions, writes, operations_acting, hosted, audit, marks)
    for routes in (*data, *more, *acting, pages, searching, found, leading, status):
        add_routes(app, routes.router)
    static = Path(web.__file__).parent / "static"
    app.mount("/static", StaticFiles(directory=static), name="static")
    problems.install(app)
    openapi.install(app)
    # Outermost, so that it dresses answers to our own mistakes too.
    audited = Audited(
        app.build_middleware_stack(),
        book,
        pseudonyms,
        refusals,
        trusted=proxies,
        body_bytes=chosen.audit_body_bytes,
        keeps_entries=chosen.audit,
    )
    app.middleware_stack = ShortWay(app, Measured(Wire(Compressed(audited)), proxies), audited)
    return app


def _configure(settings: Settings, *, signs: bool) -> None:
    """Tell the metrics what this process has, and make traces if they are wanted."""
    metrics.configured(
        api=True,
        audit=settings.audit,
        crawler=settings.crawl,
        signer=signs,
        redis=settings.redis_url is not None,
        replica=settings.database_replica_url is not None,
        # The one setting that nobody changes for another reason.
        pgbouncer=settings.pg_statement_cache == 0,
        traces=settings.traces_url is not None,
    )
    if settings.traces_url is not None:
        TRACES.start(settings.traces_url.get_secret_value(), share=settings.traces_share)


def _expected(settings: Settings) -> Expected:
    folders = {"exports": settings.exports_folder}
    if settings.database_url is None:  # the data directory is here, and all are of one disk
        folders |= {"data": settings.data_dir, "audit": settings.audit_folder}
    return Expected(
        ready_lag_seconds=settings.ready_lag_seconds,
        replica_max_lag_seconds=settings.replica_max_lag_seconds,
        checkpoint_seconds=settings.audit_checkpoint_seconds,
        crawl=settings.crawl,
        # Only where somebody says which: elsewhere the index itself tells.
        chains=frozenset(find(name).slug for name in settings.chains)
        if "chains" in settings.model_fields_set
        else None,
        folders=folders,
    )


@asynccontextmanager
async def opened_pool(
    settings: Settings, url: str, *, name: PoolName = "primary", grace_seconds: float = 10.0
) -> AsyncIterator[Pool]:
    """The API's connections to the database at `url`, as the settings bound them.

    To the replica none is opened before it is needed: it may be away when we start.
    """
    opened = await connect_pool(
        url,
        name=name,
        min_size=settings.db_pool_min_size if name == "primary" else 0,
        max_size=settings.db_pool_max_size,
        max_waiters=settings.db_pool_waiters,
        max_queries=settings.db_max_queries,
        max_inactive_seconds=settings.db_max_inactive_time,
        timeout_seconds=settings.db_timeout,
        connect_timeout_seconds=settings.db_timeout,
        command_timeout_seconds=settings.db_command_timeout,
        statement_cache_size=settings.pg_statement_cache,
        application_name="renown-api",
    )
    try:
        yield opened
    finally:
        await opened.close(grace_seconds=grace_seconds)


@asynccontextmanager
async def _opened_replica(settings: Settings, primary: Pool) -> AsyncIterator[Replica]:
    assert settings.database_replica_url is not None
    url = settings.database_replica_url.get_secret_value()
    async with opened_pool(settings, url, name="replica") as pool:
        replica = Replica(pool, primary, max_lag_seconds=settings.replica_max_lag_seconds)
        async with replica.watched():
            yield replica


def _listener(settings: Settings) -> Callable[[], Awaitable[Conn]] | None:
    url = settings.database_direct_url or settings.database_url
    if url is None:
        return None
    return partial(connect, url.get_secret_value(), application_name="renown-listener")
