"""The prober: one process per database that looks at declared endpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from renown.errors import RenownError
from renown.ingest.persisting import persist
from renown.ingest.prober.asking import Asker, OptOut, Sender
from renown.ingest.prober.looking import Looker
from renown.ingest.prober.rounds import Pace, Rounds, Tally
from renown.store import probes
from renown.store.locks import only_one
from renown.store.pool import Conn

log = structlog.get_logger()

LOCK = "prober"
IDLE_SECONDS = 2.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Prober:
    """Looks at the endpoints in the database; further processes stand by.

    Restartable at any point: what was under way is due again after `probes.LEASE`. Uses two
    connections, one of which only holds the lock.

    Args:
        connect: opens a direct connection to the database.
        sender: the fetcher.
        opt_out: hosts never to be asked; `*.example.org` for all below one.
        connections: hosts asked at once; of each one endpoint at a time.
        per_host: endpoints of one host before others have their turn.
        apart_seconds: least time between two looks that count as two rounds.
        pause_seconds: between two endpoints of one host.
        idle_seconds: between two looks for something due, when nothing was.
        clock: the time, in UTC.
        on_checked: called after each look that was kept.

    Raises:
        BadSettings: an entry of `opt_out` is no host.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Conn]],
        sender: Sender,
        *,
        opt_out: Sequence[str] = (),
        connections: int = 16,
        per_host: int = 16,
        apart_seconds: float = 600.0,
        pause_seconds: float = 0.2,
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], datetime] = _utc_now,
        on_checked: Callable[[Tally], None] | None = None,
    ) -> None:
        self._connect = connect
        self._opt_out = OptOut(opt_out)
        self._looker = Looker(Asker(sender, self._opt_out))
        self._pace = Pace(
            connections=connections,
            per_host=per_host,
            apart=timedelta(seconds=apart_seconds),
            pause_seconds=pause_seconds,
            idle_seconds=idle_seconds,
        )
        self._now = clock
        self._on_checked = on_checked

    async def run(self) -> None:
        """Look at what is due, for ever; a database that is away is waited for.

        Raises:
            RenownError: what trying again cannot mend.
        """
        tally = Tally()
        await persist(
            lambda: self._work(tally, until_idle=False),
            done=lambda: tally.checks,
            failed=_log_interruption,
            first_seconds=FIRST_PAUSE_SECONDS,
            longest_seconds=LONGEST_PAUSE_SECONDS,
        )

    async def run_until_idle(self) -> Tally:
        """Look at all that is due now, and stop.

        Raises:
            StoreError: the database failed; what was kept so far stays.
        """
        tally = Tally()
        await self._work(tally, until_idle=True)
        return tally

    async def _work(self, tally: Tally, *, until_idle: bool) -> None:
        def stands_by() -> None:
            log.info("prober_stands_by", reason="another process probes for this database")

        async with only_one(self._connect, LOCK, on_wait=stands_by):
            conn = await self._connect()
            try:
                await probes.wake(conn, self._now())
                rounds = Rounds(
                    *(conn, self._looker, self._opt_out, self._pace, tally),
                    clock=self._now,
                    on_checked=self._on_checked,
                )
                await rounds.go_on(until_idle=until_idle)
            finally:
                conn.terminate()


def _log_interruption(exc: Exception) -> None:
    if isinstance(exc, RenownError):
        log.warning("prober_interrupted", error=type(exc).__name__, reason=exc.detail)
    else:
        log.error("prober_interrupted", error=type(exc).__name__, exc_info=exc)
