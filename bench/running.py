"""A run: benches one after the other, each in its own process, kept as they come.

What is taken stands at once in a file of lines, the partial one: a head with what the run is of,
then a line for each bench. An interrupted run goes on from it (`Partial.resumed`).
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import harness, record, worlds
from bench.catalogue import Bench, Options
from bench.harness import Report
from bench.record import Record, Taken

PARTIAL = record.RESULTS / "partial.jsonl"
LEAVE_SECONDS = 30.0
"""How long a bench that is ended may take to remove what it made."""
WORLD_SECONDS = {"10k": 15, "100k": 60, "1M": 480}
"""What making a world takes on two cores."""
BUSY_LOAD = 0.4
"""Load a core above which figures are disturbed."""
_LAST_WORDS, _SAID_WORDS = 25, 3
"""Lines of what a bench that failed wrote: in the file, and said at once."""

Say = Callable[[str], None]


class NotResumable(Exception):
    """The interrupted run was of something else, or there is none."""


class AlreadyRunning(Exception):
    """Another run holds the machine."""


@dataclass(slots=True)
class Partial:
    """A run under way, and its file."""

    run: Record
    options: Options
    path: Path = PARTIAL

    @classmethod
    def begun(cls, options: Options, path: Path = PARTIAL) -> Partial:
        """A new one; what an earlier one left is gone."""
        run = Record.begun(quick=options.quick)
        partial = cls(run, options, path)
        path.parent.mkdir(exist_ok=True)
        head = {name: value for name, value in run.as_json().items() if name != "benches"}
        path.write_text(json.dumps(head | {"options": asdict(options)}) + "\n")
        return partial

    @classmethod
    def resumed(cls, options: Options, path: Path = PARTIAL) -> Partial:
        """The one that was interrupted, without what failed in it.

        A last line that was cut short is as if it had not been written.

        Raises:
            NotResumable: there is none, or it is of other options, another commit or machine.
        """
        lines = path.read_text().splitlines() if path.is_file() else []
        if not lines:
            raise NotResumable("no run was interrupted: start one without --resume")
        head = json.loads(lines[0])
        now = Record.begun(quick=options.quick)
        held = head.pop("options")
        if json.loads(json.dumps(asdict(options))) != held:
            raise NotResumable(f"the interrupted run was of other options: {json.dumps(held)}")
        if head.pop("schema") != record.SCHEMA:
            raise NotResumable("the interrupted run was written by another version")
        run = Record(**head)
        if run.where != now.where or run.revision.get("commit") != now.revision.get("commit"):
            raise NotResumable("the interrupted run was of another machine or commit")
        run.benches = [one for one in _whole(lines[1:]) if one.state == "done"]
        return cls(run, options, path)

    def keep(self, taken: Taken) -> None:
        """Add what a bench found, to the run and to its file, in place of what it had."""
        others = [one for one in self.run.benches if one.name != taken.name]
        self.run.benches = [*others, taken]
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(taken)) + "\n")

    @property
    def done(self) -> set[str]:
        """Names of what need not be taken again."""
        return {one.name for one in self.run.benches if one.state == "done"}


def _whole(lines: Iterable[str]) -> Iterator[Taken]:
    for line in lines:
        with suppress(ValueError):
            yield record.taken_of(json.loads(line))


@contextmanager
def alone() -> Iterator[None]:
    """The block is the only run on this checkout.

    Raises:
        AlreadyRunning: it is not.
    """
    record.RESULTS.mkdir(exist_ok=True)
    with (record.RESULTS / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning("another run of the benchmarks is under way") from None
        yield


def take(
    partial: Partial,
    benches: Sequence[Bench],
    say: Say,
    show: Callable[[Report], None],
    durations: Mapping[str, float],
) -> None:
    """Take what is not taken yet, in this order; `say` hears of the progress.

    Args:
        durations: seconds that benches took here last time, for the time that is left.
    """
    todo = [bench for bench in benches if bench.name not in partial.done]
    needs = any(bench.worlds for bench in todo) and "RENOWN_BENCH_WORLDS" not in os.environ
    expected = {b.name: durations.get(b.name) or b.seconds for b in benches}
    left = sum(expected[bench.name] for bench in todo)
    left += sum(WORLD_SECONDS.get(size, 10) for size in worlds.sizes()) if needs else 0
    say(f"{len(todo)} benches, about {_minutes(left)}")
    _warn_of_load(say)
    worlds_are_there = False
    with worlds.serving() as server:
        for number, bench in enumerate(todo, 1):
            if bench.worlds and needs and not worlds_are_there:
                made = _made(server, say)
                partial.keep(made)
                for report in made.reports:
                    show(report)
                worlds_are_there = True
                left = sum(expected[one.name] for one in todo[number - 1 :])
            about = f"about {_minutes(expected[bench.name])}, {_minutes(left)} in all to go"
            say(f"[{number}/{len(todo)}] {bench.name}: {bench.about}; {about}")
            taken = run_bench(bench, partial.options, show)
            partial.keep(taken)
            left -= expected[bench.name]
            if taken.state == "failed":
                last = "\n    ".join(taken.error.splitlines()[-_SAID_WORDS:])
                say(f"    FAILED after {_minutes(taken.seconds)}: {last}")
            else:
                say(f"    took {_minutes(taken.seconds)}")


def run_bench(bench: Bench, options: Options, show: Callable[[Report], None]) -> Taken:
    """Run one in a process of its own, until its end or its limit."""
    began, limit_seconds = time.monotonic(), bench.limit_seconds(options)
    with tempfile.TemporaryDirectory(prefix="renown-bench-") as folder:
        path, words = Path(folder) / "reports", Path(folder) / "words"
        path.touch()
        with words.open("w") as out:
            environment = os.environ | ({"RENOWN_BENCH_QUICK": "1"} if options.quick else {})
            process = subprocess.Popen(
                command(bench, options, path),
                cwd=Path(__file__).parent.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C is for us; we then end it in order
            )
            error = ""
            try:
                shown = _shown_until_it_ends(process, path, limit_seconds, show)
            except subprocess.TimeoutExpired:
                error = f"it was ended after its limit of {_minutes(limit_seconds)}"
            finally:
                end(process)
        reports = [record.report_of(json.loads(line)) for line in _lines(path)]
        if not error and process.returncode:
            error = _last_words(words)
        if not error and not reports:
            error = "it gave no report"
        if not error:
            for report in reports[shown:]:
                show(report)
    seconds = round(time.monotonic() - began, 1)
    return Taken(bench.name, "failed" if error else "done", seconds, reports, error)


def command(bench: Bench, options: Options, path: Path) -> list[str]:
    """What takes one bench, and writes its reports to `path`."""
    given = json.dumps(asdict(options))
    return [sys.executable, "-m", "bench.one", bench.name, given, str(path)]


def end(process: subprocess.Popen[bytes]) -> None:
    """End a bench and all that it started; it may first remove what it made."""
    if process.poll() is not None:
        return
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(LEAVE_SECONDS)
        for one in started:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.kill()
        process.wait()


def _shown_until_it_ends(
    process: subprocess.Popen[bytes],
    path: Path,
    limit_seconds: float,
    show: Callable[[Report], None],
) -> int:
    """Show reports as they come; how many."""
    shown, give_up_at = 0, time.monotonic() + limit_seconds
    while process.poll() is None:
        if time.monotonic() > give_up_at:
            raise subprocess.TimeoutExpired(process.args, limit_seconds)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        for line in _lines(path)[shown:]:
            show(record.report_of(json.loads(line)))
            shown += 1
    return shown


def _lines(path: Path) -> list[str]:
    """Whole ones."""
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _last_words(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return "\n".join(lines[-_LAST_WORDS:]) or "it ended without a word"


def _made(server: worlds.Server, say: Say) -> Taken:
    """Make the worlds that are missing, and tell who comes after where they are."""
    report, began = Report("worlds", "10 feedbacks and 5 payments an agent"), time.monotonic()
    error = ""
    try:
        for size in worlds.sizes():
            if server.holds(size):
                say(f"world of {size} agents: there already")
                continue
            say(f"world of {size} agents: about {_minutes(WORLD_SECONDS.get(size, 10))}")
            found = server.make(size)
            say(f"    took {_minutes(found['seconds'])}")
            gigabytes = found["bytes"] / 1e9
            report.add(f"{size} agents", f"{found['seconds']:.0f} s, {gigabytes:.2f} GB")
            report.numbers[size] = found
        os.environ["RENOWN_BENCH_WORLDS"] = server.url
    except Exception as exc:  # noqa: BLE001 - benches without worlds go on
        error = f"{type(exc).__name__}: {exc}"
        say(f"    FAILED: {error}")
        os.environ["RENOWN_BENCH_WORLDS"] = "postgresql://nobody@127.0.0.1:1/{name}"
    seconds = round(time.monotonic() - began, 1)
    return Taken("worlds", "failed" if error else "done", seconds, [report], error)


def _warn_of_load(say: Say) -> None:
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > BUSY_LOAD * cores:
        say(f"WARNING: the machine is busy (load {load:.1f} on {cores} cores): figures will be off")


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02} min" if whole >= 60 else f"{whole} s"


def show_durations(run: Record) -> str:
    """Seconds of each bench, and all together."""
    lines = [f"  {one.name:<12} {one.seconds:>7.1f} s  {one.state}" for one in run.benches]
    total = sum(one.seconds for one in run.benches)
    return "\n".join([*lines, f"  {'all':<12} {total:>7.1f} s  ({_minutes(total)})"])


def durations_of(run: Record) -> dict[str, float]:
    """Seconds that each bench took."""
    return {one.name: one.seconds for one in run.benches if one.state == "done"}


def head(about: dict[str, Any], versions: dict[str, Any]) -> str:
    """Machine and versions in one line."""
    return ", ".join(f"{name} {value}" for name, value in (about | versions).items())


def text_of(report: Report) -> str:
    """A report as a person reads it."""
    return f"\n{harness.show(report)}"
