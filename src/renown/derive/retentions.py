"""What an entry of retention explains: which places are empty, and why they may be. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from renown.derive.ranges import Ranges, ranges_of

LEAST_AGE = timedelta(days=1)
"""Retention never takes anything younger, whatever the policy says."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Retention(msgspec.Struct, frozen=True):
    """That entries from before `before` were removed, at the places `ranges` of the log."""

    before: datetime
    ranges: Sequence[tuple[int, int]]


class Piece(msgspec.Struct, frozen=True):
    """Empty places first..last that a retention explains if what was there is from before
    `before`, and wanted no review or had one."""

    first: int
    last: int
    before: datetime


def read_retention(at_us: Any, detail: Any, beyond: int) -> Retention | None:
    """What an entry of retention says that was written at `at_us` and took the place `beyond`.

    None where it explains nothing: it is malformed, or says that it removed what was younger than
    retention ever removes. It can have removed only what was there before it.
    """
    before = _time(detail.get("before") if isinstance(detail, dict) else None)
    if before is None or type(at_us) is not int:
        return None
    if (before - _EPOCH) // timedelta(microseconds=1) > at_us - LEAST_AGE // timedelta(
        microseconds=1
    ):
        return None
    ranges = [(first, min(last, beyond - 1)) for first, last in ranges_of(detail)]
    return Retention(before, [one for one in ranges if one[0] <= one[1]])


def pieces(missing: Ranges, retentions: Sequence[Retention]) -> Iterator[Piece]:
    """The missing places that retentions name; one may be in several pieces."""
    for retention in retentions:
        for first, last in retention.ranges:
            for begin, end in missing.within(first, last):
                yield Piece(begin, end, retention.before)


def _time(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else None
