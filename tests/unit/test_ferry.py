"""Reads that cross together: who is asked for, in how many statements, and what an error does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from renown.api.cache.ferry import Ferry
from renown.errors import Overloaded, StoreError


class Shore:
    """A database that answers when told to, and remembers what it was asked."""

    def __init__(self, *, failing: bool = False) -> None:
        self.asked: list[list[int]] = []
        self.open = asyncio.Event()
        self.failing = failing

    async def one(self, key: int) -> str:
        return (await self.many([key]))[0]

    async def many(self, keys: Sequence[int]) -> list[str]:
        self.asked.append(list(keys))
        await self.open.wait()
        if self.failing:
            raise StoreError("the database went away")
        return [f"agent {key}" for key in keys]


async def begun(ferry: Ferry[int, str], keys: Sequence[int]) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(ferry.read(key)) for key in keys]
    await asyncio.sleep(0)
    return tasks


async def test_read__one_after_the_other__each_crosses_alone() -> None:
    shore = Shore()
    shore.open.set()
    ferry = Ferry(shore.one, shore.many)

    assert [await ferry.read(key) for key in range(3)] == ["agent 0", "agent 1", "agent 2"]

    assert shore.asked == [[0], [1], [2]]


async def test_read__many_at_once__first_go_alone_and_the_rest_together() -> None:
    shore = Shore()
    ferry = Ferry(shore.one, shore.many, few_crossings=2, most_aboard=4, patience_seconds=60)
    tasks = await begun(ferry, range(9))
    assert shore.asked == [[0], [1]]

    shore.open.set()

    assert await asyncio.gather(*tasks) == [f"agent {key}" for key in range(9)]
    assert [len(keys) for keys in shore.asked] == [1, 1, 4, 3]
    assert sorted(key for keys in shore.asked for key in keys) == [*range(9)]


async def test_read__after_a_crossing_departed__is_not_answered_by_it() -> None:
    """What it reads may be older than the question."""
    shore = Shore()
    ferry = Ferry(shore.one, shore.many, few_crossings=1, patience_seconds=60)
    first = await begun(ferry, [7])
    again = await begun(ferry, [7])

    shore.open.set()
    await asyncio.gather(*first, *again)

    assert shore.asked == [[7], [7]]


async def test_read__database_that_is_slow__gets_more_crossings_up_to_the_most() -> None:
    shore = Shore()
    ferry = Ferry(
        *(shore.one, shore.many), few_crossings=1, most_crossings=3, most_aboard=2,
        patience_seconds=0.001,
    )  # fmt: skip
    tasks = await begun(ferry, range(12))

    async with asyncio.timeout(10):
        while len(shore.asked) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)

    assert shore.asked == [[0], [1, 2], [3, 4]]
    shore.open.set()
    assert await asyncio.gather(*tasks) == [f"agent {key}" for key in range(12)]
    assert max(map(len, shore.asked)) == 2


async def test_read__that_is_given_up__is_left_out_and_takes_nothing_from_others() -> None:
    shore = Shore()
    ferry = Ferry(shore.one, shore.many, few_crossings=1, patience_seconds=60)
    tasks = await begun(ferry, range(4))
    tasks[2].cancel()
    await asyncio.sleep(0)

    shore.open.set()
    await asyncio.wait(tasks)

    assert shore.asked == [[0], [1, 3]]
    assert [task.result() for task in tasks if not task.cancelled()] == [
        *("agent 0", "agent 1", "agent 3")
    ]


async def test_read__first_is_cancelled__those_who_wait_are_taken() -> None:
    shore = Shore()
    ferry = Ferry(shore.one, shore.many, few_crossings=1, patience_seconds=60)
    first, *others = await begun(ferry, range(3))

    first.cancel()
    await asyncio.sleep(0)
    shore.open.set()

    assert await asyncio.gather(*others) == ["agent 1", "agent 2"]
    assert shore.asked == [[0], [1, 2]]


async def test_read__that_fails__fails_for_all_aboard_and_for_nobody_later() -> None:
    shore = Shore(failing=True)
    ferry = Ferry(shore.one, shore.many, few_crossings=1, patience_seconds=60)
    tasks = await begun(ferry, range(4))
    shore.open.set()

    found = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(one) for one in found] == [StoreError] * 4
    shore.failing = False
    assert await ferry.read(5) == "agent 5"
    assert ferry._under_way == 0


class Bounds:
    """As those of a pool."""

    def __init__(self, most_waiting: int, timeout_seconds: float) -> None:
        self.most_waiting = most_waiting
        self.timeout_seconds = timeout_seconds

    def refuse_beyond(self, waiting: int) -> None:
        if waiting >= self.most_waiting:
            raise Overloaded("too many wait")

    def waited_in_vain(self) -> Exception:
        return Overloaded("waited for too long")


async def test_read__as_many_wait_as_may__refuses_one_more_until_one_gives_up() -> None:
    shore = Shore()
    ferry = Ferry(
        *(shore.one, shore.many), lambda: Bounds(3, 60), few_crossings=1, patience_seconds=60
    )
    first, second, *others = await begun(ferry, range(4))
    with pytest.raises(Overloaded, match="too many"):
        await ferry.read(4)

    second.cancel()
    await asyncio.sleep(0)
    late = await begun(ferry, [5])
    shore.open.set()

    assert await asyncio.gather(first, *others, *late) == [
        *("agent 0", "agent 2", "agent 3", "agent 5")
    ]
    assert shore.asked == [[0], [2, 3, 5]]


async def test_read__database_that_does_not_answer__is_given_up_in_time() -> None:
    shore = Shore()
    ferry = Ferry(
        *(shore.one, shore.many),
        lambda: Bounds(100, 0.01),
        few_crossings=1,
        most_crossings=2,
        most_aboard=2,
        patience_seconds=0.001,
    )
    tasks = await begun(ferry, range(6))

    gone = await asyncio.wait_for(asyncio.gather(*tasks[3:], return_exceptions=True), timeout=10)

    assert [type(one) for one in gone] == [Overloaded] * 3
    shore.open.set()
    assert await asyncio.gather(*tasks[:3]) == ["agent 0", "agent 1", "agent 2"]
    assert await ferry.read(7) == "agent 7"
