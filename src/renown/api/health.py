"""Looks at everything that the API depends on, all at once and within two seconds.

What was found is kept for a second, what has to be counted for a quarter of a minute, and whoever
asks meanwhile gets it: a flood of questions costs the database nothing.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog
from msgspec import Struct

from renown.api.answers import health as judged
from renown.api.answers.health import Check, Health
from renown.api.cache.flights import Flights
from renown.api.measured import tell_pools
from renown.errors import DatabaseUnavailable, Overloaded, RenownError, SharedStoreError
from renown.obs import metrics
from renown.shared.redis import SharedStore
from renown.store import audit_alarms, vitals
from renown.store.pool import Conn
from renown.store.pulse import Beat, Pulse

if TYPE_CHECKING:
    from renown.api.deps import Desk

KEPT_SECONDS = 1.0
COUNTED_SECONDS = 15.0
"""How long the answer to a question is kept that costs more than the others."""
LONGEST_SECONDS = 1.5
PERIOD_SECONDS = 5.0

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Expected(Struct, frozen=True, kw_only=True):
    """What is to be well here, as the settings say.

    Attributes:
        chains: slugs of those that should be followed; None: every one that is indexed.
        folders: that this process writes to, by their names in metrics.
    """

    ready_lag_seconds: float = 600.0
    replica_max_lag_seconds: float = 10.0
    checkpoint_seconds: float = 60.0
    crawl: bool = True
    chains: frozenset[str] | None = None
    folders: Mapping[str, Path] = {}


class Watch:
    """Watches over one app: readiness, health, and the gauges that both share.

    Args:
        shared: Redis; None: there is none.
    """

    def __init__(self, desk: Desk, expected: Expected, shared: SharedStore | None = None) -> None:
        self._desk = desk
        self._expected = expected
        self._shared = shared
        self._kept: tuple[float, Health] | None = None
        self._counted: dict[object, tuple[float, Check]] = {}
        self._looking: asyncio.Task[Health] | None = None
        self._exposing: Flights[bytes] = Flights()
        self.pulse = Pulse(
            desk.reading, timeout_seconds=LONGEST_SECONDS, on_beat=self._tell_followed
        )

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[None]:
        """Keep the gauges true for as long as the block runs."""
        await self.pulse.beat(0.0)
        running = asyncio.create_task(self._run())
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            self.pulse.forget()

    async def _run(self) -> None:
        while True:
            try:
                disks = asyncio.to_thread(self._disk)
                await asyncio.gather(self.pulse.beat(0.0), self._redis(), disks)
                tell_pools(self._desk)
            except Exception:  # whatever it is, the next look may go well
                log.exception("watch_failed")
            await asyncio.sleep(PERIOD_SECONDS)

    async def unready(self, *, draining: bool) -> list[str]:
        """Why no requests should come here now; none: they may.

        Raises:
            StoreError: the database is away, or its schema is not ours.
        """
        if draining:
            return ["draining: this process ends, its last requests are being answered"]
        beat = await self.pulse.beat(KEPT_SECONDS)
        if beat.failure is not None and not isinstance(beat.failure, Overloaded):
            raise beat.failure
        late, is_every = judged.stale(
            beat.chains,
            most_age_seconds=self._expected.ready_lag_seconds,
            only=self._expected.chains,
        )
        # One chain whose nodes are away must not take the others out of service.
        if not is_every:
            return []
        return [
            f"{one.slug}: its head was last seen {one.head_age_seconds:.0f} s ago" for one in late
        ]

    async def metrics(self) -> bytes:
        """Everything measured, for Prometheus."""
        tell_pools(self._desk)
        # In a thread, and once for all who ask meanwhile: with several processes it takes a while.
        return await self._exposing.once("", lambda: asyncio.to_thread(metrics.exposition))

    async def health(self) -> Health:
        """How everything is; not older than a second, counts than a quarter of a minute."""
        if self._kept is not None and time.monotonic() - self._kept[0] <= KEPT_SECONDS:
            return self._kept[1]
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> Health:
        expected = self._expected
        beat, redis, views, crawler, audit, disk = await asyncio.gather(
            self.pulse.beat(KEPT_SECONDS),
            self._redis(),
            self._asked(vitals.view_ages, judged.views),
            self._asked(vitals.crawl, judged.crawler) if expected.crawl else _off(),
            self._asked(_audit, self._judged_audit),
            asyncio.to_thread(self._disk),
        )
        checks = {"database": judged.database(beat), "replica": self._replica(), "redis": redis}
        checks |= self._chains(beat)
        checks |= {"views": views, "crawler": crawler, "audit": audit, "disk": disk}
        found = Health(
            status=judged.overall(checks),
            checked_at=datetime.now(UTC),
            version=version("renown"),
            checks=checks,
        )
        self._kept = time.monotonic(), found
        return found

    async def _asked(
        self, ask: Callable[[Conn], Awaitable[T]], judge: Callable[[T, float], Check]
    ) -> Check:
        """What `judge` makes of the database's answer, or that there was none in time."""
        began = time.monotonic()
        if (kept := self._counted.get(ask)) and began - kept[0] <= COUNTED_SECONDS:
            return kept[1]
        try:
            async with asyncio.timeout(LONGEST_SECONDS), self._desk.reading() as conn:
                found = await ask(conn)
        except TimeoutError:
            return judged.failed("no answer in time")
        except DatabaseUnavailable:
            return judged.failed("the database does not answer")
        except RenownError as exc:
            return judged.failed(exc.slug)
        except Exception as exc:  # noqa: BLE001 - one odd part must not hide the others
            return judged.failed(type(exc).__name__)
        judged_now = judge(found, _ms_since(began))
        self._counted[ask] = began, judged_now
        return judged_now

    def _judged_audit(self, seen: tuple[vitals.AuditVitals, list[str]], latency_ms: float) -> Check:
        log, alarms = seen
        return judged.audit(
            log,
            latency_ms,
            checkpoint_seconds=self._expected.checkpoint_seconds,
            is_broken=bool(alarms),
        )

    async def _redis(self) -> Check:
        if self._shared is None:
            return judged.off()
        began = time.monotonic()
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await self._shared.look()
        except (SharedStoreError, TimeoutError):
            return judged.failed("it is away: each process limits and keeps answers for itself")
        return Check(status="ok", latency_ms=_ms_since(began))

    def _replica(self) -> Check:
        replica = self._desk.replica
        if replica is None:
            return judged.off()
        most = self._expected.replica_max_lag_seconds
        return judged.replica(replica.lag_seconds, most_lag_seconds=most)

    def _chains(self, beat: Beat) -> dict[str, Check]:
        most = self._expected.ready_lag_seconds
        checks: dict[str, Check] = {}
        for one in beat.chains:
            writer = self._desk.writers.get(one.chain_id)
            own = writer.pool.status() if writer is not None else []
            checks[f"indexer:{one.slug}"] = judged.indexer(one, most_lag_seconds=most)
            checks[f"nodes:{one.slug}"] = judged.nodes(one, own, most_age_seconds=most)
        return checks

    def _disk(self) -> Check:
        places: dict[str, tuple[int, int]] = {}
        for name, folder in self._expected.folders.items():
            try:
                usage = shutil.disk_usage(folder)
            except OSError:
                continue
            places[name] = usage.free, usage.total
            metrics.DISK_FREE.labels(name).set(usage.free)
            metrics.DISK_SIZE.labels(name).set(usage.total)
            metrics.MEASURED.labels("disks").set(time.time())
        return judged.disk(places)

    def _tell_followed(self, beat: Beat) -> None:
        followed = self._desk.kept.followed()
        for one in beat.chains:
            if (position := followed.get(one.chain_id)) is not None:
                metrics.OUTBOX_LAG.labels(one.slug).set(max(0, one.position - position))


async def _audit(conn: Conn) -> tuple[vitals.AuditVitals, list[str]]:
    return await vitals.audit(conn), await audit_alarms.standing(conn)


async def _off() -> Check:
    return judged.off()


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
