"""Fetches in flight: never too many at once, never too much unsettled, nothing twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from hashlib import sha256

from renown.ingest.crawler import fetching
from renown.ingest.crawler.fetching import Fetching
from renown.ingest.crawler.reading import Reading
from renown.offchain.fetched import Fetched
from renown.spec.uris import parse_uri
from renown.store.uris import Due
from tests.crawling import Clock, Web

MIB = 2**20


def due(uri_id: int, uri: str) -> Due:
    raw = uri.encode()
    parsed = parse_uri(raw)
    return Due(
        uri_id=uri_id,
        hash=sha256(raw).digest(),
        uri=raw,
        kind=parsed.kind,
        host=parsed.host,
        fixed=parsed.fixed,
        stage=0,
        attempts=0,
        failures=0,
        unchanged=0,
        outcome=None,
        reason=None,
        status=None,
        document_id=None,
        verified=None,
        etag=None,
        last_modified=None,
        final_url=None,
    )


def of_host(host: str, count: int, first: int = 0) -> list[Due]:
    return [due(first + n, f"https://{host}/{n}") for n in range(count)]


def fetching_on(web: Web, *, connections: int = 8, per_host: int = 2) -> Fetching:
    return Fetching(
        web,
        Reading(),
        connections=connections,
        per_host=per_host,
        clock=Clock(),
        on_done=lambda: None,
    )


async def until(ready: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 10
    while not ready():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.001)


async def test_fetching__many_hosts__keeps_to_its_limits():
    web = Web()
    web.seconds = 0.002
    pool = fetching_on(web, connections=8, per_host=2)
    for n in range(20):
        pool.offer(of_host(f"h{n}.example", 10, 100 * n))

    await until(lambda: pool.unsettled == 200)

    await until(lambda: pool.in_flight == 0)
    assert web.most_at_once.pop("") == 8
    assert set(web.most_at_once.values()) <= {1, 2}


async def test_fetching__a_host_that_never_answers__holds_up_nobody_else():
    web = Web()
    never = asyncio.Event()

    async def wait() -> Fetched:
        await never.wait()
        raise AssertionError

    slow = of_host("slow.example", 50)
    web.answers |= {one.uri.decode(): wait for one in slow}
    pool = fetching_on(web, connections=4, per_host=2)
    pool.offer([*slow, *of_host("quick.example", 100, 1_000)])

    # What was fetched lies here a turn of the loop before its task is over.
    await until(lambda: pool.unsettled == 100 and pool.in_flight == 2)

    assert pool.room_of("slow.example") == 0
    await pool.close()
    assert pool.idle


async def test_fetching__large_bodies__stops_at_a_bound_and_goes_on_when_settled():
    web = Web()
    uris = of_host("a.example", 60) + of_host("b.example", 60, 100) + of_host("c.example", 60, 200)
    web.answers |= {one.uri.decode(): bytes(MIB) for one in uris}
    pool = fetching_on(web, connections=6)
    pool.offer(uris)
    bound = fetching.MOST_UNSETTLED_BYTES // MIB + 6

    await until(lambda: pool.in_flight == 0)
    most, settled = pool.unsettled, 0
    assert pool.room == 0
    while batch := pool.unsettled_batch(10):
        pool.settled(batch)
        settled += len(batch)
        await until(lambda: pool.in_flight == 0)
        most = max(most, pool.unsettled)

    assert most <= bound
    assert settled == len(uris)


async def test_fetching__what_is_here_already__is_not_fetched_again():
    web = Web()
    pool = fetching_on(web)
    uris = of_host("a.example", 3)

    assert pool.offer(uris) == 3
    assert pool.offer(uris) == 0
    await until(lambda: pool.unsettled == 3)
    assert pool.offer(uris) == 0
    pool.settled(pool.unsettled_batch(3))
    assert pool.offer(uris) == 3

    await until(lambda: pool.unsettled == 3)
    assert len(web.calls) == 6


async def test_fetching__a_host_that_says_stop__is_asked_no_more():
    web = Web()
    uris = of_host("busy.example", 20)
    busy = Fetched(outcome="http-error", status=429)
    web.answers |= {one.uri.decode(): busy for one in uris}
    pool = fetching_on(web)
    pool.offer([*uris, *of_host("other.example", 5, 100)])

    await until(lambda: pool.in_flight == 0)

    assert pool.unsettled == 2 + 5
    assert pool.room_of("busy.example") == 0
    assert sorted(pool.take_back()) == list(range(2, 20))
    assert pool.unsettled == 7
    pool.settled(pool.unsettled_batch(7))
    assert pool.idle
    assert pool.room_of("busy.example") == 2 * fetching.TURN_URIS


async def test_fetching__a_reader_that_raises__is_an_outcome():
    async def raising() -> Fetched:
        raise ZeroDivisionError

    pool = fetching_on(Web(**{"https://a.example/0": raising}))
    pool.offer(of_host("a.example", 1))

    await until(lambda: pool.unsettled == 1)

    (attempt,) = pool.unsettled_batch(9)
    assert (attempt.fetched.outcome, attempt.fetched.reason) == ("broken", "unforeseen")


async def test_fetching__claimed_while_its_host_was_found_to_rest__gets_its_turn_later():
    web = Web()
    uris = of_host("slow.example", 9)
    web.answers |= {one.uri.decode(): Fetched(outcome="timeout") for one in uris}
    pool = fetching_on(web)
    pool.offer(uris[:1])
    await until(lambda: pool.unsettled == 1 and not pool.in_flight)
    batch = pool.unsettled_batch(9)

    assert pool.take_back() == []
    pool.offer(uris[1:])  # by a claim that was begun before anybody knew
    pool.settled(batch)

    await until(lambda: pool.unsettled == 2 and not pool.in_flight)
    assert len(pool.take_back()) == 6
    pool.settled(pool.unsettled_batch(9))
    assert pool.idle


async def test_fetching__two_that_say_stop__hold_the_host_until_both_are_settled():
    web = Web()
    uris = of_host("busy.example", 6)
    web.answers |= {one.uri.decode(): Fetched(outcome="timeout") for one in uris}
    pool = fetching_on(web)
    pool.offer(uris[:2])
    await until(lambda: pool.unsettled == 2 and not pool.in_flight)

    pool.offer(uris[2:])
    pool.settled(pool.unsettled_batch(1))
    assert pool.in_flight == 0
    pool.settled(pool.unsettled_batch(1))
    assert pool.in_flight == 2
    await pool.close()
