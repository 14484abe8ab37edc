"""Reads over HTTP: requests a second of one process, against a handler that asks no database.

The API runs in a process of its own on one core (`http_driver`), the client in another
(`http_client`) on the other cores, which PostgreSQL's processes for the API share with it. Each
route takes turns with a route of the same app that answers the same bytes without a database, so
that both met the same machine; the ratio is that of their requests a second, and that of the CPU
time of the API stands beside it. 32 kept connections, no pipelining, no compression, limits counted
but out of reach, nobody has a key unless said.

"Anew" reads the database for each answer, and asks for another agent each time, half of them drawn
evenly, half by the feedback about them (`drawing`); pages of agents begin behind another agent each
time, about half of them in the list of all chains, half in one chain's. The batch asks for agents
that "agent by key" asked for, others in each round. "Kept" is the product as it runs, which keeps
answers about single agents until something changes; it is asked for the same few. The fixed bytes
are those of several hundred of the paths, taken before. Worlds are read into the page cache first
(`warming`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, LiteralString

from bench import harness, rig, worlds
from bench.harness import Report, Spread
from bench.http_paths import (
    BY_KEY,
    CONNECTIONS,
    NOT_MODIFIED,
    WITH_KEY,
    parts,
    routes_of,
    sampled,
)
from bench.rig import DriverProcess
from bench.warming import fill_page_cache

KEPT_KEYS = 300
SAMPLES = 400
"""Paths of a route whose bytes are the fixed ones."""
PER_SECOND, RATIO, RATIO_304, RATIO_304_KEPT = 5_000, 0.4, 0.6, 0.8
MOST_BYTES = 150 * 2**20
PEERS = {"page of 50 agents": 645, "text search": 78, "feedback page": 1_400, "reputation": 1_400}
"""Requests a second of the best of the other indexes on this kind of machine, with 100 k agents."""

_PIDS: LiteralString = """
SELECT pid FROM pg_stat_activity
 WHERE application_name = 'renown-api' AND datname = current_database()
