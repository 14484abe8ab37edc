"""What is read of single agents so often that many ask at once: see `cache.ferry`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from renown.api.answers.answer import URI_CUT_BYTES
from renown.api.cache.ferry import Ferry, Queue
from renown.store import agents, at_once, reads_reputation
from renown.store.agents import Found, Version
from renown.store.at_once import Key
from renown.store.feedback import LABEL_CUT_BYTES
from renown.store.pool import Conn
from renown.store.reads import KeyArgs
from renown.store.reads_reputation import Kept

Reading = Callable[[], AbstractAsyncContextManager[Conn]]


class Crossings:
    """The ferries of one app. Keys are a chain and an agent id; a UUID has none.

    Args:
        reading: gives a connection for a read.
        queue: the pool that those connections are of, which says how many may wait and how long.
    """

    def __init__(self, reading: Reading, queue: Callable[[], Queue | None]) -> None:
        self._reading = reading
        self._queue = queue
        self.agents: Ferry[Key, Found | None] = Ferry(self._agent, self._agents, queue)
        self.versions: Ferry[Key, Version | None] = Ferry(self._version, self._versions, queue)
        self._reputations: dict[int, Ferry[Key, Kept | None]] = {}

    def reputations(self, limit: int) -> Ferry[Key, Kept | None]:
        """Of first pages with `limit` tags at most."""
        ferry = self._reputations.get(limit)
        if ferry is None:
            ferry = self._reputations[limit] = _Reputations(self._reading, self._queue, limit).ferry
        return ferry

    async def _agent(self, key: Key) -> Found | None:
        async with self._reading() as conn:
            return await agents.one(conn, _args(key), uri_cut_bytes=URI_CUT_BYTES)

    async def _agents(self, keys: Sequence[Key]) -> Sequence[Found | None]:
        async with self._reading() as conn:
            return await at_once.agents(conn, keys, uri_cut_bytes=URI_CUT_BYTES)

    async def _version(self, key: Key) -> Version | None:
        async with self._reading() as conn:
            return await agents.version(conn, _args(key))

    async def _versions(self, keys: Sequence[Key]) -> Sequence[Version | None]:
        async with self._reading() as conn:
            return await at_once.versions(conn, keys)


class _Reputations:
    def __init__(self, reading: Reading, queue: Callable[[], Queue | None], limit: int) -> None:
        self._reading = reading
        self._limit = limit
        self.ferry: Ferry[Key, Kept | None] = Ferry(self._one, self._many, queue)

    async def _one(self, key: Key) -> Kept | None:
        async with self._reading() as conn:
            return await reads_reputation.kept(
                conn, _args(key), limit=self._limit, cut_bytes=LABEL_CUT_BYTES
            )

    async def _many(self, keys: Sequence[Key]) -> Sequence[Kept | None]:
        async with self._reading() as conn:
            return await at_once.reputations(
                conn, keys, limit=self._limit, cut_bytes=LABEL_CUT_BYTES
            )


def _args(key: Key) -> KeyArgs:
    return KeyArgs(*key, None)
