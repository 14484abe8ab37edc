"""The sliding-window counter decides as its definition says, wherever it is kept."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from renown.derive.windows import WINDOW_MS, Window, fits, moved_on, outlook, remaining, wait_ms
from renown.shared.redis import SharedStore
from renown.shared.windows_memory import Counted, MemoryWindows
from renown.shared.windows_redis import RedisWindows
from renown.spec.limits import MOST_PER_MINUTE, Limit
from tests.redis import RedisServer, programs, running

START_MS = 29_000_000 * WINDOW_MS
EXAMPLES = 60

Count = Callable[[list[Limit]], Awaitable[Counted]]

_mosts = st.integers(1, 12) | st.integers(1, MOST_PER_MINUTE)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, int]:
    """A counter that has kept to its limit, and the limit."""
    most = draw(_mosts)
    before = draw(st.integers(0, most))
    elapsed_ms = draw(st.integers(0, WINDOW_MS - 1))
    return Window(7, before, draw(st.integers(0, most)), elapsed_ms), most


# Arithmetic ----------------------------------------------------------------------------------


@given(windows(), st.integers(1, 5))
def test_fits__any_counter__is_the_definition_in_fractions(given_: tuple[Window, int], more: int):
    window, most = given_
    last_minute = (
        Fraction(window.before * (WINDOW_MS - window.elapsed_ms), WINDOW_MS) + window.running
    )

    assert fits(window, most, more) == (last_minute + more <= most)


@given(windows())
def test_remaining__any_counter__is_the_most_that_fits(given_: tuple[Window, int]):
    window, most = given_
    left = remaining(window, most)

    assert left == 0 or fits(window, most, left)
    assert not fits(window, most, left + 1)


@given(windows(), st.data())
def test_wait__any_counter__is_the_first_moment_that_fits(
    given_: tuple[Window, int], data: st.DataObject
):
    window, most = given_
    more = data.draw(st.integers(1, most))
    now_ms = window.number * WINDOW_MS + window.elapsed_ms
    wait = wait_ms(window, most, more)

    assert 0 <= wait <= 2 * WINDOW_MS
    assert fits(moved_on(window, now_ms + wait), most, more)
    assert wait == 0 or not fits(moved_on(window, now_ms + wait - 1), most, more)


@given(windows())
def test_outlook__any_counter__is_what_is_left_and_the_wait_for_more(given_: tuple[Window, int]):
    window, most = given_
    left, more_ms = outlook(window, most)

    assert left == remaining(window, most)
    assert more_ms == (0 if left == most else wait_ms(window, most, left + 1))


def test_moved_on__a_clock_far_behind__begins_anew_and_a_little_behind_stands_still():
    window = Window(100, 3, 4, 10)

    assert moved_on(window, 99 * WINDOW_MS + 59_999) == Window(100, 3, 4, 0)
    assert moved_on(window, 98 * WINDOW_MS) == Window(98, 0, 0, 0)
    assert moved_on(window, 102 * WINDOW_MS + 5) == Window(102, 0, 0, 5)


# Stores --------------------------------------------------------------------------------------

_steps = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 40, 999, 7_000, 30_000, 59_999, 60_000, 200_000]),
        st.sets(st.integers(0, 3), min_size=1),
    ),
    max_size=60,
)
_limits = st.lists(st.integers(1, 5), min_size=4, max_size=4)


class Log:
    """Keeps the time of each request and counts them every time."""

    def __init__(self) -> None:
        self.times: dict[str, list[int]] = {}

    def takes(self, limits: list[Limit], now_ms: int) -> bool:
        """Whether one more fits everywhere; then it is noted everywhere."""
        if any(self._last_minute(limit.counter, now_ms) + 1 > limit.most for limit in limits):
            return False
        for limit in limits:
            self.times.setdefault(limit.counter, []).append(now_ms)
        return True

    def _last_minute(self, counter: str, now_ms: int) -> Fraction:
        begun = now_ms // WINDOW_MS * WINDOW_MS
        times = self.times.get(counter, [])
        running = sum(begun <= at for at in times)
        before = sum(begun - WINDOW_MS <= at < begun for at in times)
        return Fraction(before * (begun + WINDOW_MS - now_ms), WINDOW_MS) + running

    def most_in(self, counter: str, width_ms: int) -> int:
        """The most that any stretch of `width_ms` saw."""
        times = self.times.get(counter, [])
        return max((sum(at <= other < at + width_ms for other in times) for at in times), default=0)


class Clock:
    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


class Stores:
    """Makes one store after the other of a kind, each empty and on a clock of the test."""

    def __init__(self, runner: asyncio.Runner, server: RedisServer | None) -> None:
        self.runner = runner
        self._numbers = itertools.count()
        self._shared = None if server is None else SharedStore(server.url)

    def made(self, clock: Clock) -> Count:
        if self._shared is None:
            memory = MemoryWindows(clock_ms=clock)

            async def counted(limits: list[Limit]) -> Counted:
                return memory.count(limits)

            return counted
        shared, number = RedisWindows(self._shared, clock_ms=clock), next(self._numbers)

        async def counted_there(limits: list[Limit]) -> Counted:
            return await shared.count([x._replace(counter=f"{number}:{x.counter}") for x in limits])

        return counted_there

    def close(self) -> None:
        if self._shared is not None:
            self.runner.run(self._shared.close())


@pytest.fixture(scope="module", params=["memory", *programs()])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    with asyncio.Runner() as runner:
        if request.param == "memory":
            yield Stores(runner, None)
            return
        for server in running(request.param):
            made = Stores(runner, server)
            yield made
            made.close()


@hypothesis_settings(max_examples=EXAMPLES)
@given(mosts=_limits, steps=_steps)
def test_count__any_sequence__is_what_a_log_of_all_requests_decides(
    stores: Stores, mosts: list[int], steps: list[tuple[int, set[int]]]
):
    clock, log = Clock(), Log()
    count = stores.made(clock)

    async def play() -> None:
        for pause_ms, chosen in steps:
            clock.now_ms += pause_ms
            limits = [Limit("key", f"c{i}", mosts[i]) for i in sorted(chosen)]
            outcome = await count(limits)
            assert outcome.allowed == log.takes(limits, clock.now_ms)
            for limit, window in zip(limits, outcome.windows, strict=True):
                times = log.times.get(limit.counter, [])
                assert window.running == sum(at // WINDOW_MS == window.number for at in times)
                assert window.elapsed_ms == clock.now_ms % WINDOW_MS

    stores.runner.run(play())

    for i, most in enumerate(mosts):  # what the definition promises to whoever is behind the limit
        assert log.most_in(f"c{i}", WINDOW_MS) <= 2 * most


@hypothesis_settings(max_examples=EXAMPLES)
@given(
    mosts=_limits,
    pauses_ms=st.lists(
        st.sampled_from([0, 1, 5_000, 60_000, -1, -5_000, -60_000, -130_000]), max_size=40
    ),
)
def test_count__a_clock_that_goes_back__decides_as_in_memory(
    stores: Stores, mosts: list[int], pauses_ms: list[int]
):
    clock = Clock()
    limits = [Limit("key", f"c{i}", most) for i, most in enumerate(mosts)]
    count, memory = stores.made(clock), MemoryWindows(clock_ms=clock)

    async def play() -> None:
        for pause_ms in pauses_ms:
            clock.now_ms += pause_ms
            assert await count(limits) == memory.count(limits)

    stores.runner.run(play())


def test_count__the_largest_limit__is_exact(stores: Stores):
    clock = Clock()
    count = stores.made(clock)
    limits = [Limit("key", "large", MOST_PER_MINUTE)]

    outcome = stores.runner.run(_last(count, limits, 3))

    assert outcome.windows[0].running == 3
    assert remaining(outcome.windows[0], MOST_PER_MINUTE) == MOST_PER_MINUTE - 3


async def _last(count: Count, limits: list[Limit], times: int) -> Counted:
    for _ in range(times):
        outcome = await count(limits)
    return outcome
