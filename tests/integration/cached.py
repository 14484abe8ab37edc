"""An app with its caches at work, on a database that a test writes to, and reads that wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from renown.api.app import create_app
from renown.api.cache.dear import Dear
from renown.api.cache.kept import Kept
from renown.obs import metrics
from renown.settings import Settings
from renown.store.pool import Conn, Pool, connect, connect_pool
from renown.store.pulse import Pulse
from tests.integration.api import SECRET


class Watched:
    """A pool that counts statements, and lets a test stand between a read and its end.

    Attributes:
        statements: run so far.
        after: awaited when a read has its rows and gives its connection back.
        instead: a connection that reads are made on, such as one that sees the past.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.statements = 0
        self.after: Callable[[], Awaitable[Any]] | None = None
        self.instead: Conn | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        async with self._pool.connection() as conn:
            used = self.instead or conn
            used.add_query_logger(self._count)
            try:
                yield used
                if self.after is not None:
                    await self.after()
            finally:
                await asyncio.sleep(0)  # the driver tells of a statement in the loop's next round
                used.remove_query_logger(self._count)

    @property
    def timeout_seconds(self) -> float:
        return self._pool.timeout_seconds

    def refuse_beyond(self, waiting: int) -> None:
        self._pool.refuse_beyond(waiting)

    def waited_in_vain(self) -> Exception:
        return self._pool.waited_in_vain()

    def _count(self, _record: object) -> None:
        self.statements += 1


class Cached:
    """The app and what a test looks at."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, watched: Watched) -> None:
        self.app, self.client, self.watched = app, client, watched
        self.kept: Kept = app.state.desk.kept
        self.dear: Dear = app.state.desk.dear
        self._words = self._heard = 0
        self._changed = self.kept.changed
        self.kept.changed = self._listen

    def _listen(self, chain_id: int, agents: frozenset[int] | None) -> None:
        if chain_id == 0 and agents is not None:
            (self._heard,) = agents
        else:
            self._changed(chain_id, agents)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        answer = await self.client.get(path, headers=headers)
        assert answer.status_code in (200, 304), answer.text
        return answer

    async def hears(self, url: str) -> None:
        """Wait until the app has heard all that was committed so far."""
        # Words come in the order of their commits: after this one all others were heard.
        self._words += 1
        conn = await connect(url)
        try:
            await conn.execute("SELECT pg_notify('renown_change', $1)", f"0:{self._words}")
            rows = await conn.fetch("SELECT chain_id, position, final_block FROM checkpoint")
        finally:
            await conn.close()
        await until(lambda: self._heard == self._words)
        wanted = {row[0]: (row[1], row[2]) for row in rows}
        await until(lambda: followed(self.kept) == wanted)


def followed(kept: Kept) -> dict[int, tuple[int, int]]:
    """How far each chain was followed: position and final block."""
    return {n: (c.head.position, c.head.final_block) for n, c in kept._chains.items()}


async def until(done: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.002)


def read_as(cache: str, outcome: str) -> float:
    """How many requests of all routes came out so, as the metrics have it."""
    return sum(
        sample.value
        for metric in metrics.CACHE_READS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
        and (sample.labels["cache"], sample.labels["outcome"]) == (cache, outcome)
    )


@asynccontextmanager
async def cached_on(
    url: str, *, listen: Callable[[], Awaitable[Conn]] | None = None, **settings: Any
) -> AsyncIterator[Cached]:
    """The app on the database at `url`, started, its caches hearing what changes."""
    pool = await connect_pool(url, min_size=1, max_size=4)
    watched = Watched(pool)
    app = create_app(
        Settings(cursor_secret=SECRET, **settings),  # type: ignore[arg-type]
        pool=watched,  # type: ignore[arg-type]
        listen=listen or (lambda: connect(url, application_name="renown-listener")),
    )
    app.state.desk.gate.limiter = None  # a stampede is more than anybody may
    app.state.desk.watch.pulse = Pulse(pool.connection)  # whose statements do not count
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://api") as client,
        ):
            cached = Cached(app, client, watched)
            await until(lambda: cached.kept._hearing)
            yield cached
    finally:
        await pool.close(grace_seconds=2)
