"""What a scrape costs: of one process, and of four that share a port.

Each process is a fresh interpreter, filled as one is that answers every route and follows ten
chains, because the numbers of this one would count, too.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from bench.harness import Report

BUDGET_MS = 20.0
"""For 1,000 series that are shown."""
CHAINS, ROUTES, ROUNDS = 10, 120, 20
WORKERS = 4


def measure() -> Report:
    """Milliseconds for 1,000 series."""
    report = Report("metrics", "a scrape")
    alone = _run("expose", None)
    _add(report, "one process", alone)
    with tempfile.TemporaryDirectory(prefix="renown-bench-") as folder:
        for _ in range(WORKERS - 1):
            _run("fill", folder)
        _add(report, f"{WORKERS} processes as one", _run("expose", folder))
    return report


def _add(report: Report, name: str, found: dict[str, Any]) -> None:
    per_thousand = found["ms"] * 1000 / found["series"]
    report.add(f"{name}, series", f"{found['series']:,}")
    report.add(f"{name}, a scrape", f"{found['ms']:.1f} ms")
    report.add(
        f"{name}, 1,000 series",
        f"{per_thousand:.1f} ms",
        f"< {BUDGET_MS:g} ms",
        per_thousand < BUDGET_MS,
    )
    report.numbers[name] = found | {"ms_per_1000": per_thousand}


def _run(task: str, folder: str | None) -> dict[str, Any]:
    shared = {} if folder is None else {"PROMETHEUS_MULTIPROC_DIR": folder}
    done = subprocess.run(
        [sys.executable, "-m", "bench.metrics", task],
        env=os.environ | shared,
        check=True,
        stdout=subprocess.PIPE,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _fill() -> None:
    from renown.obs import metrics
    from renown.spec.events import KINDS

    for chain in (f"chain-{number}" for number in range(CHAINS)):
        for kind in KINDS.values():
            metrics.EVENTS_STORED.labels(chain, kind).inc()
        metrics.COMMIT_SECONDS.labels(chain).observe(0.02)
        metrics.LAG_SECONDS.labels(chain).set(3)
        for host in ("one.example", "two.example", "three.example"):
            metrics.RPC_SECONDS.labels(chain, host).observe(0.1)
            metrics.RPC_REQUESTS.labels(chain, host, "the head").inc()
    for route in (f"/v1/things/{number}/{{key}}" for number in range(ROUTES)):
        metrics.HTTP_SECONDS.labels(route).observe(0.004)
        for status in ("200", "304", "404"):
            metrics.HTTP_REQUESTS.labels("GET", route, status).inc()


def _task(name: str) -> dict[str, Any]:
    from renown.obs import metrics

    _fill()
    if name == "fill":
        return {}
    text = metrics.exposition()  # what is kept from one scrape to the next is there from now on
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        metrics.exposition()
        times.append((time.perf_counter() - began) * 1000)
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    return {"series": series, "ms": statistics.median(times)}


if __name__ == "__main__":
    print(json.dumps(_task(sys.argv[1])))
