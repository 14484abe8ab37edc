"""Two runs side by side: `python -m bench.compare [OLD NEW] [--fail-over 1.2]`.

Without files, the last two. Shown is what changed beyond the spread of both. A figure's text is
taken apart into its numbers, `12.5 (11.0-14.1) ms` into a median, its spread and a unit; two
figures are compared where all words between their numbers are equal.

Whether less is better follows from the budget (`<=` or `>=`), else from the unit: of times and
sizes less, of rates more. Where neither says it, a change is shown and not judged.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from bench import record
from bench.harness import Figure, Report, Spread, full_names
from bench.record import Record

Better: TypeAlias = Literal["less", "more", "unknown"]

ALONE = 0.15
"""How far a figure of one round may be off, as a share: nobody has seen its spread."""
LEAST = 1.05
"""A smaller change is not worth a line, even where every round saw it."""
SHOWN_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a figure with what stands behind it."""

    spread: Spread
    unit: str


@dataclass(frozen=True, slots=True)
class Change:
    """A number that is not what it was.

    Attributes:
        ratio: the new median by the old one.
        worse: how many times as bad it is; below 1 it is better, None where nobody can say.
    """

    bench: str
    setting: str
    name: str
    old: Number
    new: Number
    ratio: float
    worse: float | None


_NUMBER = re.compile(
    r"(?P<median>[+-]?\d[\d,]*(?:\.\d+)?)"
    r"(?: \((?P<least>[+-]?\d[\d,]*(?:\.\d+)?)[-–](?P<most>[+-]?\d[\d,]*(?:\.\d+)?)\))?"
    r"(?P<unit> ?(?:%|[µu]s|ms|ns|s|min|MB|GB|MiB|KB|kB|x|×|[A-Za-z]+/s)?(?![\w/]))"
)
_ASKED = re.compile(r"\bn \d[\d,]*")
_MORE = re.compile(r"/s\b|per second|rate\b|throughput", re.IGNORECASE)
_LESS_UNITS = frozenset(
    {"µs", "us", "ms", "ns", "s", "min", "MB", "GB", "MiB", "KB", "kB", "x", "×"}
)
_LESS = re.compile(r"\b([µu]s|ms|ns|s|seconds|MB|GB|RSS|bytes|delay|latency|p50|p99)\b")


def numbers_of(text: str) -> tuple[str, list[Number]]:
    """The words of a figure with `#` for each number, and the numbers.

    How many were asked (`n 1,412`) is what the time allowed: it is no number to compare.
    """
    numbers: list[Number] = []

    def taken(found: re.Match[str]) -> str:
        median = _float(found["median"])
        if found["least"] is None:
            spread = Spread(median, median, median, 1)
        else:
            spread = Spread(median, _float(found["least"]), _float(found["most"]), 2)
        numbers.append(Number(spread, found["unit"].strip()))
        return "#" + found["unit"]

    return _NUMBER.sub(taken, _ASKED.sub("n", text)), numbers


def better(figure: Figure, number: Number) -> Better:
    """Whether less or more of a number is better."""
    words = f"{figure.name} {figure.value}"
    if number.unit.endswith("/s") or (_MORE.search(words) and number.unit not in _LESS_UNITS):
        return "more"
    if number.unit in _LESS_UNITS:
        return "less"
    if bound := re.match(r"(?:p\d\d )?(?:(<|≤)|>|≥)", figure.budget):
        return "less" if bound[1] else "more"
    return "less" if _LESS.search(words) else "unknown"


def changed(old: Spread, new: Spread) -> bool:
    """Whether the two are apart by more than what each of them varied by."""
    (a, b), (c, d) = _range(old), _range(new)
    if not (b < c or d < a):
        return False
    low, high = sorted((abs(old.median), abs(new.median)))
    return low == 0 or high / low >= LEAST


