"""The pool: connections to one database that many share, from its opening to its end.

What single connections and transactions are stands in `store.connecting`, what failures are called
in `store.failures`; their names can be had here, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic, perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import asyncpg
import msgspec
import structlog

from renown.errors import DatabaseUnavailable, Overloaded
from renown.obs import metrics
from renown.store.connecting import (
    Conn,
    Isolation,
    TimedConnection,
    Tx,
    connect,
    transaction,
    wait_until_there,
)
from renown.store.dsn import database_place
from renown.store.failures import (
    CONNECT_FAILURES,
    FAILURES,
    is_conflict,
    meaning_of,
    naming_failures,
    retry_conflicts,
    translate,
    translate_connect,
)
from renown.store.opening import Opening

if TYPE_CHECKING:
    _AsyncpgPool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    _AsyncpgPool = asyncpg.Pool

__all__ = [
    "Conn",
    "Isolation",
    "Pool",
    "PoolName",
    "PoolStats",
    "Tx",
    "connect",
    "connect_pool",
    "database_place",
    "is_conflict",
    "naming_failures",
    "retry_conflicts",
    "transaction",
    "translate",
    "wait_until_there",
]

PoolName: TypeAlias = Literal["primary", "replica"]

LOOK_AFTER_SECONDS = 30.0
"""A connection that was idle for longer is asked whether it lives before anybody gets it."""
LOOK_SECONDS = 2.0
RETRY_AFTER_SECONDS = 2

log = structlog.get_logger(__name__)


class PoolStats(msgspec.Struct, frozen=True, kw_only=True):
    """A pool now, and what it did so far.

    Attributes:
        size, idle, busy: connections open, and of these unused and used.
        limit: most connections that it may have.
        waiters: callers that wait for a connection.
        wait_seconds: that all callers together have waited.
        acquired: connections lent.
        opened: connections made.
        recycled: closed after their most queries.
        timeouts: callers that got none in time.
        refused: callers that were turned away at once, because too many waited.
    """

    size: int
    idle: int
    busy: int
    limit: int
    waiters: int
    wait_seconds: float
    acquired: int
    opened: int
    recycled: int
    timeouts: int
    refused: int


class Pool:
    """A bounded set of connections to one database. Made by `connect_pool`."""

    def __init__(
        self,
        pool: _AsyncpgPool,
        place: str,
        opening: Opening,
        *,
        name: PoolName,
        max_size: int,
        max_waiters: int,
        max_queries: int,
        timeout_seconds: float,
    ) -> None:
        self.name: PoolName = name
        self._pool = pool
        self._place = place
        self._opening = opening
        self._max_size = max_size
        self._max_wanted = max_size + max_waiters
        self._max_queries = max_queries
        self._timeout_seconds = timeout_seconds
        self._wanted = 0  # callers that wait for a connection or have one
        self._wait_seconds = 0.0
        self._acquired = self._recycled = self._timeouts = self._refused = 0
        self._told_opened = 0
        self._closing = False
        self._observe_wait = metrics.POOL_WAIT_SECONDS.labels(name).observe

    def connection(self) -> Lent:
        """One connection for the length of the block: `async with pool.connection() as conn`.

        Hold one per request, not one per query, and never ask for a second while holding one: when
        all do, all wait. Settings changed with SET (not SET LOCAL), session locks and LISTEN would
        leak to the next user, because handing a connection back costs no round trip here: use
        `connect` for those. A single statement takes another time limit by the driver's `timeout=`.

        Raises:
            Overloaded: too many wait, or none was to be had in time.
            StoreError: see `translate`.
        """
        return Lent(self)

    @asynccontextmanager
    async def transaction(self, isolation: Isolation = "read_committed") -> AsyncIterator[Tx]:
        """A connection with an open transaction: committed at the end, rolled back on any error."""
        async with self.connection() as conn, transaction(conn, isolation) as tx:
            yield tx

    @property
    def size(self) -> int:
        """Connections open now."""
        return self._pool.get_size()

    @property
    def idle(self) -> int:
        """Open connections nobody uses now."""
        return self._pool.get_idle_size()

    def stats(self) -> PoolStats:
        """How it stands."""
        size, idle = self.size, self.idle
        return PoolStats(
            size=size,
            idle=idle,
            busy=size - idle,
            limit=self._max_size,
            waiters=max(0, self._wanted - self._max_size),
            wait_seconds=self._wait_seconds,
            acquired=self._acquired,
            opened=self._opening.opened,
            recycled=self._recycled,
            timeouts=self._timeouts,
            refused=self._refused,
        )

    def tell(self) -> None:
        """Set the gauges to what is so now."""
        stats, name = self.stats(), self.name
        metrics.POOL_CONNECTIONS.labels(name, "idle").set(stats.idle)
        metrics.POOL_CONNECTIONS.labels(name, "busy").set(stats.busy)
        metrics.POOL_LIMIT.labels(name).set(stats.limit)
        metrics.POOL_WAITERS.labels(name).set(stats.waiters)
        metrics.POOL_OPENED.labels(name).inc(stats.opened - self._told_opened)
        self._told_opened = stats.opened

    async def close(self, *, grace_seconds: float = 10.0) -> None:
        """Close after waiting `grace_seconds` for borrowed connections to come back."""
        self._closing = True
        try:
            async with asyncio.timeout(grace_seconds):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _take(self) -> Conn:
        """A connection that works. The caller gives it back by `_give_back`, whatever happens."""
        if self._wanted >= self._max_wanted:
            self._refused += 1
            metrics.HTTP_SHED.labels("pool-full").inc()
            raise Overloaded(
                f"{self._wanted - self._max_size} wait for one of {self._max_size} connections to "
                f"{self._place}",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        self._wanted += 1
        began = perf_counter()
        try:
            conn = await self._next_in_time()
        except BaseException:
            self._wanted -= 1
            raise
        waited = perf_counter() - began
        self._wait_seconds += waited
        self._acquired += 1
        self._observe_wait(waited)
        return cast(Conn, conn)

    async def _next_in_time(self) -> Any:
        """The limit holds for an opening, too, and for the look at one that was idle for long."""
        try:
            async with asyncio.timeout(self._timeout_seconds) as limit:
                while True:
                    try:
                        return await self._pool.acquire()
                    except _Dead:
                        self._drop_silent()
        except TimeoutError as exc:
            if limit.expired():
                raise self._timed_out() from exc
            raise

    async def _give_back(self, conn: Any, itself: TimedConnection) -> None:
        try:
            is_used_up = (
                not itself.is_closed()
                and cast(Any, itself)._protocol.queries_count >= self._max_queries
            )
            await self._pool.release(conn)
            if is_used_up and not self._closing:
                self._recycled += 1
                metrics.POOL_RECYCLED.labels(self.name).inc()
        finally:
            self._wanted -= 1

    def _timed_out(self) -> DatabaseUnavailable | Overloaded:
        if self._opening.is_failing or self.size == 0:
            return DatabaseUnavailable(f"no answer from the database at {self._place} in time")
        self._timeouts += 1
        metrics.POOL_TIMEOUTS.labels(self.name).inc()
        metrics.HTTP_SHED.labels("pool-timeout").inc()
        return Overloaded(
            f"none of {self._max_size} connections to {self._place} was to be had within "
            f"{self._timeout_seconds:g} s",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )

    def _drop_silent(self) -> None:
        """One did not answer: those idle for as long are as dead, and would each cost a look."""
        before = monotonic() - LOOK_AFTER_SECONDS
        for conn in list(self._opening.all):
            if not conn.is_lent and conn.used_at < before:
                conn.terminate()


class Lent:
    """A connection for the length of an `async with`; made by `Pool.connection`."""

    __slots__ = ("_conn", "_itself", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Conn:
        try:
            self._conn = await self._pool._take()
        except FAILURES as exc:
            _raise_meaning(exc, self._pool._place)
            raise
        # Asked for now: what is behind the proxy is gone from it once the connection is lost.
        self._itself: TimedConnection = cast(Any, self._conn).itself
        return self._conn

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._pool._give_back(self._conn, self._itself)
        except FAILURES as exc:
            if error is None:
                _raise_meaning(exc, self._pool._place)
                raise
        if isinstance(error, FAILURES):
            _raise_meaning(error, self._pool._place)


def _raise_meaning(exc: BaseException, place: str) -> None:
    """Raise what `exc` means, unless it stands for itself."""
    meaning = meaning_of(exc, place)
    if meaning not in (exc, exc.__context__):
        raise meaning from exc


async def connect_pool(
    dsn: str,
    *,
    name: PoolName = "primary",
    min_size: int = 1,
    max_size: int = 10,
    max_waiters: int = 300,
    max_queries: int = 50_000,
    max_inactive_seconds: float = 300.0,
    timeout_seconds: float = 10.0,
    connect_timeout_seconds: float = 10.0,
    command_timeout_seconds: float | None = 60.0,
    statement_cache_size: int = 100,
    application_name: str = "renown",
    numeric_as_int: bool = True,
) -> Pool:
    """Open `min_size` connections to `dsn`, and up to `max_size` when needed.

    Args:
        name: of the pool in metrics.
        max_waiters: callers that may wait for a connection; one more is Overloaded at once.
        max_queries: statements after which a connection is replaced.
        timeout_seconds: to get a connection of the pool, the opening of one among it.
        statement_cache_size: 0 behind PgBouncer in transaction mode, where a prepared statement
            of one transaction is unknown to the next.
        numeric_as_int: see `connect`.

    Raises:
        BadSettings: `dsn` is no PostgreSQL URL, or the server refuses its user or database.
        DatabaseUnavailable: nobody answers there.
    """
    place = database_place(dsn)

    async def open_one() -> Conn:
        return await connect(
            dsn,
            connect_timeout_seconds=connect_timeout_seconds,
            command_timeout_seconds=command_timeout_seconds,
            statement_cache_size=statement_cache_size,
            application_name=application_name,
            numeric_as_int=numeric_as_int,
        )

    opening = Opening(open_one, place)
    try:
        pool = await asyncpg.create_pool(
            min_size=min_size,
            max_size=max_size,
            max_queries=max_queries,
            max_inactive_connection_lifetime=max_inactive_seconds,
            connection_class=TimedConnection,
            connect=cast(Any, opening),
            setup=_look,
            reset=_handed_back,
        )
    except CONNECT_FAILURES as exc:
        raise translate_connect(exc, place) from exc
    made = Pool(
        pool,
        place,
        opening,
        name=name,
        max_size=max_size,
        max_waiters=max_waiters,
        max_queries=max_queries,
        timeout_seconds=timeout_seconds,
    )
    if min_size:
        await _warn_if_crowded(made, max_size)
    return made


class _Dead(Exception):
    """The connection that was to be lent does not answer."""


async def _look(conn: Any) -> None:
    """Before a connection is lent: one that was idle for long may be dead without knowing it."""
    itself: TimedConnection = conn.itself
    if monotonic() - itself.used_at > LOOK_AFTER_SECONDS:
        try:
            await itself.execute("SELECT 1", timeout=LOOK_SECONDS)
        except FAILURES:
            itself.terminate()
            raise _Dead from None
    itself.is_lent = True


async def _handed_back(conn: Any) -> None:
    """Nothing to undo, see `Pool.connection`; the default would cost a round trip per request."""
    conn.used_at = monotonic()
    conn.is_lent = False


ROOM = """
SELECT current_setting('max_connections')::int
       - current_setting('superuser_reserved_connections')::int AS server,
       (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user) AS role,
       (SELECT nullif(datconnlimit, -1) FROM pg_database
         WHERE datname = current_database()) AS database
"""


async def _warn_if_crowded(pool: Pool, max_size: int) -> None:
    """Say so if this pool alone may want more connections than the server has for it."""
    try:
        async with pool.connection() as conn:
            row = await conn.fetchrow(ROOM)
    except Exception:  # noqa: BLE001 - only for a warning; whoever asks next will tell
        return
    assert row is not None
    room = min(limit for limit in row.values() if limit is not None)
    if max_size > room:
        log.warning(
            "db_pool_larger_than_server",
            advice="lower DB_POOL_MAX_SIZE, raise the limit, or put PgBouncer between",
            pool_max_size=max_size,
            **{f"{name}_limit": limit for name, limit in row.items() if limit is not None},
        )


def _without_traceback(record: logging.LogRecord) -> bool:
    """The driver's pool tells of a database that is away with a traceback; the reason will do."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = f"{record.getMessage()} ({record.exc_info[1]!r})", ()
        record.exc_info = None
    return True


logging.getLogger("asyncpg.pool").addFilter(_without_traceback)
