from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console

from renown.cli.bars import bar
from renown.cli.console import cell, clean
from renown.cli.display import ChainView, duration, line, shown, table
from renown.cli.read import decimal
from renown.ingest.progress import Progress


def progress(**changes: object) -> Progress:
    fields: dict[str, object] = {
        "slug": "base",
        "start_block": 1,
        "block_number": 41_000_000,
        "final_block": 41_999_000,
        "head_block": 42_000_000,
        "phase": "backfill",
        "events": 1_234_567,
        **changes,
    }
    return Progress(**fields)  # type: ignore[arg-type]


def plain() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=60, force_terminal=False), out


def test_line__of_a_chain_that_catches_up__has_all_an_operator_asks() -> None:
    text = line(ChainView("base", progress(), None))

    assert text == (
        "base: backfill, block 41,000,000 of 42,000,000, 1,000,000 to go, 1,234,567 events, "
        "0 events/s, ? left"
    )


def test_line__with_trouble__says_so() -> None:
    view = ChainView("base", progress(phase="follow", reorgs=2, quarantined=1), "node\x1b[2J down")

    assert line(view).endswith("2 reorgs, 1 quarantined, problem: node [2J down")


def test_line__before_the_first_block__tells_what_is_waited_for() -> None:
    assert line(ChainView("base", None, None)) == "base: connecting"
    assert line(ChainView("base", None, "no node answers")) == "base: no node answers"


def test_table__shows_every_chain_and_its_problem_without_markup() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100)

    console.print(
        table([ChainView("base", progress(), "[red]x[/red]"), ChainView("sepolia", None, None)])
    )

    text = out.getvalue()
    assert "41,000,000" in text
    assert "connecting" in text
    assert "base: [red]x[/red]" in text


async def test_shown__without_a_terminal__writes_whole_lines_and_no_bars() -> None:
    console, out = plain()
    state = progress()

    async with shown(lambda: [ChainView("base", state, None)], console=console, line_seconds=0.01):
        await asyncio.sleep(0.05)
        state.seen(42_000_001, 41_999_000, "follow")
        await asyncio.sleep(0.05)

    lines = out.getvalue().splitlines()
    assert lines[0].startswith("base: backfill, block 41,000,000")
    assert lines[-1].startswith("base: follow")
    assert "\x1b" not in out.getvalue()


async def test_shown__a_chain_at_its_head__is_not_news_every_few_seconds() -> None:
    console, out = plain()
    state = progress(phase="follow", head_block=41_000_000)

    async with shown(lambda: [ChainView("base", state, None)], console=console, line_seconds=0.01):
        for number in range(41_000_001, 41_000_011):
            state.stored(number, 1, 0, 0.001)
            await asyncio.sleep(0.01)

    assert len(out.getvalue().splitlines()) == 2  # the first, and the last when it stops


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (61, "1 min 1 s"),
        (7_260, "2 h 1 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_duration__has_two_units_at_most(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_bar__without_a_terminal__says_when_it_is_done() -> None:
    console, out = plain()

    with bar("base", "agents", console=console) as advance:
        for done in range(1, 1_001):
            advance(done, 1_000)

    assert out.getvalue() == "base: 1,000 of 1,000 agents\n"


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        ("0", 0, "0"),
        ("-12345", 2, "-123.45"),
        ("5", 18, "0.000000000000000005"),
        (
            "-170141183460469231731687303715884105728",
            18,
            "-170141183460469231731.687303715884105728",
        ),
    ],
)
def test_decimal__is_exact(value: str, decimals: int, text: str) -> None:
    assert decimal(value, decimals) == text


def test_cell__of_a_foreign_string__is_one_short_line() -> None:
    assert cell("a\nb\tc\x1b[1m") == "a b c [1m"
    assert len(cell("x" * 5_000)) == 60
    assert clean("caf\u00e9 \u202e\u200b") == "caf\u00e9   "
