"""The searches that take longest: parameters drawn at random, the slowest twenty with their plans.

`python -m bench.search_worst [--size 1M] [--seconds 60] [--seed 1]`. Each search that was slow is
asked three times; its least time counts, so that what stays is the search's own.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import asyncpg
import msgspec

from bench import harness, searches, worlds
from bench.baseline import Against, Baseline
from bench.harness import Report, quantile
from bench.searches import Drawn
from renown.derive import filters
from renown.errors import StoreError
from renown.spec.words import query_text
from renown.store import facets, search
from renown.store.pool import Conn, connect_pool
from renown.store.search_plan import Plans
from renown.store.search_wanted import Wanted

SHOWN = 20
_EXPLAIN = (
    "LOAD 'auto_explain'",
    "SET auto_explain.log_min_duration = 0",
    "SET auto_explain.log_analyze = on",
    "SET auto_explain.log_buffers = on",
    "SET client_min_messages = log",
)


class Case(msgspec.Struct, frozen=True):
    """One search."""

    wanted: Wanted
    order: str
    """Of `search.Order`, or `rank`, or `facets`."""

    def __str__(self) -> str:
        said = {
            name: value
            for name in self.wanted.__struct_fields__
            if (value := getattr(self.wanted, name)) not in ("", None, False, ())
        }
        return f"{self.order} {said}"[:300]


class Chance:
    """Draws searches."""

    def __init__(self, world: Drawn, seed: int) -> None:
        self._world = world
        self._random = random.Random(seed)

    def case(self) -> Case:
        chance = self._random
        text = self._text() if chance.random() < 0.7 else ""
        terms = self._terms() if chance.random() < (0.6 if text else 0.9) else ""
        orders = ["quality", "newest", "activity", "feedback", "facets"] + ["rank"] * 4 * bool(text)
        wanted = Wanted(text=query_text(text), terms=terms, **self._bounds())
        return Case(wanted, chance.choice(orders))

    def _text(self) -> str:
        chance, world = self._random, self._world
        of = chance.choice((world.common, world.middling, world.rare, world.common))
        words = [chance.choice(of) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
        if chance.random() < 0.2:
            words.append(f"OR {chance.choice(world.middling)}")
        if chance.random() < 0.2:
            words.append(f"-{chance.choice(world.common)}")
        if chance.random() < 0.1:
            words = [f'"{" ".join(words[:2])}"']
        return " ".join(words)

    def _terms(self) -> str:
        chance = self._random
        parts = []
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            kind = chance.random()
            if kind < 0.25:
                parts.append(filters.condition("owner", "0x" + chance.choice(self._world.owners)))
            elif kind < 0.4:
                some = chance.sample(self._world.terms, min(20, len(self._world.terms)))
                parts.append("( " + " | ".join(_quoted(term) for term, _ in some) + " )")
            else:
                term = _quoted(chance.choice(self._world.terms)[0])
                parts.append(filters.negated(term) if chance.random() < 0.25 else term)
        return filters.all_of(parts)

    def _bounds(self) -> dict[str, Any]:
        chance = self._random
        found: dict[str, Any] = {}
        if chance.random() < 0.15:
            found["leads"] = True
        if chance.random() < 0.1:
            found["feedback_least"] = chance.choice((1, 10, 100, 1_000))
        if chance.random() < 0.1:
            since = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=chance.random() * 300)
            found[chance.choice(("registered_from", "registered_before", "active_from"))] = since
        if chance.random() < 0.05:
            found["average_least"] = 90 * 10**18
        if chance.random() < 0.1:
            found["tag1"] = chance.choice(self._world.tags)
        return found


async def run(size: str, seconds: float, seed: int) -> tuple[Report, list[str]]:
    """Search a world at random; the report, and the slowest with their plans."""
    pool = await connect_pool(worlds.dsn(size), min_size=1, max_size=1)
    try:
        async with pool.connection() as conn:
            return await _run(conn, size, seconds, seed)
    finally:
        await pool.close()


async def _run(conn: Conn, size: str, seconds: float, seed: int) -> tuple[Report, list[str]]:
    plans, base = Plans(), await Baseline(conn).ready()
    chance = Chance(await searches.drawn(conn), seed)
    taken: list[float] = []
    slow: list[tuple[float, int, Case]] = []
    given_up = 0
    end = perf_counter() + seconds
    while perf_counter() < end:
        case = chance.case()
        await base.seconds()
        once = await _asked(conn, plans, case)
        given_up += once is None
        best = once if once is not None else search.TIMEOUT_SECONDS
        taken.append(best)
        if len(slow) < SHOWN or best > slow[-1][0]:
            again = [await _asked(conn, plans, case) for _ in range(2)]
            best = min([best, *(one for one in again if one is not None)])
            slow.append((best, len(taken), case))
            slow = sorted(slow, key=lambda one: -one[0])[:SHOWN]
    report = Report("search, worst", f"{size} agents, searches drawn at random")
    report.add("searches", f"{len(taken):,}")
    report.add("all of them", str(Against.of(taken, base.taken)))
    report.add("99.9 %", f"{quantile(taken, 0.999) * 1e3:.1f} ms")
    report.add("given up", f"{given_up}", "0", given_up == 0)
    for best, _, case in slow:
        report.add(f"{best * 1e3:.1f} ms", str(case))
    return report, [f"{case}\n{await _plan(conn, plans, case)}" for _, _, case in slow]


async def _asked(conn: Conn, plans: Plans, case: Case) -> float | None:
    """Seconds; None where the search was given up."""
    began = perf_counter()
    try:
        if case.order == "facets":
            await facets.count(conn, plans, case.wanted, searches.KINDS)
        elif case.order == "rank":
            await search.by_rank(conn, plans, case.wanted, limit=searches.ROWS, uri_cut_bytes=1_024)
        else:
            order: Any = case.order
            await search.in_order(
                conn, plans, case.wanted, order, limit=searches.ROWS, uri_cut_bytes=1_024
            )
    except (StoreError, TimeoutError):
        return None
    return perf_counter() - began


async def _plan(conn: Conn, plans: Plans, case: Case) -> str:
    """The plans of its statements, as they ran."""
    said: list[str] = []

    def hear(_: Any, message: asyncpg.PostgresLogMessage) -> None:
        said.append(str(message.message or ""))

    bare: Any = conn
    bare.add_log_listener(hear)
    try:
        for statement in _EXPLAIN:
            await conn.execute(statement)
        await _asked(conn, plans, case)
        await conn.execute("SET client_min_messages = notice")
        await asyncio.sleep(0)
    finally:
        bare.remove_log_listener(hear)
    return "\n".join(said)


def _quoted(term: str) -> str:
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default=worlds.largest())
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plans", action="store_true", help="print the plans, too")
    options = parser.parse_args()
    report, plans = asyncio.run(run(options.size, options.seconds, options.seed))
    print(harness.show(report))
    if options.plans:
        print("\n\n".join(plans))
    return int(any(figure.within is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
