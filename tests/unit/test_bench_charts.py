"""Charts of the benchmarks: where values stand, and that what comes out is well-formed."""

from xml.etree import ElementTree

import pytest
from bench.charts import Panel, Row, Scale, Series, dots, lines, log_ticks
from bench.harness import Figure, Report
from bench.pictures import pictures, said_count, said_time
from bench.record import Record, Taken
from bench.report import BEGIN, END, between, headline, page

SVG = "{http://www.w3.org/2000/svg}"


def test_scale__log__equal_ratios_are_equal_distances() -> None:
    scale = Scale(1.0, 100.0, 0.0, 200.0)
    assert scale.place(10.0) == pytest.approx(100.0)
    assert scale.place(0.0001) == 0.0
    assert scale.place(1e9) == 200.0
    assert Scale(0.0, 10.0, 100.0, 0.0, "linear").place(2.5) == pytest.approx(75.0)


@pytest.mark.parametrize(
    ("low", "high"), [(1, 9), (80, 700), (0.9, 220), (1, 1e6), (95, 105), (0.001, 0.0011)]
)
def test_log_ticks__any_range__some_within_and_ascending(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 12
    assert ticks == sorted(ticks)
    assert all(low <= tick <= high for tick in ticks)


def test_linear_ticks__range__round_and_few() -> None:
    assert Scale(0.0, 1.93, 0.0, 1.0, "linear").ticks() == [0.0, 0.5, 1.0, 1.5]


def test_chart__names_of_strangers__are_escaped_and_told_to_readers_of_text() -> None:
    row = Row("<b>&", [("10k", 1.0)], 1.5)
    drawn = ElementTree.fromstring(dots("a < b", "c & d", [row], say=str, x_name="x"))
    assert drawn.findtext(f"{SVG}title") == "a < b"
    assert drawn.findtext(f"{SVG}desc") == "c & d"
    assert "prefers-color-scheme" in (drawn.findtext(f"{SVG}style") or "")


def test_lines__one_point_a_series__still_a_chart() -> None:
    panel = Panel("p", [Series("s", [(1_000.0, 5.0)])], said_time)
    drawn = lines("t", "d", [panel], x_ticks=[1_000.0], say_x=said_count, x_name="agents")
    ElementTree.fromstring(drawn)
    assert "nan" not in drawn


def test_said__quantities__short() -> None:
    assert [said_time(us) for us in (85, 999, 1_250, 2.5e6)] == [
        "85 µs",
        "999 µs",
        "1.2 ms",
        "2.5 s",
    ]
    assert [said_count(n) for n in (200, 10_000, 1_000_000, 2_313)] == [
        "200",
        "10 k",
        "1 M",
        "2.3 k",
    ]


def measured() -> Record:
    by_size = {
        size: {"p50_us": 90.0, "p99_us": 200.0, "p50_ratio": 1.2, "p99_ratio": 1.3}
        for size in ("10k", "1M")
    }
    steps = [
        {"offered": rate, "achieved": rate, "p50_ms": 1.0, "p99_ms": 4.0, "cores": {"api": 0.5}}
        for rate in (200.0, 400.0)
    ]
    reads = Report(
        "reads", "SQL", [Figure("by key", "1.2", "<= 1.5", True)], {"latency": {"by key": by_size}}
    )
    load = Report(
        "load",
        "one API process, 1M agents, requests of an open model",
        [Figure("a | b", "0", "0", False)],
        {"steps": steps, "knee": 400.0, "memory": {"API": {"1M": 100e6}}},
    )
    benches = [Taken(one.bench, "done", 60.0, [one]) for one in (reads, load)]
    return Record(
        {"cores": 2}, {}, {"commit": "ab" * 20, "dirty": False}, "2026-11-23", benches=benches
    )


def test_pictures__run__those_charts_that_there_are_figures_for() -> None:
    found = pictures(measured())
    assert set(found) == {"latency.svg", "ratios.svg", "load.svg", "memory.svg"}
    for chart in found.values():
        ElementTree.fromstring(chart)
    assert pictures(Record({}, {}, {}, "")) == {}


def test_page__run__budgets_met_and_over() -> None:
    text = page(measured())
    assert "| by key | 1.2 | ≤ 1.5 | met |" in text
    assert "| a \\| b | 0 | 0 | **over** |" in text
    assert "![" in text
    assert "400 mixed requests a second" in (headline(measured()) or "")
    assert headline(Record({}, {}, {}, "")) is None


def test_between__page_with_marks__keeps_the_prose() -> None:
    whole = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert between(whole, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert between(between(whole, "new"), "new") == between(whole, "new")
    with pytest.raises(ValueError, match="measured"):
        between("no marks", "new")
