"""The sliding-window counter: how many requests the last minute saw, from two counts.

Time is cut into fixed windows. Of the window before only its count is known, so it is taken to
have come evenly: `elapsed_ms` into the running window the last `WINDOW_MS` saw

    before * (WINDOW_MS - elapsed_ms) / WINDOW_MS + running

requests. One more fits while that and 1 do not exceed the limit. All of it is exact arithmetic on
whole numbers; every store that counts must decide alike.
"""

from __future__ import annotations

from typing import NamedTuple

WINDOW_MS = 60_000


class Window(NamedTuple):
    """What is known of one counter at one moment.

    Attributes:
        number: of the running window: Unix milliseconds divided by `WINDOW_MS`.
        before: requests counted in the window before.
        running: requests counted in this one so far.
        elapsed_ms: time since it began, 0 <= elapsed_ms < WINDOW_MS.
    """

    number: int
    before: int
    running: int
    elapsed_ms: int


def moved_on(window: Window, now_ms: int) -> Window:
    """`window` as it stands at `now_ms`.

    A clock that has gone back a little stands still at the start of the counter's window; one that
    has gone back further finds nothing it can use, and the count begins anew.
    """
    number, elapsed_ms = divmod(now_ms, WINDOW_MS)
    age = number - window.number
    if age == 0:
        return Window(number, window.before, window.running, elapsed_ms)
    if age == 1:
        return Window(number, window.running, 0, elapsed_ms)
    if age == -1:
        return window._replace(elapsed_ms=0)
    return Window(number, 0, 0, elapsed_ms)


def fits(window: Window, most: int, more: int = 1) -> bool:
    """Whether `more` requests at once keep to `most`."""
    weighted = window.before * (WINDOW_MS - window.elapsed_ms)
    return weighted + (window.running + more) * WINDOW_MS <= most * WINDOW_MS


def remaining(window: Window, most: int) -> int:
    """How many requests at once would fit now; 0 if none."""
    weighted = window.before * (WINDOW_MS - window.elapsed_ms)
    return max(0, (most * WINDOW_MS - weighted) // WINDOW_MS - window.running)


def wait_ms(window: Window, most: int, more: int = 1) -> int:
    """The shortest time after which `more` requests at once fit, if none come in between.

    `more` must not exceed `most`: what never fits has no time.
    """
    room = most - window.running - more
    if room >= 0:
        at = _share_fits(window.before, room)
        return max(0, at - window.elapsed_ms)
    return WINDOW_MS - window.elapsed_ms + _share_fits(window.running, most - more)


def outlook(window: Window, most: int) -> tuple[int, int]:
    """What is `remaining`, and the milliseconds until it is more; 0 where all of it is left.

    For every answer, so in one go.
    """
    _, before, running, elapsed_ms = window
    if not before and not running:
        return most, 0
    left = max(0, (most * WINDOW_MS - before * (WINDOW_MS - elapsed_ms)) // WINDOW_MS - running)
    room = most - running - left - 1
    if room >= 0:
        at = 0 if before <= room else WINDOW_MS - room * WINDOW_MS // before
        return left, max(0, at - elapsed_ms)
    return left, WINDOW_MS - elapsed_ms + _share_fits(running, most - left - 1)


def _share_fits(before: int, room: int) -> int:
    """How far into a window the count of the one before weighs at most `room`."""
    if before <= room:
        return 0
    return WINDOW_MS - room * WINDOW_MS // before
