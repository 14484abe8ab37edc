"""Search against a keyed read: the stated mix, at 10 k, 100 k and 1 M agents in turns.

Before every search the baseline is asked on the same connection. What is judged is *fresh*: the
process has not asked for it before, so it knows nothing of it (of a kind with fewer different
searches than there are turns it has forgotten what it knew). Beside it stands *again*: the same
search a turn later, as people do repeat what others asked. The budgets are of the largest world,
the growth is from the smallest to the largest. The indexes are as after a vacuum: nothing waits in
their lists. `bench.search_worst` looks for the searches that take longest instead.
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
from bench.warming import fill_page_cache
from renown.store.pool import Conn, connect_pool

PAGES, GROWTH, TYPOS, FACETS_MS = 10.0, 2.0, 200.0, 100.0
SETTLING = 10
"""Searches of each kind that are asked before the clock runs; the last ones of it."""
FORGOTTEN = 20
"""Turns after which a process is a new one, as far as searches go."""
BETWEEN = 4
_UNCOUNTED = ("typo", "facets")
"""Kinds whose budget is not that of pages begin with these."""

_SIZES = """
SELECT relname, pg_relation_size(oid) FROM pg_class
 WHERE relname IN ('agent_profile', 'agent', 'agent_name', 'agent_name_word', 'term_count')
    OR relname ~ '^agent_(profile_words|name_)' ORDER BY 1
"""


def measure(*, seconds: float = 105.0) -> Report:
    """The mix on all worlds, together for about `seconds` (preparing takes some more)."""
    return asyncio.run(run(seconds))


async def run(seconds: float) -> Report:
    sizes = worlds.sizes()
    urls = {size: worlds.dsn(size) for size in sizes}
    warmed = {size: await fill_page_cache(url) for size, url in urls.items()}
    async with AsyncExitStack() as stack:
        turns = [await _World.open(stack, size, urls[size]) for size in sizes]
        end = perf_counter() + seconds
        turn = 0
        while perf_counter() < end:
            for world in turns:
                # Nothing is judged by the sizes between the smallest and the largest.
                if world in (turns[0], turns[-1]) or turn % BETWEEN == 0:
                    await world.turn(turn)
            turn += 1
        report = Report("search", f"pages of {searches.ROWS}")
        await _bytes(report, turns[-1].conn)
    report.add("read into the page cache", str(warmed[sizes[-1]]))
    report.numbers["latency"] = {
        name: {world.size: _numbers(world.against(name)) for world in turns}
        for name in turns[-1].queries
    }
    report.numbers["latency of repeated searches"] = {
        name: {world.size: _numbers(world.against(name, again=True)) for world in turns}
        for name in turns[-1].queries
    }
    _judge(report, turns[0], turns[-1])
    return report


class _World:
    """One world, asked in turns."""

    def __init__(self, size: str, conn: Conn, ask: searches.Asking, base: Baseline) -> None:
        self.size, self.conn = size, conn
        self._ask, self._base = ask, base
        self.queries: dict[str, list[Query]] = {}
        self._fresh: dict[str, list[float]] = {}
        self._again: dict[str, list[float]] = {}

    @classmethod
    async def open(cls, stack: AsyncExitStack, size: str, url: str) -> _World:
        pool = await connect_pool(url, min_size=1, max_size=1)
        stack.push_async_callback(pool.close)
        conn = await stack.enter_async_context(pool.connection())
        world = cls(size, conn, searches.Asking(conn), await Baseline(conn).ready())
        await world._draw()
        return world

    async def _draw(self) -> None:
        world = await searches.drawn(self.conn)
        self.queries = await searches.mix(self.conn, self._ask, world)
        self._fresh = {name: [] for name in self.queries}
        self._again = {name: [] for name in self.queries}
        for kind in self.queries.values():  # the server settles on plans after the first few
            for query in kind[-SETTLING:]:
                await query()

    async def turn(self, turn: int) -> None:
        if turn % FORGOTTEN == 0:
            await self._ask.forget()
        for times in (self._fresh, self._again):
            for name, kind in self.queries.items():
                await self._base.seconds()
                query = kind[turn % len(kind)]
                began = perf_counter()
                await query()
                times[name].append(perf_counter() - began)

    def against(self, name: str, *, again: bool = False) -> Against:
        return Against.of((self._again if again else self._fresh)[name], self._base.taken)


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
        again = largest.against(name, again=True)
        said = f"{now}, {now.rounds:,} of {len(largest.queries[name]):,}"
        hot = f"{again.p50 * 1e6:,.0f} / {again.p99 * 1e6:,.0f} µs"
        if name.startswith("facets"):
            ms = now.p99 * 1e3
            report.add(name, said, f"p99 <= {FACETS_MS:.0f} ms", ms <= FACETS_MS)
            report.add("… again", hot)
            continue
        most = TYPOS if name == "typo" else PAGES
        report.add(name, said, f"p99 <= {most:.0f}", now.p99_ratio <= most)
        report.add("… again", hot)
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
    parser.add_argument("--seconds", type=float, default=105.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    about = harness.machine()
    report = measure(seconds=options.seconds)
    print(harness.show(report))
    print(f"\nwritten to {harness.save([report], about, options.json)}")
    return int(any(figure.within is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
