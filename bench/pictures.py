"""Which charts a run gives, and of what. Pure.

Reports give their figures for charts under agreed names in `numbers` (see `latency`, `throughput`,
`memory` and the steps of `load`). A chart without figures is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.charts import Panel, Row, Series, dots, lines
from bench.record import Record
from bench.worlds import agents

MOST_PANELS = 24
BESIDE = ", into rows"
"""How names end that say the same with the driver's part: in the tables, not in the charts."""
MEMORY = {"API": 150e6, "indexer": 300e6}
"""Budgets, by a word in the name of a process."""


def pictures(run: Record) -> dict[str, str]:
    """File names and charts."""
    found = {
        "latency.svg": _latency(run),
        "search-latency.svg": _search_latency(run),
        "ratios.svg": _ratios(run, "reads", "p50", "Reads"),
        "search-ratios.svg": _ratios(run, "search", "p99", "Searches"),
        "throughput.svg": _throughput(run),
        "routes.svg": _routes(run),
        "load.svg": _load(run),
        "memory.svg": _memory(run),
    }
    return {name: chart for name, chart in found.items() if chart is not None}


def said_time(us: float) -> str:
    """Microseconds as people read them."""
    for unit, by in (("s", 1e6), ("ms", 1e3)):
        if us >= by:
            return f"{_short(us / by)} {unit}"
    return f"{_short(us)} µs"


def said_count(value: float) -> str:
    """10,000 is 10 k."""
    for unit, by in (("M", 1e6), ("k", 1e3)):
        if value >= by:
            return f"{_short(value / by)} {unit}"
    return _short(value)


def said_times(value: float) -> str:
    """A ratio."""
    return f"{_short(value)} ×"


def said_megabytes(value: float) -> str:
    """Bytes as megabytes."""
    return f"{value / 1e6:,.0f} MB"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"


def _latency(run: Record) -> str | None:
    return _latencies(
        run, "reads", "Keyed reads and pages in SQL", "Time of a statement against table size"
    )


def _search_latency(run: Record) -> str | None:
    return _latencies(run, "search", "Search in SQL", "Time of a search against table size")


def _latencies(run: Record, bench: str, title: str, what: str) -> str | None:
    found = _numbers_of(run, bench, "latency")
    bound = {name: held for name, held in found.items() if _limit(run, bench, name) is not None}
    found = bound or found  # the others stand in the chart of ratios
    panels = [
        Panel(name, _p50_p99(by_size, "p50_us", "p99_us"), said_time)
        for name, by_size in list(found.items())[:MOST_PANELS]
        if by_size
    ]
    if not panels:
        return None
    description = f"{what}, p50 and p99. " + "; ".join(
        f"{name}: " + ", ".join(f"{size} {said_time(one['p50_us'])}" for size, one in sizes.items())
        for name, sizes in found.items()
    )
    return lines(
        f"{title}: p50 and p99 against the number of agents",
        description,
        panels,
        x_ticks=_sizes(found),
        say_x=said_count,
        x_name="agents (ten feedbacks and five payments each on average)",
    )


def _ratios(run: Record, bench: str, quantile: str, what: str) -> str | None:
    rows = []
    for name, by_size in _numbers_of(run, bench, "latency").items():
        values = [
            (f"{size} agents", float(one[f"{quantile}_ratio"]))
            for size, one in by_size.items()
            if one.get(f"{quantile}_ratio")
        ]
        if values:
            rows.append(Row(name, values, _limit(run, bench, name)))
    if not rows:
        return None
    return dots(
        f"{what} against a prepared SELECT of one row by its primary key ({quantile})",
        "; ".join(f"{r.label}: " + ", ".join(f"{n} {v:.2f}" for n, v in r.values) for r in rows),
        rows,
        say=said_times,
        x_name="times as long as the baseline",
    )


def _limit(run: Record, bench: str, name: str) -> float | None:
    """The budget of the figure of that name, where it is one of a ratio."""
    for report in run.reports:
        for figure in report.figures if report.bench == bench else ():
            found = re.fullmatch(r"(?:p\d\d )?<= (\d+(?:\.\d+)?)(?: ?[x×])?", figure.budget)
            if found is not None and figure.name == name:
                return float(found[1])
    return None


def _throughput(run: Record) -> str | None:
    """Of routes that were measured at several sizes."""
    found = {
        route: by_size for route, by_size in run.numbers("throughput").items() if len(by_size) > 1
    }
    panels = [
        Panel(route, [Series("requests/s", _points(by_size, "requests_per_second"))], said_count)
        for route, by_size in list(found.items())[:MOST_PANELS]
    ]
    if not panels:
        return None
    return lines(
        "Requests a second over HTTP, one API process, against the number of agents",
        _rates_in_words(found),
        panels,
        x_ticks=_sizes(found),
        say_x=said_count,
        x_name="agents",
    )


