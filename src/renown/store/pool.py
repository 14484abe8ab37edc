"""Connections to PostgreSQL, and what its failures are called.

A `Conn` runs single statements; a `Tx` means several succeed or fail together, and only
`transaction` makes one, so a function that takes a `Tx` says that its caller must decide more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NewType, TypeAlias, TypeVar, cast
from urllib.parse import parse_qsl, unquote

import asyncpg

from renown.errors import BadSettings, DatabaseFull, DatabaseUnavailable, RenownError, StoreError

if TYPE_CHECKING:
    Conn: TypeAlias = asyncpg.Connection[asyncpg.Record]
    _AsyncpgPool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Conn = asyncpg.Connection
    _AsyncpgPool = asyncpg.Pool

Tx = NewType("Tx", Conn)

Isolation: TypeAlias = Literal["read_committed", "repeatable_read", "serializable"]
T = TypeVar("T")


class Pool:
    """A bounded set of connections to one database. Made by `connect_pool`."""

    def __init__(self, pool: _AsyncpgPool, place: str) -> None:
        self._pool = pool
        self._place = place

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        """One connection for the length of the block; hold one per request, not one per query.

        Settings changed with SET (not SET LOCAL), session locks and LISTEN would leak to the next
        user, because handing a connection back costs no round trip here: use `connect` for those.

        Raises:
            StoreError: see `translate`.
        """
        with naming_failures(self._place):
            async with self._pool.acquire() as conn:
                yield cast(Conn, conn)

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

    async def close(self, *, grace_seconds: float = 10.0) -> None:
        """Close after waiting `grace_seconds` for borrowed connections to come back."""
        try:
            async with asyncio.timeout(grace_seconds):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


async def connect_pool(
    dsn: str,
    *,
    min_size: int = 1,
    max_size: int = 10,
    max_queries: int = 50_000,
    max_inactive_seconds: float = 300.0,
    connect_timeout_seconds: float = 10.0,
    command_timeout_seconds: float | None = 60.0,
    statement_cache_size: int = 100,
    application_name: str = "renown",
    numeric_as_int: bool = True,
) -> Pool:
    """Open `min_size` connections to `dsn`, and up to `max_size` when needed.

    Args:
        statement_cache_size: 0 behind PgBouncer in transaction mode, where a prepared statement
            of one transaction is unknown to the next.
        numeric_as_int: see `connect`.

    Raises:
        BadSettings: `dsn` is no PostgreSQL URL, or the server refuses its user or database.
        DatabaseUnavailable: nobody answers there.
    """
    place = database_place(dsn)

    async def init(conn: Conn) -> None:
        await _set_codecs(conn, numeric_as_int)

    try:
        pool = await asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            max_queries=max_queries,
            max_inactive_connection_lifetime=max_inactive_seconds,
            timeout=connect_timeout_seconds,
            command_timeout=command_timeout_seconds,
            statement_cache_size=statement_cache_size,
            server_settings={"application_name": application_name},
            init=init,
            reset=_no_reset,
        )
    except _CONNECT_FAILURES as exc:
        raise _translate_connect(exc, place) from exc
    return Pool(pool, place)


async def connect(
    dsn: str,
    *,
    connect_timeout_seconds: float = 10.0,
    command_timeout_seconds: float | None = None,
    statement_cache_size: int = 100,
    application_name: str = "renown",
    numeric_as_int: bool = False,
) -> Conn:
    """One connection of its own: for writers, migrations, listeners and session locks.

    Args:
        numeric_as_int: read whole `numeric` values as int instead of Decimal. Never on a
            connection that runs binary COPY: the codec is textual, and COPY takes binary only.

    Raises:
        BadSettings, DatabaseUnavailable: as `connect_pool`.
    """
    place = database_place(dsn)
    try:
        conn: Conn = await asyncpg.connect(
            dsn,
            timeout=connect_timeout_seconds,
            command_timeout=command_timeout_seconds,
            statement_cache_size=statement_cache_size,
            server_settings={"application_name": application_name},
        )
        await _set_codecs(conn, numeric_as_int)
    except _CONNECT_FAILURES as exc:
        raise _translate_connect(exc, place) from exc
    return conn


@asynccontextmanager
async def transaction(conn: Conn, isolation: Isolation = "read_committed") -> AsyncIterator[Tx]:
    """Open a transaction on `conn`: committed at the end of the block, rolled back on any error.

    Within a transaction it makes a savepoint, whose isolation is that of the outer one.

    Raises:
        StoreError: see `translate`; the commit itself may fail too.
    """
    with naming_failures():
        async with conn.transaction(isolation=None if conn.is_in_transaction() else isolation):
            yield Tx(conn)


@contextmanager
def naming_failures(place: str | None = None) -> Iterator[None]:
    """The driver's failures leave the block as `translate` names them.

    For statements on a connection of one's own, outside `transaction`.
    """
    try:
        yield
    except _FAILURES as exc:
        if (task := _current_task()) is not None and task.cancelling():
            # Cancelled in the middle of a COPY, the driver cannot even roll back, and its complaint
            # takes the place of the cancellation: whoever cancelled would wait for ever.
            raise asyncio.CancelledError from exc
        meaning = translate(exc, place)
        if meaning is exc and isinstance(exc.__context__, _FAILURES):
            # The rollback failed on the connection that the first failure left broken.
            meaning = translate(exc.__context__, place)
        if meaning in (exc, exc.__context__):
            raise
        raise meaning from exc


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # outside a loop
        return None


async def retry_conflicts(
    work: Callable[[], Awaitable[T]], *, attempts: int = 5, base_seconds: float = 0.02
) -> T:
    """Run `work`, again if PostgreSQL undid it for the sake of another transaction.

    Only a serialization failure (40001) or a deadlock (40P01) is tried again, after a random pause
    that doubles in the mean. `work` must open its own transaction and have no other effect.
    """
    for attempt in range(attempts - 1):
        try:
            return await work()
        except (StoreError, asyncpg.PostgresError) as exc:
            if not is_conflict(exc):
                raise
        await asyncio.sleep(random.uniform(0, base_seconds * 2 ** (attempt + 1)))
    return await work()


def is_conflict(exc: BaseException) -> bool:
    """Whether PostgreSQL undid the transaction because of another, so that it may be retried."""
    cause = exc.__cause__ if isinstance(exc, StoreError) else exc
    return getattr(cause, "sqlstate", None) in ("40001", "40P01")


def database_place(dsn: str) -> str:
    """`host:port/database` of a database URL, for messages: no user, no password.

    Raises:
        BadSettings: not a URL that PostgreSQL's libraries take.
    """
    bad = "DATABASE_URL must look like postgresql://user:password@host:5432/database"
    # Whatever is said here never quotes the URL: a part misread as host may be the password.
    if any(c.isspace() for c in dsn):
        raise BadSettings(f"{bad}: it contains white space")
    if not dsn.startswith(("postgresql://", "postgres://")):
        raise BadSettings(f"{bad}: it does not begin with postgresql://")
    if "#" in dsn:
        raise BadSettings(f"{bad}: write # as %23 (and / as %2F, @ as %40) in a password")
    address, _, query = dsn.partition("://")[2].partition("?")
    authority, _, database = address.partition("/")
    hosts = authority.rpartition("@")[2] or dict(parse_qsl(query)).get("host", "localhost")
    places = []
    for host in hosts.split(","):
        match = _HOST.fullmatch(host)
        if match is None or int(match[2] or 5432) > 65535:
            raise BadSettings(f"{bad}: host or port cannot be read")
        places.append(f"{unquote(match[1])}:{match[2] or 5432}")
    return f"{','.join(places)}/{unquote(database)}"


def translate(exc: BaseException, place: str | None = None) -> BaseException:
    """The error of ours that a failure of the driver means, or `exc` itself.

    DatabaseUnavailable: the connection is lost, or the server starts, stops or is crowded.
    DatabaseFull: no room on its disk. StoreError: a time limit, a lock not had, a conflict (see
    `is_conflict`). What points to a mistake of ours (syntax, constraint, type) stays what it is.
    """
    where = f" at {place}" if place else ""
    if isinstance(exc, OSError) and not _raised_by_driver(exc):
        return exc  # a time-out or a broken connection of the caller's own
    if isinstance(exc, TimeoutError):
        return StoreError(f"the database{where} took too long")
    state = getattr(exc, "sqlstate", None) or ""
    if state == "53100":
        return DatabaseFull(f"the database{where} has no disk space left: free some, then go on")
    if state == "53300":
        return DatabaseUnavailable(f"the database{where} has no connection left")
    if state.startswith("08") or state in ("57P01", "57P02", "57P03", "57P05", "25P03"):
        return DatabaseUnavailable(f"the database{where} ended the connection")
    if state.startswith("53"):
        return StoreError(f"the database{where} lacks memory or another resource")
    if state == "57014":
        return StoreError("the statement was cancelled: it took longer than allowed")
    if state == "55P03":
        return StoreError("a lock was not to be had in time")
    if state in ("40001", "40P01"):
        return StoreError("the transaction was undone in favour of another")
    if isinstance(exc, OSError | asyncpg.InternalClientError):
        return DatabaseUnavailable(f"the connection to the database{where} broke")
    if isinstance(exc, asyncpg.InterfaceError) and "clos" in str(exc):
        return DatabaseUnavailable(f"the connection to the database{where} is closed")
    return exc


_HOST = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^:\[\]@]+)(?::(\d{1,5}))?")

_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection lost in the middle of a COPY shows like this
    OSError,  # TimeoutError is one
)
_CONNECT_FAILURES = (*_FAILURES, ValueError)


def _translate_connect(exc: BaseException, place: str) -> RenownError:
    state = getattr(exc, "sqlstate", None) or ""
    if state.startswith("28"):
        return BadSettings(f"the database at {place} refuses this user or password")
    if state == "3D000":
        return BadSettings(f"there is no such database at {place}: create it with createdb")
    if state == "42501":
        return BadSettings(f"this user may not connect to the database at {place}")
    if isinstance(exc, TimeoutError):
        return DatabaseUnavailable(f"no answer from the database at {place} in time")
    if isinstance(exc, OSError):
        # asyncio's own words replace the system's, and repeat the address.
        system = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror
        reason = (system or type(exc).__name__).lower()
        return DatabaseUnavailable(
            f"cannot reach the database at {place} ({reason}): is it running, is the address right?"
        )
    meaning = translate(exc, place)
    if isinstance(meaning, RenownError):
        return meaning
    # Words of the driver about a URL may quote it, password included.
    return BadSettings(f"cannot connect to the database at {place}: {type(exc).__name__}")


def _raised_by_driver(exc: BaseException) -> bool:
    return any(
        frame.f_globals.get("__name__", "").startswith("asyncpg")
        for frame, _ in traceback.walk_tb(exc.__traceback__)
    )


async def _set_codecs(conn: Conn, numeric_as_int: bool) -> None:
    if numeric_as_int:
        await conn.set_type_codec(
            "numeric", schema="pg_catalog", encoder=str, decoder=_whole, format="text"
        )


def _whole(text: str) -> int | Decimal:
    """Every numeric column we hold is whole; averages and ratios made in a query are not."""
    try:
        return int(text)
    except ValueError:
        return Decimal(text)


def _without_traceback(record: logging.LogRecord) -> bool:
    """The driver's pool tells of a database that is away with a traceback; the reason will do."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = f"{record.getMessage()} ({record.exc_info[1]!r})", ()
        record.exc_info = None
    return True


logging.getLogger("asyncpg.pool").addFilter(_without_traceback)


async def _no_reset(_: Any) -> None:
    """Nothing to undo, see `Pool.connection`; the default would cost a round trip per request."""
