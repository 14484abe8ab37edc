"""How much one API process takes, and what bends then: a load test in the open model.

`python -m bench.load [--seconds N] [--first RATE] [--size 1M]`.

Requests are due at moments of a Poisson process, answered or not, and latency counts from there
(`load_model`). The rate rises in steps until the API does not keep up, and a little beyond; then
the knee is looked for between the last good step and the first bad one. It is the last rate at
which 98 % of what was due is answered within the step, with a p99 of at most five times that of
the lowest rate. Nothing is pinned: API, PostgreSQL and the generator (a process of its own, at a
higher priority where it may) share the machine, so the generator says how late it was itself.

The mix is that of people and agents who look things up (`load_mix`): 60 % an agent by key, 10 %
search, feedback and reputation each, 5 % the agents of an owner, 5 % leaderboards and statistics,
by Zipf's law. The API is the product's, with all its middleware and its cache; limits count, but
none is reached.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from bench import harness, rig, worlds
from bench.harness import Report
from bench.load_mix import mix_of
from bench.load_model import (
    ACHIEVED,
    SLOWER,
    Step,
    between,
    keeps_up,
    knee,
    rates,
    saturated,
)
from bench.warming import fill_page_cache

FIRST, FACTOR, MOST = 200.0, 1.5, 20_000.0
LEAST_RATE = 20.0
WARM_SECONDS, WARM_RATE = 5.0, 150.0
BEYOND, BISECTIONS = 1, 2
"""Steps after the first that is not kept up with, and between it and the last that was."""
API_BYTES = 150 * 10**6
"""Budget: memory of the API process."""
_WAIT = "renown_db_pool_wait_seconds"
_WAITERS = "renown_db_pool_waiters"


class Rig:
    """The API and the generator, and what both and PostgreSQL use."""

    def __init__(self, api: rig.DriverProcess, client: rig.DriverProcess, seconds: float) -> None:
        self._api, self._client, self.seconds = api, client, seconds
        self._postgres = worlds.server_pid()
        self._seed = 0
        self.kinds: dict[float, dict[str, Any]] = {}

    def take(self, rate: float, seconds: float | None = None) -> Step:
        """One step."""
        self._seed += 1
        lasts = seconds or self.seconds
        cpu, idle, wait = self._cpu(), _idle_seconds(), self._metrics()
        began = time.perf_counter()
        self._client.tell({"rate": rate, "seconds": lasts, "seed": self._seed})
        time.sleep(lasts / 2)
        waiters = self._metrics()[_WAITERS]
        found = self._client.heard()
        took = time.perf_counter() - began
        wait_after = self._metrics()
        counted = wait_after[f"{_WAIT}_count"] - wait[f"{_WAIT}_count"]
        waited = wait_after[f"{_WAIT}_sum"] - wait[f"{_WAIT}_sum"]
        cores = {name: (now - cpu[name]) / found["seconds"] for name, now in self._cpu().items()}
        machine = (psutil.cpu_count() or 1) - (_idle_seconds() - idle) / took
        cores |= {"others": max(0.0, machine - sum(cores.values())), "machine": machine}
        statuses: dict[str, int] = found["statuses"]
        self.kinds[rate] = found["kinds"]
        return Step(
            offered=found["due"] / lasts,
            achieved=found["in_time"] / lasts,
            p50_ms=found["p50_ms"],
            p99_ms=found["p99_ms"],
            refused=statuses.get("503", 0),
            failed=found["broken"] + sum(statuses.values()) - _good(statuses),
            unanswered=found["unanswered"],
            lag_p99_ms=found["lag_p99_ms"],
            cores={name: round(value, 3) for name, value in cores.items()},
            waiters=int(waiters),
            pool_wait_ms=1e3 * waited / counted if counted else 0.0,
        )

    def _cpu(self) -> dict[str, float]:
        pids = {"api": self._api.pid, "postgres": self._postgres, "client": self._client.pid}
        return {name: harness.cpu_seconds(pid) for name, pid in pids.items()}

    def _metrics(self) -> dict[str, float]:
        """What the API says of its pool, all pools and buckets of a name added."""
        url = f"http://127.0.0.1:{self._api.ready['port']}/metrics"
        with urllib.request.urlopen(url, timeout=60) as answer:
            lines: list[str] = answer.read().decode().splitlines()
        found = dict.fromkeys((f"{_WAIT}_count", f"{_WAIT}_sum", _WAITERS), 0.0)
        for line in lines:
            name = line.partition("{")[0].partition(" ")[0]
            if name in found:
                found[name] += float(line.rpartition(" ")[2])
        return found


def measure(
    *, seconds: float | None = None, first: float = FIRST, size: str | None = None
) -> Report:
    """Some two minutes, with `seconds` for each step."""
    size = size or worlds.largest()
    seconds = seconds or (2.0 if harness.is_quick() else 7.0)
    dsn = worlds.dsn(size)
    mix = asyncio.run(mix_of(dsn))
    warmed = asyncio.run(fill_page_cache(dsn))
    report = Report("load", f"one API process, {size} agents, requests of an open model")
    report.add("read into the page cache beforehand", str(warmed))
    report.numbers["mix"] = {kind: {"share": share, "paths": len(p)} for kind, share, p in mix}
    given = {
        "BENCH_DSN": dsn,
        "BENCH_AUDIT": "on",
        "BENCH_KEY_PEPPER": "a secret of the benchmarks",
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(mix, file)
        file.flush()
        with rig.DriverProcess("bench.auditing_driver", given) as api:
            port = str(api.ready["port"])
            with rig.DriverProcess("bench.load_client", {}, port, file.name) as client:
                walked = Rig(api, client, seconds)
                steps = _walk(walked, first)
                memory = harness.pss_bytes(api.pid)
    _judge(report, steps, walked, memory, size)
    return report


def _walk(walked: Rig, first: float) -> list[Step]:
    walked.take(WARM_RATE, WARM_SECONDS)
    steps: list[Step] = []
    beyond = 0
    while not steps or (not keeps_up(steps[0], steps[0]) and steps[0].offered > LEAST_RATE):
        # Twice as long, since all others are held against its p99; and at a lower rate on a machine
        # for which even the first is too much.
        steps = [walked.take(first, 2 * walked.seconds)]
        _say(steps[-1])
        first /= 4
    for rate in rates(first * 4 * FACTOR, FACTOR, MOST):
        steps.append(walked.take(rate))
        _say(steps[-1])
        if not keeps_up(steps[-1], steps[0]):
            beyond += 1
        if beyond > BEYOND:
            break
    for _ in range(BISECTIONS):
        good = knee(steps)
        bad = [one.offered for one in steps if good and one.offered > good.offered]
        if good is None or not bad:
            break
        steps.append(walked.take(between(good.offered, min(bad))))
        _say(steps[-1])
    return sorted(steps, key=lambda step: step.offered)


def _judge(report: Report, steps: list[Step], walked: Rig, memory: int, size: str) -> None:
    report.numbers["steps"] = [asdict(step) for step in steps]
    report.numbers["kinds"] = {str(rate): kinds for rate, kinds in walked.kinds.items()}
    report.numbers["memory"] = {"API under load": {size: memory}}
    low, found = steps[0], knee(steps)
    bad = next((step for step in steps if found and step.offered > found.offered), steps[-1])
    cores = psutil.cpu_count() or 1
    report.add("lowest rate, requests/s", f"{low.offered:,.0f}")
    report.add("… p50 / p99", f"{low.p50_ms:.2f} ms / {low.p99_ms:.2f} ms")
    if found is not None:
        report.numbers["knee"] = found.offered
        report.add("knee, requests/s", f"{found.offered:,.0f}")
        report.add("… p50 / p99 there", f"{found.p50_ms:.2f} ms / {found.p99_ms:.2f} ms")
        report.add("… full there", saturated(found, cores))
        report.add("first rate beyond, requests/s", f"{bad.offered:,.0f}")
        report.add("… answered in time", f"{bad.achieved / bad.offered:.0%}")
        report.add("… p50 / p99", f"{bad.p50_ms:.1f} ms / {bad.p99_ms:.1f} ms")
        report.add("… full there", saturated(bad, cores))
    worst = steps[-1]
    report.add("highest rate, requests/s", f"{worst.offered:,.0f}")
    report.add(
        "… answered in time, 503, failed, unanswered",
        f"{worst.achieved / worst.offered:.0%}, {worst.refused:,}, {worst.failed:,},"
        f" {worst.unanswered:,}",
    )
    others = max(step.cores["others"] for step in steps)
    report.add("cores that others kept busy, most", f"{others:.2f}")
    wrong = sum(step.failed for step in steps)
    report.add("answers that are neither 200 nor 503", f"{wrong}", "0", wrong == 0)
    late = [step for step in steps if found and step.offered <= found.offered]
    most = max((step.lag_p99_ms for step in late), default=0.0)
    report.add("generator late by itself up to the knee, p99", f"{most:.2f} ms")
    is_within = memory <= API_BYTES
    report.add("memory of the API at the end", f"{memory / 1e6:.0f} MB", "<= 150 MB", is_within)


def _good(statuses: dict[str, int]) -> int:
    return statuses.get("200", 0) + statuses.get("503", 0)


def _idle_seconds() -> float:
    times = psutil.cpu_times()
    return float(times.idle + times.iowait)


def _say(step: Step) -> None:
    state = "" if step.achieved >= ACHIEVED * step.offered else "  behind"
    print(
        f"{step.offered:8,.0f}/s  {step.achieved:8,.0f}/s  p50 {step.p50_ms:8.2f} ms  p99"
        f" {step.p99_ms:8.2f} ms  {step.cores}{state}",
        file=sys.stderr,
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--seconds", type=float, help="of a step")
    parser.add_argument("--first", type=float, default=FIRST, help="rate of the first step")
    parser.add_argument("--size", help="of the world, e.g. 100k; by default the largest")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    about = harness.machine()
    report = measure(seconds=options.seconds, first=options.first, size=options.size)
    print(f"knee: {ACHIEVED:.0%} answered in time, p99 <= {SLOWER:g} x the lowest rate's")
    print(harness.show(report))
    if options.json:
        harness.save([report], about, options.json)
    return int(any(figure.within is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
