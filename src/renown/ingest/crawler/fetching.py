"""Fetches in flight: so many at once in all, so many at one host, and what they gave.

URIs wait here host by host, so that a host that takes its time holds up its own URIs only.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

import structlog

from renown.ingest.crawler import patience
from renown.ingest.crawler.attempt import Attempt
from renown.ingest.crawler.reading import Reading
from renown.ingest.crawler.suspicion import Suspicion, unreached
from renown.offchain.fetched import Fetched
from renown.spec.uris import Uri, parse_uri
from renown.store.uris import Due

log = structlog.get_logger()

MOST_UNSETTLED = 2_000
MOST_UNSETTLED_BYTES = 32 * 2**20
"""What may lie here unsettled; beyond it nothing new is begun."""
TURN_URIS = 8
"""Of a host, as its turn comes, so many are taken for each connection that it may have: the next
one finds the connection open, and after them it is the others' turn."""
GATEWAY_SHARE = 4
"""Of all connections, how many may wait for gateways: one in so many. Their hosts are limited by
the fetcher, which knows them."""


class Reader(Protocol):
    """Who fetches; `offchain.fetcher.Fetcher` in earnest. Never raises."""

    async def read(
        self, uri: Uri, *, etag: str | None = None, last_modified: str | None = None
    ) -> Fetched: ...


