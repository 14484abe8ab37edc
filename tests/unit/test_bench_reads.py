"""Reads against their baseline: whom they ask about, and that turns are fair to both."""

import random
from collections import Counter
from typing import Any

import pytest
from bench import baseline, reads
from bench.baseline import Baseline, Query, Turns, in_turns
from bench.compare import numbers_of
from bench.drawing import HAND, Deal, evenly
from bench.http_paths import SECRET, pages_of, parts, sampled
from bench.reads import Kind

from renown.api.pages import Cursors
from renown.store.agents import After
from renown.store.reads import NEVER, KeyArgs


def keys(count: int) -> list[KeyArgs]:
    return [KeyArgs(1, number, None) for number in range(count)]


def test_evenly__all_of_several_chains__each_agent_once() -> None:
    found = evenly([(1, 3), (56, 1), (8453, 2)], 6, random.Random(1))
    assert {(key.chain_id, key.agent_id) for key in found} == {
        *((1, 0), (1, 1), (1, 2), (56, 0), (8453, 0), (8453, 1)),
    }


def test_evenly__some__by_the_weight_of_chains() -> None:
    found = evenly([(1, 60_000), (56, 20_000)], 4_000, random.Random(1))
    chains = Counter(key.chain_id for key in found)
    assert len(set(map(str, found))) == 4_000
    assert chains[1] == pytest.approx(3_000, rel=0.05)


def test_pages_of__places_and_agents__begin_behind_each_of_them() -> None:
    cursors = Cursors(SECRET.encode())
    of_all, of_one = pages_of([After(NEVER, 56, 7)], [KeyArgs(8453, 9, None)])
    assert of_all.startswith("/v1/agents?limit=50&cursor=")
    assert of_one.startswith("/v1/agents?chain=8453&limit=50&cursor=")
    assert cursors.read(of_all.partition("cursor=")[2], "/v1/agents?") == (NEVER, 56, 7)
    of_chain = cursors.read(of_one.partition("cursor=")[2], "/v1/agents?chain=8453")
    assert of_chain[1:] == (8453, 9)


def test_deal__enough_keys__nobody_gets_another_ones() -> None:
    deal = Deal(keys(3 * HAND))
    hands = [deal.hand() for _ in range(3)]
    agents = [key.agent_id for hand in hands for key in hand]
    assert set(agents) == set(range(3 * HAND))
    assert len(agents) == 3 * HAND
    assert hands[1][:3] == [KeyArgs(1, n, None) for n in (1, 4, 7)]  # as they were drawn


def test_deal__few_keys__hands_come_again_from_another_place() -> None:
    deal = Deal(keys(800))
    first, second = deal.hand(), deal.hand()
    assert sorted(first, key=str) == sorted(second, key=str)
    assert first[0] != second[0]


def test_kind__many_keys__hot_ones_are_none_of_the_fresh() -> None:
    whom = list(range(HAND))
    kind = Kind("agents", reads._agent, whom)
    assert len(kind.hot) == reads.HOT
    assert sorted([*kind.hot, *kind.fresh]) == whom
    assert kind.fresh[:2] == [1, 2]


def test_kind__one_key__is_asked_for_as_fresh() -> None:
    kind = Kind("busiest", reads._agent, ["one"])
    assert (kind.hot, kind.fresh) == ([], ["one"])


def test_parts__many_paths__no_turn_has_another_ones() -> None:
    paths = [f"/{number}" for number in range(1_003)]
    found = parts(paths, 4)
    assert [path for part in found for path in part] == paths
    assert {len(part) for part in found} == {250, 251}


def test_parts__fewer_paths_than_ask__all_of_them_each_time() -> None:
    assert parts(["/a", "/b"], 3) == [["/a", "/b"]] * 3


def test_sampled__many_paths__from_all_over_and_none_twice() -> None:
    paths = [str(number) for number in range(1_000)]
    found = sampled(paths, 300)
    assert len(set(found)) == 300
    assert (found[0], int(found[-1]) > 990) == ("0", True)
    assert sampled(paths, 5_000) == paths


async def test_bare__read__asks_the_database_only_when_its_query_is_run() -> None:
    asked: list[tuple[Any, ...]] = []

    class Statement:
        async def fetch(self, *args: Any) -> list[Any]:
            asked.append(args)
            return []

        fetchrow = fetch

    class Conn:
        async def prepare(self, text: str) -> Statement:
            assert "agent" in text
            return Statement()

    query = await reads._bare(Conn(), reads._agent, KeyArgs(8453, 7, None))  # type: ignore[arg-type]
    assert asked == []
    await query()
    assert len(asked) == 1
    assert {8453, 7} <= set(asked[0])


async def test_in_turns__several_kinds__a_baseline_before_each_and_keys_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 0.0
    events: list[str] = []

    def now() -> float:
        return clock

    class Base(Baseline):
        def __init__(self) -> None:
            pass

        async def seconds(self) -> float:
            nonlocal clock
            clock += 1.0
            events.append("base")
            return 1.0

    def counting(name: str, takes: float) -> Turns:
        count = 0

        async def following() -> Query:
            nonlocal count, clock
            clock += 100.0  # making a query is nobody's time
            count += 1
            number = count

            async def query() -> None:
                nonlocal clock
                clock += takes
                events.append(f"{name}{number}")

            return query

        return Turns(following, slice_seconds=150.0)

    monkeypatch.setattr(baseline, "perf_counter", now)
    found = await in_turns(Base(), {"a": counting("a", 2.0), "b": counting("b", 3.0)}, 700.0)

    assert events[:8] == ["base", "a1", "base", "a2", "base", "b1", "base", "b2"]
    assert events[8:10] == ["base", "a3"]
    assert (found["a"].p50, found["a"].p50_ratio) == (2.0, 2.0)
    assert (found["b"].p99, found["b"].p99_ratio) == (3.0, 3.0)
    assert found["a"].rounds == events.count("base") - found["b"].rounds


def test_numbers__how_many_were_asked__is_not_compared() -> None:
    words, numbers = numbers_of("268 µs, 1.36 ×; n 1,412")
    assert words == "# µs, # ×; n"
    assert [number.spread.median for number in numbers] == [268, 1.36]
