"""Single connections: how they are opened, what they measure, and transactions on them.

A `Conn` runs single statements; a `Tx` means several succeed or fail together, and only
`transaction` makes one, so a function that takes a `Tx` says that its caller must decide more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Literal, NewType, NoReturn, TypeAlias

import asyncpg
import structlog

from renown.errors import DatabaseUnavailable, RenownError
from renown.obs import metrics
from renown.store.dsn import database_place, each_host, names_attributes
from renown.store.failures import CONNECT_FAILURES, naming_failures, translate_connect
from renown.store.statements import failed, ran

if TYPE_CHECKING:
    Conn: TypeAlias = asyncpg.Connection[asyncpg.Record]
    _Driver: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Conn = asyncpg.Connection
    _Driver = asyncpg.Connection

Tx = NewType("Tx", Conn)

Isolation: TypeAlias = Literal["read_committed", "repeatable_read", "serializable"]

LONGEST_PAUSE_SECONDS = 5.0
LONGEST_KEPT_BYTES = 2**15
"""Of statements that stay prepared: PostgreSQL plans each of them anew for its first five calls,
and a long one takes longer to plan than to run."""

log = structlog.get_logger(__name__)

_COMMITTED = metrics.TRANSACTIONS.labels("committed")
_ROLLED_BACK = metrics.TRANSACTIONS.labels("rolled_back")
_REFUSED = metrics.TRANSACTIONS.labels("refused")


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

    Of several hosts in `dsn` it is the first that answers and takes writes, unless the URL itself
    says otherwise (`target_session_attrs`).

    Args:
        connect_timeout_seconds: for all hosts together.
        numeric_as_int: read whole `numeric` values as int instead of Decimal. Never on a
            connection that runs binary COPY: the codec is textual, and COPY takes binary only.

    Raises:
        BadSettings: `dsn` is no PostgreSQL URL, or the server refuses its user or database.
        DatabaseUnavailable: nobody answers there.
    """
    place = database_place(dsn)
    urls = each_host(dsn)
    options: dict[str, Any] = {}
    if len(urls) > 1 and not names_attributes(dsn):
        options["target_session_attrs"] = "primary"
    last: BaseException | None = None
    for url in urls:
        try:
            conn: Conn = await asyncpg.connect(
                url,
                timeout=connect_timeout_seconds / len(urls),
                command_timeout=command_timeout_seconds,
                statement_cache_size=statement_cache_size,
                max_cached_statement_lifetime=0,  # as long as they are used
                max_cacheable_statement_size=LONGEST_KEPT_BYTES,
                server_settings={"application_name": application_name},
                connection_class=TimedConnection,
                **options,
            )
            await _prepare(conn, numeric_as_int)
        except CONNECT_FAILURES as exc:
            last = exc
        else:
            return conn
    assert last is not None
    raise translate_connect(last, place) from last


async def wait_until_there(dsn: str, *, most_seconds: float) -> None:
    """Return when the database takes connections: for services, whose server may start later.

    Says so in the log, and tries again after pauses that double.

    Raises:
        BadSettings: at once, where waiting does not help.
        DatabaseUnavailable: it is not there within `most_seconds`.
    """
    give_up_at, pause = monotonic() + most_seconds, 0.25
    while True:
        try:
            conn = await connect(dsn, connect_timeout_seconds=5.0, statement_cache_size=0)
        except DatabaseUnavailable as exc:
            left = give_up_at - monotonic()
            if left <= 0:
                raise
            log.warning("database_awaited", reason=exc.detail, seconds_left=round(left))
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            await conn.close()
            return


@asynccontextmanager
async def transaction(conn: Conn, isolation: Isolation = "read_committed") -> AsyncIterator[Tx]:
    """Open a transaction on `conn`: committed at the end of the block, rolled back on any error.

    Within a transaction it makes a savepoint, whose isolation is that of the outer one.

    Raises:
        StoreError: see `translate`; the commit itself may fail too.
    """
    with naming_failures():
        if conn.is_in_transaction():
            async with conn.transaction():
                yield Tx(conn)
            return
        try:
            async with conn.transaction(isolation=isolation):
                yield Tx(conn)
        except BaseException as exc:
            (_REFUSED if _is_nobodys_failure(exc) else _ROLLED_BACK).inc()
            raise
        _COMMITTED.inc()


