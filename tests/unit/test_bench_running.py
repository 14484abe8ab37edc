"""A run of the benchmarks: one process each, a limit, and going on after an interruption."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import catalogue, record, running
from bench.catalogue import BENCHES, NAMES, Bench, Options
from bench.harness import Report
from bench.record import Taken
from bench.running import NotResumable, Partial


@pytest.fixture(autouse=True)
def _no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record's head without asking git and PostgreSQL."""
    monkeypatch.setattr(record, "versions", lambda: {"postgresql": "18"})
    monkeypatch.setattr(record, "revision", lambda: {"commit": "ab" * 20, "dirty": False})


def taken(name: str, state: str = "done") -> Taken:
    return Taken(name, state, 1.5, [Report(name, "s")], "" if state == "done" else "it broke")


def test_resumed__interrupted_run__goes_on_with_what_was_done(tmp_path: Path) -> None:
    path = tmp_path / "partial.jsonl"
    options = Options(sizes=(100_000,), rounds=2)
    partial = Partial.begun(options, path)
    partial.keep(taken("decode"))
    partial.keep(taken("backfill", "failed"))
    with path.open("a") as file:
        file.write('{"name": "reorg", "state": "do')  # killed while it wrote
    again = Partial.resumed(options, path)
    assert [one.name for one in again.run.benches] == ["decode"]
    assert again.run.taken_at == partial.run.taken_at
    again.keep(taken("backfill"))
    assert again.done == {"decode", "backfill"}


def test_resumed__other_options_or_commit__is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "partial.jsonl"
    with pytest.raises(NotResumable, match="no run was interrupted"):
        Partial.resumed(Options(), path)
    Partial.begun(Options(), path)
    with pytest.raises(NotResumable, match="other options"):
        Partial.resumed(Options(quick=True), path)
    monkeypatch.setattr(record, "revision", lambda: {"commit": "cd" * 20, "dirty": False})
    with pytest.raises(NotResumable, match="another machine or commit"):
        Partial.resumed(Options(), path)


def test_keep__bench_taken_again__replaces_what_it_had(tmp_path: Path) -> None:
    partial = Partial.begun(Options(), tmp_path / "partial.jsonl")
    partial.keep(taken("decode", "failed"))
    partial.keep(taken("decode"))
    assert [one.state for one in partial.run.benches] == ["done"]


def test_alone__second_run__is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    with running.alone(), pytest.raises(running.AlreadyRunning), running.alone():
        pass


def test_run_bench__it_fails__what_it_measured_before_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[Report] = []
    found = running.run_bench(_fake("fails", monkeypatch), Options(), shown.append)
    assert found.state == "failed"
    assert "ZeroDivisionError" in found.error
    assert [report.setting for report in found.reports] == ["before"]


def test_run_bench__it_hangs__is_ended_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "limit_seconds", lambda *_: 0.6)
    found = running.run_bench(_fake("hangs", monkeypatch), Options(), lambda _: None)
    assert found.state == "failed"
    assert "limit" in found.error
    assert found.seconds < 30


def _fake(name: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench that measures one thing, and then fails or hangs."""

    def command(bench: Bench, _: Options, path: Path) -> list[str]:
        return [sys.executable, "-c", _PROGRAM, bench.name, str(path)]

    monkeypatch.setattr(running, "command", command)
    return Bench(name, "", 1, lambda _: [])


_PROGRAM = """
import json, sys, time
name, path = sys.argv[1:]
report = {"bench": name, "setting": "before", "figures": [], "numbers": {}}
with open(path, "a") as file:
    file.write(json.dumps(report) + "\\n")
if name == "hangs":
    time.sleep(60)
1 / 0
"""


def test_one__options__come_through_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench import one

    seen: list[Options] = []

    def measure(options: Options) -> Iterator[Report]:
        seen.append(options)
        yield Report("decode", "found")

    options = Options((100_000,), ("dense",), 2, True)
    given = json.dumps({"sizes": [100_000], "densities": ["dense"], "rounds": 2, "quick": True})
    monkeypatch.setattr(one, "named", lambda name: Bench(name, "", 1, measure))
    monkeypatch.setattr(sys, "argv", ["one", "decode", given, str(tmp_path / "reports")])
    one.main()
    assert seen == [options]
    assert json.loads((tmp_path / "reports").read_text())["setting"] == "found"


def test_catalogue__all__named_once_with_worlds_last() -> None:
    assert len(set(NAMES)) == len(NAMES)
    needs = [bench.worlds for bench in BENCHES]
    assert needs == sorted(needs)  # what needs no worlds is measured before their server runs
    assert sum(bench.seconds for bench in BENCHES) <= 27 * 60
    assert catalogue.named("reads").worlds


def test_limit__size_that_was_asked_for__is_given_its_time() -> None:
    backfill = catalogue.named("backfill")
    assert backfill.limit_seconds(Options()) < 15 * 60
    assert backfill.limit_seconds(Options(sizes=(10_000_000,))) > 2 * 60 * 60
