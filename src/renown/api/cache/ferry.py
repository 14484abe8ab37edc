"""Reads of one kind that are asked for at the same time cross to the database together.

A statement costs the process more than what it brings: so under load as many as wait go in one. Who
comes while few are under way crosses alone and at once, as if there were no ferry; nobody is ever
held back for others to come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, Protocol, TypeVar

K = TypeVar("K")
V = TypeVar("V")

FEW_CROSSINGS = 2
"""So many statements of one kind are under way at once where the database answers quickly: the
fewer they are, the more each carries."""
PATIENCE_SECONDS = 0.02
"""Who waits longer than this is taken across beside those. Then the database waits for its disks,
and that it does best for several at once."""
MOST_CROSSINGS = 8
"""Not more than an API has connections by default: they would only wait for each other."""
MOST_ABOARD = 12
"""What a statement costs by itself is then a tenth of what it was; and where disks are waited for,
those aboard wait for each other's."""


class Queue(Protocol):
    """How many may wait and how long; a `store.pool.Pool` is one."""

    @property
    def timeout_seconds(self) -> float: ...
    def refuse_beyond(self, waiting: int) -> None: ...
    def waited_in_vain(self) -> Exception: ...


class Ferry(Generic[K, V]):
    """Takes keys across.

    Args:
        one: reads for a single key.
        many: reads for up to `most_aboard` keys, in their order; from a snapshot that is not older
            than the call, as `one`.
        queue: gives what bounds those who wait; None: nothing does.

    An error goes to all who were aboard; who gives up is left out, and takes nothing from others.
    """

    def __init__(
        self,
        one: Callable[[K], Awaitable[V]],
        many: Callable[[Sequence[K]], Awaitable[Sequence[V]]],
        queue: Callable[[], Queue | None] = lambda: None,
        *,
        few_crossings: int = FEW_CROSSINGS,
        most_crossings: int = MOST_CROSSINGS,
        most_aboard: int = MOST_ABOARD,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._one = one
        self._many = many
        self._queue = queue
        self._few_crossings = few_crossings
        self._most_crossings = most_crossings
        self._most_aboard = most_aboard
        self._patience_seconds = patience_seconds
        self._under_way = 0
        self._impatience: asyncio.TimerHandle | None = None
        self._waiting: dict[asyncio.Future[V], tuple[K, float]] = {}  # and since when
        self._crossings: set[asyncio.Task[None]] = set()

    async def read(self, key: K) -> V:
        """What is read for `key`, in a snapshot not older than this call.

        Raises:
            Overloaded: as many wait as may, or this one waited for as long as anybody may.
            What reading it raises.
        """
        if self._under_way < self._few_crossings:
            self._under_way += 1
            try:
                return await self._one(key)
            finally:
                self._landed()
        if (queue := self._queue()) is not None:
            queue.refuse_beyond(len(self._waiting))
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[V] = loop.create_future()
        self._waiting[waiting] = key, loop.time()
        if self._impatience is None:
            self._impatience = loop.call_later(self._patience_seconds, self._lose_patience)
        try:
            return await waiting
        finally:
            self._waiting.pop(waiting, None)  # who gives up waits no more

    def _landed(self) -> None:
        self._under_way -= 1
        if self._waiting and self._under_way < self._few_crossings:
            self._depart(self._board())

    def _lose_patience(self) -> None:
        self._impatience = None
        loop = asyncio.get_running_loop()
        self._send_home(loop.time())
        while self._waiting:
            _, since = next(iter(self._waiting.values()))
            due = since + self._patience_seconds
            if due > loop.time() or self._under_way >= self._most_crossings:
                due = max(due, loop.time() + self._patience_seconds / 4)
                self._impatience = loop.call_at(due, self._lose_patience)
                return
            self._depart(self._board())

    def _send_home(self, now: float) -> None:
        """Who has waited too long does not wait on."""
        queue = self._queue()
        while self._waiting and queue is not None:
            waiting, (_, since) = next(iter(self._waiting.items()))
            if now - since < queue.timeout_seconds:
                return
            del self._waiting[waiting]
            if not waiting.done():
                waiting.set_exception(queue.waited_in_vain())

    def _board(self) -> list[tuple[K, asyncio.Future[V]]]:
        aboard: list[tuple[K, asyncio.Future[V]]] = []
        while self._waiting and len(aboard) < self._most_aboard:
            waiting, (key, _) = next(iter(self._waiting.items()))
            del self._waiting[waiting]
            if not waiting.done():
                aboard.append((key, waiting))
        return aboard

    def _depart(self, aboard: Sequence[tuple[K, asyncio.Future[V]]]) -> None:
        self._under_way += 1
        # In a context of its own: it is nobody's in particular, so neither are its traces.
        crossing = asyncio.get_running_loop().create_task(self._cross(aboard), context=Context())
        self._crossings.add(crossing)
        crossing.add_done_callback(self._crossings.discard)

    async def _cross(self, aboard: Sequence[tuple[K, asyncio.Future[V]]]) -> None:
        try:
            while aboard:
                await self._take(aboard)
                aboard = self._board() if self._under_way <= self._few_crossings else ()
        finally:
            self._landed()

    async def _take(self, aboard: Sequence[tuple[K, asyncio.Future[V]]]) -> None:
        try:
            if len(aboard) == 1:
                found: Sequence[V] = [await self._one(aboard[0][0])]
            else:
                found = await self._many([key for key, _ in aboard])
        except Exception as exc:  # noqa: BLE001 - theirs who wait
            for _, waiting in aboard:
                if not waiting.done():
                    waiting.set_exception(exc)
                    waiting.exception()  # if he is gone by then, nobody misses it
        except BaseException:  # the process stops
            for _, waiting in aboard:
                waiting.cancel()
            raise
        else:
            for (_, waiting), value in zip(aboard, found, strict=True):
                if not waiting.done():
                    waiting.set_result(value)
