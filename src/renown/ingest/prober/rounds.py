"""Working off what is due: hosts in turn, several at once, of each one endpoint at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec

from renown.ingest.prober.asking import OptOut
from renown.ingest.prober.looking import Looker
from renown.ingest.prober.sighting import UNREACHED, Sighting
from renown.ingest.prober.verdicts import Standing, judge, next_look
from renown.obs import metrics
from renown.store import probes
from renown.store.pool import Conn
from renown.store.probes import Check, Target

KEEP_CHECKS = timedelta(days=90)
UPKEEP_EVERY = timedelta(hours=1)


class Tally(msgspec.Struct):
    """What was done: looks by what they saw, and agents' rows that have to be made anew for it."""

    seen: Counter[str] = msgspec.field(default_factory=Counter)
    changed: int = 0

    @property
    def checks(self) -> int:
        """Looks in all."""
        return self.seen.total()


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast. See `Prober`."""

    connections: int
    per_host: int
    apart: timedelta
    pause_seconds: float
    idle_seconds: float


class Rounds:
    """Works off what is due on one connection, until cancelled or idle."""

    def __init__(
        self,
        conn: Conn,
        looker: Looker,
        opt_out: OptOut,
        pace: Pace,
        tally: Tally,
        *,
        clock: Callable[[], datetime],
        on_checked: Callable[[Tally], None] | None,
    ) -> None:
        self._conn = conn
        self._one_statement = asyncio.Lock()
        self._looker = looker
        self._opt_out = opt_out
        self._pace = pace
        self._tally = tally
        self._now = clock
        self._on_checked = on_checked
        self._after_host = ""
        self._working: dict[asyncio.Task[None], str] = {}
        self._upkept_at: datetime | None = None

    async def go_on(self, *, until_idle: bool) -> None:
        """Work for ever, or until nothing is due and nothing under way.

        Raises:
            StoreError: the database failed. What is under way is dropped, and due again later.
        """
        try:
            while True:
                await self._upkeep()
                if await self._start_hosts():
                    continue
                if self._working:
                    await self._some_done()
                elif until_idle:
                    return
                else:
                    await asyncio.sleep(self._pace.idle_seconds)
        finally:
            for task in self._working:
                task.cancel()
            await asyncio.gather(*self._working, return_exceptions=True)

    async def _some_done(self) -> None:
        """Wait for a host to be done with, but not for long: others may have come due."""
        full = len(self._working) >= self._pace.connections
        done, _ = await asyncio.wait(
            self._working,
            timeout=None if full else self._pace.idle_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in done:
            del self._working[task]
            task.result()

    async def _start_hosts(self) -> bool:
        """Begin with as many hosts as there is room for; whether any was found."""
        room = self._pace.connections - len(self._working)
        from_first_host = False
        while room > 0:
            from_first_host = from_first_host or not self._after_host
            async with self._one_statement:
                claim = await probes.claim(
                    self._conn,
                    now=self._now(),
                    after_host=self._after_host,
                    hosts=room,
                    per_host=self._pace.per_host,
                    busy=self._working.values(),
                )
            self._after_host = claim.last_host
            for host, targets in claim.by_host.items():
                task = asyncio.create_task(self._work_on(host, targets))
                self._working[task] = host
            if claim.by_host or (from_first_host and not self._after_host):
                return bool(claim.by_host)
        return False

    async def _work_on(self, host: str, targets: list[Target]) -> None:
        if host in self._opt_out:
            async with self._one_statement:
                await probes.let_go(self._conn, [target.endpoint_id for target in targets])
            return
        unreached: dict[str, Sighting] = {}  # by origin: its other paths fare no better
        for number, target in enumerate(targets):
            if number and not unreached:
                await asyncio.sleep(self._pace.pause_seconds)
            origin = "{0.scheme}://{0.netloc}".format(urlsplit(target.url))
            sight = unreached.get(origin) or await self._looker.look(target)
            if sight.outcome in UNREACHED:
                unreached[origin] = sight
            await self._keep(target, sight)
            if sight.rest_seconds is not None:
                break  # the others come up again when their claim lapses

    async def _keep(self, target: Target, sight: Sighting) -> None:
        now = self._now()
        check = _check(target, sight, now, self._pace.apart)
        async with self._one_statement:
            changed = await probes.settle(self._conn, check)
            if sight.rest_seconds is not None:
                await probes.rest(
                    self._conn,
                    target.host,
                    now=now,
                    seconds=sight.rest_seconds,
                    reason=sight.reason or sight.outcome,
                )
            elif sight.status is not None:
                await probes.rested(self._conn, target.host, now)
        self._tally.seen[sight.seen] += 1
        self._tally.changed += changed
        metrics.PROBES.labels(kind=target.protocol, outcome=sight.seen).inc()
        if sight.latency_ms is not None:
            metrics.PROBE_SECONDS.labels(kind=target.protocol).observe(sight.latency_ms / 1000)
        if self._on_checked is not None:
            self._on_checked(self._tally)

    async def _upkeep(self) -> None:
        now = self._now()
        if self._upkept_at is not None and now - self._upkept_at < UPKEEP_EVERY:
            return
        self._upkept_at = now
        shrunk = 1
        while shrunk:
            async with self._one_statement:
                shrunk = await probes.shrink(self._conn, now - KEEP_CHECKS)


def _check(target: Target, sight: Sighting, now: datetime, apart: timedelta) -> Check:
    """How an endpoint stands after a look."""
    standing = Standing(
        verdict=target.verdict,
        leaning=target.leaning,
        rounds=target.rounds,
        checked_at=target.checked_at,
        verdict_at=target.verdict_at,
    )
    after = judge(standing, sight.seen, now=now, apart=apart)
    due_at = next_look(
        after,
        sight.seen,
        now=now,
        first_seen_at=target.first_seen_at,
        apart=apart,
        rest_seconds=sight.rest_seconds,
        seed=f"{target.endpoint_id}.{target.checks}".encode(),
    )
    return Check(
        endpoint_id=target.endpoint_id,
        checked_at=now,
        seen=sight.seen,
        outcome=sight.outcome,
        reason=sight.reason,
        status=sight.status,
        latency_ms=sight.latency_ms,
        verdict=after.verdict,
        rounds=after.rounds,
        leaning=after.leaning,
        verdict_at=after.verdict_at,
        due_at=due_at,
        capabilities=sight.capabilities,
    )
