"""What keys and limits cost: counting alone, and a keyed read with them against one without.

The same process serves the same app behind several ports (`limits_driver`), and takes turns at
answering; what differs is only whether a key is checked, and what counts. Reads are sent over 32
kept connections by a plain client in this process. Latencies are as that client sees them; the
machine's second core is shared by client, PostgreSQL and Valkey. CPU is that of the API alone.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import Any, cast

import uvloop
from tests.redis import RedisServer

from bench import harness, rig
from bench.harness import Report, Spread, quantile
from renown.shared.redis import SharedStore
from renown.shared.windows_memory import MemoryWindows
from renown.shared.windows_redis import RedisWindows
from renown.spec.limits import Limit

CONNECTIONS = 32
IN_MEMORY, IN_REDIS = 0.7, 0.3
"""Least share of the requests per second that the read has without keys and limits."""
EVENTS = 2_000
POLICIES = 3
_REACHED = "SELECT count(*) FROM checkpoint WHERE block_number >= $1"


def measure(rounds: int, seconds: float = 2.0) -> Report:
    """Everything, with `seconds` for each round of each way."""
    report = Report("limits", f"{CONNECTIONS} connections, {POLICIES} limits a request")
    uvloop.run(_counting(report))
    with rig.MockChain(EVENTS, "network") as node, rig.postgres() as server, RedisServer() as redis:
        dsn = asyncio.run(_indexed(server, node))
        with rig.ApiProcess(dsn, redis.url) as api:
            uvloop.run(_serving(report, api, rounds, seconds))
    return report


# Counting alone ------------------------------------------------------------------------------


async def _counting(report: Report) -> None:
    memory, rng = MemoryWindows(), random.Random(1)
    requests = [
        [Limit("key", f"{policy}:{rng.randrange(10_000)}:read", 10**6) for policy in "abc"]
        for _ in range(100_000)
    ]
    began = time.perf_counter()
    for limits in requests:
        memory.count(limits)
    each = (time.perf_counter() - began) / len(requests)
    report.add("memory: requests counted /s", f"{1 / each:,.0f}")
    report.numbers["memory per second"] = 1 / each
    with RedisServer() as server:
        store = SharedStore(server.url)
        shared = RedisWindows(store)
        for at_once in (1, CONNECTIONS):
            turns: Iterator[list[Limit]] = iter(requests[: 3_000 * min(at_once, 8)])

            async def work(turns: Iterator[list[Limit]] = turns) -> int:
                return sum([(await shared.count(limits)).allowed for limits in turns])

            began = time.perf_counter()
            done = sum(await asyncio.gather(*(work() for _ in range(at_once))))
            rate = done / (time.perf_counter() - began)
            report.add(f"Redis, {at_once} at once: requests counted /s", f"{rate:,.0f}")
            report.numbers[f"redis per second, {at_once} at once"] = rate
        await store.close()


# Served --------------------------------------------------------------------------------------


async def _indexed(server: Any, node: rig.MockChain) -> str:
    dsn = await rig.new_database(server, "limits")
    command = rig.index_command(dsn, node.url)
    try:
        async with rig.connection(dsn) as conn:
            last = node.world["last_block"]
            while not await conn.fetchval(_REACHED, last):
                if command.poll() is not None:
                    raise RuntimeError(f"the indexer ended with {command.returncode}")
                await asyncio.sleep(0.2)
    finally:
        command.terminate()
        command.wait(20)
    return dsn


@dataclass(slots=True)
class _Way:
    """Rounds of one port."""

    port: int
    requests: list[bytes]
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


async def _serving(report: Report, api: rig.ApiProcess, rounds: int, seconds: float) -> None:
    paths: list[str] = api.ready["paths"]
    ways = {}
    for name, port in api.ready["ports"].items():
        key = api.ready["key"] if name in _KEYED else None
        ways[name] = _Way(port, [_request(path, key) for path in paths])
    for way in ways.values():
        await load(way.port, way.requests, 0.5)
    for _ in range(rounds):
        for way in ways.values():
            cpu = harness.cpu_seconds(api.pid)
            began = time.perf_counter()
            latencies = await load(way.port, way.requests, seconds)
            way.rates.append(len(latencies) / (time.perf_counter() - began))
            way.cpu_us.append((harness.cpu_seconds(api.pid) - cpu) / len(latencies) * 1e6)
            way.p99_ms.append(quantile(latencies, 0.99) * 1e3)
    for name, way in ways.items():
        report.add(
            name,
            f"{Spread.of(way.rates):,.0f} requests/s, p99 {Spread.of(way.p99_ms):.1f} ms,"
            f" {Spread.of(way.cpu_us):,.0f} us CPU",
        )
        report.numbers[name] = {"rates": way.rates, "p99_ms": way.p99_ms, "cpu_us": way.cpu_us}
    for name, budget in (("key, limits in memory", IN_MEMORY), ("key, limits in Redis", IN_REDIS)):
        for against in ("open, kept", _UNKEPT):
            pairs = zip(ways[name].rates, ways[against].rates, strict=True)
            ratio = Spread.of([rate / other for rate, other in pairs])
            is_bound = against == _UNKEPT  # without any of it, the cache too
            report.add(
                f"{name}, kept, against {against}",
                f"{ratio:.2f}",
                f">= {budget}" if is_bound else "",
                ratio.median >= budget if is_bound else None,
            )
            by_cpu = zip(ways[against].cpu_us, ways[name].cpu_us, strict=True)
            share = Spread.of([cpu / other for cpu, other in by_cpu])
            report.add("  the same by CPU of the API", f"{share:.2f}")
    peak = harness.peak_rss_bytes(api.pid)
    report.add("memory of the API, five apps in one process, peak", f"{peak / 2**20:.0f} MB")
    report.numbers["peak_rss_bytes"] = peak


_UNKEPT = "open, read each time"
_KEYED = ("key", "key, limits in memory", "key, limits in Redis")


def _request(path: str, key: str | None) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: renown.example", "Accept: application/json"]
    lines += [f"Authorization: Bearer {key}"] if key else []
    return "\r\n".join([*lines, "", ""]).encode()


async def load(port: int, requests: Sequence[bytes], seconds: float) -> list[float]:
    """Latency of each request that was answered with 200, in seconds.

    Each connection goes round `requests`, and begins at a place of its own.
    """
    loop = asyncio.get_running_loop()
    end, latencies = time.perf_counter() + seconds, list[float]()
    done = []
    for number in range(CONNECTIONS):
        finished: asyncio.Future[None] = loop.create_future()
        done.append(finished)
        first = number * len(requests) // CONNECTIONS
        turns = cycle([*requests[first:], *requests[:first]])
        asking = _Asking(turns, end, latencies, finished)
        await loop.create_connection(partial(_same, asking), "127.0.0.1", port)
    await asyncio.gather(*done)
    return latencies


def _same(asking: _Asking) -> _Asking:
    return asking


class _Asking(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer."""

    def __init__(
        self,
        requests: Iterator[bytes],
        end: float,
        latencies: list[float],
        finished: asyncio.Future[None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._requests, self._end, self._clock = requests, end, clock
        self._latencies, self._finished = latencies, finished
        self._pending, self._size = b"", 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._pending += data
        if not self._size:
            head, found, _ = self._pending.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self._fail(RuntimeError(head[:300].decode("latin-1")))
                return
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            self._size = len(head) + 4 + int(length)
        if len(self._pending) < self._size:
            return
        now = self._clock()
        self._latencies.append(now - self._asked)
        self._pending, self._size = b"", 0
        if now < self._end:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._finished.done():
            self._finished.set_result(None)

    def _ask(self) -> None:
        self._asked = self._clock()
        self._transport.write(next(self._requests))

    def _fail(self, error: Exception) -> None:
        if not self._finished.done():
            self._finished.set_exception(error)
        self._transport.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.limits", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    found = measure(options.rounds, options.seconds)
    print(harness.show(found))
    sys.exit(int(any(figure.within is False for figure in found.figures)))
