"""Addresses as they stand in the audit log, under the key of the day."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime
from time import monotonic

import structlog

from renown.api.cache.flights import Flights
from renown.errors import StoreError
from renown.store.audit_address import address_key, pseudonym
from renown.store.pool import Conn

AGAIN_SECONDS = 5.0
_MOST_KEPT = 20_000

log = structlog.get_logger(__name__)


class Pseudonyms:
    """Makes pseudonyms. One per process; the key of the day is kept in memory.

    Args:
        reading: gives a connection that may write.
        now: the time, in UTC.
    """

    def __init__(
        self,
        reading: Callable[[], AbstractAsyncContextManager[Conn]],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reading = reading
        self._now = now
        self._day: date | None = None
        self._key: bytes | None = None
        self._known: dict[str, bytes] = {}
        self._again_at = 0.0
        self._loading: Flights[None] = Flights()

    async def of(self, address: str) -> bytes | None:
        """What stands for `address` today; None where the database cannot say under which key."""
        today = self._now().date()
        if today != self._day or self._key is None:
            # Whoever comes while the key is being read waits for it, too.
            await self._loading.once(str(today), lambda: self._load(today))
        if self._key is None or self._day != today:
            return None
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            known = self._known[address] = pseudonym(self._key, address)
        return known

    async def _load(self, today: date) -> None:
        if today == self._day and monotonic() < self._again_at:
            return
        if today != self._day:
            self._day, self._key = today, None
            self._known.clear()
        self._again_at = monotonic() + AGAIN_SECONDS
        try:
            async with self._reading() as conn:
                key = await address_key(conn, today) or await address_key(conn, today)
        except StoreError as exc:
            log.warning("address_key_not_read", error=exc.slug)
            return
        if self._day == today and key is not None:
            self._key = key
