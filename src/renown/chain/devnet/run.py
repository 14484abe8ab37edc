"""The whole devnet in one call: what `renown devnet` does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from renown.chain.devnet.anvil import Anvil
from renown.chain.devnet.blocks import mining
from renown.chain.devnet.files import Files
from renown.chain.devnet.lively import keep_lively
from renown.chain.devnet.origin import Origin
from renown.chain.devnet.place import place_registries
from renown.chain.devnet.seed import WorldSummary, next_agent_id, seed_world
from renown.chain.devnet.world import DEFAULT_AGENTS, STORY_BLOCKS, plan_world
from renown.chain.rpc import Node
from renown.errors import SetupError

BLOCK_SECONDS = 43_200
"""The story is told in half days, so that charts over weeks have something to show."""

CONNECTION_SECONDS = 60.0


class DevnetEvent(msgspec.Struct, frozen=True):
    """Something the person at the terminal may want to know.

    `url` is that of the chain's JSON-RPC. At `origin_url` all hosts under `.example` answer;
    `origin_opening` is what RENOWN_FETCH_OPEN has to hold for a crawler to go there.

    started    anvil answers at `url`
    seeding    `done` of `total` steps are sent
    ready      registries stand, the world is made; `summary` is None when the kept state had agents
    block      block `number` was mined to keep the chain lively
    """

    kind: Literal["started", "seeding", "ready", "block"]
    url: str
    origin_url: str = ""
    origin_opening: str = ""
    done: int = 0
    total: int = 0
    number: int = 0
    summary: WorldSummary | None = None


async def run_devnet(
    *,
    port: int | None = None,
    origin_port: int | None = None,
    seed: int = 1,
    agents: int = DEFAULT_AGENTS,
    lively: bool = True,
    host: str = "127.0.0.1",
    on_event: Callable[[DevnetEvent], None],
    period_seconds: float = 4.0,
    state: Path | None = None,
    binary: Path | None = None,
) -> None:
    """Start anvil and the origin, place the registries, seed the world, and run until cancelled.

    The world's blocks lie in the past weeks and end about now. With `state` the chain is kept in
    that file; a chain that already has agents is not seeded again. Its origin then has the files
    of the seeded world, but not those of what happened later.

    Args:
        port, origin_port: None takes a free one; the event `started` tells.
        lively: mine a block of random acts every `period_seconds` afterwards.

    Raises:
        ToolMissing: no anvil.
        SetupError: a port is taken, or anvil ended by itself.
    """
    genesis = int(time.time()) - BLOCK_SECONDS * STORY_BLOCKS
    files = Files()
    async with (
        Origin(files, host=host, port=origin_port) as origin,
        Anvil(
            port=port, host=host, binary=binary, state=state, genesis_time_seconds=genesis
        ) as anvil,
    ):
        here = DevnetEvent("started", anvil.url, origin.url, origin.opening)

        def tell(**what: Any) -> None:
            on_event(msgspec.structs.replace(here, **what))

        node = Node(anvil.url, deadline_seconds=CONNECTION_SECONDS)
        try:
            tell()
            await place_registries(node)
            summary = None
            if await next_agent_id(node) == 0:
                summary = await seed_world(
                    node,
                    seed,
                    agents=agents,
                    block_seconds=BLOCK_SECONDS,
                    progress=lambda done, total: tell(kind="seeding", done=done, total=total),
                    files=files,
                )
                await _arrive(node)
            else:
                plan_world(seed, agents=agents, files=files)
            tell(kind="ready", summary=summary)
            moving = None
            if lively:
                moving = keep_lively(
                    node,
                    seed,
                    period_seconds,
                    on_block=lambda number: tell(kind="block", number=number),
                    files=files,
                )
            await _run(anvil, moving)
        finally:
            await node.close()


async def _arrive(node: Node) -> None:
    """An empty block now: anvil's clock goes on from the last block's time."""
    async with mining(node) as miner:
        await miner.mine(max(miner.head_time_seconds, int(time.time())))


async def _run(anvil: Anvil, moving: Coroutine[Any, Any, None] | None) -> None:
    """Until anvil ends, or `moving` fails; both are errors."""
    ended = asyncio.create_task(anvil.wait())
    tasks: list[asyncio.Task[object]] = [ended]
    if moving is not None:
        tasks.append(asyncio.create_task(moving))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
    if ended in done:
        raise SetupError(f"anvil ended by itself with exit code {ended.result()}")
    for task in done:
        task.result()
