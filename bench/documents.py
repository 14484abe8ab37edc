"""Reading documents (parse, normalise, find) against `orjson.loads` of the same bytes, in one run.

    python -m bench.documents [FOLDER]

The documents are those that real agents published, `registrations.jsonl` in FOLDER, by default
`../shared/data/real`; they are not ours to ship, so without them there is nothing to measure. Each
round goes over all of them in an order of its own, in slices that the two contenders take in turn.
CPU time counts; the ratio is the median over rounds. The slowest are found by reading each document
several times by itself: the shortest time of each counts, so that p99 is of documents, not of luck.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
from tools.real_documents import documents

from bench import harness
from bench.harness import Report, Spread, quantile
from renown.spec.documents import read_document

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "real"
ROUNDS = 15
SLICE = 100
TIMES_EACH = 5
LEAST_RATIO = 0.08
MOST_P99_SECONDS = 0.001


def run(folder: Path = REAL, rounds: int = ROUNDS) -> Report:
    """The report; without figures where there are no documents."""
    if not (folder / "registrations.jsonl").is_file():
        return Report("documents", f"no documents of real agents in {folder}: not measured")
    raws = list(documents(folder))
    spent: dict[str, list[float]] = {"loads": [], "read": []}
    for seed in range(rounds + 1):
        shuffled = random.Random(seed).sample(raws, len(raws))
        for name, seconds in _round(shuffled).items():
            spent[name].append(seconds / len(raws))
    for values in spent.values():
        del values[0]  # the first round warms up
    ratios = [loads / read for loads, read in zip(spent["loads"], spent["read"], strict=True)]
    each = sorted(_shortest(raw) for raw in raws)
    return _report(raws, spent, ratios, each)


def _round(raws: Sequence[bytes]) -> dict[str, float]:
    spent = {"loads": 0.0, "read": 0.0}
    for first in range(0, len(raws), SLICE):
        part = raws[first : first + SLICE]
        spent["loads"] += _time(_loads, part)
        spent["read"] += _time(read_document, part)
    return spent


def _loads(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _time(work: Callable[[bytes], Any], raws: Sequence[bytes]) -> float:
    started = time.process_time()
    for raw in raws:
        work(raw)
    return time.process_time() - started


def _shortest(raw: bytes) -> float:
    times = []
    for _ in range(TIMES_EACH):
        started = time.perf_counter()
        read_document(raw)
        times.append(time.perf_counter() - started)
    return min(times)


def _report(
    raws: Sequence[bytes],
    spent: dict[str, list[float]],
    ratios: Sequence[float],
    each: Sequence[float],
) -> Report:
    size = statistics.mean(map(len, raws))
    report = Report("documents", f"{len(raws):,} of real agents, {size:.0f} bytes on average")
    for name, title in (("loads", "orjson.loads"), ("read", "read_document")):
        report.add(f"µs a document, {title}", f"{Spread.of([v * 1e6 for v in spent[name]]):.2f}")
    ratio, p99 = statistics.median(ratios), quantile(each, 0.99)
    report.add(
        "loads / read", f"{Spread.of(ratios):.3f}", f">= {LEAST_RATIO}", ratio >= LEAST_RATIO
    )
    report.add("p99 of documents", f"{p99 * 1e6:.0f} µs", "< 1 ms", p99 < MOST_P99_SECONDS)
    report.add("slowest document", f"{each[-1] * 1e6:.0f} µs")
    report.numbers = {
        "documents": len(raws),
        "seconds": spent,
        "ratios": list(ratios),
        "p99_seconds": p99,
        "most_seconds": each[-1],
    }
    return report


def main() -> int:
    report = run(Path(sys.argv[1]) if len(sys.argv) > 1 else REAL)
    print(harness.show(report))
    return int(any(figure.within is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
