"""The connection to Redis (or Valkey), and whether it is there.

Nothing here is needed to answer a request: whoever asks has another way, and takes it at once.
While the server is away a question costs microseconds, not a timeout, because only one task of our
own looks whether it has come back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from renown.errors import BadSettings, SharedStoreError
from renown.obs import metrics
from renown.obs.hosts import host_of

TIMEOUT_SECONDS = 0.5
CONNECTIONS = 8
"""Per process. Limits need one of them, however many requests are being answered."""

_SOONEST_SECONDS, _LATEST_SECONDS = 0.1, 5.0
_STEADY_SECONDS = 30.0
_PROBE = "renown:probe"

T = TypeVar("T")

log = structlog.get_logger(__name__)


class SharedStore:
    """One Redis that all processes of an installation share.

    Args:
        url: `redis://`, `rediss://` or `unix://`. It holds a password: only its host is shown.
        timeout_seconds: for connecting, and again for each answer.

    Raises:
        BadSettings: the URL cannot be read.
    """

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.host = host_of(url)
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=timeout_seconds,
                socket_timeout=timeout_seconds,
                socket_connect_timeout=timeout_seconds,
                socket_keepalive=True,
                # A connection that the server closed while it was idle is opened anew; what it may
                # have done before a timeout is not done twice.
                retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,)),
            )
        except (ValueError, TypeError):
            raise BadSettings("REDIS_URL: write redis://, rediss:// or unix://") from None
        self._redis: Redis = Redis(connection_pool=pool)
        self._is_up = True
        self._up_since = 0.0
        self._pause_seconds = _SOONEST_SECONDS
        self._search: asyncio.Task[None] | None = None
        metrics.REDIS_UP.set(1)

    @property
    def is_up(self) -> bool:
        """Whether it answered when last asked; true before the first time."""
        return self._is_up

    async def ask(self, question: Callable[[Redis], Awaitable[T]]) -> T:
        """The answer to `question`, which gets the client (bytes in, bytes out).

        Raises:
            SharedStoreError: it is away, was slow, or refused. The next questions fail at once
                until it has been found again.
        """
        if not self._is_up:
            raise SharedStoreError("it is away", host=self.host)
        try:
            return await question(self._redis)
        except (RedisError, OSError) as exc:
            self.lost(exc)
            raise SharedStoreError(type(exc).__name__, host=self.host) from None

    async def look(self) -> None:
        """See whether it takes writes, which a server that is full or read-only does not.

        Raises:
            SharedStoreError: it does not, or is away.
        """
        await self.ask(lambda redis: redis.set(_PROBE, b"", px=1000))

    def lost(self, error: Exception) -> None:
        """Note that it cannot be used now, and begin to look for it."""
        if not self._is_up:
            return
        self._is_up = False
        metrics.REDIS_UP.set(0)
        if time.monotonic() - self._up_since > _STEADY_SECONDS:
            self._pause_seconds = _SOONEST_SECONDS
        # The kind only: messages of the library may quote what was sent.
        log.warning("redis_lost", host=self.host, error=type(error).__name__)
        self._search = asyncio.get_running_loop().create_task(self._find_again())

    async def close(self) -> None:
        """Close all connections. Nothing may be asked any more."""
        self._is_up = False
        if self._search is not None:
            self._search.cancel()
            with suppress(asyncio.CancelledError):
                await self._search
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _find_again(self) -> None:
        since = time.monotonic()
        while True:
            await asyncio.sleep(self._pause_seconds)
            self._pause_seconds = min(self._pause_seconds * 2, _LATEST_SECONDS)
            try:
                # A write: a server that is loading, read-only or full answers a PING, too.
                await self._redis.set(_PROBE, b"", px=1000)
            except (RedisError, OSError):
                continue
            break
        self._is_up, self._up_since = True, time.monotonic()
        metrics.REDIS_UP.set(1)
        log.info("redis_found", host=self.host, away_seconds=round(self._up_since - since, 1))
