"""`renown devnet`: a local chain with the registries and a small world on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from renown.cli import process
from renown.cli.console import print_lines, say
from renown.cli.options import examples

if TYPE_CHECKING:
    from renown.chain.devnet import DevnetEvent

DEFAULT_PORT = 8545
ORIGIN_PORT = 8104


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "renown devnet",
            "renown devnet --seed 7 --agents 200 --quiet",
            "CHAIN=devnet RPC_URL=http://127.0.0.1:8545 "
            "RENOWN_FETCH_OPEN='*.example=http://127.0.0.1:8104' renown up",
        )
    )(devnet)


def devnet(
    port: Annotated[
        int, typer.Option(min=1, max=65535, metavar="PORT", help="Port of its JSON-RPC.")
    ] = DEFAULT_PORT,
    origin_port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            metavar="PORT",
            help="Port of the origin, which answers for all hosts that its agents name; 8104, or a "
            "free one if that is in use, by default.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on. It obeys everyone: keep it local."
        ),
    ] = "127.0.0.1",
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="The same seed makes the same world.")
    ] = 1,
    agents: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, metavar="N", help="Agents of everyday life; 60 by default."
        ),
    ] = None,
    lively: Annotated[
        bool,
        typer.Option("--lively/--quiet", help="Mine random acts every few seconds, or only seed."),
    ] = True,
) -> None:
    """Run a development chain (anvil) with the registries at their testnet addresses.

    It is seeded with agents, feedback and validations, and forgotten when it stops. Prints the URL
    of its JSON-RPC once all is there. Their files and endpoints lie under `.example`, which nobody
    owns; an origin beside the chain answers for all of it, and says which settings lead a crawler
    there.
    """

    async def work() -> None:
        from renown.chain.devnet import run_devnet
        from renown.chain.devnet.world import DEFAULT_AGENTS

        await run_devnet(
            port=port,
            origin_port=_free_port() if origin_port is None else origin_port,
            host=host,
            seed=seed,
            agents=DEFAULT_AGENTS if agents is None else agents,
            lively=lively,
            on_event=_announce,
        )

    process.run(work, service=True)


def _free_port() -> int | None:
    from renown.cli.listening import bind
    from renown.errors import SetupError

    try:
        bind("127.0.0.1", ORIGIN_PORT).close()
    except SetupError:
        return None
    return ORIGIN_PORT


def _announce(event: DevnetEvent) -> None:
    if event.kind == "started":
        say(f"devnet: anvil answers at {event.url}; making the world")
    elif event.kind == "ready":
        if event.summary is not None:
            say(
                f"devnet: {event.summary.agents} agents, {event.summary.transactions} transactions "
                f"in {event.summary.seconds:.1f} s; stop with Ctrl-C"
            )
        from renown.chain.devnet import AR_GATEWAY, IPFS_GATEWAY

        say(
            f"devnet: its files and endpoints answer at {event.origin_url}; to read them set "
            f"RENOWN_FETCH_OPEN='{event.origin_opening}' RENOWN_IPFS_GATEWAYS={IPFS_GATEWAY} "
            f"RENOWN_AR_GATEWAYS={AR_GATEWAY}"
        )
        print_lines([event.url])
