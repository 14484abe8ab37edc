"""The crawler: learns URIs from facts, reads what they lead to, and keeps it.

Two tasks share the work. The keeper writes: it follows the trail, reads inline URIs, settles
attempts and makes agents' rows anew, one after the other on one connection, so that none of these
ever misses what another is just writing. The claimer takes URIs whose time has come and hands them
to fetches. Whatever ends either, the database holds all that was settled and nothing by halves.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime

import msgspec
import structlog

from renown.errors import RenownError
from renown.ingest.crawler import inline, trail, upkeep
from renown.ingest.crawler.claiming import Claims
from renown.ingest.crawler.fetching import Fetching, Reader
from renown.ingest.crawler.network import OwnNetwork
from renown.ingest.crawler.reading import Reading
from renown.ingest.crawler.schedule import USUAL, Pauses
from renown.ingest.crawler.settling import Settled, settle
from renown.ingest.persisting import persist
from renown.store import uris
from renown.store.locks import only_one
from renown.store.pool import Conn, naming_failures

log = structlog.get_logger()

LOCK = "crawler"
BATCH_ATTEMPTS = 400
LINGER_SECONDS = 0.2
"""How long a small batch waits for more, so that commits are shared."""
IDLE_SECONDS, SOON_SECONDS = 1.0, 0.01
"""How often an idle crawler looks for news of the index; and one that is to end when idle."""
REFRESH_RETRY_SECONDS = 60.0
UPKEEP_SECONDS = 3_600.0
STANDBY_SECONDS = 5.0
NETWORK_OUT = "our own network seems to be out: no host answers that did before; waiting for it"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0

Refresh = Callable[[Conn], Awaitable[int]]


def _utc_now() -> datetime:
    return datetime.now(UTC)


async def _no_refresh(_: Conn) -> int:
    return 0


class Tally(msgspec.Struct):
    """What a crawler did since it began. `outcomes` counts attempts by `offchain.fetched.Outcome`;
    `waiting` are fetches claimed and under way."""

    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    documents: int = 0
    agents: int = 0
    waiting: int = 0
    problem: str | None = None

    @property
    def attempts(self) -> int:
        """Attempts settled, of every outcome."""
        return self.outcomes.total()


class Crawler:
    """Reads what stands behind URIs; one works per database, others stand by.

    Args:
        connect: opens a direct connection to the database; three are open at a time.
        reader: fetches; it must be open for as long as the crawler runs.
        connections: fetches at once.
        per_host: of them at one host.
        refresh: makes some agents' rows anew and says how many; called between transactions.
        pauses: when URIs are read again.
        clock: the time now, with its zone.
        on_progress: told when something was settled.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Conn]],
        reader: Reader,
        *,
        connections: int = 64,
        per_host: int = 2,
        refresh: Refresh = _no_refresh,
        pauses: Pauses = USUAL,
        clock: Callable[[], datetime] = _utc_now,
        on_progress: Callable[[Tally], None] = lambda _: None,
    ) -> None:
        self.tally = Tally()
        self._connect = connect
        self._refresh = refresh
        self._pauses = pauses
        self._clock = clock
        self._on_progress = on_progress
        self._woken = asyncio.Event()  # of the claimer
        self._done = asyncio.Event()  # of the keeper
        self._reading = Reading()
        self._fetching = Fetching(
            reader,
            self._reading,
            connections=connections,
            per_host=per_host,
            clock=clock,
            on_done=self._something_done,
        )
        self._network = OwnNetwork(reader, self._fetching)
        self._claims = Claims(self._fetching, clock)
        self._shrinking = upkeep.Shrinking()
        self._next_upkeep = 0.0
        self._next_refresh = 0.0
        self._until_idle = False
        self._changes = 0
        self._nothing_at = -1
        """The number of changes that a whole round of claims saw and found nothing."""

    async def run(self) -> None:
        """Crawl for ever. A database that is away is waited for.

        Raises:
            RenownError: what trying again cannot mend.
        """
        try:
            await persist(
                lambda: self._session(until_idle=False),
                done=lambda: self._changes,
                failed=self._interrupted,
                first_seconds=FIRST_PAUSE_SECONDS,
                longest_seconds=LONGEST_PAUSE_SECONDS,
            )
        finally:
            await self._fetching.close()

    async def run_until_idle(self) -> Tally:
        """Crawl until nothing more is due: facts are taken in, and every URI whose time has come
        was tried. URIs of hosts that rest are left for later; so are all others if our own network
        seems to be out, as `Tally.problem` then says.

        Raises:
            StoreError: the database failed; what was settled is kept.
        """
        try:
            await self._session(until_idle=True)
        finally:
            await self._fetching.close()
        return self.tally

    def _interrupted(self, exc: Exception) -> None:
        if isinstance(exc, RenownError):
            self.tally.problem = exc.detail
            log.warning("crawler_interrupted", error=type(exc).__name__, reason=exc.detail)
        else:
            self.tally.problem = f"unexpected {type(exc).__name__}"
            log.error("crawler_interrupted", error=type(exc).__name__, exc_info=exc)
        self._on_progress(self.tally)

    # A session: as long as the lock holds --------------------------------------------------------

    async def _session(self, *, until_idle: bool) -> None:
        self._until_idle = until_idle
        lock = only_one(self._connect, LOCK, retry_seconds=STANDBY_SECONDS, on_wait=self._stand_by)
        async with lock:
            with ExitStack() as opened, naming_failures():
                keeping = await self._connect()
                opened.callback(keeping.terminate)
                claiming = await self._connect()
                opened.callback(claiming.terminate)
                await uris.plan_by_key(keeping)
                await uris.plan_by_key(claiming, lossy=True)  # a claim that is lost is made again
                self.tally.problem = None
                self._nothing_at = -1
                await _first_to_end(self._keep(keeping), self._claim(claiming))

    def _something_done(self) -> None:
        self._done.set()
        self._woken.set()

    def _stand_by(self) -> None:
        """Another process crawls: what is at hand here is its to do."""
        log.info("crawler_standing_by")
        self.tally.problem = "another process crawls; standing by"
        self._fetching.forget()
        self._on_progress(self.tally)

    async def _claim(self, conn: Conn) -> None:
        """Keep fetches supplied."""
        while True:
            self._woken.clear()
            seen = self._changes
            claimed = None
            if self._fetching.hungry:
                thorough = self._until_idle and self._fetching.idle
                claimed = await self._claims.claim_some(conn, thorough=thorough)
                if claimed.nothing_left and self._fetching.idle:
                    self._nothing_at = seen
            if claimed is None or not claimed.count:
                await _heard(self._woken, self._idle_seconds)

    async def _keep(self, conn: Conn) -> None:
        """Do everything that writes but claims. Ends when idle, if that was asked for."""
        while True:
            self._done.clear()
            settled = await self._settle(conn)
            learnt = await trail.follow(conn, self._clock())
            inlined = self._count(
                await inline.read_some(conn, self._reading, self._clock(), pauses=self._pauses)
            )
            # Of agents whose files come with their URIs, rows are made when those are read.
            if inlined < inline.BATCH_URIS // 2:
                learnt += await self._make_rows(conn)
            settled += inlined
            if learnt:
                self._claims.hear_news()
            if settled or learnt:
                self._changes += 1
                self._woken.set()
            elif self._until_idle and (self._nothing_is_due or self._network.lasting):
                return
            else:
                await self._look_after(conn)
                await _heard(self._done, self._idle_seconds)

    @property
    def _nothing_is_due(self) -> bool:
        return self._fetching.idle and self._nothing_at == self._changes

    @property
    def _idle_seconds(self) -> float:
        """How long to wait for something to do."""
        return SOON_SECONDS if self._until_idle and self._fetching.idle else IDLE_SECONDS

    async def _settle(self, conn: Conn) -> int:
        """Settle what fetches gave; a small batch waits a moment for more."""
        if 0 < self._fetching.unsettled < BATCH_ATTEMPTS and self._fetching.in_flight:
            await asyncio.sleep(LINGER_SECONDS)
        await self._check_network(conn)
        if self._fetching.suspected or not self._fetching.unsettled:
            return 0
        attempts = self._fetching.unsettled_batch(BATCH_ATTEMPTS)
        settled = await settle(conn, attempts, self._clock(), pauses=self._pauses)
        # Now that their hosts are known to rest, nobody claims them at once.
        await uris.give_back(conn, self._fetching.take_back(), self._clock())
        self._reading.kept(attempts)
        self._fetching.settled(attempts)
        self._count(settled)
        return len(attempts)

    async def _check_network(self, conn: Conn) -> None:
        await self._network.check(conn, self._clock())
        problem = self.tally.problem
        if self._network.looks:
            self.tally.problem = NETWORK_OUT
        elif problem == NETWORK_OUT:
            self.tally.problem = None
        if self.tally.problem != problem:
            self._on_progress(self.tally)

    async def _make_rows(self, conn: Conn) -> int:
        """Agents' rows. What is wrong with one of them is no reason to stop crawling."""
        if time.monotonic() < self._next_refresh:
            return 0
        try:
            with naming_failures():
                count = await self._refresh(conn)
        except RenownError:
            raise
        except Exception as exc:
            log.exception("rows_not_made", error=type(exc).__name__)
            self._next_refresh = time.monotonic() + REFRESH_RETRY_SECONDS
            return 0
        self.tally.agents += count
        return count

    def _count(self, settled: Sequence[Settled]) -> int:
        if not settled:
            return 0
        for one in settled:
            self.tally.outcomes.update(one.outcomes)
            self.tally.documents += one.documents
        self.tally.waiting = self._fetching.in_flight
        self._on_progress(self.tally)
        return sum(len(one.outcomes) for one in settled)

    async def _look_after(self, conn: Conn) -> None:
        """What has time until nothing else is to be done."""
        now = time.monotonic()
        if now >= self._next_upkeep:
            again = await upkeep.read_again(conn, self._clock())
            if not again and not await self._shrinking.step(conn, self._clock()):
                self._next_upkeep = now + UPKEEP_SECONDS


async def _heard(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but not longer than so."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):  # `wait_for` may lose a cancellation, in 3.11
            await event.wait()


async def _first_to_end(*work: Awaitable[None]) -> None:
    """Run until one ends or fails; the others are ended, and its failure is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
