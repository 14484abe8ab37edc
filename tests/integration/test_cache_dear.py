"""Dear answers: shared for some seconds by all processes, through Redis where it is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from renown.api.cache import dear as dear_module
from renown.errors import StoreError
from renown.shared.answers import PREFIX, SharedAnswers
from renown.shared.redis import SharedStore
from tests.integration.cached import Cached, cached_on, read_as
from tests.redis import RedisServer

SEARCH = "/v1/agents?q=weather&limit=5"
SECRET = b"the secret of one installation"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest) -> None:
    if "redis" in request.fixturenames:
        request.getfixturevalue("redis").tell("FLUSHALL")


@pytest.fixture
async def cached(database_url: str) -> AsyncIterator[Cached]:
    """One process without Redis."""
    async with cached_on(database_url) as app:
        yield app


@pytest.fixture
async def two(database_url: str, redis: RedisServer) -> AsyncIterator[list[Cached]]:
    """Two processes that share."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(cached_on(database_url, redis_url=redis.url))
            for _ in range(2)
        ]


class Clock:
    """Unix seconds that a test moves, of all that it is given to."""

    def __init__(self, *processes: Cached) -> None:
        self.seconds = 1_800_000_000.0
        for process in processes:
            process.dear._now = lambda: self.seconds


@pytest.mark.parametrize("path", [SEARCH, "/v1/network", "/v1/status", "/v1/findings"])
async def test_dear_answer__asked_for_again__costs_no_statement_until_it_is_too_old(
    cached: Cached, path: str
) -> None:
    clock = Clock(cached)
    first = await cached.get(path)
    before = cached.watched.statements
    clock.seconds += 0.9

    second = await cached.get(path)

    assert cached.watched.statements == before > 0
    assert second.content == first.content
    assert (first.headers["age"], second.headers["age"]) == ("0", "0")
    assert second.headers.get("etag") == first.headers.get("etag")
    clock.seconds += 10
    third = await cached.get(path)
    assert cached.watched.statements > before
    assert third.headers["age"] == "0"


async def test_dear_answer__as_it_grows_old__says_so(cached: Cached) -> None:
    clock = Clock(cached)
    await cached.get("/v1/network")
    clock.seconds += 3.2

    assert (await cached.get("/v1/network")).headers["age"] == "3"


async def test_dear_answer__read_by_a_clock_that_was_set_back__is_read_again(
    cached: Cached,
) -> None:
    clock = Clock(cached)
    await cached.get("/v1/network")
    before = cached.watched.statements
    clock.seconds -= 3600

    await cached.get("/v1/network")

    assert cached.watched.statements > before


async def test_dear_answer__of_a_stampede__costs_one_read(cached: Cached) -> None:
    await cached.get("/v1/network")
    one = cached.watched.statements
    Clock(cached)

    found = await asyncio.gather(*(cached.get("/v1/network") for _ in range(1_000)))

    assert cached.watched.statements == one + 1
    assert len({answer.content for answer in found}) == 1


async def test_dear_answer__that_fails__is_not_remembered(cached: Cached) -> None:
    async def fail() -> None:
        raise StoreError("broken on purpose")

    cached.watched.after = fail
    assert (await cached.client.get(SEARCH)).status_code == 503
    cached.watched.after = None

    assert (await cached.get(SEARCH)).status_code == 200


async def test_dear_answer__read_by_one_process__is_served_by_another(two: list[Cached]) -> None:
    first = await two[0].get(SEARCH)
    before, shared = two[1].watched.statements, read_as("dear", "shared")

    second = await two[1].get(SEARCH)

    assert (two[1].watched.statements, read_as("dear", "shared")) == (before, shared + 1)
    assert second.content == first.content
    assert second.headers["etag"] == first.headers["etag"]


async def test_dear_answer__asked_of_two_processes_at_once__is_read_by_one(
    two: list[Cached],
) -> None:
    for process in two:
        process.watched.after = lambda: asyncio.sleep(0.05)
    before = [process.watched.statements for process in two]

    found = await asyncio.gather(*(two[n % 2].get("/v1/network") for n in range(20)))

    assert len({answer.content for answer in found}) == 1
    assert sum(p.watched.statements for p in two) == sum(before) + 1


async def test_dear_answer__when_its_reader_dies_with_the_claim__is_read_by_who_waits(
    two: list[Cached], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dear_module, "PATIENCE_SECONDS", 0.1)
    shared: Any = two[0].dear.shared
    assert await shared.claim("/v1/network", ttl_seconds=60) is not None

    assert (await two[1].get("/v1/network")).status_code == 200


