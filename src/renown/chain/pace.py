"""How fast one node may be asked, learnt from its 429s. Pure: time is an argument."""

from __future__ import annotations

from collections import deque

_MAX_RATE = 500.0
_WINDOW_SECONDS = 5.0


class Pace:
    """A token bucket that exists only after a node complained.

    Unlimited at first; a refusal sets the rate to seven tenths of what was just asked; each good
    answer raises it a little, until the limit is gone again. Rates are requests per second.
    """

    def __init__(self, slowest: float = 0.5) -> None:
        self.rate: float | None = None
        self._slowest = slowest
        self._free_at = 0.0
        self._refused_at = 0.0
        self._asked: deque[float] = deque(maxlen=256)

    def reserve(self, now: float) -> float:
        """Take the next slot; the seconds to wait for it."""
        if self.rate is None:
            self._asked.append(now)
            return 0.0
        slot = max(now, self._free_at)
        self._free_at = slot + 1 / self.rate
        self._asked.append(slot)
        return slot - now

    def refused(self, now: float) -> None:
        """The node answered that we ask too much. What was in flight together counts once."""
        if now - self._refused_at < 1.0 and self.rate is not None:
            return
        self._refused_at = now
        recent = sum(1 for at in self._asked if now - _WINDOW_SECONDS < at <= now)
        asked = recent / _WINDOW_SECONDS
        wanted = asked if self.rate is None else min(asked, self.rate)
        self.rate = max(self._slowest, wanted * 0.7)
        self._free_at = max(self._free_at, now)

    def succeeded(self) -> None:
        """The node answered."""
        if self.rate is not None:
            self.rate += max(0.05, self.rate * 0.02)
            if self.rate > _MAX_RATE:
                self.rate = None
