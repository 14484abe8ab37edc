"""What the database's failures are called, and which of them are worth another try."""

from __future__ import annotations

import asyncio
import os
import random
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg

from renown.errors import BadSettings, DatabaseFull, DatabaseUnavailable, RenownError, StoreError

T = TypeVar("T")

FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection lost in the middle of a COPY shows like this
    OSError,  # TimeoutError is one
)
"""What the driver raises that says something about the database or the way to it."""
CONNECT_FAILURES = (*FAILURES, ValueError)

_ENDED = "ended the connection"
_GONE = {
    "53300": "has no connection left",
    "25006": "takes no writes: it is a standby",
    **dict.fromkeys(("57P01", "57P02", "57P03", "57P05", "25P03"), _ENDED),
}
_UNDONE = {
    "57014": "the statement was cancelled: it took longer than allowed",
    "55P03": "a lock was not to be had in time",
    **dict.fromkeys(("40001", "40P01"), "the transaction was undone in favour of another"),
}


@contextmanager
def naming_failures(place: str | None = None) -> Iterator[None]:
    """The driver's failures leave the block as `translate` names them.

    For statements on a connection of one's own, outside `transaction`.
    """
    try:
        yield
    except FAILURES as exc:
        meaning = meaning_of(exc, place)
        if meaning in (exc, exc.__context__):
            raise
        raise meaning from exc


def meaning_of(exc: BaseException, place: str | None = None) -> BaseException:
    """What `naming_failures` raises for `exc`; `exc` itself or its context: go on with `exc`."""
    if (task := _current_task()) is not None and task.cancelling():
        # Cancelled in the middle of a COPY, the driver cannot even roll back, and its complaint
        # takes the place of the cancellation: whoever cancelled would wait for ever.
        return asyncio.CancelledError()
    meaning = translate(exc, place)
    if meaning is exc and isinstance(exc.__context__, FAILURES):
        # The rollback failed on the connection that the first failure left broken.
        return translate(exc.__context__, place)
    return meaning


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


def translate(exc: BaseException, place: str | None = None) -> BaseException:
    """The error of ours that a failure of the driver means, or `exc` itself.

    DatabaseUnavailable: the connection is lost, or the server starts, stops, is crowded or takes no
    writes. DatabaseFull: no room on its disk. StoreError: a time limit, a lock not had, a conflict
    (see `is_conflict`). What points to a mistake of ours (syntax, constraint, type) stays itself.
    """
    where = f" at {place}" if place else ""
    if isinstance(exc, OSError) and not _raised_by_driver(exc):
        return exc  # a time-out or a broken connection of the caller's own
    if isinstance(exc, TimeoutError):
        return StoreError(f"the database{where} took too long")
    state = getattr(exc, "sqlstate", None) or ""
    if state == "53100":
        return DatabaseFull(f"the database{where} has no disk space left: free some, then go on")
    if state.startswith("08") or state in _GONE:
        return DatabaseUnavailable(f"the database{where} {_GONE.get(state, _ENDED)}")
    if state in _UNDONE:
        return StoreError(_UNDONE[state])
    if state.startswith("53"):
        return StoreError(f"the database{where} lacks memory or another resource")
    if isinstance(exc, OSError | asyncpg.InternalClientError):
        return DatabaseUnavailable(f"the connection to the database{where} broke")
    if isinstance(exc, asyncpg.InterfaceError) and _says_closed(exc):
        return DatabaseUnavailable(f"the connection to the database{where} is closed")
    return exc


def translate_connect(exc: BaseException, place: str) -> RenownError:
    """As `translate`, for a connection that could not be opened: always an error of ours."""
    if isinstance(exc, RenownError):
        return exc
    state = getattr(exc, "sqlstate", None) or ""
    if state.startswith("28"):
        return BadSettings(f"the database at {place} refuses this user or password")
    if state == "3D000":
        return BadSettings(f"there is no such database at {place}: create it with createdb")
    if state == "42501":
        return BadSettings(f"this user may not connect to the database at {place}")
    if isinstance(exc, TimeoutError):
        return DatabaseUnavailable(f"no answer from the database at {place} in time")
    if isinstance(exc, asyncpg.TargetServerAttributeNotMatched):
        return DatabaseUnavailable(f"none of the databases at {place} takes writes")
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


def _says_closed(exc: BaseException) -> bool:
    """The driver knows no other sign. One that was lost while it was lent is `released`."""
    return "clos" in str(exc) or "has been released back" in str(exc)


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # outside a loop
        return None


def _raised_by_driver(exc: BaseException) -> bool:
    return any(
        frame.f_globals.get("__name__", "").startswith("asyncpg")
        for frame, _ in traceback.walk_tb(exc.__traceback__)
    )
