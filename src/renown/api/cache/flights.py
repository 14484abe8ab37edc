"""Equal work that is asked for while it is being done is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Work under way, by key.

    Each runs in a task of its own, so that nobody who gives up takes it away from the others; it
    ends even if all of them do. An error goes to all who wait, and is not remembered.
    """

    def __init__(self) -> None:
        self._by_key: dict[str, asyncio.Task[T]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    async def once(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives, or the same work begun before under this key."""
        task = self._by_key.get(key)
        if task is None:
            task = asyncio.create_task(_run(work))
            self._by_key[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    def leave_behind(self) -> None:
        """Whoever asks from now on begins anew: what is under way may be too old for them."""
        self._by_key.clear()

    def _landed(self, key: str, task: asyncio.Task[T]) -> None:
        if self._by_key.get(key) is task:
            del self._by_key[key]
        if not task.cancelled():
            task.exception()  # it was told to those who waited, if any did


class Convoys(Generic[T]):
    """Work under way, by key, which whoever asks first does himself: no task is made for it.

    Others who ask meanwhile wait for him. If he is cancelled, the work is, too, and one of those
    who wait begins anew. An error goes to all of them, and is not remembered.
    """

    def __init__(self) -> None:
        self._by_key: dict[str, _Led[T]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    async def once(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives, or the same work begun before under this key."""
        while (led := self._by_key.get(key)) is not None:
            if led.ended is None:
                led.ended = asyncio.get_running_loop().create_future()
            found = await asyncio.shield(led.ended)
            if found is not None:
                return found[0]
        return await self._lead(key, work)

    def leave_behind(self) -> None:
        """Whoever asks from now on begins anew: what is under way may be too old for them."""
        self._by_key.clear()

    async def _lead(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        led: _Led[T] = _Led()
        self._by_key[key] = led
        found: T
        try:
            found = await work()
        except BaseException as exc:
            self._landed(key, led)
            if led.ended is not None and not led.ended.done():
                if isinstance(exc, Exception):
                    led.ended.set_exception(exc)
                    led.ended.exception()  # if all who waited are gone, nobody misses it
                else:
                    led.ended.set_result(None)
            raise
        self._landed(key, led)
        if led.ended is not None and not led.ended.done():
            led.ended.set_result((found,))
        return found

    def _landed(self, key: str, led: _Led[T]) -> None:
        if self._by_key.get(key) is led:
            del self._by_key[key]


class _Led(Generic[T]):
    """One piece of work. `ended` is there as soon as somebody waits: what came of it in a tuple, or
    None if it was given up."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended: asyncio.Future[tuple[T] | None] | None = None


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
