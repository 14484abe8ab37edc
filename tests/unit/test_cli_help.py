from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from renown.cli.app import app
from renown.cli.reference import page
from tests.command import renown

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


ALL = [path for path in commands(typer.main.get_command(app)) if path]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help__of_every_command__says_what_it_does_with_an_example(path: tuple[str, ...]) -> None:
    outcome = renown(*path, "--help", COLUMNS="100")

    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: renown {' '.join(path)}")
    assert f"renown {' '.join(path)}" in outcome.out.partition("Examples:")[2]
    assert outcome.err == ""


def test_reference_page__is_current() -> None:
    assert PAGE.read_text() == page(), (
        "run `python -m renown.cli.reference > docs/reference/cli.md`"
    )


def test_no_arguments__show_the_commands_and_are_a_usage_error() -> None:
    outcome = renown()

    assert outcome.code == 64
    assert outcome.out == ""
    assert outcome.err.startswith("Usage: renown")
    assert outcome.err.count("\n") > 15
