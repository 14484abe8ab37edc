"""The measured part of `docs/explanation/performance.md`: tables and charts, from a run's file.

`python -m bench.report [FILE ...]` prints it, `--write` puts it between the marks of the page and
writes the charts. Of several files each bench is taken from the last one that has it, so that a
part may be measured again. Without files it is the last run.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import record, running
from bench.harness import Figure, Report, full_names
from bench.pictures import pictures
from bench.record import Record

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "performance.md"
README = ROOT / "README.md"
CHARTS = PAGE.parent / "charts"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

_ABOUT = {
    "latency.svg": "Time of keyed reads and pages in SQL against the number of agents",
    "search-latency.svg": "Time of searches in SQL against the number of agents",
    "ratios.svg": "Reads against a prepared SELECT by primary key",
    "search-ratios.svg": "Searches against a prepared SELECT by primary key",
    "throughput.svg": "Requests a second over HTTP against the number of agents",
    "routes.svg": "Requests a second by route",
    "load.svg": "Load test: rate offered, rate answered, latency, busy cores",
    "memory.svg": "Memory of the processes against the number of agents",
}


def page(run: Record) -> str:
    """Everything between the marks, as Markdown."""
    parts = [_head(run), _charts(pictures(run)), "### Budgets", _budgets(run)]
    parts += ["### All figures", _everything(run), "### What took how long", _durations(run)]
    return "\n\n".join(part for part in parts if part)


def headline(run: Record) -> str | None:
    """One sentence with a chart, for the README; None where the load test was not run."""
    load = next((one for one in run.reports if one.bench == "load"), None)
    if load is None or "knee" not in load.numbers:
        return None
    knee = next(step for step in load.numbers["steps"] if step["offered"] == load.numbers["knee"])
    size = load.setting.partition(", ")[2].partition(" agents")[0]
    return (
        f"On {run.machine.get('cores')} cores, with {size} agents, one API process answers"
        f" {knee['offered']:,.0f} mixed requests a second (p50 {knee['p50_ms']:.1f} ms, p99"
        f" {knee['p99_ms']:.0f} ms, database and load generator on the same machine) before"
        " answers come later.\n\n![Time of reads against the number of agents]"
        "(docs/explanation/charts/latency.svg)"
    )


def between(text: str, generated: str) -> str:
    """`text` with what stands between its marks replaced.

    Raises:
        ValueError: it has no marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{generated}\n\n{END}{after}"


def write_docs(run: Record) -> list[Path]:
    """Write page and charts; the README's sentence where that has the marks. What was written."""
    PAGE.write_text(between(PAGE.read_text(), page(run)))
    written = [PAGE]
    CHARTS.mkdir(exist_ok=True)
    for name, chart in pictures(run).items():
        (CHARTS / name).write_text(chart)
        written.append(CHARTS / name)
    readme, sentence = README.read_text(), headline(run)
    if BEGIN in readme and sentence is not None:
        README.write_text(between(readme, sentence))
        written.append(README)
    return written


def _head(run: Record) -> str:
    machine = dict(run.machine)
    words = [
        f"{machine.get('cores')} cores ({machine.get('cpu')})",
        f"{machine.get('memory_gb')} GB",
        str(machine.get("system", "")),
        f"Python {machine.get('python')}",
        *(f"{_name(name)} {value}" for name, value in run.versions.items()),
    ]
    commit = str(run.revision.get("commit", ""))[:12] or "unknown"
    dirty = " with changes" if run.revision.get("dirty") else ""
    total = sum(one.seconds for one in run.benches)
    return (
        f"Taken {run.taken_at[:10]} by `make bench` in {total / 60:.0f} minutes, at commit"
        f" {commit}{dirty}: {', '.join(words)}. Where a figure has its spread, it is"
        " *median (least-most)* of its rounds; p50 and p99 are of single requests."
    )


def _charts(found: dict[str, Any]) -> str:
    return "\n\n".join(f"![{_ABOUT[name]}](charts/{name})" for name in found)


def _budgets(run: Record) -> str:
    """Every figure that has a budget."""
    rows = []
    for bench in run.benches:
        for report in bench.reports:
            bound = [
                (name, figure)
                for name, figure in zip(full_names(report.figures), report.figures, strict=True)
                if figure.within is not None
            ]
            if bound:
                rows.append((f"**{report.bench}** {_plain(report.setting)}", "", "", ""))
            rows += [_row(name, figure) for name, figure in bound]
    return _table(("what", "measured", "budget", ""), rows)


def _everything(run: Record) -> str:
    parts = []
    for bench in run.benches:
        parts += [_details(report) for report in bench.reports]
        if bench.state == "failed":
            parts.append(f"**{bench.name} failed**: {_plain(bench.error.splitlines()[-1])}")
    return "\n\n".join(parts)


def _details(report: Report) -> str:
    rows = [
        _row(name, figure)
        for name, figure in zip(full_names(report.figures), report.figures, strict=True)
    ]
    title = f"{report.bench}: {_plain(report.setting)}"
    table = _table(("what", "measured", "budget", ""), rows)
    return f"<details><summary>{title}</summary>\n\n{table}\n\n</details>"


def _durations(run: Record) -> str:
    return f"```\n{running.show_durations(run)}\n```"


def _row(name: str, figure: Figure) -> tuple[str, str, str, str]:
    verdict = "" if figure.within is None else ("met" if figure.within else "**over**")
    return _plain(name), _plain(figure.value), _plain(figure.budget), verdict


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(line.replace("|  |", "| |").replace("  |", " |") for line in lines)


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([|*_<>`])", r"\\\1", text).replace("\\<=", "≤").replace("\\>=", "≥")


def _name(package: str) -> str:
    return {"postgresql": "PostgreSQL"}.get(package, package)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--write", action="store_true", help="write page, charts and README")
    options = parser.parse_args()
    files = options.files or record.earlier()[-1:]
    if not files:
        parser.error("there is no run: python -m bench")
    try:
        run = record.merged(record.read(path) for path in files)
    except (OSError, ValueError) as exc:
        parser.error(str(exc))
    if not options.write:
        print(page(run))
        return 0
    for path in write_docs(run):
        print(f"written to {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
