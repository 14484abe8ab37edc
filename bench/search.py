"""Search against a keyed read: the queries users send most, at a million agents.

`python -m bench.search` makes the agents (some minutes), then asks every kind of query in turn, and
between them the baseline: a prepared SELECT of one row of about 200 bytes by its primary key, on
the same connection. So whatever else the machine does weighs on both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench import harness, rig, search_world
from bench.harness import Report, quantile
from renown.derive import filters
from renown.store import facets, names, search
from renown.store.pool import Conn, connect_pool
from renown.store.search_plan import Plans
from renown.store.search_wanted import Wanted

Query = Callable[[], Awaitable[Any]]

SIZE = 1_000_000
ROWS = 20
"""Rows of a page."""
DISTINCT = 40
"""Queries of each kind, each asked several times."""
PAGES, TYPOS, FACETS_MS = 10.0, 200.0, 100.0
KINDS = ("chain", "kind", "alive", "trust")

_BASELINE = """
SELECT agent_id, owner, uri, created_tx FROM agent WHERE chain_id = $1 AND agent_id = $2
"""
_SIZES = """
SELECT relname, pg_relation_size(oid) FROM pg_class
 WHERE relname IN ('agent_profile', 'agent', 'agent_name', 'term_count')
    OR relname LIKE 'agent\\_profile\\_words%' OR relname = 'agent_name_alike' ORDER BY 1
"""
_WORDS = """
SELECT most_common_elems::text::text[], most_common_elem_freqs FROM pg_stats
 WHERE tablename = 'agent_profile' AND attname = 'words'
