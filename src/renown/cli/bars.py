"""A bar for work whose size is known: on a terminal it moves, else a line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from renown.cli.console import err

LINE_SECONDS = 5.0

Advance = Callable[[int, int], None]


@contextmanager
def bar(label: str, unit: str, *, console: Console | None = None) -> Iterator[Advance]:
    """A bar on stderr; call what it gives with how much is done, and of how much."""
    console = console or err()
    if not console.is_terminal:
        yield _lines(label, unit, console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _lines(label: str, unit: str, console: Console) -> Advance:
    due = time.monotonic() + LINE_SECONDS

    def advance(done: int, total: int) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due or done == total:
            due = now + LINE_SECONDS
            console.print(Text(f"{label}: {done:,} of {total:,} {unit}"), soft_wrap=True)

    return advance
