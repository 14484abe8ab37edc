"""Which URIs are fetched next: hosts in turn, a few URIs of each, new ones before known ones.

Hosts are gone round in order, so each has its turn however many URIs the others have. A whole round
that finds nothing is not begun again at once: looking at every host has its price.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import structlog

from renown.ingest.crawler import patience
from renown.ingest.crawler.fetching import Fetching
from renown.store import uris
from renown.store.pool import Conn, retry_conflicts
from renown.store.uris import AGAIN_STAGE, AGENT_STAGE, FILE_STAGE, Due, WaitingHost

log = structlog.get_logger()

LEASE_SECONDS = 600.0
"""By then an attempt is settled; if whoever claimed it died, it is claimed again."""
LEAST_HOSTS, PAGE_HOSTS = 20, 200
GIVEN_UP_AT_ONCE = 200
"""URIs of a host that is down that are given up at a time."""
LONGEST_PAUSE_SECONDS = 30.0
PAUSE_SHARE = 20
"""A round that found nothing is followed by a pause of so many times its own length."""

_ORDERS = (
    *((AGENT_STAGE, FILE_STAGE, AGAIN_STAGE),) * 3,
    # Now and then the other way round, so that a flood of new ones does not stop all the rest.
    (AGAIN_STAGE, FILE_STAGE, AGENT_STAGE),
)


class _Stage(msgspec.Struct):
    """How far the round of one stage is. `more` are hosts that had more than they might give."""

    number: int
    after: str = ""
    more: dict[str, None] = {}
    not_before: float = 0.0


class Claimed(msgspec.Struct, frozen=True):
    """How many URIs were claimed; `nothing_left` when all hosts were looked at and none was due."""

    count: int
    nothing_left: bool


class Claims:
    """Claims URIs for `fetching`, through a connection it is given."""

    def __init__(self, fetching: Fetching, clock: Callable[[], datetime]) -> None:
        self._fetching = fetching
        self._clock = clock
        self._stages = [_Stage(n, more={}) for n in uris.STAGES]
        self._turn = self._news = 0

    def hear_news(self) -> None:
        """URIs came that were not there before, which a round may have missed."""
        self._news += 1
        self._stages[AGENT_STAGE].not_before = self._stages[FILE_STAGE].not_before = 0.0

    async def claim_some(self, conn: Conn, *, thorough: bool = False) -> Claimed:
        """Claim what there is room for.

        Args:
            thorough: look at all hosts, even if that was done just now.
        """
        if thorough:
            for stage in self._stages:
                stage.not_before = 0.0
        order = _ORDERS[self._turn % len(_ORDERS)]
        self._turn += 1
        count, whole = 0, True
        for number in order:
            stage = self._stages[number]
            count += await self._claim_more(conn, stage)
            found, went_round = await self._go_round(conn, stage)
            count += found
            whole = whole and went_round
            if not self._fetching.room:
                break
        return Claimed(count, nothing_left=whole and not count)

    async def _claim_more(self, conn: Conn, stage: _Stage) -> int:
        """From hosts of which it is known that more of theirs is due; half of the room at most."""
        left = self._fetching.room // 2
        wanted: dict[str, int] = {}
        for host in list(stage.more):
            most = min(left, self._fetching.room_of(host))
            if most > 0:
                wanted[host] = most
                left -= most
                del stage.more[host]  # to the end of the line, if it has more still
            if left <= 0:
                break
        return await self._claim(conn, stage, wanted) if wanted else 0

    async def _go_round(self, conn: Conn, stage: _Stage) -> tuple[int, bool]:
        """Go on with the round while there is room, at most once through all hosts.

        Returns how many were claimed, and whether it went through all of them.
        """
        since = time.monotonic()
        if since < stage.not_before:
            return 0, False
        began, count, heard = stage.after, 0, self._news
        page_hosts = min(PAGE_HOSTS, max(LEAST_HOSTS, self._fetching.room))
        # To the end, and from the front to where it began.
        for upto in (None, began) if began else (None,):
            while True:
                hosts = await uris.waiting_hosts(
                    conn, stage.number, after=stage.after, upto=upto, most=page_hosts
                )
                found, last = await self._claim_of(conn, stage, hosts)
                count += found
                if last is not None or not self._fetching.room:
                    stage.after = last or stage.after
                    return count, False
                if len(hosts) < page_hosts:
                    break
                stage.after = hosts[-1].host
            stage.after = ""
        stage.after = began
        if not count and heard == self._news:
            now = time.monotonic()
            stage.not_before = now + min(LONGEST_PAUSE_SECONDS, PAUSE_SHARE * (now - since))
        return count, True

    async def _claim_of(
        self, conn: Conn, stage: _Stage, hosts: list[WaitingHost]
    ) -> tuple[int, str | None]:
        """Claim from a page of hosts. Returns how many, and the last host if the room ran out."""
        now, room = self._clock(), self._fetching.room
        wanted: dict[str, int] = {}
        last, given_up = None, 0
        for one in hosts:
            if one.due_at > now:
                continue
            if one.rest_until is not None and one.rest_until > now:
                given_up += await self._give_up(conn, stage, one)
                continue
            # Several of each host, so that its connections serve more than one of them.
            most = min(room, self._fetching.room_of(one.host))
            if most > 0:
                wanted[one.host] = most
                room -= most
            else:
                stage.more[one.host] = None
            if room <= 0:
                last = one.host
                break
        return given_up + (await self._claim(conn, stage, wanted) if wanted else 0), last

    async def _claim(self, conn: Conn, stage: _Stage, wanted: dict[str, int]) -> int:
        claimed = await self._take(conn, stage, wanted)
        came: dict[str, int] = {}
        for due in claimed:
            came[due.host] = came.get(due.host, 0) + 1
        for host, most in wanted.items():
            if came.get(host, 0) == most:
                stage.more[host] = None
            else:
                stage.more.pop(host, None)
        return self._fetching.offer(claimed)

    async def _give_up(self, conn: Conn, stage: _Stage, host: WaitingHost) -> int:
        """Do not keep thousands of URIs waiting for a host that is down: they are unreachable.

        Those of gateways wait: they are at many places, and gateways are of our own choice.
        """
        if host.failures < patience.DOWN_AFTER or patience.is_gateway(host.host):
            return 0
        claimed = await self._take(conn, stage, {host.host: GIVEN_UP_AT_ONCE}, resting=True)
        log.info("host_down", host=host.host, reason=host.reason, given_up=len(claimed))
        return self._fetching.give_up(claimed, patience.given_up(host.reason))

    async def _take(
        self, conn: Conn, stage: _Stage, wanted: dict[str, int], *, resting: bool = False
    ) -> list[Due]:
        now = self._clock()
        until = now + timedelta(seconds=LEASE_SECONDS)
        return await retry_conflicts(
            lambda: uris.claim(conn, stage.number, wanted, now, until=until, resting=resting)
        )