def _is_nobodys_failure(exc: BaseException) -> bool:
    """Whether the caller asked for what may not be, or went away: neither we failed nor the
    database did."""
    if isinstance(exc, RenownError):
        return exc.status < 500
    return not isinstance(exc, Exception)


class TimedConnection(_Driver):
    """The driver's connection, which times statements by their names.

    Attributes:
        used_at: monotonic seconds when it was last handed back to its pool, or opened.
        is_given_back: it is idle in its pool. A statement on it raises RuntimeError: whoever sends
            it had the connection once, and held on to it.
    """

    __slots__ = ("is_given_back", "used_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.used_at = monotonic()
        self.is_given_back = False

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        if self.is_given_back:
            _refuse()
        began = perf_counter()
        try:
            done: str = await super().execute(query, *args, **options)
        except BaseException as exc:
            failed(query, perf_counter() - began, exc)
            raise
        ran(query, perf_counter() - began)
        return done

    async def executemany(self, command: str, args: Any, **options: Any) -> None:
        if self.is_given_back:
            _refuse()
        began = perf_counter()
        try:
            await super().executemany(command, args, **options)
        except BaseException as exc:
            failed(command, perf_counter() - began, exc)
            raise
        ran(command, perf_counter() - began)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        if self.is_given_back:
            _refuse()
        began = perf_counter()
        try:
            rows = await self._fetched(query, args, 0) if not options else None
            if rows is None:
                rows = await super().fetch(query, *args, **options)
        except BaseException as exc:
            failed(query, perf_counter() - began, exc)
            raise
        ran(query, perf_counter() - began)
        return rows

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        if self.is_given_back:
            _refuse()
        began = perf_counter()
        try:
            rows = await self._fetched(query, args, 1) if not options else None
            if rows is None:
                row = await super().fetchrow(query, *args, **options)
            else:
                row = rows[0] if rows else None
        except BaseException as exc:
            failed(query, perf_counter() - began, exc)
            raise
        ran(query, perf_counter() - began)
        return row

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        if self.is_given_back:
            _refuse()
        began = perf_counter()
        try:
            value = await super().fetchval(query, *args, **options)
        except BaseException as exc:
            failed(query, perf_counter() - began, exc)
            raise
        ran(query, perf_counter() - began)
        return value

    async def _fetched(self, query: str, args: tuple[Any, ...], limit: int) -> Any:
        """The rows of a statement that is prepared here already, as the driver would fetch them
        with less to look at on the way; None: leave it to the driver."""
        driver: Any = self
        if driver._query_loggers or driver._aborted:
            return None
        protocol = driver._protocol
        statement = driver._stmt_cache.get((query, protocol.get_record_class(), False))
        if statement is None:
            return None
        timeout = protocol._get_timeout(None)
        try:
            return await protocol.bind_execute(statement, args, "", limit, False, timeout)
        except asyncpg.exceptions.OutdatedSchemaCacheError:
            # Its rows could not be read, but it is done: sent again it would be done twice.
            await self.reload_schema_state()
            raise
        except asyncpg.exceptions.InvalidCachedStatementError:
            # It was not done. A transaction is lost by that; without one the driver prepares anew.
            driver._drop_local_statement_cache()
            if protocol.is_in_transaction():
                raise
            return None


async def _prepare(conn: Conn, numeric_as_int: bool) -> None:
    try:
        # Statements are short: to compile one takes longer than to run it, and a plan that serves
        # every call may look dear enough. Not as a parameter of the start: PgBouncer refuses it.
        await conn.execute("SET jit = off")
        if numeric_as_int:
            await conn.set_type_codec(
                "numeric", schema="pg_catalog", encoder=str, decoder=_whole, format="text"
            )
    except BaseException:
        conn.terminate()
        raise


def _refuse() -> NoReturn:
    raise RuntimeError("this connection was given back to its pool: ask it for another")


def _whole(text: str) -> int | Decimal:
    """Every numeric column we hold is whole; averages and ratios made in a query are not."""
    try:
        return int(text)
    except ValueError:
        return Decimal(text)
