"""Names to addresses, by the system's resolver. What they are worth is judged elsewhere."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

KEPT_SECONDS = 60.0
KEPT_FAILURE_SECONDS = 10.0
MOST_KEPT = 4_096
MOST_ADDRESSES = 16
"""Of one name; the rest is not looked at."""


class Resolver(Protocol):
    """Looks names up."""

    async def resolve(self, host: str) -> Sequence[str]:
        """Addresses of `host` as text, IPv4 and IPv6, best first. Raises OSError without any."""


class SystemResolver:
    """The C library's resolver, in threads of our own, answers kept for a minute.

    A lookup cannot be called off, and one at a nameserver that never answers takes as long as the
    system's configuration says. So lookups share no pool with other work, equal ones are joined,
    there are never more than `threads`, and none keeps the process from ending.
    """

    def __init__(self, *, threads: int = 128) -> None:
        self._threads = asyncio.Semaphore(threads)
        self._kept: OrderedDict[str, tuple[float, tuple[str, ...]]] = OrderedDict()
        self._running: dict[str, asyncio.Task[tuple[str, ...]]] = {}

    async def resolve(self, host: str) -> Sequence[str]:
        """See Resolver."""
        addresses = self._remembered(host)
        if addresses is None:
            task = self._running.get(host)
            if task is None:
                task = asyncio.create_task(self._look_up(host))
                self._running[host] = task
                task.add_done_callback(lambda _: self._running.pop(host, None))
            addresses = await asyncio.shield(task)
        if not addresses:
            raise OSError("the name has no address")
        return addresses

    def _remembered(self, host: str) -> tuple[str, ...] | None:
        until, addresses = self._kept.get(host, (0.0, ()))
        return addresses if time.monotonic() < until else None

    async def _look_up(self, host: str) -> tuple[str, ...]:
        async with self._threads:
            addresses = await _in_thread(host)
        seconds = KEPT_SECONDS if addresses else KEPT_FAILURE_SECONDS
        self._kept[host] = (time.monotonic() + seconds, addresses)
        self._kept.move_to_end(host)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return addresses


async def _in_thread(host: str) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[str, ...]] = loop.create_future()

    def settle(addresses: tuple[str, ...]) -> None:
        if not answer.done():
            answer.set_result(addresses)

    def look_up() -> None:
        addresses = _addresses(host)
        with suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(settle, addresses)

    threading.Thread(target=look_up, name="renown-dns", daemon=True).start()
    return await answer


def _addresses(host: str) -> tuple[str, ...]:
    """Of `host`, in the system's order; () if it has none. Blocks."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))[:MOST_ADDRESSES]
