"""Answers that cost much and concern everything: searches, facets, counts, status.

Any new fact changes some of them, so they are not dropped but grow old, for a few seconds. `Age`
and their own `as_of` say how old. With Redis all processes share them, and one of them reads what
all were asked for; without, or while it is away, each process has its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from renown.api.answers.answer import Answer
from renown.api.cache.bounded import Bounded
from renown.api.cache.flights import Flights
from renown.api.cache.kept import cache_key, require_public
from renown.api.cache.written import Said, Written, respond, write
from renown.api.replies import REVALIDATE
from renown.obs import metrics

SEARCH_SECONDS = 2.0
FACETS_SECONDS = 10.0
"""What they count is refreshed every few minutes only."""
NETWORK_SECONDS = 5.0
STATUS_SECONDS = 1.0

MOST_BYTES = 8 * 1024 * 1024
CLAIM_SECONDS = 6.0
"""A little longer than a search may take; whoever died with a claim holds nobody up for longer."""
PATIENCE_SECONDS = 1.0
"""How long to wait for what another process is reading before reading it as well."""
_LOOK_AGAIN_SECONDS = 0.025

Read = Callable[[], Awaitable[Answer[Any]]]


class Shared(Protocol):
    """What processes share; see `shared.answers.SharedAnswers`. Never raises."""

    async def get(self, key: str) -> bytes | None: ...
    async def put(self, key: str, value: bytes, *, ttl_seconds: float) -> None: ...
    async def claim(self, key: str, *, ttl_seconds: float) -> bytes | None: ...
    async def release(self, key: str, token: bytes) -> None: ...


class Dear:
    """The dear answers of one process, and through `shared` those of all.

    Args:
        is_on: false: it only reads, as does an app that was not started.
        now: Unix seconds, which processes on several machines compare.
    """

    def __init__(
        self,
        shared: Shared | None = None,
        *,
        is_on: bool = True,
        most_bytes: int = MOST_BYTES,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.shared = shared
        self.is_on = is_on
        self._now = now
        self._values: Bounded[_Value] = Bounded(most_bytes)
        self._flights: Flights[tuple[_Value, str]] = Flights()

    async def answer(
        self,
        request: Request,
        read: Read,
        *,
        ttl_seconds: float,
        cache: str = REVALIDATE,
        tagged: bool = True,
    ) -> Response:
        """The response to `request`, of an answer read at most `ttl_seconds` ago.

        Args:
            read: gives the answer; the same for everybody who asks for this path and query.

        Raises:
            Whatever `read` raises, to all who wait for it; it is not remembered.
        """
        route = request.scope["route"].path
        if not self.is_on:
            written, said = write(await read())
            return respond(request, written, said, cache=cache, tagged=tagged)
        key = cache_key(request)
        value = self._values.get(key)
        if value is not None and self._is_fresh(value, ttl_seconds):
            outcome = "hit"
        else:
            require_public(request)
            is_under_way = key in self._flights
            value, outcome = await self._flights.once(
                key, lambda: self._find(key, read, ttl_seconds)
            )
            outcome = "joined" if is_under_way else outcome
        _reads(route, outcome).inc()
        age = max(0, int(self._now() - value.read_at))
        return respond(
            request, value.written, value.said, cache=cache, tagged=tagged, age_seconds=age
        )

    async def _find(self, key: str, read: Read, ttl_seconds: float) -> tuple[_Value, str]:
        if self.shared is None:
            return self._keep(key, await self._read(key, read)), "miss"
        value = await self._get_shared(key, ttl_seconds)
        token = None
        if value is None:
            token = await self.shared.claim(key, ttl_seconds=CLAIM_SECONDS)
            if token is None:
                value = await self._wait_for(key, ttl_seconds)
        if value is not None:
            return self._keep(key, value), "shared"
        try:
            value = await self._read(key, read)
            left = ttl_seconds - (self._now() - value.read_at)
            await self.shared.put(key, _encode(value), ttl_seconds=left)
        finally:
            if token is not None:
                await self.shared.release(key, token)
        return self._keep(key, value), "miss"

    async def _wait_for(self, key: str, ttl_seconds: float) -> _Value | None:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            if (value := await self._get_shared(key, ttl_seconds)) is not None:
                return value
        return None

    async def _get_shared(self, key: str, ttl_seconds: float) -> _Value | None:
        assert self.shared is not None
        found = await self.shared.get(key)
        if found is None:
            return None
        try:
            value = _decode(found)
        except msgspec.MsgspecError:
            return None
        return value if value.key == key and self._is_fresh(value, ttl_seconds) else None

    async def _read(self, key: str, read: Read) -> _Value:
        began = self._now()  # what is read is not younger than this
        written, said = write(await read())
        return _Value(key, written, said, began)

    def _keep(self, key: str, value: _Value) -> _Value:
        self._values.put(key, value, value.written.size_bytes + len(value.said.body))
        return value

    def _is_fresh(self, value: _Value, ttl_seconds: float) -> bool:
        # What comes from the future was read by a clock that is not ours.
        return -ttl_seconds <= self._now() - value.read_at < ttl_seconds


class _Value(Struct, frozen=True):
    key: str
    written: Written
    said: Said
    read_at: float


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Value).decode


@cache
def _reads(route: str, outcome: str) -> Any:
    return metrics.CACHE_READS.labels("dear", route, outcome)
