"""The read replica: whether it may be asked now, and how far it is behind.

How far is measured by positions of the log, not by its clock or its last transaction: an idle
primary is no lag, and a replica that lost its primary without noticing is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import LiteralString

import structlog

from renown.errors import DatabaseUnavailable, RenownError, StoreError
from renown.obs import metrics
from renown.store.failures import is_conflict
from renown.store.pool import Conn, Pool

PERIOD_SECONDS = 1.0
ANSWER_SECONDS = 2.0
FORGOTTEN_SECONDS = 10.0
"""A look that is older says nothing any more."""

# Bytes of log since the beginning; a promoted replica writes its own.
PRIMARY_AT: LiteralString = "SELECT (pg_current_wal_lsn() - '0/0')::bigint"
REPLICA_AT: LiteralString = """
SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
        - '0/0')::bigint
"""

log = structlog.get_logger(__name__)


class ReplicaFailed(StoreError):
    """The replica could not answer what the primary can: ask that, once."""


class Replica:
    """A replica of `primary` that reads through `pool`.

    Attributes:
        lag_seconds: how far it is behind as of the last look; None: it did not answer.
    """

    def __init__(self, pool: Pool, primary: Pool, *, max_lag_seconds: float) -> None:
        self._pool = pool
        self._primary = primary
        self._max_lag_seconds = max_lag_seconds
        most = 60 + int(max_lag_seconds / PERIOD_SECONDS)  # more would tell nothing new
        self._samples: deque[tuple[float, int]] = deque(maxlen=most)
        self._looked_at = 0.0
        self._lag_known = (monotonic(), 0.0)  # when, and how much it was
        self._was_fit = True
        self.lag_seconds: float | None = None

    @property
    def pool(self) -> Pool:
        """Its connections."""
        return self._pool

    @property
    def is_fit(self) -> bool:
        """Whether reads may go to it now: it answers, and is not too far behind."""
        lag = self.lag_seconds
        if lag is None or monotonic() - self._looked_at > FORGOTTEN_SECONDS:
            return False
        return lag <= self._max_lag_seconds

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        """A connection to it.

        Raises:
            ReplicaFailed: it went away, or undid a read in favour of what it replays.
            StoreError: as `Pool.connection`.
        """
        try:
            async with self._pool.connection() as conn:
                yield conn
        except StoreError as exc:
            if isinstance(exc, DatabaseUnavailable):
                self.lag_seconds = None
            elif not is_conflict(exc):
                raise
            raise ReplicaFailed(exc.detail) from exc

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Know how it stands for as long as the block runs."""
        await self.look()
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def look(self) -> None:
        """See how far behind it is. Never raises."""
        # The primary first: what it has written then is what the replica should have now.
        written = await self._asked(self._primary, PRIMARY_AT)
        if written is not None:
            self._samples.append((monotonic(), written))
        replayed = await self._asked(self._pool, REPLICA_AT)
        self._looked_at = monotonic()
        self.lag_seconds = None if replayed is None else self._lag(replayed)
        if self.lag_seconds is not None:
            self._lag_known = self._looked_at, self.lag_seconds
        then, lag_seconds = self._lag_known
        metrics.REPLICA_UP.set(int(self.lag_seconds is not None))
        metrics.REPLICA_LAG.set(lag_seconds + self._looked_at - then)
        if self.is_fit != self._was_fit:
            self._was_fit = self.is_fit
            word = "replica_fit" if self._was_fit else "replica_unfit"
            log.warning(word, lag_seconds=self.lag_seconds)

    def _lag(self, replayed: int) -> float:
        """Seconds since the primary was first seen past what is replayed; 0 if it never was."""
        while self._samples and self._samples[0][1] <= replayed:
            self._samples.popleft()
        return self._looked_at - self._samples[0][0] if self._samples else 0.0

    async def _asked(self, pool: Pool, question: LiteralString) -> int | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS), pool.connection() as conn:
                at: int = await conn.fetchval(question)
        except (RenownError, TimeoutError):
            return None
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is of no use now
            log.warning("replica_not_asked", error=type(exc).__name__)
            return None
        return at

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            await self.look()
