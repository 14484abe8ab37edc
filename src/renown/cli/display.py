"""How indexing goes, for whoever watches: a live table on a terminal, else a line now and then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from renown.cli.console import clean, err

if TYPE_CHECKING:
    from renown.ingest.progress import Progress

FRAMES_PER_SECOND = 4
LINE_SECONDS = 5.0
"""How often a chain that moves gets a line where there is no terminal."""
QUIET_SECONDS = 60.0
"""How often a chain that stands still does."""


class ChainView(msgspec.Struct, frozen=True):
    """What there is to show of one chain; `progress` is None before its first block."""

    slug: str
    progress: Progress | None
    problem: str | None


@asynccontextmanager
async def shown(
    views: Callable[[], Sequence[ChainView]],
    *,
    console: Console | None = None,
    line_seconds: float = LINE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[None]:
    """Show `views()` on stderr for as long as the block runs, and once more at its end."""
    console = console or err()
    if console.is_terminal:
        with Live(
            console=console,
            get_renderable=lambda: table(views()),
            refresh_per_second=FRAMES_PER_SECOND,
            redirect_stdout=False,
        ):
            yield
        return
    lines = _Lines(views, console, clock)
    writing = asyncio.create_task(lines.keep_writing(line_seconds))
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        lines.write(last=True)


def table(views: Sequence[ChainView]) -> RenderableType:
    """The live table: one row per chain, problems under it."""
    grid = Table(box=None, pad_edge=False, header_style="dim")
    grid.add_column("chain", no_wrap=True)
    grid.add_column("phase", no_wrap=True)
    for name in ("block", "to go", "events", "events/s", "left", "reorgs", "quarantined"):
        grid.add_column(name, justify="right", no_wrap=True)
    for view in views:
        grid.add_row(view.slug, *_cells(view))
    problems = [
        Text(f"{view.slug}: {clean(view.problem)}", style="yellow")
        for view in views
        if view.problem
    ]
    return Group(grid, *problems)


def line(view: ChainView) -> str:
    """One chain in one line of plain text."""
    progress = view.progress
    if progress is None:
        return f"{view.slug}: {clean(view.problem) if view.problem else 'connecting'}"
    stored = max(0, progress.block_number)
    parts = [
        f"{view.slug}: {progress.phase}",
        f"block {stored:,} of {max(progress.head_block, stored):,}",
        f"{progress.blocks_to_go:,} to go",
        f"{progress.events:,} events",
        f"{progress.events_per_second:,.0f} events/s",
    ]
    if progress.blocks_to_go:
        parts.append(f"{duration(progress.seconds_left)} left")
    if progress.reorgs:
        parts.append(f"{progress.reorgs:,} reorgs")
    if progress.quarantined:
        parts.append(f"{progress.quarantined:,} quarantined")
    if view.problem:
        parts.append(f"problem: {clean(view.problem)}")
    return ", ".join(parts)


def duration(seconds: float | None) -> str:
    """A time to come, in two units at most; `?` when nobody can tell."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def _cells(view: ChainView) -> tuple[str, ...]:
    progress = view.progress
    if progress is None:
        return ("connecting", *[""] * 7)
    left = duration(progress.seconds_left) if progress.blocks_to_go else ""
    return (
        progress.phase,
        f"{progress.block_number:,}" if progress.block_number >= 0 else "",
        f"{progress.blocks_to_go:,}",
        f"{progress.events:,}",
        f"{progress.events_per_second:,.0f}",
        left,
        f"{progress.reorgs:,}",
        f"{progress.quarantined:,}",
    )


class _Lines:
    """Writes a chain's line when there is something new to say."""

    def __init__(
        self,
        views: Callable[[], Sequence[ChainView]],
        console: Console,
        clock: Callable[[], float],
    ) -> None:
        self._views = views
        self._console = console
        self._clock = clock
        self._written: dict[str, tuple[str, str, float]] = {}

    async def keep_writing(self, pause_seconds: float) -> None:
        while True:
            await asyncio.sleep(pause_seconds)
            self.write()

    def write(self, *, last: bool = False) -> None:
        now = self._clock()
        for view in self._views():
            text, state = line(view), _state(view)
            said, said_state, when = self._written.get(view.slug, ("", "", 0.0))
            # At the head every block is news to a chain, but not to a reader.
            due = state != said_state or now - when >= QUIET_SECONDS or _catching_up(view) or last
            if due and text != said:
                self._written[view.slug] = (text, state, now)
                self._console.print(Text(text), soft_wrap=True)


def _state(view: ChainView) -> str:
    progress = view.progress
    reorgs, phase = (progress.reorgs, progress.phase) if progress else (0, "")
    return f"{phase} {reorgs} {view.problem}"


def _catching_up(view: ChainView) -> bool:
    return view.progress is not None and view.progress.phase == "backfill"
