"""One connection per process that hears what changes, for whoever keeps answers.

The words are those of `store.changes`. A word is only a hint to look: what the outbox has new is
read from it, by position, so that words that fell together or were lost cost nothing but time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from renown.errors import RenownError
from renown.store import outbox_touched
from renown.store.changes import CHANGE_CHANNEL, KEY_CHANNEL, OUTBOX_CHANNEL
from renown.store.pool import Conn, naming_failures
from renown.store.reads import Head

LOOK_SECONDS = 5.0
"""Without any word, how long until the chains are looked at: a connection that is dead without
having said so is found out, and so is a word that was lost."""
ANSWER_SECONDS = 5.0
RETRY_SECONDS = (0.1, 5.0)

log = structlog.get_logger(__name__)


class Ear:
    """What is told of changes. Its methods are called in order, in the loop, and must not wait."""

    def connected(self, heads: Sequence[Head]) -> None:
        """From now on nothing is missed that happens behind `heads`, nor off the chains."""

    def lost(self) -> None:
        """Changes may be missed from some seconds ago on, until `connected`."""

    def moved(self, head: Head, agents: frozenset[int] | None) -> None:
        """The chain stands at `head`; these agents (None: all of the chain) may have changed."""

    def gone(self, chain_id: int) -> None:
        """The index does not hold this chain any more."""

    def changed(self, chain_id: int, agents: frozenset[int] | None) -> None:
        """Something about these agents (None: all of the chain) changed off the chain."""

    def key_changed(self, key_id: str) -> None:
        """An API key was revoked or rotated, or its account changed."""


class Listening:
    """Hears for `ears` while `run` runs, and connects again whenever the connection is lost.

    Args:
        connect: opens a connection of its own, never through a pooler: words go to a session.
    """

    def __init__(self, connect: Callable[[], Awaitable[Conn]], ears: Sequence[Ear]) -> None:
        self._connect = connect
        self._ears = tuple(ears)
        self._heads: dict[int, Head] = {}
        self._due: set[int] = set()
        self._woken = asyncio.Event()
        self._broken = False

    async def run(self) -> None:
        """Hear until cancelled."""
        pause, most = RETRY_SECONDS
        while True:
            try:
                conn = await self._connect()
                try:
                    with naming_failures():
                        await self._prepare(conn)
                        pause = RETRY_SECONDS[0]
                        await self._hear(conn)
                finally:
                    self._tell_lost()
                    conn.terminate()
                log.warning("listening_lost", error="the connection ended")
            except (RenownError, OSError) as exc:
                log.warning("listening_lost", error=str(exc))
            except Exception as exc:
                log.error("listening_broke", exc_info=exc)
            await asyncio.sleep(pause)
            pause = min(2 * pause, most)

    async def _prepare(self, conn: Conn) -> None:
        self._due.clear()
        self._broken = False
        conn.add_termination_listener(lambda _: self._woken.set())
        for channel, heard in (
            (OUTBOX_CHANNEL, self._on_outbox),
            (CHANGE_CHANNEL, self._on_change),
            (KEY_CHANNEL, self._on_key),
        ):
            await conn.add_listener(channel, heard)
        # Words are heard from here on; what they tell of before this read is read here.
        found = await outbox_touched.heads(conn, timeout_seconds=ANSWER_SECONDS)
        self._heads = {head.chain_id: head for head in found}
        for ear in self._ears:
            ear.connected(found)

    async def _hear(self, conn: Conn) -> None:
        """Until the connection ends or says what nobody understands."""
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._woken.wait()
            except TimeoutError:
                await self._look(conn)
            self._woken.clear()
            if conn.is_closed() or self._broken:
                return
            due, self._due = self._due, set()
            for chain_id in sorted(due):
                await self._follow(conn, chain_id)

    async def _look(self, conn: Conn) -> None:
        """Make due what moved without a word that arrived."""
        found = await outbox_touched.heads(conn, timeout_seconds=ANSWER_SECONDS)
        moved = {head.chain_id for head in found if self._heads.get(head.chain_id) != head}
        self._due |= moved | (self._heads.keys() - {head.chain_id for head in found})

    async def _follow(self, conn: Conn, chain_id: int) -> None:
        known = self._heads.get(chain_id) or Head(chain_id, b"", 0, 0, None, None, 0, None, -1)
        found = await outbox_touched.since(conn, known, timeout_seconds=ANSWER_SECONDS)
        if found is None:
            self._heads.pop(chain_id, None)
            for ear in self._ears:
                ear.gone(chain_id)
            return
        self._heads[chain_id] = found.head
        for ear in self._ears:
            ear.moved(found.head, found.agents)

    def _tell_lost(self) -> None:
        for ear in self._ears:
            ear.lost()

    # Called by the driver, also while a statement of ours runs on the connection.

    def _on_outbox(self, _conn: object, _pid: int, _channel: str, payload: object) -> None:
        try:
            self._due.add(int(str(payload).partition(":")[0]))
        except ValueError:
            self._broken = True
        self._woken.set()

    def _on_change(self, _conn: object, _pid: int, _channel: str, payload: object) -> None:
        chain, _, listed = str(payload).partition(":")
        try:
            chain_id = int(chain)
            agents = None if listed == "*" else frozenset(map(int, listed.split(",")))
        except ValueError:
            self._broken = True
            self._woken.set()
            return
        for ear in self._ears:
            ear.changed(chain_id, agents)

    def _on_key(self, _conn: object, _pid: int, _channel: str, payload: object) -> None:
        for ear in self._ears:
            ear.key_changed(str(payload))