"""


def measure(rounds: int = 3, seconds: float = 1.0) -> Iterator[Report]:
    """One report a size; of the largest all routes, of the others those by key."""
    for size in worlds.sizes():
        with Rig(size) as api:
            whole = size == worlds.largest()
            yield _measured(api, rounds, seconds, is_whole=whole)


class Rig:
    """The processes that are measured on one world. A context manager."""

    def __init__(self, size: str) -> None:
        self.size = size
        self.dsn = worlds.dsn(size)
        self.warmed = asyncio.run(fill_page_cache(self.dsn))
        self.routes = asyncio.run(routes_of(self.dsn, worlds.agents(size)))

    def __enter__(self) -> Rig:
        self._api = _Said("bench.http_driver", {"dsn": self.dsn})
        self._client = DriverProcess("bench.http_client", {})
        self.ports: dict[str, int] = self._api.ready["ports"]
        self.key: str = self._api.ready["key"]
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(self._api.pid, cores[-1:])
            pids = asyncio.run(_backends(self.dsn)) if _is_here(self.dsn) else []
            for pid in [self._client.pid, *pids]:
                with suppress(OSError):
                    os.sched_setaffinity(pid, cores[:-1])
        return self

    def __exit__(self, *_: Any) -> None:
        self._client.__exit__(None, None, None)
        self._api.__exit__(None, None, None)

    def fix(self, paths: list[str], status: int = 200) -> list[str]:
        """Have the fixed routes answer what `paths` do, or some of them; the paths of that."""
        some = sampled(paths, SAMPLES)
        self._api.ask({"fixed": some, "status": status})
        return [f"/fixed/{number}" for number in range(len(some))]

    def usage(self) -> dict[str, Any]:
        """CPU seconds and memory of the API."""
        return self._api.ask({"usage": True})

    def load(
        self,
        way: str,
        paths: list[str],
        seconds: float,
        *headers: str,
        bodies: list[str] | None = None,
    ) -> dict[str, Any]:
        """Ask for so many seconds. Raises RuntimeError where something is not answered."""
        before = self.usage()["cpu_seconds"]
        order = {"port": self.ports[way], "paths": paths, "headers": headers, "bodies": bodies}
        self._client.tell({**order, "connections": CONNECTIONS, "seconds": seconds})
        found = self._client.heard()
        if set(found["statuses"]) - {"200", "304"}:
            raise RuntimeError(f"{paths[0]}: {found['statuses']}")
        found["per_second"] = found["answered"] / found["seconds"]
        found["cpu_us"] = (self.usage()["cpu_seconds"] - before) / found["answered"] * 1e6
        return found


class _Said(DriverProcess):
    """A driver whose first order comes before it is ready."""

    def __init__(self, module: str, order: dict[str, Any]) -> None:
        self._process = rig._python(module)
        self.tell(order)
        self.ready = self.heard()

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        self.tell(order)
        return self.heard()


async def _backends(dsn: str) -> list[int]:
    async with rig.connection(dsn) as conn:
        return [row[0] for row in await conn.fetch(_PIDS)]


def _is_here(dsn: str) -> bool:
    return "host=/" in dsn or "127.0.0.1" in dsn or "localhost" in dsn


# What is measured --------------------------------------------------------------------------------


def _measured(api: Rig, rounds: int, seconds: float, *, is_whole: bool) -> Report:
    routes = api.routes
    report = Report("http", f"{api.size} agents, {CONNECTIONS} connections, API on one core")
    report.add("read into the page cache beforehand", str(api.warmed))
    if is_whole:
        _framework(api, report, routes[BY_KEY], rounds, seconds)
    throughput: dict[str, Any] = {}
    apart = (NOT_MODIFIED, WITH_KEY)
    wanted = [name for name in routes if name not in apart] if is_whole else [BY_KEY]
    for name in wanted:
        paths = routes[name]
        found = _against(api, ("anew", paths), rounds, seconds)
        throughput[name] = {api.size: _told(report, name, found)}
    if is_whole:
        _not_modified(api, report, routes[NOT_MODIFIED], rounds, seconds)
        _others(api, report, routes, rounds, seconds)
    usage = api.usage()
    report.add(
        "memory of the API after all of it (five apps in the process)",
        f"{usage['peak_rss_bytes'] / 2**20:.0f} MB",
        f"<= {MOST_BYTES / 2**20:.0f} MB",
        usage["peak_rss_bytes"] <= MOST_BYTES,
    )
    report.numbers |= {
        "throughput": throughput,
        "memory": {"API": {api.size: usage["peak_rss_bytes"]}},
    }
    return report


def _told(report: Report, name: str, found: Found) -> dict[str, float]:
    rate, ratio = Spread.of(found.rates), Spread.of(found.ratios)
    budget: tuple[Any, ...] = ()
    if name == BY_KEY:
        budget = (f">= {PER_SECOND:,}", rate.median >= PER_SECOND)
    elif name in PEERS:
        budget = (f"> {PEERS[name]:,}", rate.median > PEERS[name])
    report.add(f"{name}, anew: requests/s", f"{rate:,.0f}", *budget)
    report.add("  p50, p99 ms", f"{found.p50_ms:.1f}, {found.p99_ms:.1f}")
    report.add("  p99 against fixed bytes", f"{found.p99_ratio:.2f} ×")
    report.add("  CPU of the API", f"{Spread.of(found.cpu_us):.0f} µs")
    report.add("  against fixed bytes", f"{ratio:.2f}", f">= {RATIO}", ratio.median >= RATIO)
    report.add("  the same by CPU of the API", f"{Spread.of(found.cpu_ratios):.2f}")
    return {
        "requests_per_second": rate.median,
        "p50_ms": found.p50_ms,
        "p99_ms": found.p99_ms,
        "p99_ratio": found.p99_ratio,
        "ratio": ratio.median,
        "cpu_us": statistics.median(found.cpu_us),
    }


class Found:
    """Rounds of one way against the fixed bytes."""

    def __init__(self, own: list[dict[str, Any]], fixed: list[dict[str, Any]]) -> None:
        self.rates = [one["per_second"] for one in own]
        self.cpu_us = [one["cpu_us"] for one in own]
        self.p50_ms = statistics.median(one["p50_ms"] for one in own)
        self.p99_ms = statistics.median(one["p99_ms"] for one in own)
        self.p99_ratio = self.p99_ms / statistics.median(one["p99_ms"] for one in fixed)
        pairs = list(zip(own, fixed, strict=True))
        self.ratios = [a["per_second"] / b["per_second"] for a, b in pairs]
        self.cpu_ratios = [b["cpu_us"] / a["cpu_us"] for a, b in pairs]


def _against(
    api: Rig,
    what: tuple[str, list[str]],
    rounds: int,
    seconds: float,
    *headers: str,
    status: int = 200,
) -> Found:
    """A way and its paths against fixed bytes, in turns; the first turn is not counted.

    Each turn has paths of its own, unless there are few, or the answers are kept ones.
    """
    way, paths = what
    fixed_paths = api.fix(paths, status)
    first, *turns = [paths] * (rounds + 1) if way == "kept" else parts(paths, rounds + 1)
    api.load(way, first, seconds / 3, *headers)
    own, fixed = [], []
    for turn in turns:
        fixed.append(api.load("anew", fixed_paths, seconds / 2, *headers))
        own.append(api.load(way, turn, seconds, *headers))
    return Found(own, fixed)


def _framework(api: Rig, report: Report, paths: list[str], rounds: int, seconds: float) -> None:
    """What each layer costs that stands between the socket and a handler that does nothing."""
    fixed_paths = api.fix(paths)
    ways = {
        "the server calling a function": "bare",
        "a Starlette route": "starlette",
        "a FastAPI route": "fastapi",
        "ours: gate, limits, audit, metrics, headers": "anew",
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(api.load(way, fixed_paths, seconds / 2))
    for name, loads in found.items():
        rate = Spread.of([one["per_second"] for one in loads])
        cpu = Spread.of([one["cpu_us"] for one in loads])
        report.add(f"the same bytes from {name}: requests/s", f"{rate:,.0f}")
        report.add("  CPU", f"{cpu:.0f} µs")
    report.numbers["framework"] = {
        name: [one["cpu_us"] for one in of] for name, of in found.items()
    }
    client = max(
        one["cpu_seconds"] / one["seconds"]
        for one in found["ours: gate, limits, audit, metrics, headers"]
    )
    report.add("  share of its core that the client took then", f"{client:.0%}")


def _not_modified(api: Rig, report: Report, paths: list[str], rounds: int, seconds: float) -> None:
    """A client that has the answer already."""
    header = "If-None-Match: *"
    found = _against(api, ("anew", paths), rounds, seconds, header, status=304)
    _one(report, "304, the version read anew", found, RATIO_304)
    found = _against(api, ("kept", paths[:KEPT_KEYS]), rounds, seconds, header, status=304)
    _one(report, "304, the version in the process", found, RATIO_304_KEPT)


def _others(
    api: Rig, report: Report, routes: dict[str, list[str]], rounds: int, seconds: float
) -> None:
    by_key = routes[BY_KEY]
    found = _against(api, ("kept", by_key[:KEPT_KEYS]), rounds, seconds)
    _one(report, f"{BY_KEY}, kept", found, beside=f"(>= {PER_SECOND:,})")
    with_key = f"Authorization: Bearer {api.key}"
    found = _against(api, ("anew", routes[WITH_KEY]), rounds, seconds, with_key)
    _one(report, f"{BY_KEY}, anew, with an API key", found)
    page = routes["page of 50 agents"]
    found = _against(api, ("anew", page), 1, seconds, "Accept-Encoding: gzip")
    _one(report, "page of 50 agents, anew, gzip", found)
    keys = [key.rpartition("/")[2] for key in by_key]
    bodies = [json.dumps({"keys": keys[at : at + 100]}) for at in range(0, len(keys) - 100, 100)]
    own = [
        api.load("anew", ["/v1/agents/batch"] * len(turn), seconds, bodies=turn)
        for turn in parts(bodies, rounds)
    ]
    rate = Spread.of([one["per_second"] for one in own])
    report.add("100 agents by their keys in one request: requests/s", f"{rate:,.0f}")
    cpu = Spread.of([one["cpu_us"] / 100 for one in own])
    report.add("  CPU of the API an agent", f"{cpu:.0f} µs")
    # What the product keeps, filled as far as it goes: for the memory below.
    for paths in routes.values():
        api.load("kept", paths, seconds)


def _one(
    report: Report, name: str, found: Found, budget: float | None = None, beside: str = ""
) -> None:
    """Args: `beside` is shown beside the rate and judges nothing."""
    ratio = Spread.of(found.ratios)
    report.add(f"{name}: requests/s", f"{Spread.of(found.rates):,.0f}", beside)
    report.add("  p50, p99 ms", f"{found.p50_ms:.1f}, {found.p99_ms:.1f}")
    report.add("  p99 against fixed bytes", f"{found.p99_ratio:.2f} ×")
    report.add("  CPU of the API", f"{Spread.of(found.cpu_us):.0f} µs")
    held = () if budget is None else (f">= {budget}", ratio.median >= budget)
    report.add("  against fixed bytes", f"{ratio:.2f}", *held)
    report.add("  the same by CPU of the API", f"{Spread.of(found.cpu_ratios):.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.http", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    over = False
    for report in measure(options.rounds, options.seconds):
        print(harness.show(report), flush=True)
        over = over or any(figure.within is False for figure in report.figures)
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
