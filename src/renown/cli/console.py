"""Where words go: data to stdout, everything for people to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

MAX_CELL = 60
"""Widest a foreign string is shown in a table."""


@cache
def err() -> Console:
    """The console on stderr."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line of prose for people, on stderr."""
    err().print(Text(clean(text)), soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout; indented for a terminal, one line for a pipe."""
    content = value if isinstance(value, bytes) else msgspec.json.encode(value)
    if sys.stdout.isatty():
        content = msgspec.json.format(content, indent=2)
    sys.stdout.write(content.decode() + "\n")
    sys.stdout.flush()


def print_lines(lines: Iterable[str]) -> None:
    """Lines of data on stdout."""
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def print_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout: aligned and cut for a terminal, whole and with tabs for a pipe."""
    if not sys.stdout.isatty():
        whole = ([clean(text_of(value)) for value in row] for row in rows)
        print_lines("\t".join(row) for row in [list(head), *whole])
        return
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    for row in [list(head), *cells]:
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print_lines([("  ".join(padded)).rstrip()])


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Names and values on stdout, one a line."""
    shown = [(name, clean(text_of(value))) for name, value in fields]
    width = max((len(name) for name, _ in shown), default=0)
    print_lines(f"{name.ljust(width)}  {value}".rstrip() for name, value in shown)


def cell(value: Any) -> str:
    """A value as it stands in a table: one line, cut at `MAX_CELL`."""
    text = clean(text_of(value))
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"


def text_of(value: Any) -> str:
    """A value in words: nothing as `-`, truth as yes or no."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | dict):
        return msgspec.json.encode(value).decode()
    return str(value)


def clean(text: str) -> str:
    """`text` without what could move a terminal's cursor or hide words: strangers wrote it."""
    return "".join(c if c.isprintable() else " " for c in text)


class CurrentStderr:
    """A stream for log lines: whatever stderr is then, so that they go above a live display."""

    def write(self, text: str) -> int:
        """As of a text stream."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """As of a text stream."""
        sys.stderr.flush()

    def isatty(self) -> bool:
        """As of a text stream."""
        return sys.stderr.isatty()
