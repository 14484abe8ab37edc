"""All benchmarks: what each measures, what it needs, how long it takes, and how it is called.

Modules are imported when their bench runs, in its own process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any, TypeAlias

from bench.harness import Report

DENSITIES = ("network", "dense")
FLAT = 0.10
"""How much the indexer's peak memory may differ between the smallest and the largest backfill."""
QUICK_SECONDS = 0.15
"""Share of the seconds that a bench measures for, in a run that is only for a look."""
MOST_SECONDS_AN_EVENT = 500e-6
"""Of a backfill and the COPY of its rows: four times what it takes."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for.

    Attributes:
        sizes: events of a backfill.
        densities: of the mock chain, see `DENSITIES`.
        rounds: of what is measured in rounds; 0 for each bench's own number.
        quick: only for a look.
    """

    sizes: tuple[int, ...] = ()
    densities: tuple[str, ...] = DENSITIES
    rounds: int = 0
    quick: bool = False

    def times(self, usual: int) -> int:
        """How many rounds."""
        return self.rounds or (1 if self.quick else usual)

    def seconds(self, usual: float) -> float:
        """How long to measure."""
        return max(1.0, usual * QUICK_SECONDS) if self.quick else usual


Measure: TypeAlias = Callable[[Options], Iterable[Report]]


@dataclass(frozen=True, slots=True)
class Bench:
    """One of them.

    Attributes:
        seconds: what it takes with its own sizes on two cores; after `limit_seconds` it is ended.
        worlds: whether it reads the worlds of `bench.worlds`.
    """

    name: str
    about: str
    seconds: int
    measure: Measure
    worlds: bool = False

    def limit_seconds(self, options: Options) -> float:
        """Slow machines are slow, and who names sizes gets them; what hangs is ended."""
        events = sum(options.sizes) * len(options.densities) if self.name == "backfill" else 0
        rounds = max(1, options.rounds)
        return 120.0 + rounds * (4.0 * self.seconds + events * MOST_SECONDS_AN_EVENT)


def _decode(_: Options) -> Iterator[Report]:
    found = _load("decode").run()
    for name in ("NewFeedback", "mix"):
        figures = found[name]
        report = Report("decode", f"{name}, {figures['logs']:,} logs", numbers=figures)
        report.add("ns a log, decode", f"{figures['ns_per_log']['decode']:,}")
        for against, ratio in figures["decode_against"].items():
            limit = figures["limits"][against]
            report.add(f"against {against}", f"{ratio:.2f}", f"<= {limit}", ratio <= limit)
        yield report


def _backfill(options: Options) -> Iterator[Report]:
    if options.sizes:
        wanted = [(size, density) for size in options.sizes for density in options.densities]
    elif options.quick:
        wanted = [(20_000, "network")]
    else:  # the network's density at a size where a minute is enough
        wanted = [(100_000, "network"), (100_000, "dense"), (1_000_000, "dense")]
        wanted = [one for one in wanted if one[1] in options.densities]
    taken = []
    for size, density in wanted:
        report = asyncio.run(_load("backfill").run(size, density, options.times(1)))
        taken.append(report)
        yield report
    yield from _flatness(taken)


def _flatness(reports: list[Report]) -> Iterator[Report]:
    """Peak memory of the smallest and the largest backfill of a million events and more."""
    large = [r for r in reports if r.numbers["world"]["events"] >= 1_000_000]
    by_size = sorted(large, key=lambda r: int(r.numbers["world"]["events"]))
    if len(by_size) < 2 or by_size[0].setting == by_size[-1].setting:
        return
    peaks = [max(r["peak_rss_bytes"] for r in report.numbers["rounds"]) for report in by_size]
    report = Report("memory", f"{by_size[0].setting} to {by_size[-1].setting}")
    growth = peaks[-1] / peaks[0] - 1
    report.add("growth", f"{growth:+.1%}", f"within {FLAT:.0%}", abs(growth) < FLAT)
    yield report


def _reorg(options: Options) -> Iterator[Report]:
    for density in options.densities:
        yield asyncio.run(_load("reorg").run(density, options.times(5)))


def _restart(options: Options) -> Iterator[Report]:
    size = 20_000 if options.quick else 100_000
    yield asyncio.run(_load("restart").run(size, options.times(2)))


