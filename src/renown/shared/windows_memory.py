"""Counters in one process: exact, quick, and of bounded size under any number of addresses."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from renown.derive.windows import WINDOW_MS, Window, fits, moved_on
from renown.spec.limits import Limit

MOST_COUNTERS = 100_000
"""About 30 MB. Beyond that the counter that was used least lately is forgotten."""

_window = partial(tuple.__new__, Window)
"""A `Window` of a tuple, in a third of the time: every request makes several."""


class Counted(NamedTuple):
    """What became of a request.

    Attributes:
        allowed: whether it fitted every limit, and is counted under each; else under none.
        windows: one per limit, in their order, with the request where it was counted.
    """

    allowed: bool
    windows: list[Window]


class MemoryWindows:
    """Counters of this process.

    Args:
        most_counters: how many are kept at most.
        clock_ms: milliseconds of a clock that never goes back. By default it starts at the time
            of day; `follow` moves it to another's.
    """

    def __init__(
        self,
        *,
        most_counters: int = MOST_COUNTERS,
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        self._most = most_counters
        self._clock_ms = clock_ms or _steady_ms
        self._ahead_ms = 0 if clock_ms else time.time_ns() // 1_000_000 - _steady_ms()
        self._counters: OrderedDict[str, Window] = OrderedDict()  # the latest used last

    def __len__(self) -> int:
        return len(self._counters)

    def count(self, limits: Sequence[Limit]) -> Counted:
        """Count one request under all of `limits`, or under none where one of them is full."""
        windows, allowed = self._look(limits)
        if not allowed:
            return Counted(False, windows)
        counters = self._counters
        for at, limit in enumerate(limits):
            number, before, running, elapsed_ms = windows[at]
            window = _window((number, before, running + 1, elapsed_ms))
            windows[at] = counters[limit[1]] = window
            counters.move_to_end(limit[1])
        self._forget(len(windows))
        return Counted(True, windows)

    def refusal(self, limits: Sequence[Limit]) -> Counted | None:
        """What `count` would answer if it were no; None if it were yes. Counts nothing."""
        windows, allowed = self._look(limits)
        return None if allowed else Counted(False, windows)

    def follow(self, limits: Sequence[Limit], windows: Sequence[Window]) -> None:
        """Take over the counts and the clock of a store that others count in, too.

        Where this process has counted more in the same window, its own count stands: the other
        store has forgotten some.
        """
        if not windows:
            return
        latest = windows[0]
        self._ahead_ms = latest.number * WINDOW_MS + latest.elapsed_ms - self._clock_ms()
        counters = self._counters
        for (_, counter, _), window in zip(limits, windows, strict=True):
            own = counters.get(counter)
            if own is None or own.number != window.number:
                counters[counter] = window
            else:
                number, before, running, elapsed_ms = window
                before, running = max(own.before, before), max(own.running, running)
                counters[counter] = Window(number, before, running, elapsed_ms)
            counters.move_to_end(counter)
        self._forget(len(windows))

    def _look(self, limits: Sequence[Limit]) -> tuple[list[Window], bool]:
        now_ms = self._clock_ms() + self._ahead_ms
        number, elapsed_ms = divmod(now_ms, WINDOW_MS)
        left_ms = WINDOW_MS - elapsed_ms
        counters, allowed = self._counters, True
        windows: list[Window] = []
        for _, counter, most in limits:
            kept = counters.get(counter)
            if kept is None:
                window = _window((number, 0, 0, elapsed_ms))
            elif kept[0] == number:  # nearly always; the rest is for `derive.windows` to say
                before, running = kept[1], kept[2]
                window = _window((number, before, running, elapsed_ms))
                if before * left_ms + (running + 1) * WINDOW_MS > most * WINDOW_MS:
                    allowed = False
            else:
                window = moved_on(kept, now_ms)
                allowed = allowed and fits(window, most)
            windows.append(window)
        if not allowed:  # whoever knocks on must not be forgotten for others' sake
            for limit in limits:
                if limit.counter in counters:
                    counters.move_to_end(limit.counter)
        return windows, allowed

    def _forget(self, added: int) -> None:
        """Let go of what is past or too much: twice as many as are added, so that all go."""
        counters = self._counters
        number = counters[next(reversed(counters))].number
        for _ in range(2 * added):
            oldest = next(iter(counters))
            if len(counters) <= self._most and abs(number - counters[oldest].number) < 2:
                return
            del counters[oldest]


def _steady_ms() -> int:
    return time.monotonic_ns() // 1_000_000
