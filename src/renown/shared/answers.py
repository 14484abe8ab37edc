"""Answers that all processes share for a few seconds, and who of them makes one that lacks.

A value is bytes with a seal: what another release wrote, another installation or a stranger, or
what was damaged, is no value. Whatever is wrong with Redis, it holds nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from redis.asyncio import Redis

from renown.errors import SharedStoreError
from renown.shared.redis import SharedStore

PREFIX = "renown:answer:"
MOST_BYTES = 4 * 1024 * 1024
_SEAL_BYTES = 32

# Only whoever made a claim takes it away: it may have run out and be another's by now.
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

T = TypeVar("T")


class SharedAnswers:
    """Sealed values by text.

    Args:
        secret: known to the processes that share, and to nobody else.
        release: of the program; values of another are not read.
    """

    def __init__(self, store: SharedStore, secret: bytes, release: str) -> None:
        self._store = store
        self._secret = hmac.digest(secret, b"shared answers " + release.encode(), "sha256")

    async def get(self, key: str) -> bytes | None:
        """The value of `key`; None if there is none that is ours, or Redis is away."""
        name = self._name(key)
        found = await self._ask(lambda redis: redis.get(name))
        if not isinstance(found, bytes) or len(found) < _SEAL_BYTES:
            return None
        seal, value = found[:_SEAL_BYTES], found[_SEAL_BYTES:]
        return value if hmac.compare_digest(seal, self._seal(name, value)) else None

    async def put(self, key: str, value: bytes, *, ttl_seconds: float) -> None:
        """Share `value` for so long, if it is not too long and Redis is there."""
        if len(value) > MOST_BYTES:
            return
        name = self._name(key)
        sealed = self._seal(name, value) + value
        await self._ask(lambda redis: redis.set(name, sealed, px=max(1, int(ttl_seconds * 1000))))

    async def claim(self, key: str, *, ttl_seconds: float) -> bytes | None:
        """Take it on to make the value of `key`. None: another process does that already.

        The claim runs out by itself. With Redis away everybody may make it.
        """
        name, token = self._name(key) + ":claim", secrets.token_bytes(16)
        ttl_ms = max(1, int(ttl_seconds * 1000))
        try:
            taken = await self._store.ask(lambda redis: redis.set(name, token, px=ttl_ms, nx=True))
        except SharedStoreError:
            return token
        return token if taken else None

    async def release(self, key: str, token: bytes) -> None:
        """Give a claim back."""
        name = self._name(key) + ":claim"
        await self._ask(lambda redis: redis.eval(_RELEASE, 1, name, token))

    async def _ask(self, question: Callable[[Redis], Awaitable[T]]) -> T | None:
        with suppress(SharedStoreError):
            return await self._store.ask(question)
        return None

    def _name(self, key: str) -> str:
        digest = hmac.digest(self._secret, key.encode("utf-8", "surrogatepass"), "sha256")
        return PREFIX + digest[:20].hex()

    def _seal(self, name: str, value: bytes) -> bytes:
        keyed = hashlib.blake2b(name.encode(), key=self._secret, digest_size=_SEAL_BYTES)
        keyed.update(value)
        return keyed.digest()
