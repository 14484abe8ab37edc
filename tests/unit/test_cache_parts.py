"""What the caches are made of: a bounded mapping, work done once, answers around their `as_of`."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from renown.api import etag
from renown.api.answers.answer import Answer
from renown.api.answers.as_of import AsOf
from renown.api.cache.bounded import OVERHEAD_BYTES, Bounded
from renown.api.cache.flights import Convoys, Flights
from renown.api.cache.written import say, write

KEYS = st.sampled_from([f"key {n}" for n in range(6)])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), KEYS, st.integers(0, 400)),
            st.tuples(st.just("get"), KEYS, st.just(0)),
            st.tuples(st.just("pop"), KEYS, st.just(0)),
        ),
        max_size=60,
    )
)
def test_bounded__under_any_use__is_what_a_simple_one_is_and_never_too_large(
    acts: list[tuple[str, str, int]],
) -> None:
    most = 4 * (OVERHEAD_BYTES + 300)
    bounded: Bounded[int] = Bounded(most)
    model: OrderedDict[str, tuple[int, int]] = OrderedDict()
    for number, (act, key, size) in enumerate(acts):
        if act == "get":
            assert bounded.get(key) == (model[key][0] if key in model else None)
            if key in model:
                model.move_to_end(key)
        elif act == "pop":
            assert bounded.pop(key) == model.pop(key, (None, 0))[0]
        else:
            gone = bounded.put(key, number, size)
            model.pop(key, None)
            cost = size + len(key) + OVERHEAD_BYTES
            if cost > most // 8:
                assert gone == [(key, number)]
            else:
                model[key] = (number, cost)
                expected = []
                while sum(cost for _, cost in model.values()) > most:
                    oldest, (value, _) = model.popitem(last=False)
                    expected.append((oldest, value))
                assert gone == expected
        assert len(bounded) == len(model)
        assert bounded.bytes == sum(cost for _, cost in model.values()) <= most
        assert all((key in bounded) == (key in model) for key in ("key 0", "key 1"))


async def test_flights__of_equal_keys__run_once_and_of_others_by_themselves() -> None:
    flights: Flights[str] = Flights()
    runs: list[str] = []

    async def work(name: str) -> str:
        runs.append(name)
        await asyncio.sleep(0)
        return name

    found = await asyncio.gather(
        *(flights.once("a", lambda: work("a")) for _ in range(5)),
        flights.once("b", lambda: work("b")),
    )

    assert found == [*"aaaaa", "b"]
    assert runs == ["a", "b"]
    assert await flights.once("a", lambda: work("again")) == "again"


async def test_flights__left_behind__still_answer_those_who_wait() -> None:
    flights: Flights[int] = Flights()
    go = asyncio.Event()

    async def slow() -> int:
        await go.wait()
        return 1

    async def fast() -> int:
        return 2

    waiting = asyncio.create_task(flights.once("a", slow))
    await asyncio.sleep(0)
    flights.leave_behind()

    assert await flights.once("a", fast) == 2
    assert "a" not in flights
    go.set()
    assert await waiting == 1


async def test_flights__when_all_who_wait_give_up__end_by_themselves() -> None:
    flights: Flights[None] = Flights()
    ended = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.005)
        ended.set()
        raise ValueError("nobody listens")

    waiting = [asyncio.create_task(flights.once("a", work)) for _ in range(3)]
    await asyncio.sleep(0)
    for one in waiting:
        one.cancel()

    await asyncio.wait_for(ended.wait(), 1)
    await asyncio.sleep(0)
    assert "a" not in flights


async def test_convoys__of_equal_keys__one_works_and_the_others_wait_for_him() -> None:
    convoys: Convoys[str] = Convoys()
    runs: list[str] = []

    async def work(name: str) -> str:
        runs.append(name)
        await asyncio.sleep(0)
        return name

    found = await asyncio.gather(
        *(convoys.once("a", lambda: work("a")) for _ in range(5)),
        convoys.once("b", lambda: work("b")),
    )

    assert found == [*"aaaaa", "b"]
    assert runs == ["a", "b"]
    assert "a" not in convoys
    assert await convoys.once("a", lambda: work("again")) == "again"


async def test_convoys__an_error__goes_to_all_and_is_not_remembered() -> None:
    convoys: Convoys[int] = Convoys()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError("for all")

    async def one() -> int:
        return 1

    ended = await asyncio.gather(
        *(convoys.once("a", fail) for _ in range(3)), return_exceptions=True
    )

    assert [type(each) for each in ended] == [ValueError] * 3
    assert await convoys.once("a", one) == 1


async def test_convoys__whoever_leads_gives_up__another_begins_anew_for_the_rest() -> None:
    convoys: Convoys[int] = Convoys()
    go, runs = asyncio.Event(), 0

    async def work() -> int:
        nonlocal runs
        runs += 1
        await go.wait()
        return runs

    waiting = [asyncio.create_task(convoys.once("a", work)) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[2].cancel()
    await asyncio.sleep(0.001)
    go.set()
    ended = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(each) for each in ended].count(asyncio.CancelledError) == 2
    assert [each for each in ended if not isinstance(each, BaseException)] == [2, 2, 2]
    assert runs == 2


async def test_convoys__left_behind__still_answer_those_who_wait() -> None:
    convoys: Convoys[int] = Convoys()
    go = asyncio.Event()

    async def slow() -> int:
        await go.wait()
        return 1

    async def fast() -> int:
        return 2

    waiting = [asyncio.create_task(convoys.once("a", slow)) for _ in range(2)]
    await asyncio.sleep(0)
    convoys.leave_behind()

    assert await convoys.once("a", fast) == 2
    go.set()
    assert await asyncio.gather(*waiting) == [1, 1]


class Body(msgspec.Struct, kw_only=True, frozen=True):
    said: str
    as_of: AsOf | list[AsOf]
    after: int


BLOCK = AsOf(1, 5, "0x" + "ab" * 32, datetime(2026, 1, 1, tzinfo=UTC), "latest")


@pytest.mark.parametrize("blocks", [BLOCK, [BLOCK, BLOCK], []])
def test_written__around_its_as_of__is_the_body(blocks: AsOf | list[AsOf]) -> None:
    # A stranger's text that looks like the `as_of` itself.
    body = Body(said=msgspec.json.encode(blocks).decode(), as_of=blocks, after=3)
    listed = [blocks] if isinstance(blocks, AsOf) else blocks

    written, said = write(Answer(body, listed))

    assert written.before + said.body + written.behind == msgspec.json.encode(body)
    assert said == say(blocks)
    assert body.as_of is blocks
    body = msgspec.structs.replace(body, said="plain")
    plain, _ = write(Answer(body, listed))
    assert plain.tag == etag.of_content(msgspec.json.encode(body), msgspec.json.encode(blocks))


def test_written__of_a_known_version__is_tagged_by_it() -> None:
    written, _ = write(Answer(Body(said="", as_of=BLOCK, after=1), [BLOCK], "1.2.3"))

    assert written.tag == etag.of_version("1.2.3")


@given(st.binary(max_size=40))
def test_written__whatever_raw_json_a_body_carries__is_split_at_the_as_of(raw: bytes) -> None:
    class Carrying(msgspec.Struct):
        content: msgspec.Raw
        as_of: AsOf

    content = msgspec.Raw(msgspec.json.encode({"as_of": BLOCK, "x": raw.hex()}))
    body = Carrying(content, BLOCK)

    written, said = write(Answer(body, [BLOCK], "1"))

    assert written.before + said.body + written.behind == msgspec.json.encode(body)
    assert written.before.startswith(b'{"content":{"as_of":')
    assert written.behind == b"}"
