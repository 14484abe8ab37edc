"""Limits over HTTP, on the real stack: who is counted as whom, what is said, and Redis going."""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI

from renown.api.access.limiting import Limiter
from renown.api.app import create_app
from renown.cli.listening import bind, serving
from renown.obs.logging import configure_logging
from renown.settings import Settings
from renown.shared.redis import SharedStore
from renown.store.accounts import AccountTier, create_account
from renown.store.api_keys import Wanted, issue_key
from renown.store.pool import Pool
from tests.redis import RedisServer

SECRET = "a secret of the tests"
LIMITS = """{"anonymous": {"read": 6, "auth": 3}, "free": {"read": 9}, "pro": {"read": 12}}"""
PATH = "/v1/chains"
AGENT = "/v1/agents/eip155:31337:0x8004A169FB4a3325136EB29fA0ceB6D2e539a432:1"
PROXY = "10.0.0.1"
TEST_SECONDS = 6


@pytest.fixture(autouse=True)
def _within_a_window() -> None:
    """No count of a test is cut by the end of a window."""
    if (left := 60 - time.time() % 60) < TEST_SECONDS:
        time.sleep(left)


def app_on(pool: Pool, store: SharedStore | None = None, **chosen: Any) -> FastAPI:
    settings = Settings(
        cursor_secret=SECRET,  # type: ignore[arg-type]
        key_pepper=SECRET,  # type: ignore[arg-type]
        **{"limits_json": LIMITS, **chosen},
    )
    app = create_app(settings, pool=pool)
    app.state.desk.gate.limiter = Limiter(settings.limits, store)
    return app


def client_of(app: FastAPI, peer: str = "192.0.2.1", **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=(peer, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers)


@pytest.fixture
async def app(pool: Pool) -> FastAPI:
    return app_on(pool)


async def new_key(app: FastAPI, pool: Pool, tier: AccountTier) -> dict[str, str]:
    """Headers with a key of a new account."""
    async with pool.transaction() as tx:
        account = await create_account(tx, tier, tier=tier)
        peppers = Settings(key_pepper=SECRET).key_peppers()  # type: ignore[arg-type]
        issued = await issue_key(
            tx, peppers, Wanted(account_id=account.account_id, scopes=["read"])
        )
    return {"Authorization": f"Bearer {issued.text}"}


async def statuses(client: httpx.AsyncClient, tries: int, path: str = PATH) -> Counter[int]:
    return Counter([(await client.get(path)).status_code for _ in range(tries)])


# Who is counted as whom ----------------------------------------------------------------------


async def test_limits__each_tier__is_held(app: FastAPI, pool: Pool):
    async with client_of(app) as client:
        assert await statuses(client, 10) == {200: 6, 429: 4}
    for tier, most in (("free", 9), ("pro", 12)):
        async with client_of(app, **await new_key(app, pool, tier)) as client:  # type: ignore[arg-type]
            assert await statuses(client, 15) == {200: most, 429: 15 - most}


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_limits__a_new_spoofed_address_each_time__is_one_client(app: FastAPI, header: str):
    got = Counter[int]()
    for i in range(10):
        async with client_of(app, **{header: f"198.51.100.{i}"}) as client:
            got += await statuses(client, 1)

    assert got == {200: 6, 429: 4}


async def test_limits__behind_a_trusted_proxy__count_the_client_it_names(pool: Pool):
    app = app_on(pool, trusted_proxies=("10.0.0.0/8",))
    rotating, other = Counter[int](), Counter[int]()
    for i in range(10):
        line = f"198.51.100.{i}, 192.0.2.77"  # what the client wrote, then what the proxy saw
        async with client_of(app, PROXY, **{"X-Forwarded-For": line}) as client:
            rotating += await statuses(client, 1)
    for i in range(3):
        async with client_of(app, PROXY, **{"X-Forwarded-For": f"192.0.2.{i}"}) as client:
            other += await statuses(client, 1)

    assert rotating == {200: 6, 429: 4}
    assert other == {200: 3}


async def test_limits__addresses_of_one_ipv6_network__are_one_client(app: FastAPI):
    got = Counter[int]()
    for i in range(10):
        async with client_of(app, f"2001:db8:1:2:{i:x}::1") as client:
            got += await statuses(client, 1)
    async with client_of(app, "2001:db8:1:3::1") as neighbour:
        assert await statuses(neighbour, 1) == {200: 1}

    assert got == {200: 6, 429: 4}


async def test_limits__none_at_all__keys_are_looked_up(app: FastAPI, pool: Pool):
    app.state.desk.gate.limiter = None
    good, bad = await new_key(app, pool, "free"), {"Authorization": "Bearer of nothing"}
    async with client_of(app) as client:
        told = [(await client.get(PATH, headers=it)).status_code for it in (good, bad, good)]
        assert told == [200, 401, 200]


async def test_limits__keys_that_fail__count_for_their_address(app: FastAPI, pool: Pool):
    async with client_of(app, **await new_key(app, pool, "free")) as good:
        assert await statuses(good, 1) == {200: 1}
        async with client_of(app, Authorization="Bearer ak_live_nothing") as client:
            assert await statuses(client, 6) == {401: 3, 429: 3}
        assert await statuses(good, 2) == {200: 2}  # from there, too: it is in use
    async with client_of(app, "192.0.2.2", **await new_key(app, pool, "free")) as elsewhere:
        assert await statuses(elsewhere, 1) == {200: 1}


# What is said --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PATH, 200),
        ("HEAD", PATH, 200),
        ("GET", AGENT, 404),
        ("GET", f"{PATH}?nope=1", 400),
    ],
)
async def test_headers__any_answer_of_a_limited_route__has_them(
    app: FastAPI, method: str, path: str, status: int
):
    async with client_of(app) as client:
        answer = await client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["ratelimit-policy"] == '"address";q=6;w=60'
    assert re.fullmatch(r'"address";r=5;t=\d+', answer.headers["ratelimit"])
    assert answer.headers["x-ratelimit-limit"] == "6"
    assert answer.headers["x-ratelimit-remaining"] == "5"
    exposed = answer.headers["access-control-expose-headers"]
    assert all(f" {name}" in exposed for name in ("RateLimit", "X-RateLimit-Reset"))