def _follow(options: Options) -> Iterator[Report]:
    seconds = options.seconds(30.0)
    for density in options.densities:
        yield asyncio.run(_load("follow").run(density, blocks_per_second=2.0, seconds=seconds))


def _documents(options: Options) -> Iterator[Report]:
    yield _load("documents").run(rounds=options.times(_load("documents").ROUNDS))


def _crawl(options: Options) -> Iterator[Report]:
    uris = 1_000 if options.quick else 10_000
    yield asyncio.run(_load("crawl").run(uris=uris, rounds=options.times(1)))


def _access(options: Options) -> Iterator[Report]:
    yield _load("access").measure(options.seconds(15.0))


def _limits(options: Options) -> Iterator[Report]:
    yield _load("limits").measure(options.times(5), options.seconds(1.0))


def _cache(options: Options) -> Iterator[Report]:
    yield asyncio.run(_load("cache").run(seconds=options.seconds(10.0)))


def _operations(options: Options) -> Iterator[Report]:
    yield _load("operations").measure(options.seconds(20.0))


def _pool(options: Options) -> Iterator[Report]:
    yield _load("pool").measure(max(10, options.times(30)))


def _metrics(_: Options) -> Iterator[Report]:
    yield _load("metrics").measure()


def _audit(options: Options) -> Iterator[Report]:
    entries = 20_000 if options.quick else 200_000
    yield asyncio.run(_load("audit").run(entries=entries, rounds=options.times(3)))


def _auditing(options: Options) -> Iterator[Report]:
    yield _load("auditing").measure(options.times(5), options.seconds(1.5))


def _load(name: str) -> Any:
    """A module of this package, loaded now: not before its bench runs."""
    return import_module(f"bench.{name}")


def _module(name: str) -> Measure:
    """A module whose `measure()` gives one report or several, of sizes as `bench.worlds` says.

    Where it takes `rounds` or `seconds`, it is given those of the options.
    """

    def measure(options: Options) -> Iterator[Report]:
        wanted = _load(name).measure
        given: dict[str, Any] = {}
        for key, parameter in signature(wanted).parameters.items():
            if key == "rounds" and isinstance(parameter.default, int):
                given[key] = options.times(parameter.default)
            elif key == "seconds" and isinstance(parameter.default, float):
                given[key] = options.seconds(parameter.default)
        found = wanted(**given)
        yield from [found] if isinstance(found, Report) else found

    return measure


BENCHES: tuple[Bench, ...] = (
    Bench("decode", "logs to facts, against parsing the same JSON", 15, _decode),
    Bench("backfill", "a whole chain from nothing, against COPY of its rows", 150, _backfill),
    Bench("reorg", "a reorg of 32 blocks, against storing them", 60, _reorg),
    Bench("restart", "kill -9 of everything, to new rows", 45, _restart),
    Bench("follow", "how far the index is behind the head", 90, _follow),
    Bench("documents", "reading documents, against parsing them", 25, _documents),
    Bench("crawl", "the crawler, against bare GETs", 60, _crawl),
    Bench("access", "letting a request in, against one HMAC", 25, _access),
    Bench("limits", "keys and limits over HTTP, against none", 45, _limits),
    Bench("cache", "kept answers, against reading anew", 20, _cache),
    Bench("operations", "a thousand operations in flight", 35, _operations),
    Bench("pool", "the pool, against a connection of one's own", 10, _pool),
    Bench("metrics", "a scrape of one process and of four", 10, _metrics),
    Bench("audit", "checking the audit log, against reading and hashing it", 45, _audit),
    Bench("auditing", "the API with the audit log, against without", 30, _auditing),
    Bench("reads", "keyed reads and pages in SQL", 150, _module("reads"), worlds=True),
    Bench("search", "search and facets in SQL", 150, _module("search"), worlds=True),
    Bench("http", "reads over HTTP, against fixed bytes", 150, _module("http"), worlds=True),
    Bench("load", "reads at a rising rate, until it bends", 140, _module("load"), worlds=True),
    Bench("exports", "bulk files, against COPY", 100, _module("exports"), worlds=True),
    Bench("together", "following the head while reads run", 225, _module("together"), worlds=True),
)
NAMES = tuple(bench.name for bench in BENCHES)


def named(name: str) -> Bench:
    """The bench of that name."""
    return next(bench for bench in BENCHES if bench.name == name)
