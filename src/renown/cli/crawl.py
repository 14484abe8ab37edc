"""`renown crawl`: read what stands behind URIs, beside an indexer or without one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from renown.cli import process
from renown.cli.console import err, print_json, say
from renown.cli.options import Json, examples

if TYPE_CHECKING:
    from renown.ingest.crawler import Tally

LINE_SECONDS = 5.0


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=examples("renown crawl", "renown crawl --once --json"))(crawl)


def crawl(
    once: Annotated[
        bool, typer.Option("--once", help="Stop when nothing more is due, instead of waiting.")
    ] = False,
    json: Json = False,
) -> None:
    """Read the documents behind the URIs of an index, and keep reading what changes.

    `renown up` does so by itself; this is for an installation of several processes. One crawler
    works per database, others stand by. What was read is kept at once, so it may be stopped at any
    time. With --once and --json it prints what it did.
    """
    from renown.cli.runtime import database, load

    settings = load(service=not once)

    async def work() -> None:
        from renown.cli.crawling import fetcher
        from renown.cli.measured import measured_here
        from renown.ingest.collector import calm_collector
        from renown.ingest.crawler import Crawler
        from renown.ingest.profiles import refresh

        calm_collector()
        async with database(settings, service=True) as where:
            async with where.reading():  # the schema is current
                pass
            async with (
                measured_here(settings, where, "crawler", once=once),
                fetcher(settings) as asking,
            ):
                with _shown() as on_progress:
                    crawler = Crawler(
                        where.connect,
                        asking,
                        connections=settings.fetch_connections,
                        per_host=settings.fetch_per_host,
                        refresh=refresh,
                        on_progress=on_progress,
                    )
                    if not once:
                        await crawler.run()
                    tally = await crawler.run_until_idle()
        say(_line(tally))
        if json:
            print_json(
                {
                    "attempts": tally.attempts,
                    "outcomes": dict(sorted(tally.outcomes.items())),
                    "new_documents": tally.documents,
                    "agents": tally.agents,
                }
            )

    process.run(work, service=not once)


@contextmanager
def _shown() -> Iterator[Callable[[Tally], None]]:
    """How it goes, on stderr: a line that moves on a terminal, else one now and then."""
    if err().is_terminal:
        with err().status("crawl: beginning") as status:
            yield lambda tally: status.update(_line(tally))
        return
    due, problem = time.monotonic() + LINE_SECONDS, None

    def write(tally: Tally) -> None:
        nonlocal due, problem
        if time.monotonic() >= due or tally.problem != problem:
            due, problem = time.monotonic() + LINE_SECONDS, tally.problem
            say(_line(tally))

    yield write


def _line(tally: Tally) -> str:
    good = tally.outcomes["ok"] + tally.outcomes["not-modified"]
    parts = [
        f"crawl: {tally.attempts:,} attempts, {good:,} good",
        f"{tally.documents:,} new documents",
        f"{tally.agents:,} agents' rows made",
    ]
    if tally.waiting:
        parts.append(f"{tally.waiting:,} under way")
    if tally.problem:
        parts.append(tally.problem)
    return ", ".join(parts)
