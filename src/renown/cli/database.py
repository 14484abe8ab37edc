"""`renown db`: the schema, and what an operator does to a whole chain."""

from __future__ import annotations

from typing import Annotated

import typer

from renown.cli import database_backup, database_recount, database_report, process
from renown.cli.console import print_fields, print_json, print_lines, print_table, say
from renown.cli.options import ChainArgument, Json, Yes, examples
from renown.errors import EX_CONFIG

_db = typer.Typer(
    name="db",
    help="Look after the database.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("renown db status", "renown db migrate"),
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    _db.command("migrate", epilog=examples("renown db migrate --dry-run", "renown db migrate"))(
        migrate_
    )
    _db.command("status", epilog=examples("renown db status", "renown db status --json"))(status)
    _db.command(
        "forget", epilog=examples("renown db forget devnet", "renown db forget devnet --yes")
    )(forget_)
    _db.command(
        "rewind",
        epilog=examples(
            "renown db rewind base --to-block 36000000",
            "renown db rewind base --to-block 36000000 --yes",
        ),
    )(rewind_)
    database_report.add_to(_db)
    database_backup.add_to(_db)
    database_recount.add_to(_db)
    app.add_typer(_db)


def migrate_(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be applied, change nothing.")
    ] = False,
    phase: Annotated[
        str,
        typer.Option(
            metavar="PHASE",
            help="`pre`: only what the version before this one can live with, for an upgrade "
            "without a pause; `all`: everything.",
        ),
    ] = "all",
) -> None:
    """Bring the database to the schema of this version. Several at once are let in one by one."""
    from renown.cli.runtime import database, load
    from renown.errors import BadParameter

    if phase not in ("pre", "all"):
        raise BadParameter("--phase is `pre` or `all`", parameter="phase")
    settings = load()

    async def work() -> None:
        async with database(settings, create=not dry_run) as where:
            done = await where.migrate(phase="pre" if phase == "pre" else "all", dry_run=dry_run)
            print_lines(one.name for one in done)
            verb = "to apply" if dry_run else "applied"
            say(f"{len(done)} schema changes {verb} at {where.place}")

    process.run(work)


def status(json: Json = False) -> None:
    """Show where the database is and whether its schema is current; exit code 78 if it is not."""
    from renown.cli.runtime import database, load
    from renown.store.migrate import migrations, pending
    from renown.store.pool import connect

    settings = load()

    async def work() -> int:
        async with database(settings) as where:
            conn = await connect(where.direct_url, application_name="renown-cli")
            try:
                due = [migration.name for migration in await pending(conn)]
                server: str = await conn.fetchval("SHOW server_version")
            finally:
                await conn.close()
            shown = {
                "database": where.place,
                "embedded": settings.database_url is None,
                "server_version": server,
                "schema_version": len(migrations()) - len(due),
                "pending": due,
            }
        if json:
            print_json(shown)
        else:
            print_fields(shown.items())
        return EX_CONFIG if due else 0

    process.run(work)


def forget_(chain: ChainArgument, yes: Yes = False) -> None:
    """Drop a chain from the index, with all that stands under it. Its indexer must be stopped."""
    from renown.cli.runtime import database, load
    from renown.errors import ChainNotFound
    from renown.spec.deployments import find
    from renown.store.forget import counts, forget
    from renown.store.lease import reopen

    settings, deployment = load(), find(chain)

    async def work() -> None:
        async with database(settings) as where, where.reading() as reading:
            held = await counts(reading, deployment.chain_id)
            if held is None:
                raise ChainNotFound(
                    f"this index has no chain {deployment.slug}", chain_id=deployment.chain_id
                )
            print_fields([("chain", deployment.slug), *held.items()])
            if not yes:
                say("nothing was dropped; add --yes to drop this")
                return
            conn = await where.own()  # partitions are dropped
            try:
                await reopen(conn, deployment, name="renown db forget")
                await forget(conn, deployment.chain_id)
            finally:
                conn.terminate()
            say(f"{deployment.slug} is forgotten")

    process.run(work)


def rewind_(
    chain: ChainArgument,
    to_block: Annotated[
        int, typer.Option("--to-block", min=0, help="The last block to keep.", metavar="N")
    ],
    yes: Yes = False,
) -> None:
    """Drop all blocks above one, final ones too; the indexer stores them again from the nodes.

    The way on after a reorganisation deeper than the chain's policy, once you know that the nodes
    are right. The chain's indexer must be stopped.
    """
    from renown.cli.runtime import database, load
    from renown.errors import BadParameter
    from renown.ingest.repair import rewind
    from renown.spec.deployments import find
    from renown.store.extent import above

    settings, deployment = load(), find(chain)

    async def work() -> None:
        async with database(settings) as where, where.reading() as reading:
            extent = await above(reading, deployment.chain_id, to_block)
            print_table(
                ("chain", "indexed to", "final to", "blocks to drop", "events to drop"),
                [
                    (
                        *(deployment.slug, extent.block_number, extent.final_block),
                        *(max(0, extent.block_number - to_block), extent.facts),
                    )
                ],
            )
            if to_block >= extent.block_number:
                say("there is nothing above that block")
                return
            if to_block < extent.start_block - 1:
                raise BadParameter(
                    f"{deployment.slug} is indexed from block {extent.start_block} on; to drop all "
                    f"of it use `renown db forget {deployment.slug}`",
                    parameter="--to-block",
                )
            if not yes:
                say("nothing was dropped; add --yes to drop this")
                return
            conn = await where.connect()
            try:
                dropped = await rewind(conn, deployment, to_block=to_block, name="renown db rewind")
            finally:
                conn.terminate()
            say(f"{dropped:,} events dropped; start the indexer to store them again")

    process.run(work)
