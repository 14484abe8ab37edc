"""A load test in the open model: what is due when, and where it bends."""

import asyncio
import random
from itertools import pairwise
from typing import cast

import pytest
from bench import load_client
from bench.harness import quantile
from bench.load_client import planned, take
from bench.load_mix import searches
from bench.load_model import (
    Step,
    arrivals,
    between,
    keeps_up,
    knee,
    rates,
    rounded,
    saturated,
    zipf_rank,
)
from bench.together import highest


def step(offered: float, achieved: float | None = None, p99_ms: float = 2.0, **more: float) -> Step:
    return Step(offered, offered if achieved is None else achieved, 1.0, p99_ms, **more)  # type: ignore[arg-type]


def test_arrivals__rate_and_seed__a_poisson_process_that_repeats() -> None:
    moments = list(arrivals(200, 50, seed=3))
    assert moments == list(arrivals(200, 50, seed=3))
    assert moments != list(arrivals(200, 50, seed=4))
    assert moments == sorted(moments)
    assert moments[-1] < 50
    assert len(moments) == pytest.approx(10_000, rel=0.05)
    gaps = [after - before for before, after in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.05)  # as of an exponential distribution


def test_zipf__many_draws__the_second_is_asked_half_as_often_and_none_is_out_of_range() -> None:
    chance = random.Random(1)
    drawn = [zipf_rank(chance.random(), 1_000) for _ in range(50_000)]
    assert {min(drawn), max(drawn)} <= set(range(1_000))
    assert zipf_rank(0.0, 1_000) == 0
    assert zipf_rank(1.0 - 1e-16, 1_000) == 999
    assert drawn.count(0) / drawn.count(1) == pytest.approx(1.7, rel=0.15)  # log 2 : log 1.5
    assert zipf_rank(0.99, 1) == 0


def test_knee__p99_or_answers_break__is_the_last_rate_before() -> None:
    slow = [step(100), step(200), step(300, p99_ms=9.9), step(400, p99_ms=10.1), step(500)]
    assert knee(slow) is slow[2]
    behind = [step(100), step(200, 196.1), step(300, 293), step(400, 400)]
    assert knee(behind) is behind[1]
    assert not keeps_up(behind[2], behind[0])


def test_knee__steps_in_any_order__are_taken_by_rate() -> None:
    steps = [step(100), step(400, 200), step(200), step(300)]
    found = knee(steps)
    assert found is not None
    assert found.offered == 300


def test_knee__even_the_lowest_rate_is_too_much__is_none() -> None:
    assert knee([step(100, 50)]) is None
    assert knee([]) is None


def test_rates__rising__rounded_and_bounded() -> None:
    assert list(rates(200, 1.5, 1_000)) == [200, 300, 450, 680]
    assert between(1_500, 2_250) == 1_800
    assert rounded(12_345) == 12_000
    assert rounded(7.4) == 7


@pytest.mark.parametrize(
    ("cores", "more", "expected"),
    [
        ({"api": 0.97, "postgres": 0.4, "client": 0.2, "machine": 1.7}, {}, "the API process"),
        ({"api": 0.6, "postgres": 1.1, "client": 0.2, "machine": 1.95}, {}, "the machine"),
        ({"api": 0.3, "postgres": 0.3, "client": 0.1, "machine": 0.8}, {"waiters": 9}, "the pool"),
        (
            {"api": 0.3, "postgres": 0.3, "client": 0.9, "machine": 1.6},
            {"lag_p99_ms": 5.0},
            "the gen",
        ),
        ({"api": 0.3, "postgres": 0.3, "client": 0.1, "machine": 0.8}, {}, "nothing"),
    ],
)
def test_saturated__step__names_what_is_full(
    cores: dict[str, float], more: dict[str, float], expected: str
) -> None:
    assert saturated(step(1_000, cores=cores, **more), 2).startswith(expected)  # type: ignore[arg-type]


def test_step__generator_was_late__does_not_count() -> None:
    assert step(100, p99_ms=20.0, lag_p99_ms=3.9).counts
    assert not step(100, p99_ms=20.0, lag_p99_ms=4.1).counts


def test_planned__mix__each_kind_by_its_share() -> None:
    mix = [("key", 0.75, ["/a", "/b"]), ("search", 0.25, ["/c"])]
    due = planned(mix, 1_000, 10, seed=1)
    kinds = [kind for _, kind, _ in due]
    assert kinds.count("key") / len(kinds) == pytest.approx(0.75, abs=0.02)
    assert {sent.split(b" ")[1] for _, kind, sent in due if kind == "search"} == {b"/c"}
    assert due == planned(mix, 1_000, 10, seed=1)


class Stalling(asyncio.Protocol):
    """A server that stops answering for half a second at its 10th request, and refuses its 60th."""

    asked = 0
    until = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        kind, loop = type(self), asyncio.get_running_loop()
        kind.asked += 1
        if kind.asked == 10:
            kind.until = loop.time() + 0.5
        status = b"503 Busy" if kind.asked == 60 else b"200 OK"
        answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 3\r\n\r\nabc"
        loop.call_at(kind.until, self.transport.write, answer)


async def test_step__server_that_stalls__is_charged_for_all_that_were_due_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load_client, "MOST_CONNECTIONS", 1)
    server = await asyncio.get_running_loop().create_server(Stalling, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        mix = [("key", 1.0, ["/a"])]
        found = await take(port, mix, {"rate": 200, "seconds": 0.6, "seed": 1})
    assert found["due"] == sum(found["statuses"].values()) == Stalling.asked
    assert found["statuses"]["503"] == 1
    assert found["unanswered"] == found["broken"] == 0
    # Of 0.6 s of requests, those of 0.5 s are due in it, and wait for the only connection. From
    # when they are sent, one alone would be slow.
    assert found["p50_ms"] >= 50
    assert found["p99_ms"] >= 400


def test_searches__names_of_strangers__only_their_plain_words() -> None:
    found = searches(["<script> & ok", "Weather Oracle", "a", "  "], random.Random(1))
    assert len(found) == 1
    assert set(found[0]["q"].split()) <= {"Weather", "Oracle"}


def test_quantile__few_values__is_one_of_them() -> None:
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile([3, 1, 2], 0.99) == 3
    assert quantile([5], 0.0) == 5


async def test_step__told_to_stop__sends_no_more_and_is_of_what_was_due_by_then() -> None:
    answered = asyncio.Event()

    class Answering(Stalling):
        def data_received(self, data: bytes) -> None:
            answered.set()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")

    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        order = {"rate": 200, "seconds": 60.0, "seed": 1}
        found = await take(port, [("key", 1.0, ["/a"])], order, answered.wait())
    assert 1 <= found["due"] == found["statuses"]["200"] < 5_000
    assert found["unanswered"] == found["broken"] == 0
    assert found["sent_for_seconds"] < 30


@pytest.mark.parametrize("limit", [5, 130, 300, 1_234, 4_000])
async def test_highest__rates_that_are_kept_up_with__within_a_few_percent_below(limit: int) -> None:
    asked = []

    async def keeps_up(rate: float) -> bool:
        asked.append(rate)
        return rate <= limit

    found = await highest(keeps_up)
    assert 0.85 * limit <= found <= limit
    assert len(asked) <= 12


async def test_highest__nothing_is_kept_up_with__says_so() -> None:
    async def keeps_up(rate: float) -> bool:
        return False

    with pytest.raises(RuntimeError, match="no rate"):
        await highest(keeps_up)
