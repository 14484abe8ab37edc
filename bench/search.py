"""Search against a keyed read: the stated mix, at 10 k, 100 k and 1 M agents in turns.

Before every search the baseline is asked on the same connection. The budgets are of the largest
world, the growth is from the smallest to the largest. `python -m bench.search --worst` looks for
the searches that take longest instead (`search_worst`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter

from bench import harness, searches, worlds
from bench.baseline import Against, Baseline, Query
from bench.harness import Report
from renown.store.pool import Conn, connect_pool
from renown.store.search_plan import Plans

PAGES, GROWTH, TYPOS, FACETS_MS = 10.0, 2.0, 200.0, 100.0
_UNCOUNTED = ("typo", "facets")
"""Kinds whose budget is not that of pages begin with these."""

_SIZES = """
SELECT relname, pg_relation_size(oid) FROM pg_class
 WHERE relname IN ('agent_profile', 'agent', 'agent_name', 'agent_name_word', 'term_count')
    OR relname ~ '^agent_(profile_words|name_)' ORDER BY 1
"""


def measure(*, seconds: float = 120.0) -> Report:
    """The mix on all worlds, together for about `seconds` (preparing takes some more)."""
    return asyncio.run(run(seconds))


async def run(seconds: float) -> Report:
    sizes = worlds.sizes()
    urls = {size: worlds.dsn(size) for size in sizes}
    async with AsyncExitStack() as stack:
        turns = [await _World.open(stack, size, urls[size]) for size in sizes]
        end = perf_counter() + seconds
        turn = 0
        while perf_counter() < end:
            for world in turns:
                await world.turn(turn)
            turn += 1
        report = Report("search", f"pages of {searches.ROWS}")
        await _bytes(report, turns[-1].conn)
    report.numbers["latency"] = {
        name: {world.size: _numbers(world.against(name)) for world in turns}
        for name in turns[-1].queries
    }
    _judge(report, turns[0], turns[-1])
    return report


class _World:
    """One world, asked in turns."""

    def __init__(self, size: str, conn: Conn, base: Baseline, queries: dict[str, list[Query]]):
        self.size, self.conn, self.queries = size, conn, queries
        self._base = base
        self._times: dict[str, list[float]] = {name: [] for name in queries}

    @classmethod
    async def open(cls, stack: AsyncExitStack, size: str, url: str) -> _World:
        pool = await connect_pool(url, min_size=1, max_size=1)
        stack.push_async_callback(pool.close)
        conn = await stack.enter_async_context(pool.connection())
        queries = await searches.mix(conn, Plans(), await searches.drawn(conn))
        for kind in queries.values():  # plans and pages of the database are warm on a busy day
            for query in kind:
                await query()
        return cls(size, conn, await Baseline(conn).ready(), queries)

    async def turn(self, turn: int) -> None:
        for name, kind in self.queries.items():
            await self._base.seconds()
            query = kind[turn % len(kind)]
            began = perf_counter()
            await query()
            self._times[name].append(perf_counter() - began)

    def against(self, name: str) -> Against:
        return Against.of(self._times[name], self._base.taken)


async def _bytes(report: Report, conn: Conn) -> None:
    for name, size_bytes in await conn.fetch(_SIZES):
        report.numbers[f"bytes of {name}"] = size_bytes
    words = sum(v for k, v in report.numbers.items() if "profile_words" in k)
    names = sum(v for k, v in report.numbers.items() if "agent_name" in k)
    report.add("agent_profile", f"{report.numbers['bytes of agent_profile'] / 2**20:,.0f} MB")
    report.add("indexes of its words", f"{words / 2**20:,.0f} MB")
    report.add("names, their words and indexes", f"{names / 2**20:,.0f} MB")


def _judge(report: Report, smallest: _World, largest: _World) -> None:
    for name in largest.queries:
        now, before = largest.against(name), smallest.against(name)
        growth = now.p50_ratio / before.p50_ratio
        if name.startswith("facets"):
            ms = now.p99 * 1e3
            report.add(name, str(now), f"p99 <= {FACETS_MS:.0f} ms", ms <= FACETS_MS)
            continue
        most = TYPOS if name == "typo" else PAGES
        report.add(name, str(now), f"p99 <= {most:.0f}", now.p99_ratio <= most)
        within = None if name.startswith(_UNCOUNTED) else growth <= GROWTH
        budget = "" if within is None else f"<= {GROWTH:g}"
        report.add(
            f"… {smallest.size} to {largest.size}", f"{growth:.2f} × slower at p50", budget, within
        )


def _numbers(one: Against) -> dict[str, float | int]:
    return {
        "p50_us": one.p50 * 1e6, "p99_us": one.p99 * 1e6, "p50_ratio": one.p50_ratio,
        "p99_ratio": one.p99_ratio, "rounds": one.rounds,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    about = harness.machine()
    report = measure(seconds=options.seconds)
    print(harness.show(report))
    print(f"\nwritten to {harness.save([report], about, options.json)}")
    return int(any(figure.within is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
