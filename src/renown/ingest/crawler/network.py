"""Telling an outage of our own network from hosts that are gone.

Many hosts that nobody can reach, one after another and none that answers in between: that may be
them, or us. So hosts that answered before are asked again, and while none of them does, what
fails is held against nobody: it is tried again later, and counts as not tried.
"""

from __future__ import annotations

import asyncio
import random
import string
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from renown.ingest.crawler.fetching import Fetching, Reader
from renown.ingest.crawler.suspicion import answered
from renown.spec.uris import parse_uri
from renown.store import uris
from renown.store.pool import Conn

log = structlog.get_logger()

WITNESSES = 4
WITNESS_SECONDS = 15.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
"""Between two looks, doubled each time."""
PATIENT_LOOKS = 6
ASIDE_SECONDS = 600.0
"""For so long what could not be reached is put aside, so that others have their turn: one of them
may answer and so end an outage that is none."""


class OwnNetwork:
    """Looks whether our own network is there, when there is reason to doubt it.

    Attributes:
        looks: how often in a row nobody answered who had done so before; 0 when all is well.
    """

    def __init__(self, reader: Reader, fetching: Fetching) -> None:
        self.looks = 0
        self._reader = reader
        self._fetching = fetching
        self._doubts = 0
        self._answers = 0
        self._next = 0.0
        self._back_at: datetime | None = None

    @property
    def lasting(self) -> bool:
        """Whether it has been out for a while."""
        return self.looks > PATIENT_LOOKS

    async def check(self, conn: Conn, now: datetime) -> None:
        """Look, if it is time to, and take out of `fetching` what is held against nobody. What is
        there when this returns may be settled, unless it is still suspected."""
        suspicion = self._fetching.suspicion
        if self.looks and suspicion.answers != self._answers:
            await self._go_on(conn, now)
        if (suspicion.suspected or self.looks) and time.monotonic() >= self._next:
            await self._look(conn, now)
        if self.looks:
            await self._put_aside(conn, now + timedelta(seconds=ASIDE_SECONDS))
        elif self._back_at is not None:
            await self._put_aside(conn, now, begun_before=self._back_at)

    async def _look(self, conn: Conn, now: datetime) -> None:
        witnesses = await _witnesses(conn, now)
        self._answers = self._fetching.suspicion.answers
        if await self._anybody_answers(witnesses or self._fetching.unreached(WITNESSES)):
            if self.looks or not witnesses:
                await self._go_on(conn, now)
            else:
                self._fetching.trust()
        elif witnesses:
            if not self.looks:
                log.warning("network_out", asked=len(witnesses))
            self._wait(self.looks)
            self.looks += 1
            if self.looks > 1:
                self._fetching.try_again()
        elif self._doubts < PATIENT_LOOKS:
            self._wait(self._doubts)
            self._doubts += 1
        else:  # nobody ever answered, so there is no better evidence to wait for
            self._doubts = 0
            self._fetching.trust()

    def _wait(self, times: int) -> None:
        seconds = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(times, 30))
        self._next = time.monotonic() + seconds

    async def _go_on(self, conn: Conn, now: datetime) -> None:
        """It was out, and is back."""
        log.info("network_back", looks=self.looks)
        self.looks = self._doubts = 0
        self._next = 0.0
        self._back_at = now
        await self._put_aside(conn, now)
        self._fetching.trust()

    async def _put_aside(
        self, conn: Conn, until: datetime, *, begun_before: datetime | None = None
    ) -> None:
        # More may come while these are given back.
        while dropped := self._fetching.drop_unreached(begun_before=begun_before):
            await uris.give_back(conn, dropped, until)

    async def _anybody_answers(self, asked: Sequence[bytes]) -> bool:
        return any(await asyncio.gather(*(self._answers_now(raw) for raw in asked)))

    async def _answers_now(self, raw: bytes) -> bool:
        try:
            async with asyncio.timeout(WITNESS_SECONDS):
                return answered(await self._reader.read(parse_uri(raw)))
        except TimeoutError:
            return False


async def _witnesses(conn: Conn, now: datetime) -> list[bytes]:
    """Web addresses that could be read when last tried, of several hosts, others each time."""
    anywhere = "".join(random.choices(string.digits + string.ascii_lowercase, k=2))
    found = await uris.readable(conn, now, after=anywhere, most=WITNESSES)
    return found or await uris.readable(conn, now, after="", most=WITNESSES)
