"""The web application: routes, errors, the contract, and the pool it reads through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from renown.api import openapi, problems, web
from renown.api.deps import Desk
from renown.api.measured import Measured
from renown.api.pages import Cursors
from renown.api.routes import (
    agents,
    chains,
    documents,
    exports,
    feedback,
    operations,
    search,
)
from renown.api.routing import add_routes
from renown.api.web import found, pages, searching
from renown.api.wire import Wire
from renown.errors import BadSettings
from renown.settings import Settings, load_settings
from renown.store.pool import Pool, connect_pool


def create_app(settings: Settings | None = None, *, pool: Pool | None = None) -> FastAPI:
    """The API and its pages.

    Without arguments it reads the environment, so that a server can be told to make it:
    `uvicorn --factory renown.api.app:create_app`.

    Args:
        settings: where the database is and how cursors are signed.
        pool: an open pool to read through, which stays its owner's to close; without it one is
            opened when the app starts and closed when it stops.

    Raises:
        BadSettings: settings are wrong, or name no database and `pool` is missing.
    """
    chosen = settings or load_settings()
    if pool is None and chosen.database_url is None:
        raise BadSettings("DATABASE_URL is needed to serve the API on its own")
    desk = Desk(pool, Cursors(chosen.cursor_key()), chosen.exports_folder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if pool is not None:
            yield
            return
        desk.pool = await _open(chosen)
        try:
            yield
        finally:
            opened, desk.pool = desk.pool, None
            await opened.close()

    app = FastAPI(
        title=openapi.TITLE,
        version=version("renown"),
        lifespan=lifespan,
        docs_url=None,  # theirs load scripts from other hosts; ours is a page
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    app.state.desk = desk
    data = (agents, search, documents, feedback, chains, exports, operations)
    for routes in (*data, pages, searching, found):
        add_routes(app, routes.router)
    static = Path(web.__file__).parent / "static"
    app.mount("/static", StaticFiles(directory=static), name="static")
    problems.install(app)
    openapi.install(app)
    # Outermost, so that it dresses answers to our own mistakes too.
    app.middleware_stack = Measured(Wire(app.build_middleware_stack()))
    return app


async def _open(settings: Settings) -> Pool:
    assert settings.database_url is not None
    return await connect_pool(
        settings.database_url.get_secret_value(),
        min_size=settings.db_pool_min_size,
        max_size=settings.db_pool_max_size,
        max_queries=settings.db_max_queries,
        max_inactive_seconds=settings.db_max_inactive_time,
        connect_timeout_seconds=settings.db_timeout,
        command_timeout_seconds=settings.db_command_timeout,
        statement_cache_size=settings.pg_statement_cache,
        application_name="renown-api",
    )
