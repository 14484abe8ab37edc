"""When a verdict changes, and when to look again. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import msgspec

from renown.spec.protocols.offers import Verdict

ROUNDS = 2
"""Looks in a row, far enough apart, that must agree before a verdict changes."""

DAY = timedelta(days=1)
LONGEST = timedelta(days=30)
HOUR = timedelta(hours=1)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint stands: its verdict, and what the last looks say instead, if anything.

    `leaning` is None, and `rounds` 0, while the looks agree with the verdict.
    """

    verdict: Verdict
    leaning: Verdict | None = None
    rounds: int = 0
    checked_at: datetime | None = None
    verdict_at: datetime | None = None


def judge(standing: Standing, seen: Verdict, *, now: datetime, apart: timedelta) -> Standing:
    """How it stands after one more look.

    A look that proved nothing (`unknown`) changes nothing. One that comes sooner than `apart`
    after the last is no round of its own: a short outage must not count twice.
    """
    if seen == "unknown":
        return msgspec.structs.replace(standing, checked_at=now)
    if seen == standing.verdict:
        return msgspec.structs.replace(standing, leaning=None, rounds=0, checked_at=now)
    rounds = 1
    if seen == standing.leaning:
        far = standing.checked_at is None or now - standing.checked_at >= apart
        rounds = standing.rounds + far
    if rounds >= ROUNDS:
        return Standing(verdict=seen, checked_at=now, verdict_at=now)
    return msgspec.structs.replace(standing, leaning=seen, rounds=rounds, checked_at=now)


def next_look(
    standing: Standing,
    seen: Verdict,
    *,
    now: datetime,
    first_seen_at: datetime,
    apart: timedelta,
    rest_seconds: float | None,
    seed: bytes,
) -> datetime:
    """When to look again, after `judge`.

    Soon while a change of verdict is open; daily at what is good; at what is not after as long as
    it has been so, at least a day and at most thirty. `seed` spreads them, the same each time.
    """
    share = int.from_bytes(hashlib.sha256(seed).digest()[:4]) / 2**32
    if seen == "unknown":
        pause = _as_long_again(now - first_seen_at) if standing.verdict == "unknown" else DAY
        if rest_seconds is not None:
            pause = min(max(timedelta(seconds=rest_seconds), HOUR), DAY)
    elif standing.leaning is not None:
        return now + apart * (1 + share / 2)
    elif standing.verdict in ("alive", "paywalled"):
        pause = DAY
    else:
        pause = _as_long_again(now - (standing.verdict_at or now))
    return now + pause * (0.9 + share / 5)


def _as_long_again(age: timedelta) -> timedelta:
    return min(max(age, DAY), LONGEST)