def _routes(run: Record) -> str | None:
    """Of all routes, with what they have to reach."""
    found = run.numbers("throughput")
    rows = []
    for route, by_size in found.items():
        values = [
            (f"{size} agents", float(one["requests_per_second"])) for size, one in by_size.items()
        ]
        rows.append(Row(route, values, _least(run, f"{route}, anew: requests/s")))
    if not rows:
        return None
    return dots(
        "Requests a second by route, one API process on one core, read anew each time",
        _rates_in_words(found),
        rows,
        say=said_count,
        x_name="requests a second",
        limit_name="budget, or the best peer",
    )


def _rates_in_words(found: Mapping[str, Mapping[str, Any]]) -> str:
    return "; ".join(
        f"{route}: "
        + ", ".join(f"{size} {one['requests_per_second']:,.0f}/s" for size, one in by_size.items())
        for route, by_size in found.items()
    )


def _least(run: Record, name: str) -> float | None:
    """What the figure of that name has to reach, of HTTP."""
    for report in run.reports:
        for figure in report.figures if report.bench == "http" else ():
            found = re.fullmatch(r">=? ([\d,]+)", figure.budget)
            if found is not None and figure.name == name:
                return float(found[1].replace(",", ""))
    return None


def _load(run: Record) -> str | None:
    report = next((r for r in run.reports if r.bench == "load" and r.numbers.get("steps")), None)
    if report is None:
        return None
    steps = sorted(report.numbers["steps"], key=lambda step: float(step["offered"]))
    mark = (report.numbers["knee"], "knee") if report.numbers.get("knee") else None
    taken = {
        name: [(step["offered"], max(step[field], 1e-3) * by) for step in steps]
        for name, field, by in (
            ("answered a second", "achieved", 1.0),
            ("p50", "p50_ms", 1e3),
            ("p99", "p99_ms", 1e3),
        )
    }
    cores = [
        Series(name, [(step["offered"], step["cores"].get(field, 0.0)) for step in steps])
        for name, field in (
            ("API", "api"),
            ("PostgreSQL", "postgres"),
            ("generator", "client"),
        )
    ]
    answered = [Series("answered a second", taken["answered a second"])]
    times = [Series("p50", taken["p50"]), Series("p99", taken["p99"])]
    return lines(
        "One API process at a rising rate (open model: latency from when a request was due)",
        "; ".join(
            f"{step['offered']:,.0f} offered: {step['achieved']:,.0f} answered,"
            f" p50 {step['p50_ms']:.2f} ms, p99 {step['p99_ms']:.2f} ms"
            for step in steps
        ),
        [
            Panel("answered a second", answered, said_count, "log", mark, True),
            Panel("latency", times, said_time, "log", mark),
            Panel("busy cores", cores, lambda value: f"{value:.1f}", "linear", mark),
        ],
        x_ticks=None,
        say_x=said_count,
        x_name="requests offered a second (dashed: all of them answered)",
        columns=3,
        height=210,
        shared_y=False,
    )


def _memory(run: Record) -> str | None:
    found = run.numbers("memory")
    rows = [
        Row(
            process,
            [(f"{size} agents", float(held)) for size, held in by_size.items()],
            next((most for word, most in MEMORY.items() if word in process), None),
        )
        for process, by_size in found.items()
        if by_size
    ]
    if not rows:
        return None
    return dots(
        "Memory of the processes",
        "; ".join(
            f"{r.label}: " + ", ".join(f"{n} {said_megabytes(v)}" for n, v in r.values)
            for r in rows
        ),
        rows,
        say=said_megabytes,
        x_name="memory, shared parts divided",
        kind="linear",
    )


def _numbers_of(run: Record, bench: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for report in run.reports:
        if report.bench == bench:
            found |= report.numbers.get(kind, {})
    return {name: by_size for name, by_size in found.items() if not name.endswith(BESIDE)}


def _p50_p99(by_size: Mapping[str, Any], p50: str, p99: str) -> list[Series]:
    return [
        Series("p50", _points(by_size, p50)),
        Series("p99", _points(by_size, p99), thin=True),
    ]


def _points(by_size: Mapping[str, Any], field: str) -> list[tuple[float, float]]:
    return [(float(agents(size)), float(one[field])) for size, one in by_size.items()]


def _sizes(found: Mapping[str, Mapping[str, Any]]) -> list[float]:
    return sorted({float(agents(size)) for by_size in found.values() for size in by_size})