"""


async def run(dsn: str, size: int, seconds: float) -> Report:
    """Ask for about `seconds` of a database that `search_world` has filled."""
    pool = await connect_pool(dsn, min_size=1, max_size=1)
    try:
        async with pool.connection() as conn:
            report = Report("search", f"{size:,} agents, pages of {ROWS}")
            for name, size_bytes in await conn.fetch(_SIZES):
                report.numbers[f"bytes of {name}"] = size_bytes
            total = sum(v for k, v in report.numbers.items() if "words" in k)
            table = report.numbers["bytes of agent_profile"]
            report.add("agent_profile", f"{table / 2**20:,.0f} MB")
            report.add("indexes of its words", f"{total / 2**20:,.0f} MB")
            queries = await _queries(conn, Plans(), size)
            base, taken = await _ask(conn, size, queries, seconds)
            _judge(report, base, taken)
            return report
    finally:
        await pool.close()


async def _ask(
    conn: Conn, size: int, queries: dict[str, list[Query]], seconds: float
) -> tuple[list[float], dict[str, list[float]]]:
    for kind in queries.values():  # plans and pages of the database are warm on a busy day
        for query in kind:
            await query()
    baseline = await conn.prepare(_BASELINE)
    chance = random.Random(1)
    base: list[float] = []
    taken: dict[str, list[float]] = {name: [] for name in queries}
    end = time.perf_counter() + seconds
    turn = 0
    while time.perf_counter() < end:
        for name, kind in queries.items():
            agent_id = chance.randint(1, size)
            start = time.perf_counter()
            await baseline.fetch(search_world.chain_of(agent_id), agent_id)
            middle = time.perf_counter()
            await kind[turn % len(kind)]()
            taken[name].append(time.perf_counter() - middle)
            base.append(middle - start)
        turn += 1
    return base, taken


def _judge(report: Report, base: list[float], taken: dict[str, list[float]]) -> None:
    base_50, base_99 = quantile(base, 0.5), quantile(base, 0.99)
    report.add("baseline p50 / p99", f"{base_50 * 1e6:.0f} / {base_99 * 1e6:.0f} µs")
    for name, times in taken.items():
        p50, p99 = quantile(times, 0.5), quantile(times, 0.99)
        ratios = p50 / base_50, p99 / base_99
        report.numbers[name] = {
            "p50_us": p50 * 1e6, "p99_us": p99 * 1e6, "p50_ratio": ratios[0],
            "p99_ratio": ratios[1], "rounds": len(times), "least_us": min(times) * 1e6,
        }  # fmt: skip
        said = f"{p50 * 1e3:.2f} / {p99 * 1e3:.2f} ms, {ratios[0]:.1f} / {ratios[1]:.1f} x"
        if name.startswith("facets"):
            report.add(name, said, f"p99 <= {FACETS_MS:.0f} ms", p99 * 1e3 <= FACETS_MS)
        else:
            limit = TYPOS if name == "typo" else PAGES
            report.add(name, said, f"p99 <= {limit:.0f} x", ratios[1] <= limit)


async def _queries(conn: Conn, plans: Plans, size: int) -> dict[str, list[Query]]:
    chance = random.Random(2)
    row = await conn.fetchrow(_WORDS)
    assert row is not None
    shares = [(w, f) for w, f in zip(row[0], row[1], strict=False) if w and "=" not in w]
    common = [w for w, f in shares if f >= 0.1]
    middling = [w for w, f in shares if 0.005 <= f < 0.1]
    ranks = [chance.randint(5_000, search_world.WORDS) for _ in range(DISTINCT)]
    rare = [search_world.word(rank) for rank in ranks]

    def pick(words: list[str]) -> str:
        return chance.choice(words)

    def ranked(text: str, terms: str = "") -> Query:
        wanted = Wanted(text=text, terms=filters.expression(terms) if terms else "")
        return lambda: search.by_rank(conn, plans, wanted, limit=ROWS, uri_cut_bytes=1_024)

    def ordered(terms: str, after: search.Place | None = None, text: str = "") -> Query:
        wanted = Wanted(text=text, terms=filters.expression(terms) if terms else "")
        return lambda: search.in_order(
            conn, plans, wanted, after=after, limit=ROWS, uri_cut_bytes=1_024
        )

    def counted(text: str, terms: str = "") -> Query:
        wanted = Wanted(text=text, terms=filters.expression(terms) if terms else "")
        return lambda: facets.count(conn, plans, wanted, KINDS)

    def alike(name: str) -> Query:
        return lambda: names.alike(conn, name, limit=5)

    deep = []
    for _ in range(10):
        text, place = pick(common), None
        for _ in range(10):
            page = await search.in_order(
                conn, plans, Wanted(text=text), after=place, limit=100, uri_cut_bytes=0
            )
            place = page.found[-2].place
        deep.append(ordered("", place, text))
    owners = [r[0].hex() for r in await conn.fetch(_SOME_OWNERS, DISTINCT)]
    typos = [_misspelt(r[0], chance) for r in await conn.fetch(_SOME_NAMES, DISTINCT)]
    skills = [f"skill:s{n % 15}" for n in range(DISTINCT)]
    mixes = ("kind:mcp chain:1", "kind:a2a NOT x402:yes", "state:strict trust:crypto-economic")
    every = range(DISTINCT)
    return {
        "common word": [ranked(pick(common)) for _ in every],
        "middling word": [ranked(pick(middling)) for _ in every],
        "rare word": [ranked(word) for word in rare],
        "two words": [ranked(f"{pick(common)} {pick(middling)}") for _ in every],
        "text and filters": [ranked(pick(common), mixes[n % 3]) for n in every],
        "skill and alive": [ordered(f"{skill} alive:yes") for skill in skills],
        "owner": [ordered(f"owner:0x{owner}") for owner in owners],
        "deep page": deep,
        "typo": [alike(name) for name in typos],
        "facets, few matches": [counted(pick(middling), "kind:mcp alive:yes") for _ in every],
        "facets, many matches": [counted(pick(common)) for _ in every],
        "facets, all agents": [lambda: facets.kept(conn, KINDS, None)],
    }


_SOME_OWNERS = "SELECT owner FROM agent TABLESAMPLE SYSTEM (0.1) REPEATABLE (1) LIMIT $1"
_SOME_NAMES = "SELECT name_key FROM agent_name TABLESAMPLE SYSTEM (0.1) REPEATABLE (1) LIMIT $1"


def _misspelt(name: str, chance: random.Random) -> str:
    """One letter left out, doubled, or changed places with the next."""
    at = chance.randint(1, len(name) - 3)
    return chance.choice(
        (
            name[:at] + name[at + 1 :],
            name[:at] + name[at] + name[at:],
            name[:at] + name[at + 1] + name[at] + name[at + 2 :],
        )
    )


def measure(size: int = SIZE, seconds: float = 60.0) -> Report:
    """Of a world made for it and dropped afterwards."""
    with rig.postgres() as server:
        return asyncio.run(_made(server, size, seconds))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--dsn", help="a database made before; without, one is made and dropped")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    about = harness.machine()
    if options.dsn:
        report = asyncio.run(run(options.dsn, options.size, options.seconds))
    else:
        report = measure(options.size, options.seconds)
    print(harness.show(report))
    path = harness.save([report], about, options.json)
    print(f"\nwritten to {path}")
    return int(any(figure.within is False for figure in report.figures))


async def _made(server: Any, size: int, seconds: float) -> Report:
    dsn = await rig.new_database(server, "search")
    await search_world.make(dsn, size)
    return await run(dsn, size, seconds)


if __name__ == "__main__":
    sys.exit(main())
