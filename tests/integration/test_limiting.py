"""Limits as requests meet them, in one process and shared through a real Redis."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
import structlog

from renown.api.access.limiting import Limiter, Standing
from renown.api.access.principal import Principal
from renown.errors import SharedStoreError
from renown.obs import metrics
from renown.obs.logging import configure_logging
from renown.shared.redis import SharedStore
from renown.shared.windows_memory import MemoryWindows
from renown.shared.windows_redis import PREFIX, RedisWindows
from renown.spec.limits import Limit, PerMinute, read_limits
from tests.redis import RedisServer, programs, running

LIMITS: PerMinute = read_limits(
    """{"anonymous": {"read": 5, "auth": 3}, "free": {"read": 8, "write": 4},
        "pro": {"read": 16}, "enterprise": {"read": 40}}"""
)
ADDRESS = "192.0.2.1"
WALLET = b"\x07" * 20


def account(number: int = 1, key: str = "k1", **about: Any) -> Principal:
    asked: dict[str, Any] = {"tier": "free", "address": ADDRESS}
    return Principal(key_id=key, account_id=number, **(asked | about))


def _same(who: Principal, _: int) -> Principal:
    return who


async def admitted(limiter: Limiter, tries: int, who: Callable[[int], Principal]) -> int:
    return sum([(await limiter.admit(who(i), "read")).allowed for i in range(tries)])


@pytest.fixture(scope="module", params=programs())
def redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    yield from running(request.param)


@pytest.fixture(autouse=True)
def _whole_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of seconds is torn by the end of a window."""
    if (left := 60 - time.time() % 60) < 3:
        time.sleep(left)


@pytest.fixture
async def store(redis: RedisServer) -> AsyncIterator[SharedStore]:
    redis.tell("FLUSHALL")
    opened = SharedStore(redis.url)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", *programs()])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[Limiter]:
    if request.param == "memory":
        yield Limiter(LIMITS)
        return
    with RedisServer() as server:
        opened = SharedStore(server.url)
        yield Limiter(LIMITS, opened)
        await opened.close()


# What is enforced ----------------------------------------------------------------------------


async def test_admit__each_tier__has_its_own_limit(limiter: Limiter):
    def anonymous(_: int) -> Principal:
        return Principal(address=ADDRESS)

    assert await admitted(limiter, 10, anonymous) == 5
    for number, (tier, most) in enumerate([("free", 8), ("pro", 16), ("enterprise", 40)]):
        who = account(number, f"k{number}", tier=tier)
        assert await admitted(limiter, most + 5, partial(_same, who)) == most


async def test_admit__classes__are_counted_apart(limiter: Limiter):
    who = Principal(address=ADDRESS)
    await admitted(limiter, 9, lambda _: who)

    assert (await limiter.admit(who, "auth")).allowed
    assert not (await limiter.admit(who, "read")).allowed


async def test_admit__many_keys_of_one_account__get_what_the_account_gets(limiter: Limiter):
    assert await admitted(limiter, 60, lambda i: account(key=f"k{i}", address=f"h{i}")) == 3 * 8


async def test_admit__many_accounts_behind_one_address__have_a_ceiling(limiter: Limiter):
    assert await admitted(limiter, 100, lambda i: account(i, f"k{i}")) == 10 * 8


async def test_admit__a_refused_request__counts_nowhere(limiter: Limiter):
    for _ in range(8):
        assert (await limiter.admit(account(key="k1"), "read")).allowed
    for _ in range(20):
        refused = await limiter.admit(account(key="k1"), "read")
        assert (refused.allowed, refused.policy) == (False, "key")

    other = await limiter.admit(account(key="k2"), "read")
    assert other.allowed
    assert _left(other) == {"key": 8 - 1, "account": 24 - 8 - 1, "address": 80 - 8 - 1}


async def written(limiter: Limiter, who: Principal, wallet: bytes) -> Standing:
    standing = await limiter.admit(who, "write")
    assert standing.allowed
    return await limiter.admit_wallets(standing, who, "write", [wallet])


async def test_admit_wallets__over_their_limit__count_for_who_asked_but_not_for_them(
    limiter: Limiter,
):
    for _ in range(4):
        assert (await written(limiter, account(key="k1"), WALLET)).allowed
    for _ in range(2):
        refused = await written(limiter, account(key="k2"), WALLET)
        assert (refused.allowed, refused.policy) == (False, "wallet")
        assert refused.retry_after_seconds > 0

    other = await written(limiter, account(key="k2"), b"\x08" * 20)
    assert other.allowed
    assert _left(other) == {"key": 1, "account": 12 - 4 - 3, "address": 40 - 4 - 3, "wallet": 3}


