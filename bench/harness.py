"""What every benchmark measures with: CPU time of process trees, memory, rounds, and a report."""

from __future__ import annotations

import os
import platform
import statistics
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

RESULTS = Path(__file__).parent / "results"

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all it ever started, zombies waited for or not.

    The time of a child that has ended is in its parent's account once that has waited for it; a
    live child has its own. So each second is counted once. 10 ms fine.
    """
    total = 0.0
    for process in _tree(pid):
        try:
            stat = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()  # from the state on: utime is 14 of man 5 proc
        total += sum(map(int, fields[11:15])) / _TICKS
    return total


def peak_rss_bytes(pid: int) -> int:
    """The most memory a process has held resident so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def pss_bytes(pid: int) -> int:
    """Memory of a process tree, what is shared divided among those who share it."""
    total = 0
    for process in _tree(pid):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def _tree(pid: int) -> list[int]:
    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


class Memory:
    """Samples the PSS of process trees while a block runs: `with Memory(indexer=pid) as memory`."""

    def __init__(self, *, every_seconds: float = 0.5, **pids: int) -> None:
        self._pids = pids
        self._every_seconds = every_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.samples: dict[str, list[int]] = {name: [] for name in pids}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def peak(self, name: str) -> int:
        """The highest sample, in bytes."""
        return max(self.samples[name], default=0)

    def _watch(self) -> None:
        while not self._done.wait(self._every_seconds):
            for name, pid in self._pids.items():
                self.samples[name].append(pss_bytes(pid))


@dataclass(frozen=True, slots=True)
class Spread:
    """Rounds of one figure."""

    median: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one round."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def __format__(self, spec: str) -> str:
        if self.rounds == 1:
            return format(self.median, spec)
        return f"{self.median:{spec}} ({self.least:{spec}}-{self.most:{spec}})"


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(slots=True)
class Figure:
    """One line of a report. `within` says whether it keeps the budget; None where there is none."""

    name: str
    value: str
    budget: str = ""
    within: bool | None = None


@dataclass(slots=True)
class Report:
    """What one benchmark found: figures to read, and everything as numbers."""

    bench: str
    setting: str
    figures: list[Figure] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, value: str, budget: str = "", within: bool | None = None) -> None:
        """One more line."""
        self.figures.append(Figure(name, value, budget, within))


def full_names(figures: Iterable[Figure]) -> Iterator[str]:
    """Names with what they go on from: `… p99` after `agent by key` is `agent by key, p99`.

    What is indented goes on, too.
    """
    of = ""
    for figure in figures:
        name = figure.name.strip()
        if figure.name.startswith(("…", " ")):
            yield f"{of}, {name.removeprefix('…').strip()}"
        else:
            of = name
            yield name


def show(report: Report) -> str:
    """A report as a table of text."""
    rows = [(f.name, f.value, f.budget, _verdict(f.within)) for f in report.figures]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
    lines = [f"{report.bench}: {report.setting}"]
    lines += [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _verdict(within: bool | None) -> str:
    return "" if within is None else ("within" if within else "OVER")


def is_quick() -> bool:
    """Whether a run is only for a look: small sizes, few rounds, figures that mean little."""
    return os.environ.get("RENOWN_BENCH_QUICK") == "1"


def machine() -> dict[str, Any]:
    """The machine and the versions, for the head of every report."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def save(reports: Iterable[Report], about: dict[str, Any], path: Path | None = None) -> Path:
    """Write the reports of one bench that was run by itself, as `record` has it."""
    from bench import record

    run = record.Record.begun()
    run.machine = about
    for name, part in record.grouped(reports).items():
        run.benches.append(record.Taken(name, "done", 0.0, part))
    return record.write(run, path)
