"""Whether the database is there: a light question every few seconds, and what it last said.

Readiness and health read the last answer, so that a flood of them costs the database nothing, and
the gauges are true in every process within seconds after the database went or came back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec

from renown.errors import Overloaded, RenownError, SchemaBehind, StoreError
from renown.obs import metrics
from renown.store.migrate import require_current
from renown.store.pool import Conn, naming_failures
from renown.store.standing import Standing, standings

PERIOD_SECONDS = 5.0
TIMEOUT_SECONDS = 3.0
SCHEMA_SECONDS = 30.0
"""How often the schema is looked at while it is right."""
FOLLOWED_SECONDS = 120.0
"""A chain whose head nobody has looked at for this long is not being followed."""


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, or why there was none.

    Attributes:
        at: monotonic seconds when it came.
        chains: how they stand; those of the last good answer where `failure` is set.
        failure: SchemaBehind where the schema is not ours, Overloaded where this process has no
            connection to spare, else why the database cannot be used.
    """

    at: float
    latency_seconds: float
    chains: Sequence[Standing]
    failure: RenownError | None = None


class Pulse:
    """Feels the database's pulse. One per process, on one event loop.

    Args:
        reading: gives a connection to ask through.
        on_beat: told of each good answer.
    """

    def __init__(
        self,
        reading: Callable[[], AbstractAsyncContextManager[Conn]],
        *,
        period_seconds: float = PERIOD_SECONDS,
        timeout_seconds: float = TIMEOUT_SECONDS,
        on_beat: Callable[[Beat], None] = lambda _: None,
    ) -> None:
        self._reading = reading
        self._period_seconds = period_seconds
        self._timeout_seconds = timeout_seconds
        self._on_beat = on_beat
        self._last: Beat | None = None
        self._schema_due = 0.0
        self._asking: asyncio.Task[Beat] | None = None

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self.beat(0.0)
            await asyncio.sleep(self._period_seconds)

    async def beat(self, most_age_seconds: float) -> Beat:
        """The last answer if it is no older than this, else a new one. Never raises; takes
        `timeout_seconds` at most."""
        last = self._last
        if last is not None and time.monotonic() - last.at <= most_age_seconds:
            return last
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    def forget(self) -> None:
        """What it last said is no longer so."""
        self._last = None

    async def _ask(self) -> Beat:
        began = time.monotonic()
        chains: Sequence[Standing] = self._last.chains if self._last is not None else ()
        failure: RenownError | None = None
        try:
            async with asyncio.timeout(self._timeout_seconds), self._reading() as conn:
                with naming_failures():
                    if began >= self._schema_due:
                        await require_current(conn)
                        self._schema_due = began + SCHEMA_SECONDS
                    chains = await standings(conn)
        except RenownError as exc:
            failure = exc
        except TimeoutError:
            failure = StoreError(f"no answer within {self._timeout_seconds:g} s")
        except Exception as exc:  # noqa: BLE001 - whatever it is, the database is of no use now
            failure = StoreError(type(exc).__name__)
        now = time.monotonic()
        beat = Beat(at=now, latency_seconds=now - began, chains=chains, failure=failure)
        self._last = beat
        self._tell(beat)
        return beat

    def _tell(self, beat: Beat) -> None:
        # A crowd in front of our own pool says nothing about the database.
        if not isinstance(beat.failure, Overloaded):
            metrics.DB_UP.set(int(beat.failure is None or isinstance(beat.failure, SchemaBehind)))
        if beat.failure is not None:
            return
        for chain in beat.chains:
            metrics.FOLLOWING.labels(chain.slug).set(chain.is_followed(FOLLOWED_SECONDS))
            if (lag_seconds := chain.lag_seconds) is not None:
                metrics.LAG_SECONDS.labels(chain.slug).set(lag_seconds)
            if chain.head_seen_at is not None:
                metrics.HEAD_SEEN.labels(chain.slug).set(chain.head_seen_at.timestamp())
        self._on_beat(beat)
