"""All benchmarks, one after the other: `make bench`, or `python -m bench`.

Each prints a table, with its budget where it has one. Everything is written as JSON to
`bench/results/`, and compared with the last run of this machine. Nothing else should run on the
machine meanwhile: about half an hour on two cores, of which nine minutes go into the worlds that
reads are measured on (kept for the next run where RENOWN_BENCH_FOLDER is set).

Leaves with 1 if a budget is not kept, with 2 if a benchmark failed, with 130 if it was interrupted:
`--resume` goes on then.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

from bench import compare, record, running
from bench.catalogue import BENCHES, DENSITIES, NAMES, Options
from bench.harness import Report
from bench.record import Record

T = TypeVar("T")

QUICK_SIZES = "1k,10k"


def main() -> int:
    options = _options()
    if options.list:
        return _listed()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.pop("RENOWN_BENCH_QUICK", None)
    if options.quick:
        os.environ["RENOWN_BENCH_QUICK"] = "1"
        os.environ.setdefault("RENOWN_BENCH_SIZES", QUICK_SIZES)
    try:
        with running.alone():
            return _run(options)
    except (running.AlreadyRunning, running.NotResumable) as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; python -m bench --resume goes on", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    wanted = Options(tuple(options.size), tuple(options.density), options.rounds, options.quick)
    begin = running.Partial.resumed if options.resume else running.Partial.begun
    partial = begin(wanted)
    run = partial.run
    print(running.head(run.machine, run.versions), flush=True)
    benches = [bench for bench in BENCHES if bench.name in options.only]
    last = _last(run)
    running.take(partial, benches, _say, _show, running.durations_of(last[1]) if last else {})
    path = record.write(run, options.json)
    partial.path.unlink(missing_ok=True)
    print(f"\ndurations\n{running.show_durations(run)}")
    print(f"\nwritten to {path}")
    if last is not None and not options.quick:
        print(f"\nagainst {last[0].name}\n{compare.show(compare.compare(last[1], run))}")
    if options.write_docs:
        from bench import report

        print("\n".join(f"written to {one}" for one in report.write_docs(run)))
    return _verdict(run)


def _verdict(run: Record) -> int:
    failed = [bench.name for bench in run.benches if bench.state == "failed"]
    over = run.over()
    if over:
        print("\nover budget")
        for held, name, figure in over:
            print(f"  {held.bench}: {held.setting}: {name}: {figure.value} ({figure.budget})")
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
        return 2
    if run.quick:
        print("\nonly for a look: at these sizes budgets say nothing")
        return 0
    return int(bool(over))


def _last(run: Record) -> tuple[Path, Record] | None:
    """The last whole run of this machine; one for a look is none."""
    for path in reversed(record.earlier()):
        try:
            found = record.read(path)
        except (OSError, ValueError):
            continue
        if found.where == run.where and not found.quick:
            return path, found
    return None


def _listed() -> int:
    for bench in BENCHES:
        minutes = f"{bench.seconds // 60}:{bench.seconds % 60:02}"
        print(f"{bench.name:<12} {minutes:>5}  {bench.about}{' (worlds)' if bench.worlds else ''}")
    total = sum(bench.seconds for bench in BENCHES) // 60
    print(f"about {total} minutes on two cores, and 9 for the worlds")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _show(report: Report) -> None:
    print(running.text_of(report), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="name the benches, and leave")
    parser.add_argument("--only", type=_several(_one_of(NAMES)), default=list(NAMES))
    parser.add_argument("--quick", action="store_true", help="small sizes, for a look")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument(
        "--size",
        type=_several(_events),
        default=[],
        help="events of a backfill, e.g. 100k,1M; 10M takes its time and 16 GB of disk",
    )
    parser.add_argument("--density", type=_several(_one_of(DENSITIES)), default=list(DENSITIES))
    parser.add_argument(
        "--rounds", type=int, default=0, help="of what goes in rounds, instead of each one's own"
    )
    parser.add_argument("--json", type=Path, help="file to write instead of bench/results/")
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="write tables and charts of docs/explanation/performance.md from what was found",
    )
    return parser.parse_args()


def _several(read: Callable[[str], T]) -> Callable[[str], list[T]]:
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
