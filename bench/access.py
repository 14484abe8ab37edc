"""What letting a request in costs: a key's check against one HMAC, and each part of the way.

`python -m bench.access [--seconds N]`.

The app is called as a server calls it, in one process and without a socket, so that what is
compared is our own work; `limits` has the same over HTTP. A read of one agent is answered in five
ways, in turns: without a key and read anew each time, without a key and kept, with a key, and with
key and limits in memory or in Valkey. CPU is that of this process; the ratios are of CPU, which
other work on the machine disturbs less than the time.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import hmac
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import uvloop
from fastapi import FastAPI
from tests.redis import RedisServer

from bench import cache, harness, rig
from bench.harness import Report, Spread, quantile
from renown.api.access.authenticate import Authenticator
from renown.api.access.limiting import Limiter
from renown.api.app import create_app
from renown.errors import Unauthorized
from renown.settings import Settings
from renown.shared.redis import SharedStore
from renown.spec.api_keys import hash_secret, read_key
from renown.spec.limits import COST_CLASSES, MOST_PER_MINUTE, TIERS
from renown.store.accounts import create_account
from renown.store.api_keys import Wanted, issue_key
from renown.store.pool import connect, connect_pool

ROUNDS = 5
AT_ONCE = 32
"""Reads under way at a time: what shares a round trip to Valkey."""
CHECKS = 20_000
MOST_HMACS = 8.0
"""What checking a kept key may cost, in HMACs of its secret."""
IN_MEMORY, IN_REDIS = 0.7, 0.3
"""Least share of the requests that the same read is answered to without key, limits and cache."""
SECRET = "a secret of the benchmarks"
UNLIMITED = {tier: dict.fromkeys(COST_CLASSES, MOST_PER_MINUTE) for tier in TIERS}
OPEN, ANEW = "open, kept", "open, read anew"


def measure(seconds: float = 15.0) -> Report:
    """About `seconds` of requests."""
    with rig.postgres() as server, RedisServer() as redis:
        dsn = asyncio.run(rig.new_database(server, "access"))
        asyncio.run(cache.fill(dsn))
        return uvloop.run(_measured(dsn, redis.url, seconds))


async def _measured(dsn: str, redis_url: str, seconds: float) -> Report:
    report = Report("access", f"{cache.AGENTS} agents, one process, no socket")
    async with _serving(dsn, redis_url) as served:
        await _checks(report, served)
        await _ways(report, served, seconds)
    report.add("memory of the process", f"{psutil.Process().memory_info().rss / 2**20:.0f} MB")
    return report


@dataclass(slots=True)
class _Way:
    """One way of answering the same read, and its rounds."""

    limiter: Limiter | None = None
    key: str | None = None
    kept: bool = True
    cpu_us: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Served:
    app: FastAPI
    key: str
    authenticator: Authenticator
    ways: dict[str, _Way]


# One key ------------------------------------------------------------------------------------------


async def _checks(report: Report, served: _Served) -> None:
    """The check of a key that is kept, and of ones that are not good, against one HMAC."""
    read = read_key(served.key)
    assert read is not None
    _, secret = read
    pepper, text = SECRET.encode(), secret.encode()
    authorization = f"Bearer {served.key}"
    authenticator = served.authenticator
    await authenticator.principal(authorization, "192.0.2.1")

    async def one_hmac() -> None:
        hmac.digest(pepper, text, hashlib.sha256)

    async def hashed() -> None:
        hash_secret(pepper, secret)

    async def checked() -> None:
        await authenticator.principal(authorization, "192.0.2.1")

    async def mistyped() -> None:
        try:
            await authenticator.principal(authorization[:-1], "192.0.2.1")
        except Unauthorized:
            return
        raise AssertionError("it was let in")

    kinds = {"HMAC": one_hmac, "hash": hashed, "kept key": checked, "mistyped key": mistyped}
    rounds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, work in kinds.items():
            rounds[name].append(await _each(work))
    for name in ("HMAC", "kept key", "mistyped key"):
        report.add(f"us, {name}", f"{Spread.of([s * 1e6 for s in rounds[name]]):.2f}")
    ratio = Spread.of([a / b for a, b in zip(rounds["kept key"], rounds["HMAC"], strict=True)])
    within = ratio.median <= MOST_HMACS
    report.add("kept key / one HMAC", f"{ratio:.1f}", f"<= {MOST_HMACS:.0f}", within)
    report.numbers["seconds a check"] = rounds


async def _each(work: Callable[[], Awaitable[None]]) -> float:
    began = time.process_time()
    for _ in range(CHECKS):
        await work()
    return (time.process_time() - began) / CHECKS


# The way of a request -----------------------------------------------------------------------------


async def _ways(report: Report, served: _Served, seconds: float) -> None:
    for way in served.ways.values():
        await _load(served, way, 0.2)
    each = seconds / ROUNDS / len(served.ways)
    for _ in range(ROUNDS):
        for way in served.ways.values():
            gc.collect()
            cpu, began = time.process_time(), time.perf_counter()
            latencies = await _load(served, way, each)
            way.cpu_us.append((time.process_time() - cpu) / len(latencies) * 1e6)
            way.rates.append(len(latencies) / (time.perf_counter() - began))
            way.p99_ms.append(quantile(latencies, 0.99) * 1e3)
    for name, way in served.ways.items():
        report.add(
            name,
            f"{Spread.of(way.cpu_us):,.0f} us CPU, {Spread.of(way.rates):,.0f} requests/s,"
            f" p99 of {AT_ONCE} at once {Spread.of(way.p99_ms):.1f} ms",
        )
        report.numbers[name] = {"cpu_us": way.cpu_us, "rates": way.rates, "p99_ms": way.p99_ms}
    for name, budget in (("key, limits in memory", IN_MEMORY), ("key, limits in Redis", IN_REDIS)):
        for against in (OPEN, ANEW):
            pairs = zip(served.ways[against].cpu_us, served.ways[name].cpu_us, strict=True)
            ratio = Spread.of([plain / full for plain, full in pairs])
            is_bound = against == ANEW
            report.add(
                f"{name}, kept, against {against}",
                f"{ratio:.2f}",
                f">= {budget}" if is_bound else "",
                ratio.median >= budget if is_bound else None,
            )


async def _load(served: _Served, way: _Way, seconds: float) -> list[float]:
    """Latency of each read, in seconds; `AT_ONCE` are under way all the time."""
    desk = served.app.state.desk
    desk.gate.limiter = way.limiter
    desk.kept._hearing = way.kept  # without, as while nobody hears what changes
    end, latencies = time.perf_counter() + seconds, list[float]()

    async def work(first: int) -> None:
        number, now = first, time.perf_counter()
        while now < end:
            asked = now
            await _ask(served.app, cache.path(number % cache.AGENTS), way.key)
            now = time.perf_counter()
            latencies.append(now - asked)
            number += AT_ONCE

    try:
        await asyncio.gather(*(work(first) for first in range(AT_ONCE)))
    finally:
        desk.kept._hearing = True
    return latencies


async def _ask(app: FastAPI, path: str, key: str | None) -> None:
    """A GET that must succeed."""
    headers = [(b"host", b"bench"), (b"accept", b"application/json")]
    if key is not None:
        headers.append((b"authorization", f"Bearer {key}".encode()))
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
        "asgi": {"version": "3.0"},
    }
    await app(scope, _nothing, _taken)


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _taken(message: MutableMapping[str, Any]) -> None:
    if message["type"] == "http.response.start" and message["status"] != 200:
        raise AssertionError(message)


@asynccontextmanager
async def _serving(dsn: str, redis_url: str) -> AsyncIterator[_Served]:
    settings = Settings(cursor_secret=SECRET, key_pepper=SECRET)  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        pool = await connect_pool(dsn, min_size=2, max_size=4)
        stack.push_async_callback(pool.close)
        store = SharedStore(redis_url)
        stack.push_async_callback(store.close)
        app = create_app(settings, pool=pool, listen=lambda: connect(dsn))
        await stack.enter_async_context(app.router.lifespan_context(app))
        while not app.state.desk.kept._hearing:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        async with pool.transaction() as tx:
            account = await create_account(tx, "bench", tier="enterprise")
            wanted = Wanted(account_id=account.account_id, scopes=["read"])
            key = (await issue_key(tx, settings.key_peppers(), wanted)).text
        ways = {
            ANEW: _Way(kept=False),
            OPEN: _Way(),
            "key": _Way(key=key),
            "key, limits in memory": _Way(Limiter(UNLIMITED), key),
            "key, limits in Redis": _Way(Limiter(UNLIMITED, store), key),
        }
        yield _Served(app, key, app.state.desk.gate.authenticator, ways)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.access", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    about = harness.machine()
    report = measure(options.seconds)
    print(harness.show(report))
    if options.json:
        harness.save([report], about, options.json)
    return int(any(figure.within is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
