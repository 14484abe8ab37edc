"""Runs of places in the audit log, such as those that retention removed."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any


class Ranges:
    """Whole numbers as ranges, first and last included, in 16 bytes each."""

    def __init__(self) -> None:
        self._ends = array("q")

    def add(self, first: int, last: int) -> None:
        """Add a range; one that begins right behind the last one makes that longer."""
        if last < first:
            return
        if self._ends and self._ends[-1] == first - 1:
            self._ends[-1] = last
        else:
            self._ends.extend((first, last))

    def count(self) -> int:
        """How many numbers, of ranges that do not overlap."""
        return sum(last - first + 1 for first, last in self)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        ends = self._ends
        return zip(ends[::2], ends[1::2], strict=True)

    def within(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """What of the ranges lies in first..last; the ranges ascend and do not overlap."""
        ends = self._ends
        at = bisect_left(ends, first) & ~1
        while at < len(ends) and ends[at] <= last:
            if ends[at + 1] >= first:
                yield max(first, ends[at]), min(last, ends[at + 1])
            at += 2

    def without(self, other: Ranges) -> Iterator[int]:
        """The numbers that are not in `other`, ascending; the own ranges ascend."""
        others = sorted(other)
        place = 0
        for first, last in self:
            while place < len(others) and others[place][1] < first:
                place += 1
            number, at = first, place
            while number <= last:
                while at < len(others) and others[at][1] < number:
                    at += 1
                if at < len(others) and others[at][0] <= number:
                    number = others[at][1] + 1
                else:
                    yield number
                    number += 1


def ranges_of(detail: Any) -> list[tuple[int, int]]:
    """The places that an entry of retention says it removed. Malformed ones are left out."""
    ranges = detail.get("ranges") if isinstance(detail, dict) else None
    if not isinstance(ranges, list):
        return []
    return [
        (one[0], one[1])
        for one in ranges
        if isinstance(one, list)
        and len(one) == 2
        and all(type(end) is int and 0 <= end < 2**63 for end in one)
    ]
