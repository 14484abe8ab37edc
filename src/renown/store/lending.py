"""The connections of a pool: at most so many, lent one at a time, the one used last first.

The driver has a pool of its own. Its price is a task, a timer and a proxy for each loan, a fifth of
what a keyed read costs; here a loan of a connection that is idle is an item taken off a list.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic
from typing import Any, cast

from renown.errors import DatabaseUnavailable
from renown.obs import metrics
from renown.store.connecting import TimedConnection
from renown.store.failures import FAILURES

CANCEL_SECONDS = 10.0
"""How long a statement that its user gave up may take to end."""


class Lending:
    """Connections to one database.

    Args:
        open_one: opens a connection.
        place: of the database, for words.
        name: of the pool in metrics.
        min_size: how many stay open however long they are idle.
        max_queries: statements after which a connection is closed when it comes back.
        max_inactive_seconds: idle for longer it is closed.

    Attributes:
        recycled: connections closed after their most statements.
    """

    def __init__(
        self,
        open_one: Callable[[], Awaitable[Any]],
        place: str,
        *,
        name: str,
        min_size: int,
        max_size: int,
        max_queries: int,
        max_inactive_seconds: float,
    ) -> None:
        self._open_one = open_one
        self._place = place
        self._name = name
        self._min_size = min_size
        self._max_size = max_size
        self._max_queries = max_queries
        self._max_inactive_seconds = max_inactive_seconds
        self._idle: list[TimedConnection] = []  # the one used last at the end
        self._out: set[TimedConnection] = set()
        self._opening = 0
        self._promised = 0  # those who were told that there is room, and do not know yet
        self._waiting: deque[tuple[float, asyncio.Future[TimedConnection | None]]] = deque()
        self._watch: asyncio.TimerHandle | None = None  # over those who wait
        self._timer: asyncio.TimerHandle | None = None
        self._all_back: asyncio.Future[None] | None = None  # somebody waits for the last of them
        self._is_closed = False  # for whoever comes now
        self._is_ended = False  # for all
        self.recycled = 0

    @property
    def size(self) -> int:
        """Connections open now."""
        return len(self._out) + self.idle

    @property
    def idle(self) -> int:
        """Open connections that nobody has."""
        return sum(not conn.is_closed() for conn in self._idle)

    async def fill(self) -> None:
        """Open as many as always stay. Raises what opening raises."""
        try:
            while len(self._out) < self._min_size:
                await self._opened()
        except BaseException:
            self.terminate()
            raise
        for conn in [*self._out]:
            self._put(conn)

    def take_idle(self) -> TimedConnection | None:
        """A connection that is idle; None if there is none, or others wait for one."""
        if self._is_closed:
            raise DatabaseUnavailable(f"the pool of connections to {self._place} is closed")
        while self._idle and not self._waiting:
            conn = self._idle.pop()
            if not conn.is_closed():
                return self._lent(conn)
        return None

    async def next_back(self, until: float) -> TimedConnection | None:
        """Of a pool that is all lent out: the connection that comes back when it is the caller's
        turn. It was used just now, so it works. None: there is room for one, and `take` gives it
        to a caller who asks at once.

        Args:
            until: monotonic seconds at which to give up.

        Raises:
            TimeoutError: none came back in time.
        """
        if self._has_room() and not self._waiting:
            return None
        self._give_up_after(until - monotonic())
        return await self._waited(until)

    async def take(self) -> TimedConnection:
        """A connection for whoever's turn it is: one that is idle, or a new one.

        Raises:
            DatabaseUnavailable: all were closed, whoever waited for them.
            Whatever opening raises.
        """
        while True:
            if self._is_ended:
                raise self._no_more()
            while self._idle:
                conn = self._idle.pop()
                if not conn.is_closed():
                    return self._lent(conn)
            if self._has_room():
                return await self._opened()
            back = await self._waited(inf)  # somebody was quicker
            if back is not None:
                return back

    async def give_back(self, conn: TimedConnection) -> None:
        """`conn` is free again. It returns to the others as it was lent: whatever its user left
        open or under way is ended first, even if who gives it back is cancelled."""
        if self._is_fit(conn):
            self._return(conn)
        else:
            await asyncio.shield(self._mended(conn))

    def drop_idle_since(self, before: float) -> None:
        """Close connections that were idle since before `before` (monotonic seconds)."""
        for conn in [one for one in self._idle if one.used_at < before]:
            self._idle.remove(conn)
            conn.terminate()

    def drop(self, conn: TimedConnection) -> None:
        """A connection that was taken and does not work is not given back."""
        conn.terminate()
        self._gone(conn)

    async def close(self) -> None:
        """Lend no more, wait for those that are out and for who waits already, and close all.

        Whatever does not close in peace, or is not closed yet when this is cancelled, is cut off.
        """
        self._is_closed = True
        try:
            if self._is_wanted():
                self._all_back = asyncio.get_running_loop().create_future()
                await self._all_back
            await asyncio.gather(*(conn.close() for conn in self._idle), return_exceptions=True)
        finally:
            self.terminate()

    def terminate(self) -> None:
        """Close all at once, whoever has them; who waits for one is told. One that is being opened
        is closed when it is there."""
        self._is_closed = self._is_ended = True
        for conn in [*self._idle, *self._out]:
            conn.terminate()
        self._idle.clear()
        for _, waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(self._no_more())
        for timer in (self._timer, self._watch):
            if timer is not None:
                timer.cancel()

    def _has_room(self) -> bool:
        return len(self._out) + self._opening + self._promised < self._max_size

    def _is_wanted(self) -> bool:
        """Whether anybody has a connection, or is going to."""
        return bool(self._out or self._opening or self._promised or self._waiting)

    def _no_more(self) -> DatabaseUnavailable:
        return DatabaseUnavailable(f"no more connections to {self._place}")

    # Coming and going ------------------------------------------------------------------------

    def _lent(self, conn: TimedConnection) -> TimedConnection:
        conn.is_given_back = False
        self._out.add(conn)
        return conn

    async def _opened(self) -> TimedConnection:
        self._opening += 1
        try:
            conn = cast(TimedConnection, await self._open_one())
        except BaseException:
            self._opening -= 1
            self._offer_room()
            raise
        self._opening -= 1
        if self._is_ended:
            conn.terminate()
            raise self._no_more()
        return self._lent(conn)

    async def _waited(self, until: float) -> TimedConnection | None:
        """A connection that came back; None: there is room for another, and nobody takes it from
        a caller who goes for it at once. Raises TimeoutError."""
        waiter: asyncio.Future[TimedConnection | None] = asyncio.get_running_loop().create_future()
        place = (until, waiter)
        self._waiting.append(place)
        try:
            conn = await waiter
        except BaseException:
            if place in self._waiting:
                self._waiting.remove(place)
                self._tell_all_back()
            elif not waiter.cancelled() and waiter.exception() is None:
                given = waiter.result()  # it was for us, and we are gone
                if given is None:
                    self._promised -= 1
                    self._offer_room()
                else:
                    self._return(given)
            raise
        if conn is None:
            self._promised -= 1
        return conn

    def _is_fit(self, conn: TimedConnection) -> bool:
        """Whether it can be lent again as it is."""
        driver: Any = conn
        protocol = driver._protocol
        return not (
            conn.is_closed()
            or protocol.queries_count >= self._max_queries
            or protocol.is_in_transaction()
            or driver._top_xact is not None
            or driver._listeners
            or protocol._is_cancelling()
        )

    async def _mended(self, conn: TimedConnection) -> None:
        driver: Any = conn
        try:
            if not conn.is_closed() and driver._protocol._is_cancelling():
                await driver._protocol._wait_for_cancellation(CANCEL_SECONDS)
            if not conn.is_closed():
                if driver._protocol.queries_count >= self._max_queries:
                    self.recycled += 1
                    metrics.POOL_RECYCLED.labels(self._name).inc()
                    await conn.close(timeout=CANCEL_SECONDS)
                else:
                    await driver._reset()
        except BaseException as exc:
            conn.terminate()
            if not isinstance(exc, FAILURES):
                raise
        finally:
            if conn.is_closed():
                conn.terminate()  # what is cut off by the other side is not cleaned up else
                self._gone(conn)
            else:
                self._return(conn)

    def _return(self, conn: TimedConnection) -> None:
        conn.used_at = monotonic()
        while self._waiting:
            _, waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(conn)  # it stays out: it has a new user
                return
        self._put(conn)
        self._tell_all_back()

    def _put(self, conn: TimedConnection) -> None:
        conn.is_given_back = True
        self._out.discard(conn)
        self._idle.append(conn)
        if self._timer is None and len(self._idle) > self._min_size:
            self._look_again_in(self._max_inactive_seconds)

    def _gone(self, conn: TimedConnection) -> None:
        self._out.discard(conn)
        self._offer_room()

    def _offer_room(self) -> None:
        """Wake the next who waits: there is room for one more. It is kept for him until he runs."""
        while self._waiting:
            _, waiter = self._waiting.popleft()
            if not waiter.done():
                self._promised += 1
                waiter.set_result(None)
                break
        self._tell_all_back()

    def _tell_all_back(self) -> None:
        waiter = self._all_back
        if waiter is not None and not self._is_wanted():
            self._all_back = None
            if not waiter.done():
                waiter.set_result(None)

    def _give_up_after(self, seconds: float) -> None:
        """See to it that those who wait too long are told, within a twentieth of that time: one
        timer for all, because under load nearly everybody waits."""
        if self._watch is None:
            later = asyncio.get_running_loop().call_later
            self._watch = later(max(seconds, 0.1) / 20, self._tell_late, seconds)

    def _tell_late(self, seconds: float) -> None:
        self._watch = None
        now = monotonic()
        for until, waiter in self._waiting:
            if until <= now and not waiter.done():
                waiter.set_exception(TimeoutError())
        if self._waiting:
            self._give_up_after(seconds)

    # Those that nobody needs -----------------------------------------------------------------

    def _look_again_in(self, seconds: float) -> None:
        if seconds > 0 and not self._is_closed:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._retire)

    def _retire(self) -> None:
        """Close those that were idle for too long, the oldest first."""
        self._timer = None
        now = monotonic()
        while self.size > self._min_size and self._idle:
            left = self._idle[0].used_at + self._max_inactive_seconds - now
            if left > 0:
                self._look_again_in(left)
                return
            self._idle.pop(0).terminate()