async def test_dear_answers__when_redis_is_killed_and_comes_back__go_on_throughout(
    database_url: str,
) -> None:
    with RedisServer() as server:
        async with cached_on(database_url, redis_url=server.url) as cached:
            clock = Clock(cached)
            statuses = set()
            for step in range(40):
                if step == 10:
                    server.kill()
                if step == 25:
                    server.start()
                clock.seconds += 20
                statuses.add((await cached.client.get(SEARCH)).status_code)
            assert statuses == {200}

            before = cached.watched.statements
            await cached.get(SEARCH)
            assert cached.watched.statements == before  # the process has its own meanwhile


async def test_dear_answers__with_redis_away__are_kept_in_the_process(
    database_url: str,
) -> None:
    async with cached_on(database_url, redis_url="redis://127.0.0.1:1/0") as cached:
        Clock(cached)
        await cached.get(SEARCH)
        before = cached.watched.statements

        await cached.get(SEARCH)

        assert cached.watched.statements == before


# What is shared ----------------------------------------------------------------------------------


@pytest.fixture
async def store(redis: RedisServer) -> AsyncIterator[SharedStore]:
    opened = SharedStore(redis.url)
    yield opened
    await opened.close()


async def test_shared_value__of_the_same_installation_and_release__is_found(
    store: SharedStore,
) -> None:
    await SharedAnswers(store, SECRET, "1.0").put("key", b"value", ttl_seconds=60)

    assert await SharedAnswers(store, SECRET, "1.0").get("key") == b"value"


@pytest.mark.parametrize(
    ("secret", "release", "key"),
    [(b"of another", "1.0", "key"), (SECRET, "1.1", "key"), (SECRET, "1.0", "another key")],
)
async def test_shared_value__of_another_installation_release_or_key__is_none(
    store: SharedStore, secret: bytes, release: str, key: str
) -> None:
    await SharedAnswers(store, SECRET, "1.0").put("key", b"value", ttl_seconds=60)

    assert await SharedAnswers(store, secret, release).get(key) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: b"",
        lambda value: value[:20],
        lambda value: value[:-1],
        lambda value: value[:-1] + bytes([value[-1] ^ 1]),
        lambda value: bytes(32) + value[32:],
        lambda value: b"\xff" * 500,
    ],
)
async def test_shared_value__that_was_damaged_or_forged__is_none(
    store: SharedStore, damage: Any
) -> None:
    answers = SharedAnswers(store, SECRET, "1.0")
    await answers.put("key", b"value", ttl_seconds=60)
    (name,) = await store.ask(lambda redis: redis.keys(PREFIX + "*"))
    whole = await store.ask(lambda redis: redis.get(name))
    await store.ask(lambda redis: redis.set(name, damage(whole)))

    assert await answers.get("key") is None


async def test_shared_value__moved_to_another_key__is_none(store: SharedStore) -> None:
    answers = SharedAnswers(store, SECRET, "1.0")
    await answers.put("one", b"value", ttl_seconds=60)
    await answers.put("two", b"other", ttl_seconds=60)
    first, second = await store.ask(lambda redis: redis.keys(PREFIX + "*"))
    # Each gets the other's value.
    await store.ask(lambda redis: redis.rename(first, "spare"))
    await store.ask(lambda redis: redis.rename(second, first))
    await store.ask(lambda redis: redis.rename("spare", second))

    assert [await answers.get(key) for key in ("one", "two")] == [None, None]


async def test_shared_value__of_another_type__is_none_and_redis_is_looked_for_again(
    store: SharedStore,
) -> None:
    answers = SharedAnswers(store, SECRET, "1.0")
    await answers.put("key", b"value", ttl_seconds=60)
    (name,) = await store.ask(lambda redis: redis.keys(PREFIX + "*"))
    await store.ask(lambda redis: redis.delete(name))
    await store.ask(lambda redis: redis.lpush(name, b"a list"))

    assert await answers.get("key") is None


async def test_shared_value__after_its_time__is_gone(store: SharedStore) -> None:
    answers = SharedAnswers(store, SECRET, "1.0")
    await answers.put("key", b"value", ttl_seconds=0.02)
    await asyncio.sleep(0.06)

    assert await answers.get("key") is None


async def test_claim__is_had_by_one_and_given_back_only_by_it(store: SharedStore) -> None:
    answers = SharedAnswers(store, SECRET, "1.0")
    token = await answers.claim("key", ttl_seconds=60)
    assert token is not None
    assert await answers.claim("key", ttl_seconds=60) is None

    await answers.release("key", b"of somebody else")
    assert await answers.claim("key", ttl_seconds=60) is None
    await answers.release("key", token)
    assert await answers.claim("key", ttl_seconds=60) is not None
