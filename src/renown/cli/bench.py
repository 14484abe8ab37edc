"""`renown bench`: databases of the network's shape, to measure on."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from renown.cli import process
from renown.cli.bars import bar
from renown.cli.console import print_fields, print_json, say
from renown.cli.options import Json, examples

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from renown.cli.runtime import Database

_bench = typer.Typer(
    name="bench",
    help="Make databases to measure on.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("renown bench world --agents 10000"),
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    _bench.command(
        "world",
        epilog=examples(
            "renown bench world --agents 10000",
            "renown bench world --agents 1000000 --feedback 10000000 --payments 5000000 --dry-run",
            "renown bench world --agents 50000 --database postgresql://me@localhost/world",
        ),
    )(world)
    app.add_typer(_bench)


def world(
    agents: Annotated[int, typer.Option(min=50, metavar="N", help="How many agents.")],
    feedback: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="How much feedback; ten for each agent by default."),
    ] = None,
    payments: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="How many payments; five for each agent by default."),
    ] = None,
    chains: Annotated[int, typer.Option(min=1, metavar="N", help="On how many chains.")] = 4,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Another one, other rows.")] = 1,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="An empty PostgreSQL database; default DATABASE_URL."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would come to, change nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Fill an empty database with agents, feedback and payments as the network has them.

    Everything is drawn from the seed; nothing is taken from real agents. Sizes, shares and skew are
    those of the network: few agents have most of the feedback, half have no file, one in five has a
    good one. The schema is brought up to date first. Killed anywhere and run again it goes on where
    it was, and ends in the same rows.
    """
    from renown.ingest.world import WorldSize, estimate, load, refuse_others

    size = WorldSize(agents, feedback, payments, chains, seed)
    if dry_run:
        expected = estimate(size)
        shown = {
            "agents": size.agents,
            "feedback": size.feedbacks,
            "payments": size.paid,
            "rows": expected.rows,
            "size_bytes": expected.size_bytes,
            "minutes": round(expected.seconds / 60, 1),
        }
        if json:
            print_json(shown)
        else:
            print_fields(shown.items())
        return

    async def work() -> None:
        async with _database(database) as where:
            await refuse_others(where.direct_url)
            await where.migrate()
            with bar("world", "rows") as advance:
                loaded = await load(where.direct_url, size, advance)
        if json:
            print_json(
                {
                    "agents": size.agents,
                    "feedback": size.feedbacks,
                    "payments": size.paid,
                    "seconds": round(loaded.seconds, 1),
                    "size_bytes": loaded.size_bytes,
                    "parts": loaded.parts,
                }
            )
        elif loaded.parts:
            say(f"{loaded.size_bytes / 1e6:,.0f} MB in {loaded.seconds:,.0f} s at {where.place}")
        else:
            say(f"this world is at {where.place} already, {loaded.size_bytes / 1e6:,.0f} MB")

    process.run(work)


@asynccontextmanager
async def _database(url: str | None) -> AsyncIterator[Database]:
    from renown.cli.runtime import Database, database, load

    settings = load()
    if url is not None:
        yield Database(url, url)
        return
    async with database(settings, create=True) as where:
        yield where
