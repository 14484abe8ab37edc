"""The devnet that `renown up` starts itself. It is new each time: nothing of the last one holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from renown.cli.bars import bar
from renown.cli.beside import beside
from renown.cli.console import say
from renown.cli.crawling import Neighbourhood
from renown.cli.listening import bind
from renown.cli.runtime import Database
from renown.errors import SetupError
from renown.spec.deployments import DEPLOYMENTS, DEVNET_CHAIN_ID
from renown.store.forget import counts, forget
from renown.store.lease import acquire

if TYPE_CHECKING:
    from renown.chain.devnet import DevnetEvent

PORT = 8545
"""Where tools look for a local chain."""


@asynccontextmanager
async def own_devnet() -> AsyncIterator[tuple[str, Neighbourhood]]:
    """A seeded devnet that keeps moving for as long as the block runs.

    Gives its URL, and what a crawler needs to find the files and endpoints of its agents.

    Raises:
        ExceptionGroup: of ToolMissing or SetupError: anvil is missing, or ended.
    """
    from renown.chain.devnet import AR_GATEWAY, IPFS_GATEWAY, run_devnet

    ready: asyncio.Future[DevnetEvent] = asyncio.get_running_loop().create_future()
    with ExitStack() as until_ready:
        advance = until_ready.enter_context(bar("devnet: making the world", "acts"))

        def heard(event: DevnetEvent) -> None:
            if event.kind == "seeding":
                advance(event.done, event.total)
            elif event.kind == "ready" and not ready.done():
                ready.set_result(event)

        async with beside(run_devnet(port=_free_port(), on_event=heard)):
            event = await ready
            until_ready.close()
            say(
                f"devnet: its JSON-RPC answers at {event.url}, all hosts under .example at "
                f"{event.origin_url}"
            )
            yield (
                event.url,
                Neighbourhood(
                    opened=(event.origin_opening,),
                    ipfs_gateways=(IPFS_GATEWAY,),
                    ar_gateways=(AR_GATEWAY,),
                    is_alone=True,
                ),
            )


async def forget_the_last(where: Database) -> None:
    """Drop what the index holds of an earlier devnet, before anybody reads it.

    Raises:
        LeaseLost: another process indexes a devnet into this database.
    """
    devnet = DEPLOYMENTS[DEVNET_CHAIN_ID]
    conn = await where.own()  # partitions are dropped
    try:
        held = await counts(conn, devnet.chain_id)
        if held is None:
            return
        await acquire(conn, devnet, start_block=0, genesis_hash=None, name="renown up")
        await forget(conn, devnet.chain_id)
        say(
            f"devnet: a new one starts, so the last one is forgotten "
            f"({held['agents']:,} agents, {held['events']:,} events)"
        )
    finally:
        conn.terminate()


def _free_port() -> int | None:
    try:
        bind("127.0.0.1", PORT).close()
    except SetupError:
        say(
            f"devnet: port {PORT} is in use, so another is taken; to follow the chain that listens "
            f"there set RPC_URL=http://127.0.0.1:{PORT}"
        )
        return None
    return PORT
