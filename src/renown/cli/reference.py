"""The command line's reference page, made of its own help: `python -m renown.cli.reference`."""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import typer

from renown import errors
from renown.cli.app import app, run

WIDTH = 100

_INTRODUCTION = """\
# Command line

<!-- Made by `python -m renown.cli.reference`; do not edit. -->

Data goes to stdout, progress and prose to stderr. `--json` prints what the REST API would answer.
On a terminal, tables are aligned and cut to fit; in a pipe they are whole, with tabs between the
columns. Settings are environment variables and are described in [settings](settings.md).

Commands use the database that DATABASE_URL names, else the embedded one of the data directory: as
guests where a `renown up` runs on it, else they start it for as long as they need it.

Ctrl-C and SIGTERM stop a command in order; a second one stops it at once. Whatever was stored
stays, and the same command goes on from there.

## Exit codes

| code | meaning |
|---|---|
"""
_CODES = {
    0: "done; of a service: stopped by SIGTERM",
    errors.EX_USAGE: "the command line is wrong",
    errors.EX_DATAERR: "what is stored, or what the chain says, is not as it must be",
    errors.EX_NOINPUT: "no such agent, chain or thing",
    errors.EX_UNAVAILABLE: "the database or a program is missing",
    errors.EX_SOFTWARE: "a mistake of ours; please report it",
    errors.EX_TEMPFAIL: "try again later: a node, a lease or a lock was not to be had",
    errors.EX_CONFIG: "a setting or the installation is wrong",
    130: "stopped by Ctrl-C",
    143: "stopped by SIGTERM before it was done",
}


def page() -> str:
    """The page, in Markdown."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in _CODES.items())
    sections = "".join(_section(path, command) for path, command in _commands())
    return _INTRODUCTION + codes + sections


def _commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it."""

    def walk(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        if path:
            yield path, command
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk((*path, name), inner)

    return walk((), typer.main.get_command(app))


def _section(path: tuple[str, ...], command: Any) -> str:
    shown, _, examples = _help(path).partition("  Examples:\n")
    usage, _, rest = shown.partition("\n\n")
    # Of a group that does nothing itself the commands say all; its only option is --help.
    does_something = getattr(command, "invoke_without_command", False)
    names = ("Options",) if does_something else ("Commands", "Arguments", "Options")
    parts = (rest.partition(f"\n{name}:\n") for name in names)
    table = next(f"{found.strip()}\n{after}" for _, found, after in parts if found)
    return "\n".join(
        (
            "",
            f"{'#' * (len(path) + 1)} renown {' '.join(path)}",
            "",
            f"`{' '.join(usage.removeprefix('Usage: ').split())}`",
            "",
            _prose(command.help or ""),
            "",
            *("```text", textwrap.dedent(table).rstrip(), "```", ""),
            *(
                "```console",
                *(f"$ {line.strip()}" for line in examples.splitlines() if line.strip()),
            ),
            "```",
            "",
        )
    )


def _prose(text: str) -> str:
    paragraphs = text.split("\n\n")
    return "\n\n".join(textwrap.fill(" ".join(p.split()), WIDTH) for p in paragraphs)


def _help(path: tuple[str, ...]) -> str:
    out = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(WIDTH)
    try:
        with redirect_stdout(out):
            run([*path, "--help"])
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before
    return out.getvalue()


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - its purpose
