"""Opens a pool's connections: few at a time, and with pauses while the server is away.

Without it everybody who wants a connection of a server that is gone would try for himself, and all
would come at once when it is back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import structlog

from renown.errors import DatabaseUnavailable, RenownError
from renown.store.connecting import Conn

AT_ONCE = 4
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Opening:
    """How one pool opens connections.

    Whoever comes during a pause waits for its end, a second at most; then one tries, and what it
    meets is what all of them meet.

    Args:
        open_one: opens a connection, or raises RenownError.

    Attributes:
        opened: connections so far.
        is_failing: whether the last attempt failed.
    """

    def __init__(self, open_one: Callable[[], Awaitable[Conn]], place: str) -> None:
        self._open_one = open_one
        self._place = place
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._failures = 0
        self._failed = ""
        self._pause_seconds = 0.0
        self._again_at = 0.0
        self.opened = 0

    @property
    def is_failing(self) -> bool:
        return self._pause_seconds > 0

    async def __call__(self, *_: Any, **__: Any) -> Conn:
        """One more connection.

        Raises:
            RenownError: as `open_one`; DatabaseUnavailable where another attempt has just failed.
        """
        seen = self._failures
        while (left := self._again_at - monotonic()) > 0:
            await asyncio.sleep(left)
            self._same_as_others(seen)
        async with self._turns:
            self._same_as_others(seen)
            if self.is_failing:
                # The one that looks whether the server is back; the others wait for what it says.
                self._again_at = monotonic() + self._pause_seconds
            try:
                conn = await self._open_one()
            except RenownError as exc:
                self._pause(exc)
                raise
            if self.is_failing:
                log.info("database_back", place=self._place)
            self._pause_seconds = self._again_at = 0.0
            self.opened += 1
            return conn

    def _same_as_others(self, seen: int) -> None:
        if self._failures != seen:
            raise DatabaseUnavailable(self._failed)

    def _pause(self, exc: RenownError) -> None:
        if not self.is_failing:
            log.warning("database_away", place=self._place, reason=exc.detail)
        self._failures += 1
        self._failed = exc.detail
        pause = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, 2 * self._pause_seconds))
        self._pause_seconds = pause
        self._again_at = monotonic() + pause * random.uniform(0.5, 1)
