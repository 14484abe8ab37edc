"""Counting what comes often, in bounded memory. Pure."""

from __future__ import annotations

from collections import OrderedDict

MOST_KEYS = 10_000
MOST_MOMENTS = 256


class Windows:
    """Counts per key within a moving time, and says when there are enough.

    A key's count begins anew when there are. Of more than `MOST_KEYS` keys those that were not
    counted for longest are forgotten; what comes for one key in the same 256th of the time is one
    moment, so that a count of 100,000 takes no more room than one of 256.
    """

    def __init__(self, at_least: int, seconds: int) -> None:
        self._at_least = at_least
        self._grain_us = max(1, seconds * 1_000_000 // MOST_MOMENTS)
        self._width = seconds * 1_000_000 // self._grain_us
        self._by_key: OrderedDict[object, dict[int, int]] = OrderedDict()

    def add(self, key: object, at_us: int, count: int = 1) -> bool:
        """Count; whether that makes enough. Times may come out of order."""
        moments = self._by_key.pop(key, {})
        moment = at_us // self._grain_us
        moments[moment] = moments.get(moment, 0) + count
        # On both sides: a clock that jumped must not stop the counting for ever.
        for far in [one for one in moments if abs(one - moment) > self._width]:
            del moments[far]
        if sum(moments.values()) >= self._at_least:
            return True
        self._by_key[key] = moments
        if len(self._by_key) > MOST_KEYS:
            self._by_key.popitem(last=False)
        return False

    def __len__(self) -> int:
        """Keys that are counted for now."""
        return len(self._by_key)
