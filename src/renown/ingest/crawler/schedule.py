"""When a URI is read again. Pure.

What changed lately is looked at soon, what stays as it is less and less often, and what is dead
hardly ever; what a URI fixes is read once, or a few times where it could not be proven. Pauses
differ a little from URI to URI and from time to time, but always in the same way, so that what came
together does not stay together.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

HOUR, DAY = 3_600.0, 86_400.0
JITTER = 0.1
"""How far a pause may be off what it is meant to be, as a share of it."""
MOST_ASKED_SECONDS = DAY
"""A host may ask for this much rest and no more."""


class Pauses(msgspec.Struct, frozen=True):
    """Seconds between two attempts, before jitter.

    Attributes:
        changed: after a file was found changed.
        first: after the first success, doubled with each further one that found no change, up to
            `longest`.
        failing: after each failure in a row; the last is for all further ones.
        unproven: after each success in a row that gave the same bytes, where the URI fixes them and
            nobody could tell whether these are they; after the last that is left at that.
    """

    changed: float = 6 * HOUR
    first: float = DAY
    longest: float = 30 * DAY
    failing: tuple[float, ...] = (
        *(HOUR, 6 * HOUR, DAY),
        *(2 * DAY, 4 * DAY, 8 * DAY, 16 * DAY, 30 * DAY),
    )
    unproven: tuple[float, ...] = (DAY, 7 * DAY, 30 * DAY)


USUAL = Pauses()
BRISK = Pauses(changed=10.0, first=15.0, longest=60.0, failing=(10.0, 30.0, 60.0), unproven=(15.0,))
"""For a development chain, where all hosts are one's own."""


class Turn(msgspec.Struct, frozen=True):
    """How a URI stands after an attempt; `due_at` is None for never again."""

    failures: int
    unchanged: int
    due_at: datetime | None


def after_success(
    now: datetime,
    *,
    uri_hash: bytes,
    attempts: int,
    fixed: bool,
    proven: bool = True,
    unchanged: int,
    document_before: int | None,
    document: int,
    pauses: Pauses = USUAL,
) -> Turn:
    """After an attempt that gave a document, or confirmed the one of before.

    Args:
        attempts: made before this one.
        fixed: the URI says which bytes it leads to.
        proven: it is known whether these are they.
        unchanged: successes in a row, before this one, that gave the same document as before.
        document_before, document: what was held and what there is now.
    """
    same = document == document_before
    unchanged = unchanged + 1 if same else 0
    if fixed:
        if proven or unchanged >= len(pauses.unproven):
            return Turn(0, unchanged, None)
        return Turn(0, unchanged, _later(now, pauses.unproven[unchanged], uri_hash, attempts))
    if same:
        seconds = min(pauses.longest, pauses.first * 2 ** min(unchanged - 1, 60))
    else:
        seconds = pauses.first if document_before is None else pauses.changed
    return Turn(0, unchanged, _later(now, seconds, uri_hash, attempts))


def after_failure(
    now: datetime,
    *,
    uri_hash: bytes,
    attempts: int,
    hopeless: bool,
    failures: int,
    unchanged: int,
    asked_seconds: float | None = None,
    pauses: Pauses = USUAL,
) -> Turn:
    """After an attempt that gave nothing.

    Args:
        hopeless: no later attempt can come out otherwise.
        failures: in a row, before this one.
        asked_seconds: the pause that the host asked for.
    """
    if hopeless:
        return Turn(failures + 1, unchanged, None)
    seconds = pauses.failing[min(failures, len(pauses.failing) - 1)]
    due_at = _later(now, seconds, uri_hash, attempts)
    if asked_seconds is not None:
        due_at = max(due_at, now + timedelta(seconds=min(asked_seconds, MOST_ASKED_SECONDS)))
    return Turn(failures + 1, unchanged, due_at)


def _later(now: datetime, seconds: float, uri_hash: bytes, attempts: int) -> datetime:
    place = 4 * (attempts % 8)
    dice = int.from_bytes(uri_hash[place : place + 4]) / 2**32
    return now + timedelta(seconds=seconds * (1 - JITTER + 2 * JITTER * dice))
