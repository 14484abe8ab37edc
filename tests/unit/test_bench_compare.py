"""Two runs of the benchmarks are compared number by number, beyond their spread."""

import json
from pathlib import Path

import pytest
from bench import compare, record
from bench.compare import better, changed, numbers_of
from bench.harness import Figure, Report, Spread, full_names
from bench.record import Record, Taken


def run_of(*figures: Figure, bench: str = "reads", setting: str = "1M agents") -> Record:
    report = Report(bench, setting, list(figures), {"latency": {"by key": {"1M": {"p50_us": 90}}}})
    machine = {"cpu": "one", "cores": 2, "memory_gb": 8.0}
    return Record(machine, {}, {}, "now", benches=[Taken(bench, "done", 1.0, [report])])


@pytest.mark.parametrize(
    ("text", "words", "medians", "units"),
    [
        ("0.92 (0.89-0.95)", "#", [0.92], [""]),
        ("12,345 (11,000-13,000) ms", "# ms", [12345], ["ms"]),
        ("p50 254 ms, p99 500 ms", "p# # ms, p# # ms", [50, 254, 99, 500], ["", "ms", "", "ms"]),
        (
            "2.40 / 4.10 ms, 9.0 / 8.2 x",
            "# / # ms, # / # x",
            [2.4, 4.1, 9, 8.2],
            ["", "ms", "", "x"],
        ),
        ("4,336 requests/s", "# requests/s", [4336], ["requests/s"]),
        ("-1.0%", "#%", [-1.0], ["%"]),
        ("none", "none", [], []),
    ],
)
def test_numbers__text_of_a_figure__medians_units_and_the_words_between(
    text: str, words: str, medians: list[float], units: list[str]
) -> None:
    found_words, numbers = numbers_of(text)
    assert found_words == words
    assert [number.spread.median for number in numbers] == medians
    assert [number.unit for number in numbers] == units


def test_numbers__spread_in_brackets__is_the_range() -> None:
    (number,) = numbers_of("1.31 (1.20-1.45)")[1]
    assert (number.spread.least, number.spread.most, number.spread.rounds) == (1.2, 1.45, 2)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (Spread(10, 9, 11, 3), Spread(12, 11.5, 13, 3), True),
        (Spread(10, 9, 11, 3), Spread(12, 10.9, 13, 3), False),  # they overlap
        (Spread(10, 9.9, 10.1, 3), Spread(10.3, 10.2, 10.4, 3), False),  # apart, but hardly
        (Spread(10, 10, 10, 1), Spread(11, 11, 11, 1), False),  # one round each: who knows
        (Spread(10, 10, 10, 1), Spread(15, 15, 15, 1), True),
        (Spread(0, 0, 0, 3), Spread(1, 1, 1, 3), True),
    ],
)
def test_changed__two_spreads__only_where_they_are_apart(
    old: Spread, new: Spread, expected: bool
) -> None:
    assert changed(old, new) is expected
    assert changed(new, old) is expected


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (Figure("by key", "1.2", "<= 1.5"), "less"),
        (Figure("by key, over HTTP", "0.5", ">= 0.4"), "more"),
        (Figure("requests/s, kept", "5,000"), "more"),
        (Figure("a scrape", "5.5 ms", ">= 0"), "less"),
        (Figure("statements a look", "4.00"), "unknown"),
    ],
)
def test_better__figure__by_unit_or_budget(figure: Figure, expected: str) -> None:
    assert better(figure, numbers_of(figure.value)[1][0]) == expected


def test_compare__slower_and_faster__worse_and_better_with_times() -> None:
    old = run_of(
        Figure("by key", "1.00 (0.98-1.02)", "<= 1.5"), Figure("rate", "100 (99-101) requests/s")
    )
    new = run_of(
        Figure("by key", "2.00 (1.98-2.02)", "<= 1.5"), Figure("rate", "125 (124-126) requests/s")
    )
    slower, faster = compare.compare(old, new)
    assert slower.worse == pytest.approx(2.0)
    assert faster.worse == pytest.approx(0.8)
    assert compare.worst([slower, faster]) == pytest.approx(2.0)
    assert compare.show([faster, slower]).splitlines()[1].startswith("worse")


def test_compare__setting_that_names_what_was_measured__is_matched_by_its_words() -> None:
    old = run_of(Figure("gone after, ms", "10"), setting="2,345 (2,288-2,489) events orphaned")
    new = run_of(Figure("gone after, ms", "30"), setting="2,410 (2,300-2,500) events orphaned")
    (change,) = compare.compare(old, new)
    assert change.ratio == pytest.approx(3.0)


def test_compare__same_name_under_two_figures__each_with_its_own() -> None:
    def figures(first: str, second: str) -> list[Figure]:
        return [Figure("a", "1"), Figure("… p99", first), Figure("b", "1"), Figure("… p99", second)]

    assert list(full_names(figures("1 ms", "1 ms"))) == ["a", "a, p99", "b", "b, p99"]
    (change,) = compare.compare(run_of(*figures("1 ms", "9 ms")), run_of(*figures("3 ms", "9 ms")))
    assert change.name == "a, p99"


def test_record__written_and_read__is_the_same(tmp_path: Path) -> None:
    run = run_of(Figure("by key", "1.0", "<= 1.5", True))
    path = record.write(run, tmp_path / "run.json")
    assert record.read(path) == run
    assert json.loads(path.read_text())["schema"] == record.SCHEMA
    assert record.read(path).numbers("latency") == {"by key": {"1M": {"p50_us": 90}}}


def test_record__file_of_the_first_schema__is_read(tmp_path: Path) -> None:
    path = tmp_path / "20260101-000000.json"
    figure = {"name": "a", "value": "1", "budget": "", "within": None}
    report = {"bench": "pool", "setting": "s", "figures": [figure], "numbers": {}}
    path.write_text(json.dumps({"machine": {"cpu": "x"}, "reports": [report, report]}))
    (bench,) = record.read(path).benches
    assert (bench.name, len(bench.reports)) == ("pool", 2)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 99}', '{"schema": 2}'])
def test_record__something_else__is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="no file of benchmarks"):
        record.read(path)


def test_merged__part_measured_again__the_last_good_one_of_each_bench() -> None:
    first, again = run_of(Figure("a", "1")), run_of(Figure("a", "2"))
    other = run_of(Figure("b", "3"), bench="search")
    broken = run_of(bench="search")
    broken.benches[0].state = "failed"
    run = record.merged([first, other, again, broken])
    assert [figure.value for report in run.reports for figure in report.figures] == ["2", "3"]