class Fetching:
    """URIs that were claimed, fetches under way, and attempts that wait to be settled.

    Attributes:
        suspicion: what the attempts say of our own network.
    """

    def __init__(
        self,
        reader: Reader,
        reading: Reading,
        *,
        connections: int,
        per_host: int,
        clock: Callable[[], datetime],
        on_done: Callable[[], None],
    ) -> None:
        self.suspicion = Suspicion()
        self._reader = reader
        self._reading = reading
        self._connections = connections
        self._per_host = per_host
        self._clock = clock
        self._on_done = on_done
        self._ready: dict[str, deque[Due]] = {}
        self._startable: deque[str] = deque()
        self._busy: Counter[str] = Counter()
        self._running: set[asyncio.Task[None]] = set()
        self._held: set[int] = set()
        self._paused: Counter[str] = Counter()
        """Hosts by the attempts here that say that they are to rest."""
        self._done: deque[Attempt] = deque()
        self._done_bytes = 0
        self._waiting = 0

    # What there is -------------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many more URIs are worth claiming: as many wait as run."""
        if len(self._done) >= MOST_UNSETTLED or self._done_bytes >= MOST_UNSETTLED_BYTES:
            return 0
        free = self._connections - len(self._running)
        # With a connection free, all that wait here wait for their hosts.
        return free + self._connections if free else max(0, self._connections - self._waiting)

    @property
    def hungry(self) -> bool:
        """So few wait that it is time to claim more, and there is room for them."""
        return not self.suspected and self.room >= max(1, self._connections // 2)

    @property
    def idle(self) -> bool:
        """Nothing waits, runs, or is to be settled."""
        return not (self._waiting or self._running or self._done)

    @property
    def in_flight(self) -> int:
        """Fetches under way."""
        return len(self._running)

    @property
    def unsettled(self) -> int:
        """Attempts that wait to be settled."""
        return len(self._done)

    @property
    def suspected(self) -> bool:
        """Whether it may be our own network that fails. Nothing is begun while that is so."""
        return self.suspicion.suspected

    def room_of(self, host: str) -> int:
        """How many more URIs of a host are worth claiming. None are while many of it wait, so that
        they are not claimed one by one."""
        if host in self._paused:
            return 0
        most = TURN_URIS * self._limit(host)
        room = most - len(self._ready.get(host, ())) - self._busy[host]
        return room if room >= most // 2 else 0

    # Coming in -----------------------------------------------------------------------------------

    def offer(self, claimed: Iterable[Due]) -> int:
        """Fetch these when it is their turn. Returns how many were not here already."""
        taken = 0
        for due in claimed:
            if due.uri_id in self._held:
                continue  # its time to be settled ran out, but it is still under way
            self._held.add(due.uri_id)
            self._ready.setdefault(due.host, deque()).append(due)
            self._startable.append(due.host)
            self._waiting += 1
            taken += 1
        self._start()
        return taken

    def give_up(self, claimed: Iterable[Due], fetched: Fetched) -> int:
        """Let attempts come out so, without making them. Returns how many."""
        given = 0
        for due in claimed:
            if due.uri_id not in self._held:
                self._held.add(due.uri_id)
                self._keep(Attempt(due, self._clock(), fetched))
                given += 1
        self._on_done()
        return given

    # Going out -----------------------------------------------------------------------------------

    def unsettled_batch(self, most: int) -> list[Attempt]:
        """The attempts to be settled next. They stay here until `settled`."""
        return [self._done[n] for n in range(min(most, len(self._done)))]

    def settled(self, attempts: Sequence[Attempt]) -> None:
        """The oldest attempts, as `unsettled_batch` gave them, are kept."""
        for attempt in attempts:
            gone = self._done.popleft()
            assert gone is attempt
            self._let_go(gone)
        self._start()

    def trust(self) -> None:
        """Our own network is there: what fails does so for other reasons. Go on."""
        self.suspicion.trust()
        self._start()

    def try_again(self) -> None:
        """Go on, and suspect our own network again if as many fail again."""
        self.suspicion.forget()
        self._start()

    def unreached(self, most: int) -> list[bytes]:
        """Some of the URIs here at which nobody was there, each of another host."""
        found = {a.due.host: a.due.uri for a in self._done if unreached(a.fetched)}
        return list(found.values())[:most]

    def drop_unreached(self, *, begun_before: datetime | None = None) -> list[int]:
        """Forget the attempts that found nobody there, as if they had never been made. Returns the
        ids of their URIs.

        Args:
            begun_before: only those that were begun by then.
        """
        gone: list[Attempt] = []
        kept: deque[Attempt] = deque()
        for attempt in self._done:
            early = begun_before is None or attempt.at < begun_before
            (gone if early and unreached(attempt.fetched) else kept).append(attempt)
        self._done = kept
        for attempt in gone:
            self._let_go(attempt)
        self._start()
        return [attempt.due.uri_id for attempt in gone]

    def take_back(self) -> list[int]:
        """The ids of the URIs that wait here for hosts that are to rest. They are here no more."""
        back = [due.uri_id for host in self._paused for due in self._ready.pop(host, ())]
        self._held.difference_update(back)
        self._waiting -= len(back)
        return back

    def forget(self) -> None:
        """Drop everything, and end what is under way; whoever has the lock now will do it."""
        for task in self._running:
            task.cancel()
        self._ready.clear()
        self._startable.clear()
        self._done.clear()
        self._held.clear()
        self._paused.clear()
        self._waiting = self._done_bytes = 0

    async def close(self) -> None:
        """End what is under way, and wait for its end."""
        running = list(self._running)
        self.forget()
        await asyncio.gather(*running, return_exceptions=True)

    # At work -------------------------------------------------------------------------------------

    def _start(self) -> None:
        while self._startable and len(self._running) < self._connections:
            if self.suspected or self._done_bytes >= MOST_UNSETTLED_BYTES:
                return
            host = self._startable.popleft()
            ready = self._ready.get(host)
            if not ready or host in self._paused or self._busy[host] >= self._limit(host):
                continue  # it gets its turn when one of its fetches ends, or is settled
            due = ready.popleft()
            if not ready:
                del self._ready[host]
            self._waiting -= 1
            self._busy[host] += 1
            task = asyncio.create_task(self._fetch(due))
            self._running.add(task)
            task.add_done_callback(partial(self._ended, host))

    def _ended(self, host: str, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._busy[host] -= 1
        if not self._busy[host]:
            del self._busy[host]
        if host in self._ready:
            self._startable.append(host)
        self._start()
        self._on_done()

    async def _fetch(self, due: Due) -> None:
        at = self._clock()
        # What is read again to be proven has to be read whole.
        known = due.document_id is not None and not due.fixed
        try:
            fetched = await self._reader.read(
                parse_uri(due.uri),
                etag=due.etag if known else None,
                last_modified=due.last_modified if known else None,
            )
        except Exception as exc:
            log.exception("fetch_failed", uri_id=due.uri_id, error=type(exc).__name__)
            fetched = Fetched(outcome="broken", reason="unforeseen")
        self.suspicion.hear(due.host, fetched)
        if due.uri_id in self._held:
            self._keep(self._reading.attempt(due, at, fetched))

    def _keep(self, attempt: Attempt) -> None:
        if _pauses(attempt):
            self._paused[attempt.due.host] += 1  # at once, not only when that is settled
        self._done.append(attempt)
        self._done_bytes += attempt.size_bytes

    def _let_go(self, attempt: Attempt) -> None:
        host = attempt.due.host
        self._done_bytes -= attempt.size_bytes
        self._held.discard(attempt.due.uri_id)
        if not _pauses(attempt):
            return
        self._paused[host] -= 1
        if not self._paused[host]:
            del self._paused[host]
            # Some may have come while it was paused: claimed before anybody knew that it rests.
            self._startable.extend(host for _ in self._ready.get(host, ()))

    def _limit(self, host: str) -> int:
        if patience.is_gateway(host):
            return max(self._per_host, self._connections // GATEWAY_SHARE)
        return self._per_host


def _pauses(attempt: Attempt) -> bool:
    """Whether the host is to be left alone until the attempt is settled."""
    found = patience.after(attempt.fetched, host=attempt.due.host, failures=0)
    return isinstance(found, patience.Rest)