async def test_admit_wallets__count_for_writes_and_sign_ins_only(limiter: Limiter):
    read = await limiter.admit(account(), "read")

    assert await limiter.admit_wallets(read, account(), "read", [WALLET]) is read
    assert "wallet" in _left(await written(limiter, account(), WALLET))


async def test_refusal__of_what_is_over_its_limit__is_known_without_counting(limiter: Limiter):
    who = Principal(address=ADDRESS)
    assert [limiter.refusal(who, "read") for _ in range(20)] == 20 * [None]
    await admitted(limiter, 5, lambda _: who)

    refused = limiter.refusal(who, "read")
    assert refused is not None
    assert (refused.allowed, refused.policy) == (False, "address")
    assert _left(refused) == {"address": 0}


# What the client is told ---------------------------------------------------------------------


async def test_headers__of_an_allowed_request__name_every_policy(limiter: Limiter):
    standing = await limiter.admit(account(), "read")
    headers = _headers(standing)

    assert headers["ratelimit-policy"] == '"key";q=8;w=60, "account";q=24;w=60, "address";q=80;w=60'
    assert re.fullmatch(
        r'"key";r=7;t=\d+, "account";r=23;t=\d+, "address";r=79;t=\d+', headers["ratelimit"]
    )
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("8", "7")
    assert standing.retry_after_seconds == 0


async def test_headers__of_a_refused_request__say_when_to_come_back(limiter: Limiter):
    who = Principal(address=ADDRESS)
    await admitted(limiter, 5, lambda _: who)
    refused = await limiter.admit(who, "read")
    headers = _headers(refused)

    assert not refused.allowed
    assert 1 <= refused.retry_after_seconds <= 120
    assert headers["ratelimit"] == f'"address";r=0;t={refused.retry_after_seconds}'
    assert headers["x-ratelimit-reset"] == str(refused.retry_after_seconds)
    assert refused.refusal().context["retry_after_seconds"] == refused.retry_after_seconds


async def test_retry_after__whoever_waits_so_long__is_let_in():
    now_ms = 29_000_000 * 60_000
    limiter = Limiter(LIMITS, memory=MemoryWindows(clock_ms=lambda: now_ms))
    who = Principal(address=ADDRESS)
    for _ in range(12):
        standing = await limiter.admit(who, "read")
        if not standing.allowed:
            too_soon_ms = 1000 * (standing.retry_after_seconds - 1)
            now_ms += too_soon_ms
            assert not (await limiter.admit(who, "read")).allowed
            now_ms += 1000
            standing = await limiter.admit(who, "read")
            assert standing.allowed
        now_ms += 1234


def _headers(standing: Standing) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in standing.headers}


def _left(standing: Standing) -> dict[str, int]:
    found = re.findall(r'"(\w+)";r=(\d+)', _headers(standing)["ratelimit"])
    return {policy: int(left) for policy, left in found}


# Shared --------------------------------------------------------------------------------------


async def test_shared__two_processes__count_together(redis: RedisServer, store: SharedStore):
    other = SharedStore(redis.url)
    first, second = Limiter(LIMITS, store), Limiter(LIMITS, other)
    who = Principal(address=ADDRESS)

    together = await asyncio.gather(
        *(admitted(one, 10, lambda _: who) for one in (first, second)),
    )
    await other.close()

    assert sum(together) == 5


async def test_shared__very_many_at_once__exactly_the_limit_passes(store: SharedStore):
    limiter = Limiter(read_limits('{"anonymous": {"read": 100}}'), store)
    standings = await asyncio.gather(
        *(limiter.admit(Principal(address=ADDRESS), "read") for _ in range(1500))
    )

    assert sum(standing.allowed for standing in standings) == 100


async def test_shared__counters__go_when_they_are_of_no_use(redis: RedisServer, store: SharedStore):
    await RedisWindows(store).count([Limit("key", "c", 5)])

    left_ms = int(redis.tell("PTTL", f"{PREFIX}c")[1:])
    assert 60_000 < left_ms <= 120_000


async def test_shared__scripts_flushed__are_loaded_again(redis: RedisServer, store: SharedStore):
    limiter = Limiter(LIMITS, store)
    who = Principal(address=ADDRESS)
    assert await admitted(limiter, 2, lambda _: who) == 2
    redis.tell("SCRIPT", "FLUSH")

    assert await admitted(limiter, 8, lambda _: who) == 3
    assert store.is_up