def compare(old: Record, new: Record) -> list[Change]:
    """What changed, in the new run's order.

    Reports are matched by bench and setting; where a setting names what was measured, by its words,
    if no other report of the bench has the same ones.
    """
    before, alike = {(one.bench, one.setting): one for one in old.reports}, _by_words(old)
    alike_now = _by_words(new)
    found: list[Change] = []
    for report in new.reports:
        was = before.get((report.bench, report.setting))
        words = _words(report)
        if was is None and len(alike[words]) == len(alike_now[words]) == 1:
            was = alike[words][0]
        figures = _named(was) if was else {}
        for name, figure in _named(report).items():
            if name in figures:
                for one, other in _pairs(figures[name], figure):
                    if changed(one.spread, other.spread):
                        found.append(_change(report, name, figure, one, other))
    return found


def missing(old: Record, new: Record) -> list[str]:
    """Benches of the old run that the new one has not measured."""
    measured = {bench.name for bench in new.benches if bench.state == "done"}
    return [b.name for b in old.benches if b.state == "done" and b.name not in measured]


def show(changes: Sequence[Change]) -> str:
    """As a table of text, what became worse first."""
    if not changes:
        return "nothing changed beyond the spread"
    rows = [("", "bench", "figure", "was", "is", "times")]
    for one in sorted(changes, key=lambda one: -(one.worse or 0)):
        word = "" if one.worse is None else ("worse" if one.worse > 1 else "better")
        name = f"{one.setting}: {one.name}" if one.setting else one.name
        was, now = _shown(one.old), _shown(one.new)
        rows.append((word, one.bench, name, was, now, f"{one.ratio:.2f}"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def worst(changes: Sequence[Change]) -> float:
    """How many times as bad the worst is; 1 where nothing is worse."""
    return max((one.worse for one in changes if one.worse is not None), default=1.0)


def _words(report: Report) -> tuple[str, str]:
    return report.bench, numbers_of(report.setting)[0]


def _by_words(run: Record) -> defaultdict[tuple[str, str], list[Report]]:
    found: defaultdict[tuple[str, str], list[Report]] = defaultdict(list)
    for report in run.reports:
        found[_words(report)].append(report)
    return found


def _pairs(old: Figure, new: Figure) -> Iterator[tuple[Number, Number]]:
    words, numbers = numbers_of(old.value)
    other_words, others = numbers_of(new.value)
    if words == other_words:
        yield from zip(numbers, others, strict=True)


def _named(report: Report) -> dict[str, Figure]:
    return dict(zip(full_names(report.figures), report.figures, strict=True))


def _change(report: Report, name: str, figure: Figure, old: Number, new: Number) -> Change:
    ratio = new.spread.median / old.spread.median if old.spread.median else float("inf")
    which = better(figure, new)
    worse = None
    if ratio > 0 and which != "unknown":
        worse = ratio if which == "less" else 1 / ratio
    return Change(report.bench, report.setting, name, old, new, ratio, worse)


def _range(spread: Spread) -> tuple[float, float]:
    if spread.rounds > 1:
        return spread.least, spread.most
    width = abs(spread.median) * ALONE / 2
    return spread.median - width, spread.median + width


def _float(text: str) -> float:
    return float(text.replace(",", ""))


def _shown(number: Number) -> str:
    value = number.spread.median
    text = f"{value:,.0f}" if abs(value) >= 10**SHOWN_DIGITS else f"{value:.{SHOWN_DIGITS}g}"
    return f"{text} {number.unit}".strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="OLD and NEW")
    parser.add_argument(
        "--fail-over",
        type=float,
        metavar="TIMES",
        help="leave with 1 if a figure is worse by more than this",
    )
    options = parser.parse_args()
    files = options.files or record.earlier()[-2:]
    if len(files) != 2:
        parser.error("two files are compared: OLD and NEW")
    try:
        old, new = (record.read(path) for path in files)
    except (OSError, ValueError) as exc:
        parser.error(str(exc))
    if old.where != new.where:
        print(f"WARNING: of different machines: {old.where} and {new.where}")
    changes = compare(old, new)
    print(f"{files[0].name} ({old.taken_at}) -> {files[1].name} ({new.taken_at})")
    print(show(changes))
    if not_measured := missing(old, new):
        print(f"not measured now: {', '.join(not_measured)}")
    return int(options.fail_over is not None and worst(changes) > options.fail_over)


if __name__ == "__main__":
    sys.exit(main())
