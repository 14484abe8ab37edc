"""Work that one process per database does at a time, by a session lock of PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, LiteralString

from renown.errors import DatabaseUnavailable, StoreError
from renown.store.pool import Conn, naming_failures

RETRY_SECONDS = 5.0
ALIVE_SECONDS = 30.0
"""How often the lock's connection is asked whether it still stands."""


@asynccontextmanager
async def only_one(
    connect: Callable[[], Awaitable[Conn]],
    name: str,
    *,
    retry_seconds: float = RETRY_SECONDS,
    on_wait: Callable[[], None] | None = None,
) -> AsyncIterator[Conn]:
    """The block runs in one process per database for each `name`; the others wait their turn.

    Yields the lock's own connection, which its holder may use for single statements; the lock
    falls with it. When it breaks, the block is cancelled, because another process may work now.

    Args:
        connect: opens a direct connection: behind a transaction pooler a session lock means
            nothing.
        on_wait: called once, when another process turns out to hold the lock.

    Raises:
        DatabaseUnavailable: no connection, or the lock's own broke while the block ran.
    """
    conn = await connect()
    try:
        await _locked(conn, name, retry_seconds, on_wait)
        async with _cancelled_when_broken(conn):
            yield conn
    finally:
        conn.terminate()  # at once, and the lock with it


LOCK: LiteralString = "SELECT pg_try_advisory_lock(hashtextextended('renown.' || $1::text, 0))"
ALIVE: LiteralString = "SELECT 1"


async def _locked(
    conn: Conn, name: str, retry_seconds: float, on_wait: Callable[[], None] | None
) -> None:
    # Asked again and again: a statement that waited in the server would hold back vacuum.
    with naming_failures():
        while not await conn.fetchval(LOCK, name):
            if on_wait is not None:
                on_wait()
                on_wait = None
            await asyncio.sleep(retry_seconds)


@asynccontextmanager
async def _cancelled_when_broken(conn: Conn) -> AsyncIterator[None]:
    """Cancel the block when `conn` goes, and say why instead of the cancellation."""
    holder = asyncio.current_task()
    assert holder is not None
    broken = over = False

    def stop(_: Any) -> None:
        nonlocal broken
        if not over and not broken:
            broken = True
            holder.cancel()

    async def watch() -> None:
        # A host that vanished sends no word; the question does not come back then.
        while True:
            await asyncio.sleep(ALIVE_SECONDS)
            try:
                with naming_failures():
                    await conn.fetchval(ALIVE, timeout=ALIVE_SECONDS)
            except StoreError:
                return stop(conn)
            except Exception as exc:  # noqa: BLE001 - in use by the holder: it stands, then
                if conn.is_closed():
                    return stop(exc)

    conn.add_termination_listener(stop)
    watcher = asyncio.create_task(watch())
    try:
        yield
        if broken:
            await asyncio.sleep(0)  # done in the same moment: it may have been cut short
    except BaseException as exc:
        over = True
        ours = broken and await _taken_back(holder, exc)
        if ours and isinstance(exc, asyncio.CancelledError):
            raise DatabaseUnavailable("the connection that held the lock broke") from None
        raise
    finally:
        over = True
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        conn.remove_termination_listener(stop)


async def _taken_back(holder: asyncio.Task[Any], left_by: BaseException) -> bool:
    """Undo our own cancellation of `holder`; whether nobody else cancelled it as well."""
    if not isinstance(left_by, asyncio.CancelledError):
        # The block failed by itself, and the cancellation is still on its way.
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
    return holder.uncancel() == 0
