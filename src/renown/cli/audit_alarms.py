"""`renown audit acknowledge`: an alarm of the notary ends when a person has looked into it."""

from __future__ import annotations

from typing import Annotated

import typer

from renown.cli import process
from renown.cli.console import say
from renown.cli.options import Yes, examples


def add_to(group: typer.Typer) -> None:
    """Add the command to `renown audit`."""
    group.command(
        "acknowledge",
        epilog=examples(
            "renown audit acknowledge 'a row was changed by hand in a test'",
            "renown audit acknowledge 'restored from the backup of Monday' --yes",
        ),
    )(acknowledge)


def acknowledge(
    found_out: Annotated[
        str, typer.Argument(metavar="FOUND_OUT", help="What it was, for those who ask later.")
    ],
    yes: Yes = False,
) -> None:
    """Say that what the notary found wrong was looked into: health and metrics are well again.

    It changes nothing in the log, and is an entry itself. What is still wrong is found again; run
    `renown audit verify` first. Run it as the database's owner.
    """
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> None:
        from renown.store import audit_alarms
        from renown.store.pool import transaction

        async with database(settings) as where, where.reading() as conn:
            for what in (found := await audit_alarms.standing(conn)):
                say(what)
            if not found:
                say("no alarm stands")
            elif not yes:
                say(f"nothing was changed; --yes acknowledges {len(found)}")
            else:
                async with transaction(conn) as tx:
                    done = await audit_alarms.acknowledge(tx, found_out)
                say(f"{len(done)} acknowledged")

    process.run(work)
