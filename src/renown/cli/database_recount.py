"""`renown db recount`: whether kept numbers are right, and how to make them so."""

from __future__ import annotations

import typer

from renown.cli import process
from renown.cli.console import print_json, print_table, say
from renown.cli.options import Json, Yes, examples
from renown.errors import EX_DATAERR


def add_to(group: typer.Typer) -> None:
    """Add the command."""
    group.command(
        "recount", epilog=examples("renown db recount", "renown db recount --yes --json")
    )(recount)


def recount(yes: Yes = False, json: Json = False) -> None:
    """Compare the kept numbers of payments with payments and claims; with --yes count them anew.

    They are kept by triggers and can only be wrong where somebody wrote past those. Exit code 65 if
    some are and are left so. To count anew makes whoever writes payments wait: 6 to 11 seconds for
    a million.
    """
    from renown.cli.runtime import database, load
    from renown.store import payment_rollups

    settings = load()

    async def work() -> int:
        async with database(settings) as where, where.reading():
            conn = await where.own()
            try:
                wrong = await payment_rollups.differing(conn)
                if wrong and yes:
                    await payment_rollups.recount(conn)
            finally:
                conn.terminate()
        if json:
            print_json({"differing": wrong, "recounted": bool(wrong and yes)})
        elif wrong:
            print_table(
                ("table", "agent"),
                ((one.table, f"{one.chain_id}:{one.agent_id}") for one in wrong),
            )
        if not wrong:
            say("the kept numbers of payments are what payments and claims add up to")
        elif yes:
            say("counted anew; find out who wrote past the triggers, and what")
        else:
            say("nothing was changed; add --yes to count anew")
        return EX_DATAERR if wrong and not yes else 0

    process.run(work)
