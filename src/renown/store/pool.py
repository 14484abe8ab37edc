"""The pool: connections to one database that many share, from its opening to its end.

What single connections and transactions are stands in `store.connecting`, what failures are called
in `store.failures`; their names can be had here, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic, perf_counter
from types import TracebackType
from typing import Literal, TypeAlias

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
    FAILURES,
    is_conflict,
    meaning_of,
    naming_failures,
    retry_conflicts,
    translate,
)
from renown.store.lending import Lending
from renown.store.opening import Opening

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
        lending: Lending,
        place: str,
        opening: Opening,
        *,
        name: PoolName,
        max_size: int,
        max_waiters: int,
        timeout_seconds: float,
    ) -> None:
        self.name: PoolName = name
        self._lending = lending
        self._place = place
        self._opening = opening
        self._max_size = max_size
        self._max_wanted = max_size + max_waiters
        self._timeout_seconds = timeout_seconds
        self._wanted = 0  # callers that wait for a connection or have one
        self._wait_seconds = 0.0
        self._acquired = self._timeouts = self._refused = 0
        self._told_opened = 0
        self._observe_wait = metrics.POOL_WAIT_SECONDS.labels(name).observe

    def connection(self) -> Lent:
        """One connection for the length of the block: `async with pool.connection() as conn`.

        Hold one per request, not one per query, and never ask for a second while holding one: when
        all do, all wait. Settings changed with SET (not SET LOCAL), session locks and LISTEN would
        leak to the next user, because handing a connection back costs no round trip here: use
        `connect` for those. A single statement takes another time limit by the driver's `timeout=`.
        After the block the connection is another's: a statement on it raises RuntimeError while
        it is idle, and is not noticed once somebody else has it.

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
        return self._lending.size

    @property
    def idle(self) -> int:
        """Open connections nobody uses now."""
        return self._lending.idle

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
            recycled=self._lending.recycled,
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

    @property
    def timeout_seconds(self) -> float:
        """How long anybody waits for a connection."""
        return self._timeout_seconds

    def refuse_beyond(self, waiting: int) -> None:
        """Refuse one more where so many wait, for the pool or in a queue in front of it.

        Raises:
            Overloaded: they are as many as may wait.
        """
        if waiting >= self._max_wanted - self._max_size:
            self._refused += 1
            metrics.HTTP_SHED.labels("pool-full").inc()
            raise Overloaded(
                f"{waiting} wait for one of {self._max_size} connections to {self._place}",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )

    def waited_in_vain(self) -> DatabaseUnavailable | Overloaded:
        """The error of one who waited `timeout_seconds`, here or in a queue in front; counted."""
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

    async def close(self, *, grace_seconds: float = 10.0) -> None:
        """Close after waiting `grace_seconds` for borrowed connections to come back. Those that do
        not are cut off."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._lending.close()

    async def _take(self) -> TimedConnection:
        """A connection that works. The caller gives it back by `_give_back`, whatever happens."""
        self.refuse_beyond(self._wanted - self._max_size)
        self._wanted += 1
        waited = 0.0
        try:
            conn = self._lending.take_idle()
            if conn is None or monotonic() - conn.used_at > LOOK_AFTER_SECONDS:
                began = perf_counter()
                until = monotonic() + self._timeout_seconds
                if conn is None:
                    conn = await self._next_back(until)
                conn = await self._next_in_time(conn, until)
                waited = perf_counter() - began
        except BaseException:
            self._wanted -= 1
            raise
        self._wait_seconds += waited
        self._acquired += 1
        self._observe_wait(waited)
        return conn

    async def _next_back(self, until: float) -> TimedConnection | None:
        try:
            return await self._lending.next_back(until)
        except TimeoutError as exc:
            raise self.waited_in_vain() from exc

    async def _next_in_time(self, conn: TimedConnection | None, until: float) -> TimedConnection:
        """`conn`, or another that works. The limit holds for an opening, too, and for the look at
        one that was idle for long."""
        if conn is not None and monotonic() - conn.used_at <= LOOK_AFTER_SECONDS:
            return conn
        try:
            async with asyncio.timeout(until - monotonic()) as limit:
                while True:
                    conn = conn or await self._lending.take()
                    if await self._is_alive(conn):
                        return conn
                    conn = None
        except TimeoutError as exc:
            if limit.expired():
                raise self.waited_in_vain() from exc
            raise

    async def _is_alive(self, conn: TimedConnection) -> bool:
        """One that was idle for long may be dead without knowing it. If so, those that were idle
        for as long are as dead, and would each cost a look."""
        before = monotonic() - LOOK_AFTER_SECONDS
        if conn.used_at > before:
            return True
        try:
            await conn.execute("SELECT 1", timeout=LOOK_SECONDS)
        except FAILURES:
            self._lending.drop(conn)
            self._lending.drop_idle_since(before)
            return False
        except BaseException:
            self._lending.drop(conn)
            raise
        return True

    async def _give_back(self, conn: TimedConnection) -> None:
        try:
            await self._lending.give_back(conn)
        finally:
            self._wanted -= 1


class Lent:
    """A connection for the length of an `async with`; made by `Pool.connection`."""

    __slots__ = ("_conn", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Conn:
        try:
            self._conn = await self._pool._take()
        except FAILURES as exc:
            _raise_meaning(exc, self._pool._place)
            raise
        return self._conn

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._pool._give_back(self._conn)
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
    lending = Lending(
        opening,
        place,
        name=name,
        min_size=min_size,
        max_size=max_size,
        max_queries=max_queries,
        max_inactive_seconds=max_inactive_seconds,
    )
    await lending.fill()
    made = Pool(
        lending,
        place,
        opening,
        name=name,
        max_size=max_size,
        max_waiters=max_waiters,
        timeout_seconds=timeout_seconds,
    )
    if min_size:
        await _warn_if_crowded(made, max_size)
    return made


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
