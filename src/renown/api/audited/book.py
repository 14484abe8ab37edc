"""Writes entries: at once, or in batches of at most about a second.

A statement whose answer is lost with its connection may have been committed; it is written again,
so entries are there at least once.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import Context
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

import msgspec
import structlog

from renown.api.access.pseudonyms import Pseudonyms
from renown.api.audited.refusals import Refusals
from renown.errors import StoreError
from renown.obs import metrics
from renown.store.audit_entries import NewEntry, append
from renown.store.pool import Conn

BATCH_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
MOST_IN_BATCH = 2_000
MOST_AT_ONCE = 200
"""Entries whose requests wait for them that go in one statement: with bodies, they are large."""
MOST_READS = 20_000
MOST_KEPT = 5_000
CLOSE_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Read(msgspec.Struct, frozen=True, gc=False):
    """A read with a key, as little as can be kept while it is answered.

    `moment` is of the monotonic clock. `address` is the address itself: it becomes a pseudonym when
    the entry is written.
    """

    moment: float
    request_id: UUID
    account_id: int
    key_id: str | None
    address: str
    user_agent: str | None
    method: str
    route: str
    status: int
    seconds: float


class Book:
    """Entries of one process on their way into the log. What waits here is lost with the process.

    Args:
        connection: gives one to the primary.
        refusals: that were counted instead of written.
    """

    def __init__(
        self,
        connection: Callable[[], AbstractAsyncContextManager[Conn]],
        pseudonyms: Pseudonyms,
        refusals: Refusals,
    ) -> None:
        self._connection = connection
        self._pseudonyms = pseudonyms
        self._refusals = refusals
        self._reads: deque[Read] = deque()
        self._kept: deque[NewEntry] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._now: list[_Waiting] = []
        self._lane: asyncio.Task[None] | None = None

    async def write(self, entry: NewEntry) -> None:
        """Write an entry now. Those that come while others are being written go together.

        Whoever is cancelled here has the entry written all the same.

        Raises:
            StoreError: it is not written; whether it is to be kept is the caller's to say.
            Exception: the database will not take it.
        """
        written = asyncio.get_running_loop().create_future()
        self._now.append((entry, written))
        if self._lane is None or self._lane.done():
            self._lane = asyncio.create_task(self._write_now(), context=Context())
        await written

    async def append(self, entries: Sequence[NewEntry]) -> None:
        """Write entries in one statement. Raises StoreError."""
        async with self._connection() as conn:
            await append(conn, entries)
        for action, count in Counter(entry.action for entry in entries).items():
            metrics.AUDIT_ENTRIES.labels(action).inc(count)

    async def _write_now(self) -> None:
        while self._now:
            going, self._now = self._now[:MOST_AT_ONCE], self._now[MOST_AT_ONCE:]
            try:
                await self.append([entry for entry, _ in going])
            except Exception as exc:  # noqa: BLE001 - theirs who wait
                if isinstance(exc, StoreError) or len(going) == 1:
                    _answer(going, exc)
                else:
                    for one in going:  # one that cannot be stored must not stop the others
                        await self._write_alone(one)
            else:
                _answer(going, None)

    async def _write_alone(self, one: _Waiting) -> None:
        try:
            await self.append([one[0]])
        except Exception as exc:  # noqa: BLE001 - theirs who wait
            _answer([one], exc)
        else:
            _answer([one], None)

    def keep(self, entry: NewEntry) -> None:
        """Write an entry as soon as that can be done. Where too many wait already, it is lost."""
        if len(self._kept) >= MOST_KEPT:
            metrics.AUDIT_UNWRITTEN.inc()
            return
        self._kept.append(entry)
        self._write_soon()

    def note(self, read: Read) -> None:
        """Write a read with the next batch. Where too many wait already, it is lost."""
        if len(self._reads) >= MOST_READS:
            metrics.AUDIT_UNWRITTEN.inc()
            return
        self._reads.append(read)
        self._write_soon()

    def count_refusal(self, entry: NewEntry) -> None:
        """Count a refusal, to be written as one of many with the next batch."""
        self._refusals.count(entry)
        self._write_soon()

    async def close(self) -> None:
        """Write what waits, while the database is still there. What cannot be written is lost.

        A batch that is on its way is waited for: whether it arrived is known by its answer alone,
        and to write it again would double its entries.
        """
        if self._lane is not None:
            await asyncio.gather(self._lane, return_exceptions=True)
        self._hurry.set()
        try:
            if self._waits():
                self._write_soon()
            if self._writing is not None:
                _, late = await asyncio.wait({self._writing}, timeout=CLOSE_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(self._writing, return_exceptions=True)
        finally:
            self._hurry.clear()
        if lost := len(self._reads) + len(self._kept):
            metrics.AUDIT_UNWRITTEN.inc(lost)
            log.error("audit_entries_lost", entries=lost)
            self._reads.clear()
            self._kept.clear()

    def _waits(self) -> bool:
        return bool(self._reads or self._kept or self._refusals)

    def _write_soon(self) -> None:
        if self._writing is None or self._writing.done():
            # Of nobody's request: what it does is not done by whoever came first.
            self._writing = asyncio.create_task(self._write_batches(), context=Context())

    async def _write_batches(self) -> None:
        pause = BATCH_SECONDS
        while self._waits():
            if not self._hurry.is_set():
                await self._pause(pause)
            if await self._write_waiting():
                pause = BATCH_SECONDS
            elif self._hurry.is_set():
                return
            else:
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not for long once the book is being closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def _write_waiting(self) -> bool:
        """Write all that waits now, without a pause between batches; false where the database
        refuses."""
        for _ in range(1 + max(len(self._reads), len(self._kept)) // MOST_IN_BATCH):
            if not await self._write_batch():
                return False
        return True

    async def _write_batch(self) -> bool:
        """Write as much as one statement takes; false where the database refuses."""
        for entry in self._refusals.take():
            self._kept.append(entry)
        kept = [self._kept.popleft() for _ in range(min(len(self._kept), MOST_IN_BATCH))]
        reads = [self._reads.popleft() for _ in range(min(len(self._reads), MOST_IN_BATCH))]
        done = 0
        try:
            entries = [*kept, *[await self._entry(read) for read in reads]]
            try:
                await self.append(entries)
            except StoreError:
                raise
            except Exception as exc:  # noqa: BLE001 - one that cannot be stored must not stop all
                log.error("audit_batch_refused", error=type(exc).__name__)
                for entry in entries:
                    await self._write_one(entry)
                    done += 1
        except StoreError as exc:
            log.warning("audit_batch_not_written", error=exc.slug, entries=len(kept) + len(reads))
            self._kept.extendleft(reversed(kept[done:]))
            self._reads.extendleft(reversed(reads[max(0, done - len(kept)) :]))
            return False
        except asyncio.CancelledError:
            # Perhaps it was written. An entry too few is counted; one too many would say that
            # something happened twice.
            unknown = len(kept) + len(reads) - done
            metrics.AUDIT_UNWRITTEN.inc(unknown)
            log.error("audit_entries_in_doubt", entries=unknown)
            raise
        return True

    async def _write_one(self, entry: NewEntry) -> None:
        try:
            await self.append([entry])
        except StoreError:
            raise
        except Exception as exc:  # noqa: BLE001 - told, and given up
            metrics.AUDIT_UNWRITTEN.inc()
            log.error("audit_entry_refused", error=type(exc).__name__, action=entry.action)

    async def _entry(self, read: Read) -> NewEntry:
        return NewEntry(
            action="read",
            subject=read.route,
            moment=read.moment,
            request_id=read.request_id,
            account_id=read.account_id,
            key_id=read.key_id,
            address=await self._pseudonyms.of(read.address),
            user_agent=read.user_agent,
            method=read.method,
            route=read.route,
            status=read.status,
            duration_ms=milliseconds(read.seconds),
        )


_Waiting: TypeAlias = tuple[NewEntry, "asyncio.Future[None]"]


def _answer(waiting: Sequence[_Waiting], error: Exception | None) -> None:
    for _, written in waiting:
        if written.done():  # cancelled
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)


def milliseconds(seconds: float) -> Decimal:
    """A duration as the log keeps it: to the microsecond."""
    return Decimal(round(seconds * 1_000_000)).scaleb(-3)