async def test_shared__whoever_stops_waiting__takes_nothing_from_the_others(store: SharedStore):
    limiter = Limiter(LIMITS, store)
    asked = [
        asyncio.create_task(limiter.admit(Principal(address=f"h{i}"), "read")) for i in range(20)
    ]
    await asyncio.sleep(0)
    for task in asked[::2]:
        task.cancel()

    done = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in done] == [True, False] * 10
    assert (await limiter.admit(Principal(address="h1"), "read")).allowed


# When Redis goes -----------------------------------------------------------------------------


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    yield stream
    structlog.reset_defaults()


async def test_redis_lost__counting_goes_on_from_where_it_was(logged: io.StringIO):
    who = Principal(address=ADDRESS)
    with RedisServer() as server:
        store = SharedStore(server.url)
        limiter = Limiter(LIMITS, store)
        assert await admitted(limiter, 3, lambda _: who) == 3
        assert (_fallback(), _up()) == (0, 1)

        server.kill()
        assert await admitted(limiter, 10, lambda _: who) == 2  # no fresh allowance
        assert (_fallback(), _up()) == (1, 0)

        server.start()
        await _until(lambda: store.is_up)
        assert await admitted(limiter, 10, lambda _: who) == 0  # though Redis has forgotten
        assert (await limiter.admit(Principal(address="192.0.2.9"), "read")).allowed
        assert (_fallback(), _up()) == (0, 1)
        await store.close()

    lines = logged.getvalue()
    assert re.findall(r'"event": "(redis_\w+)"', lines) == ["redis_lost", "redis_found"]
    assert f"127.0.0.1:{server.port}" in lines
    assert "canary" not in lines


async def test_redis_hung__one_answer_waits_and_the_others_do_not():
    with RedisServer() as server:
        store = SharedStore(server.url, timeout_seconds=0.2)
        limiter = Limiter(LIMITS, store)
        await limiter.admit(account(), "read")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            standing = await asyncio.wait_for(limiter.admit(account(), "read"), 5)
            assert standing.allowed
            assert not store.is_up
            with pytest.raises(SharedStoreError):
                await RedisWindows(store).count([Limit("key", "c", 5)])
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await _until(lambda: store.is_up)
        await store.close()


@pytest.mark.parametrize(
    ("setup", "mend"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        (("CONFIG", "SET", "requirepass", "other"), None),
    ],
    ids=["full", "read-only", "password-changed"],
)
async def test_redis_refuses__limits_are_kept_here_until_it_is_mended(
    setup: tuple[str, ...], mend: tuple[str, ...] | None
):
    with RedisServer() as server:
        server.tell(*setup)
        store = SharedStore(server.url)
        limiter = Limiter(LIMITS, store)
        who = Principal(address=ADDRESS)

        assert await admitted(limiter, 10, lambda _: who) == 5
        assert not store.is_up

        if mend is not None:
            server.tell(*mend)
            await _until(lambda: store.is_up)
            assert (await limiter.admit(Principal(address="192.0.2.9"), "read")).allowed
            assert store.is_up
        await store.close()


async def test_redis_never_there__is_no_reason_not_to_start():
    store = SharedStore("redis://127.0.0.1:1")
    limiter = Limiter(LIMITS, store)

    assert await admitted(limiter, 10, lambda _: Principal(address=ADDRESS)) == 5
    await store.close()


def _fallback() -> float | None:
    return metrics.REGISTRY.get_sample_value("renown_limits_fallback")


def _up() -> float | None:
    return metrics.REGISTRY.get_sample_value("renown_redis_up")


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


# Memory --------------------------------------------------------------------------------------


async def test_memory__more_addresses_than_it_keeps__stays_bounded_and_remembers_the_busy():
    windows = MemoryWindows(most_counters=1000)
    limiter = Limiter(LIMITS, memory=windows)
    busy = Principal(address=ADDRESS)
    await admitted(limiter, 5, lambda _: busy)

    for i in range(20_000):
        await limiter.admit(Principal(address=f"2001:db8:{i:x}::/64"), "read")
        if i % 500 == 0:
            assert not (await limiter.admit(busy, "read")).allowed

    assert len(windows) == 1000


async def test_memory__past_windows__are_given_back():
    now_ms = 29_000_000 * 60_000
    windows = MemoryWindows(clock_ms=lambda: now_ms)
    for i in range(500):
        windows.count([Limit("address", f"a{i}", 5)])
    assert len(windows) == 500

    now_ms += 180_000
    for i in range(500):
        windows.count([Limit("address", f"b{i}", 5)])

    assert len(windows) == 500
