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


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
