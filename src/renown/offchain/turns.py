"""Whose turn it is: few requests at one host, a bounded number in all, first come first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """At most `per_host` turns at once for one host and `in_all` together.

    Whoever waits for a busy host holds none of the common places, so ten thousand requests for one
    host delay no other. Memory grows with the hosts that somebody waits for, and shrinks again.
    """

    def __init__(self, *, in_all: int, per_host: int) -> None:
        self._in_all = asyncio.Semaphore(in_all)
        self._per_host = per_host
        self._hosts: dict[str, _Queue] = {}

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Wait for a turn with `host`, and hold it."""
        queue = self._hosts.get(host)
        if queue is None:
            queue = self._hosts[host] = _Queue(self._per_host)
        queue.interested += 1
        try:
            async with queue.places, self._in_all:
                yield
        finally:
            queue.interested -= 1
            if not queue.interested:
                del self._hosts[host]


class _Queue:
    __slots__ = ("interested", "places")

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.interested = 0
