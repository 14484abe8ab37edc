"""The file of a run: machine, versions, revision, and all reports, as JSON with a schema's number.

    {"schema": 2, "taken_at": "2026-11-23T08:00:00+00:00", "quick": false,
     "machine": {...}, "versions": {...}, "revision": {"commit": "…", "dirty": false},
     "benches": [{"name": "reads", "state": "done", "seconds": 151.2, "reports": [...]}]}

A report is `harness.Report` as a dictionary. `state` is `done`, `failed` (with what was measured
before it failed, and `error`), or `unmeasured` where a report says why nothing could be measured.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from bench import harness
from bench.harness import Figure, Report, full_names

SCHEMA = 2
RESULTS = harness.RESULTS
_PACKAGES = ("asyncpg", "uvicorn", "uvloop", "httptools", "msgspec", "fastapi", "starlette")


@dataclass(slots=True)
class Taken:
    """One bench of a run. `seconds` is how long it took as a whole, `error` why it failed."""

    name: str
    state: str
    seconds: float
    reports: list[Report] = field(default_factory=list)
    error: str = ""


@dataclass(slots=True)
class Record:
    """A run."""

    machine: dict[str, Any]
    versions: dict[str, Any]
    revision: dict[str, Any]
    taken_at: str
    quick: bool = False
    benches: list[Taken] = field(default_factory=list)

    @classmethod
    def begun(cls, *, quick: bool = False) -> Self:
        """An empty one, of this machine at this moment."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        return cls(harness.machine(), versions(), revision(), now, quick)

    @property
    def reports(self) -> list[Report]:
        """Of all benches."""
        return [report for bench in self.benches for report in bench.reports]

    @property
    def where(self) -> tuple[Any, ...]:
        """What must be equal for two runs to be compared."""
        return tuple(self.machine.get(name) for name in ("cpu", "cores", "memory_gb"))

    def over(self) -> list[tuple[Report, str, Figure]]:
        """Figures that do not keep their budget, with their full names."""
        return [
            (report, name, figure)
            for report in self.reports
            for name, figure in zip(full_names(report.figures), report.figures, strict=True)
            if figure.within is False
        ]

    def numbers(self, kind: str) -> dict[str, Any]:
        """What all reports have under `numbers[kind]`, {name: {size: …}}; the later one wins."""
        found: dict[str, Any] = {}
        for report in self.reports:
            held = report.numbers.get(kind)
            for name, by_size in held.items() if isinstance(held, dict) else ():
                found[name] = found.get(name, {}) | by_size
        return found

    def as_json(self) -> dict[str, Any]:
        """What the file has."""
        return {"schema": SCHEMA} | asdict(self)


def read(path: Path) -> Record:
    """A file of this or the first schema.

    Raises:
        ValueError: it is none.
    """
    try:
        content = json.loads(path.read_text())
        if "schema" not in content:  # the first one: a machine and reports, nothing else
            reports = [report_of(one) for one in content["reports"]]
            benches = [Taken(name, "done", 0.0, part) for name, part in grouped(reports).items()]
            return Record(content["machine"], {}, {}, path.stem, benches=benches)
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']}, this version reads {SCHEMA}")
        content = {name: value for name, value in content.items() if name != "schema"}
        content["benches"] = [taken_of(one) for one in content["benches"]]
        return Record(**content)
    except (ValueError, KeyError, TypeError) as exc:
        raise ValueError(f"{path} is no file of benchmarks: {exc}") from exc


def write(record: Record, path: Path | None = None) -> Path:
    """Write it, by default to a file of `RESULTS` named by the time; whole or not at all."""
    if path is None:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(json.dumps(record.as_json(), indent=1) + "\n")
    scratch.replace(path)
    return path


def merged(records: Iterable[Record]) -> Record:
    """One record of several, oldest first: each bench as the last that measured it has it.

    Machine, versions and revision are the last one's.
    """
    listed = list(records)
    benches: dict[str, Taken] = {}
    for one in listed:
        for bench in one.benches:
            if bench.state == "done" or bench.name not in benches:
                benches[bench.name] = bench
    last = listed[-1]
    return Record(
        last.machine, last.versions, last.revision, last.taken_at, last.quick, [*benches.values()]
    )


def earlier(than: Path | None = None) -> list[Path]:
    """Files of `RESULTS`, oldest first, up to but without `than`."""
    found = sorted(RESULTS.glob("2*.json"))
    return [path for path in found if than is None or path.name < than.name]


def taken_of(content: dict[str, Any]) -> Taken:
    """From JSON."""
    reports = [report_of(one) for one in content["reports"]]
    return Taken(**(content | {"reports": reports}))


def report_of(content: dict[str, Any]) -> Report:
    """From JSON."""
    figures = [Figure(**figure) for figure in content["figures"]]
    return Report(content["bench"], content["setting"], figures, content["numbers"])


def versions() -> dict[str, Any]:
    """Of what is measured: Python and kernel are the machine's, see `harness.machine`."""
    from renown.store.embedded import pg_bin_dir

    answer = subprocess.run(
        [str(pg_bin_dir() / "postgres"), "--version"], capture_output=True, text=True, check=False
    )
    found: dict[str, Any] = {"postgresql": (answer.stdout.split() or ["unknown"])[-1]}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def revision() -> dict[str, Any]:
    """The commit, and whether files differ from it; empty where this is no checkout of git."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    return {"commit": commit.strip(), "dirty": bool((_git("status", "--porcelain") or "").strip())}


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def grouped(reports: Iterable[Report]) -> dict[str, list[Report]]:
    """By bench, in the order in which they come."""
    found: dict[str, list[Report]] = {}
    for report in reports:
        found.setdefault(report.bench, []).append(report)
    return found
