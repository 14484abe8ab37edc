"""`renown watch`: operations sent and watched, payments settled, beside an API or without one."""

from __future__ import annotations

import asyncio
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
    """Sign, send and watch what was asked of chains, until it is final, and settle payments.

    `renown up` does so by itself; this is for an installation of several processes. It may run as
    often as one likes, and be stopped at any time: signed transactions are in the database before
    they are sent, and only the same bytes are sent again. It signs with the wallets of
    RENOWN_SIGNER_KEYSTORES or RENOWN_SIGNER_URL; without them it watches what others signed.
    Payments that were linked, or that feedback files name, are held against their chains by one
    process per database at a time.
    """
    from renown.cli.runtime import chosen, database, load

    settings = load(chain, service=not once)
    chains = chosen(settings)

    async def work() -> None:
        from renown.cli.measured import measured_here
        from renown.cli.settling import settle_once, settling
        from renown.cli.writing import nodes_of, writing
        from renown.errors import BadSettings

        urls = nodes_of(settings, chains)
        if not urls:
            raise BadSettings("no node is known for any chain: set RPC_URL or RENOWN_RPC_URLS")
        async with database(settings, service=True) as where, writing(settings) as found:
            async with where.reading():  # the schema is current
                pass
            found.reach(urls)
            if not once:
                say(f"watching operations and payments on {len(found.writers)} chains")
                async with (
                    measured_here(settings, where, "watcher"),
                    settling(settings, where, found),
                ):
                    await asyncio.Event().wait()
            operations, payments = await settle_once(settings, where, found)
        say(f"watch: looked at {operations:,} operations and {payments:,} transactions of payments")
        if json:
            print_json({"operations": operations, "payment_transactions": payments})

    process.run(work, service=not once)