async def test_refusal__is_a_problem_that_says_when_to_come_back(app: FastAPI):
    async with client_of(app) as client:
        await statuses(client, 6)
        answer = await client.get(PATH)

    problem, seconds = answer.json(), int(answer.headers["retry-after"])
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["type"], problem["status"]) == ("/problems/too-many-requests", 429)
    assert problem["retry_after_seconds"] == seconds >= 1
    assert answer.headers["ratelimit"] == f'"address";r=0;t={seconds}'
    assert answer.headers["cache-control"] == "no-store"


async def test_health_and_contract__are_not_limited(app: FastAPI):
    async with client_of(app) as client:
        await statuses(client, 7)
        for path in ("/healthz", "/metrics", "/openapi.json"):
            answer = await client.get(path)
            assert (answer.status_code, "ratelimit" in answer.headers) == (200, False), path


# Redis goes and comes under load -------------------------------------------------------------


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    yield stream
    structlog.reset_defaults()


@pytest.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.slow
async def test_redis__stopped_and_started_under_load__no_request_fails_and_limits_hold(
    pool: Pool, closing: AsyncExitStack, logged: io.StringIO
):
    most = 40
    redis = closing.enter_context(RedisServer())
    urls = []
    for _ in range(2):  # as two processes, which share nothing but Redis
        store = SharedStore(redis.url)
        closing.push_async_callback(store.close)
        limits = f'{{"anonymous": {{"read": {most}}}}}'
        app = app_on(pool, store, limits_json=limits, trusted_proxies=("127.0.0.1",))
        bound = closing.enter_context(bind("127.0.0.1", 0))
        await closing.enter_async_context(serving(app, bound))
        urls.append(f"http://127.0.0.1:{bound.getsockname()[1]}")
    client = await closing.enter_async_context(httpx.AsyncClient(timeout=10))
    got: dict[str, Counter[int]] = {}
    phase = "before"

    async def load(worker: int) -> None:
        turn = worker
        while phase != "end":
            for who in (phase, "always"):  # one client that is new, one that asks all the time
                turn += 1
                answer = await client.get(
                    urls[turn % 2] + PATH, headers={"X-Forwarded-For": _ADDRESSES[who]}
                )
                got.setdefault(who, Counter())[answer.status_code] += 1
            await asyncio.sleep(0.01)  # the server's loop is this one

    async def gauges() -> tuple[str, str]:
        text = (await client.get(f"{urls[0]}/metrics")).text
        return tuple(
            re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)[0]
            for name in ("renown_redis_up", "renown_limits_fallback")
        )

    workers = [asyncio.create_task(load(i)) for i in range(8)]
    await _until(lambda: got.get("before", Counter())[429] > 0)
    assert await gauges() == ("1.0", "0.0")

    phase = "during"
    redis.kill()
    await _until(lambda: got.get("during", Counter())[429] > 20)
    assert await gauges() == ("0.0", "1.0")

    redis.launch()
    await _until(lambda: logged.getvalue().count("redis_found") == 2)
    phase = "after"
    await _until(lambda: got.get("after", Counter())[429] > 20)
    assert await gauges() == ("1.0", "0.0")
    phase = "end"
    await asyncio.gather(*workers)

    assert {status for counts in got.values() for status in counts} == {200, 429}
    assert got["before"][200] == got["after"][200] == most  # together
    assert got["during"][200] <= 2 * most  # each for itself
    assert most <= got["always"][200] <= 2 * most  # no new allowance when Redis goes or comes
    assert logged.getvalue().count("redis_lost") == 2
    assert "canary" not in logged.getvalue()


_ADDRESSES = {
    "before": "192.0.2.1",
    "during": "192.0.2.2",
    "after": "192.0.2.3",
    "always": "192.0.2.4",
}


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)
