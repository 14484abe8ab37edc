"""What keeps the caches true while the app runs: one listener per process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from renown.api.cache.dear import Dear
from renown.api.cache.kept import Kept
from renown.store.listening import Ear, Listening
from renown.store.pool import Conn


@asynccontextmanager
async def caching(
    kept: Kept,
    dear: Dear,
    listen: Callable[[], Awaitable[Conn]] | None,
    *,
    on_key: Callable[[str | None], None],
) -> AsyncIterator[None]:
    """Both caches at work for as long as the block runs.

    Args:
        listen: opens a connection that words can reach, not through a pooler; without it nothing
            about single agents is kept.
        on_key: told of each API key that changed, and None when words about any may be missing.
    """
    dear.is_on = True
    listening: asyncio.Task[None] | None = None
    if listen is not None:
        listening = asyncio.create_task(Listening(listen, [kept, _Keys(on_key)]).run())
    try:
        yield
    finally:
        dear.is_on = False
        if listening is not None:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


class _Keys(Ear):
    def __init__(self, on_key: Callable[[str | None], None]) -> None:
        self._on_key = on_key

    def key_changed(self, key_id: str) -> None:
        self._on_key(key_id)

    def lost(self) -> None:
        self._on_key(None)
