"""`renown watch`: send and watch the transactions of operations, beside an API or without one."""

from __future__ import annotations

from typing import Annotated

import typer

from renown.cli import process
from renown.cli.console import print_json, say
from renown.cli.options import Chains, Json, examples


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "renown watch --chain base",
            "CHAIN=base RPC_URL=https://node.example/KEY renown watch",
            "renown watch --once --json",
        )
    )(watch)


def watch(
    chain: Chains = None,
    once: Annotated[
        bool, typer.Option("--once", help="Look once at what is due, instead of waiting.")
    ] = False,
    json: Json = False,
) -> None:
    """Sign, send and watch what was asked of chains, until it is final.

    `renown up` does so by itself; this is for an installation of several processes. It may run as
    often as one likes, and be stopped at any time: signed transactions are in the database before
    they are sent, and only the same bytes are sent again. It signs with the wallets of
    RENOWN_SIGNER_KEYSTORES or RENOWN_SIGNER_URL; without them it watches what others signed.
    """
    from renown.cli.runtime import chosen, database, load

    settings = load(chain, service=not once)
    chains = chosen(settings)

    async def work() -> None:
        from renown.cli.writing import nodes_of, writing
        from renown.errors import BadSettings
        from renown.ingest.operations import Watcher

        urls = nodes_of(settings, chains)
        if not urls:
            raise BadSettings("no node is known for any chain: set RPC_URL or RENOWN_RPC_URLS")
        async with database(settings, service=True) as where, writing(settings) as found:
            async with where.reading():  # the schema is current
                pass
            found.reach(urls)
            watcher = Watcher(
                where.connect,
                found.writers,
                found.signer,
                max_fee_wei=round(settings.signer_max_fee_gwei * 10**9),
            )
            if not once:
                say(f"watching operations on {len(found.writers)} chains")
                await watcher.run()
            count = await watcher.run_once()
        say(f"watch: looked at {count:,} operations")
        if json:
            print_json({"operations": count})

    process.run(work, service=not once)
