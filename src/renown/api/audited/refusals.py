"""Refusals in a flood: the first of an address are entries of their own, the rest are counted.

Otherwise whoever tries keys by the thousand would have us write by the thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import msgspec

from renown.store.audit_entries import NewEntry

MOST_OF_ADDRESS = 5
"""Refusals of one address that are written each by itself, per second and process."""
MOST_OF_ALL = 50
"""Refusals of all addresses together."""
MOST_COUNTED = 1_000
"""Sorts of refusals that are counted apart in one batch; others are counted as one."""

_Sort = tuple[str, bytes | None, str, str | None, int | None, Any]


class _Many(msgspec.Struct):
    first: NewEntry
    count: int
    last: float | None


class Refusals:
    """Says which refusals are written, and counts the others."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._second = 0
        self._of_address: dict[str, int] = {}
        self._of_all = 0
        self._many: dict[_Sort | None, _Many] = {}

    def __bool__(self) -> bool:
        return bool(self._many)

    def may_be_written(self, address: str) -> bool:
        """Whether one more refusal of `address` is written by itself; if so, it counts."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._of_address.clear()
            self._of_all = 0
        seen = self._of_address.get(address, 0)
        if seen >= MOST_OF_ADDRESS or self._of_all >= MOST_OF_ALL:
            return False
        self._of_address[address] = seen + 1
        self._of_all += 1
        return True

    def count(self, entry: NewEntry) -> None:
        """Count a refusal that is not written by itself."""
        reason = (entry.detail or {}).get("reason")
        sort: _Sort | None = (
            *(entry.action, entry.address, entry.subject, entry.method, entry.status, reason),
        )
        if sort not in self._many and len(self._many) >= MOST_COUNTED:
            sort = None
            entry = NewEntry(action="refused", subject="several", moment=entry.moment)
        many = self._many.get(sort)
        if many is None:
            self._many[sort] = _Many(entry, 1, entry.moment)
        else:
            many.count += 1
            many.last = entry.moment

    def take(self) -> Iterator[NewEntry]:
        """What was counted, as one entry of each sort, of the time of its first; `seconds` later
        was the last."""
        taken, self._many = self._many, {}
        for many in taken.values():
            seconds = round((many.last or 0.0) - (many.first.moment or 0.0), 3)
            detail = {**(many.first.detail or {}), "count": many.count, "seconds": seconds}
            yield msgspec.structs.replace(many.first, detail=detail)
