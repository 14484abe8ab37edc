"""The short way answers as the long way does: what is sent, what is told and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from renown.api.answers import agents
from renown.api.app import create_app
from renown.api.short_way import ShortWay
from renown.obs import metrics
from renown.settings import Settings
from renown.store.pool import connect_pool
from tests.factories import CAROL
from tests.integration.api import SETTINGS
from tests.integration.test_api_answers import devnet_story

AGENT = "/v1/agents/31337:0"
PATHS = [
    AGENT,
    f"{AGENT}?full=true&at=4",
    "/v1/agents/eip155%3A31337%3A0x8004a818bfb912233c491871b3d84c89a494bd9e%2F0",
    f"{AGENT}/reputation",
    f"{AGENT}/feedback?limit=1",
    f"{AGENT}/feedback/0x{CAROL.hex()}/1",
    f"{AGENT}/uri",
    f"{AGENT}/stats",
    "/v1/agents?limit=2",
    "/v1/network",
    "/v1/agents/31337:4242",
    "/v1/agents/nonsense",
    f"{AGENT}?misspelt=1",
    f"{AGENT}/nothing-of-the-kind",
    "/v1/account",
    "/v1/audit",
]
OWN = ("x-request-id", "ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset")
"""Headers that differ from request to request."""


@pytest.fixture(scope="module")
def stored(database_url: str) -> str:
    asyncio.run(devnet_story().write(database_url, final=3))
    return database_url


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[FastAPI]:
    pool = await connect_pool(url, min_size=1, max_size=2)
    try:
        yield create_app(Settings(**SETTINGS), pool=pool)
    finally:
        await pool.close(grace_seconds=2)


async def ask(app: Any, method: str, path: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        return await client.request(method, path, headers=headers)


def counted() -> dict[tuple[str, str, str], float]:
    """Requests so far, by method, route and status."""
    return {
        (one.labels["method"], one.labels["route"], one.labels["status"]): one.value
        for family in metrics.REGISTRY.collect()
        if family.name == "renown_http_requests"
        for one in family.samples
        if one.name.endswith("_total")
    }


def more(before: dict[Any, float], after: dict[Any, float]) -> dict[Any, float]:
    return {key: n - before.get(key, 0) for key, n in after.items() if n != before.get(key, 0)}


def seen(answer: httpx.Response) -> Any:
    """All of an answer that a client may compare."""
    kept = sorted((n, v) for n, v in answer.headers.multi_items() if n not in OWN)
    names = sorted(n for n in answer.headers if n in OWN)
    return answer.status_code, kept, names, answer.content


async def test_answers__by_either_way__are_the_same(stored: str) -> None:
    async with serving(stored) as app:
        short = app.middleware_stack
        assert isinstance(short, ShortWay)
        for path in PATHS:
            for method in ("GET", "HEAD"):
                start = counted()
                one = await ask(app, method, path)
                between = counted()
                app.middleware_stack = long_way(app, short)
                other = await ask(app, method, path)
                app.middleware_stack = short
                assert seen(one) == seen(other), (method, path)
                assert more(start, between) == more(between, counted()), (method, path)
        tag = (await ask(app, "GET", AGENT)).headers["etag"]
        again = await ask(app, "GET", AGENT, **{"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")


async def test_answers_for_all__say_nothing_of_who_asked(stored: str) -> None:
    """Caches on the way may hand them to others."""
    own = {"x-request-id", "ratelimit", "ratelimit-policy", "x-ratelimit-remaining"}
    async with serving(stored) as app:
        short = app.middleware_stack
        assert isinstance(short, ShortWay)
        for way in (short, long_way(app, short)):
            app.middleware_stack = way
            for path in ("/v1/network", "/v1/leaderboards/newest"):
                answer = await ask(app, "GET", path)
                assert "max-age" in answer.headers["cache-control"]
                assert not own & {*answer.headers}, path
            for path in (AGENT, "/v1/leaderboards/unheard-of"):
                assert own <= {*(await ask(app, "GET", path)).headers}, path


def long_way(app: FastAPI, short: ShortWay) -> Any:
    async def stack(scope: Any, receive: Any, send: Any) -> None:
        scope["app"] = app
        await short._long_way(scope, receive, send)

    return stack


async def test_our_own_mistake__is_answered_told_and_raised(
    stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(agents, "answer_of", broken)
    labels = {"method": "GET", "route": "/v1/agents/{key}", "status": "500"}
    before = metrics.REGISTRY.get_sample_value("renown_http_requests_total", labels) or 0
    async with serving(stored) as app:
        answer = await ask(app, "GET", AGENT)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            with pytest.raises(ZeroDivisionError):
                await client.get(AGENT)

    assert answer.status_code == 500
    assert "mistake" not in answer.text
    assert answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert metrics.REGISTRY.get_sample_value("renown_http_requests_total", labels) == before + 2
    assert metrics.REGISTRY.get_sample_value("renown_http_in_flight") == 0


async def test_compressed__by_accept_encoding__is_the_same_answer(stored: str) -> None:
    async with serving(stored) as app:
        plain = await ask(app, "GET", "/v1/agents", **{"Accept-Encoding": "identity"})
        packed = await ask(app, "GET", "/v1/agents", **{"Accept-Encoding": "gzip"})
        head = await ask(app, "HEAD", "/v1/agents", **{"Accept-Encoding": "gzip"})
        contract = await ask(app, "GET", "/openapi.json", **{"Accept-Encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == contract.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert packed.headers["etag"] == plain.headers["etag"]
    assert {one.headers["vary"] for one in (plain, packed, head)} == {"Accept-Encoding"}
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert (head.content, head.headers["content-length"]) == (b"", packed.headers["content-length"])
