"""All benchmarks, one after the other: `python -m bench`, or `make bench`.

Prints a table for each with its budget, and writes everything as JSON. Leaves with 1 if a budget
is not kept. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import structlog

from bench import (
    access,
    audit,
    auditing,
    backfill,
    cache,
    crawl,
    decode,
    documents,
    exports,
    follow,
    harness,
    metrics,
    operations,
    pool,
    reorg,
    restart,
)
from bench import limits as limiting
from bench import search as searching
from bench.harness import Report
from renown.store.embedded import pg_bin_dir
from renown.store.embedded.programs import major_version

T = TypeVar("T")

INDEX = ("decode", "backfill", "reorg", "restart", "follow")
DOCUMENTS = ("documents", "crawl", "search", "exports")
ACTING = ("access", "limits", "cache", "operations", "pool")
OPERATING = ("metrics", "audit", "auditing")
BENCHES = (*INDEX, *DOCUMENTS, *ACTING, *OPERATING)
DENSITIES = ("network", "dense")
FLAT = 0.10
"""How much the indexer's peak memory may differ between the smallest and the largest backfill."""


def main() -> int:
    options = _options()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    about = harness.machine() | {"postgresql": major_version(pg_bin_dir())}
    print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    reports = []
    for report in _all(options):
        reports.append(report)
        print(f"\n{harness.show(report)}", flush=True)
    path = harness.save(reports, about, options.json)
    print(f"\nwritten to {path}")
    return int(any(figure.within is False for report in reports for figure in report.figures))


def _all(options: argparse.Namespace) -> Iterator[Report]:
    wanted: list[str] = options.only
    rounds: int = options.rounds
    if "decode" in wanted:
        yield from _decode()
    if "backfill" in wanted:
        backfills = []
        for size in options.size:
            for density in options.density:
                backfills.append(asyncio.run(backfill.run(size, density, rounds)))
                yield backfills[-1]
        yield from _flatness(backfills)
    if "reorg" in wanted:
        for density in options.density:
            yield asyncio.run(reorg.run(density, max(rounds, 5)))
    if "restart" in wanted:
        yield asyncio.run(restart.run(min(options.size), rounds))
    if "follow" in wanted:
        for density in options.density:
            yield asyncio.run(follow.run(density, blocks_per_second=2.0, seconds=60.0))
    yield from _of_documents(wanted, rounds, options.agents)
    yield from _of_acting(wanted, rounds)


def _of_documents(wanted: list[str], rounds: int, agents: int) -> Iterator[Report]:
    if "documents" in wanted:
        yield documents.run()
    if "crawl" in wanted:
        yield asyncio.run(crawl.run(rounds=rounds))
    if "search" in wanted:
        yield searching.measure(agents)
    if "exports" in wanted:
        yield asyncio.run(exports.run(agents, rounds))


def _of_acting(wanted: list[str], rounds: int) -> Iterator[Report]:
    if "access" in wanted:
        yield access.measure()
    if "limits" in wanted:
        yield limiting.measure(max(rounds, 5))
    if "cache" in wanted:
        yield asyncio.run(cache.run(seconds=15.0))
    if "operations" in wanted:
        yield operations.measure()
    if "pool" in wanted:
        yield pool.measure()
    if "metrics" in wanted:
        yield metrics.measure()
    if "audit" in wanted:
        yield asyncio.run(audit.run(entries=1_000_000, rounds=rounds))
    if "auditing" in wanted:
        yield auditing.measure(max(rounds, 5))


def _decode() -> Iterator[Report]:
    found = decode.run()
    for name in ("NewFeedback", "mix"):
        figures = found[name]
        report = Report("decode", f"{name}, {figures['logs']:,} logs", numbers=figures)
        report.add("ns a log, decode", f"{figures['ns_per_log']['decode']:,}")
        for against, ratio in figures["decode_against"].items():
            limit = figures["limits"][against]
            report.add(f"against {against}", f"{ratio:.2f}", f"<= {limit}", ratio <= limit)
        yield report


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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--size",
        type=_listed(_events),
        default=[100_000, 1_000_000],
        help="events of a backfill: 100k,1M (default); 10M takes its time and 16 GB of disk",
    )
    parser.add_argument(
        "--agents",
        type=_events,
        default=1_000_000,
        help="agents that are searched and exported: 1M (default)",
    )
    parser.add_argument("--density", type=_listed(_one_of(DENSITIES)), default=list(DENSITIES))
    parser.add_argument("--only", type=_listed(_one_of(BENCHES)), default=list(BENCHES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write instead of bench/results/")
    return parser.parse_args()


def _listed(read: Callable[[str], T]) -> Callable[[str], list[T]]:
    return lambda text: [read(part) for part in text.split(",")]


def _events(text: str) -> int:
    units = {"k": 1_000, "M": 1_000_000}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def _one_of(known: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(known)}")
        return text

    return read


if __name__ == "__main__":
    sys.exit(main())
