"""`renown probe`: call the endpoints that agents declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from renown.cli import process
from renown.cli.console import print_json, say
from renown.cli.options import Json, examples

if TYPE_CHECKING:
    from renown.ingest.prober import Tally


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "renown probe --once",
            "RENOWN_PROBE_OPT_OUT='*.example.org' renown probe",
        )
    )(probe)


def probe(
    once: Annotated[
        bool, typer.Option("--once", help="Stop when nothing more is due, instead of waiting.")
    ] = False,
    json: Json = False,
) -> None:
    """Call the endpoints that agents declare, and keep calling them now and then.

    Asks only what changes nothing: MCP's `initialize` and `tools/list`, an A2A card, an x402
    challenge, a web page. `renown up --probe` does so by itself. Two rounds have to agree before an
    endpoint is called alive or dead, so one `--once` gives no verdict yet.
    """
    from renown.cli.runtime import database, load

    settings = load(service=not once)

    async def work() -> None:
        from renown.cli.crawling import fetcher
        from renown.cli.measured import measured_here
        from renown.ingest.prober import Prober

        async with database(settings, service=True) as where:
            async with where.reading():  # the schema is current
                pass
            async with (
                measured_here(settings, where, "prober", once=once),
                fetcher(settings) as asking,
            ):
                prober = Prober(where.connect, asking, opt_out=settings.probe_opt_out)
                if not once:
                    await prober.run()
                tally = await prober.run_until_idle()
        say(_line(tally))
        if json:
            print_json({"checks": tally.checks, "seen": dict(sorted(tally.seen.items()))})

    process.run(work, service=not once)


def _line(tally: Tally) -> str:
    return f"probe: {tally.checks:,} checks, {tally.changed:,} agents' rows due"
