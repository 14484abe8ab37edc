"""The whole devnet in one call: what `renown devnet` does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from renown.chain.devnet.anvil import Anvil
from renown.chain.devnet.blocks import mining
from renown.chain.devnet.lively import keep_lively
from renown.chain.devnet.place import place_registries
from renown.chain.devnet.seed import WorldSummary, next_agent_id, seed_world
from renown.chain.devnet.world import DEFAULT_AGENTS, ROUNDS
from renown.chain.rpc import Node
from renown.errors import SetupError

BLOCK_SECONDS = 43_200
"""The story is told in half days, so that charts over weeks have something to show."""

CONNECTION_SECONDS = 60.0


class DevnetEvent(msgspec.Struct, frozen=True):
    """Something the person at the terminal may want to know.

    started    anvil answers at `url`
    seeding    `done` of `total` steps are sent
    ready      registries stand, the world is made; `summary` is None when the kept state had agents
    block      block `number` was mined to keep the chain lively
    """

    kind: Literal["started", "seeding", "ready", "block"]
    url: str
    done: int = 0
    total: int = 0
    number: int = 0
    summary: WorldSummary | None = None


async def run_devnet(
    *,
    port: int | None = None,
    seed: int = 1,
    agents: int = DEFAULT_AGENTS,
    lively: bool = True,
    host: str = "127.0.0.1",
    on_event: Callable[[DevnetEvent], None],
    period_seconds: float = 4.0,
    state: Path | None = None,
    binary: Path | None = None,
) -> None:
    """Start anvil, place the registries, seed the world, and run until cancelled.

    The world's blocks lie in the past weeks and end about now. With `state` the chain is kept in
    that file; a chain that already has agents is not seeded again.

    Args:
        port: None takes a free one; the event `started` tells.
        lively: mine a block of random acts every `period_seconds` afterwards.

    Raises:
        ToolMissing: no anvil.
        SetupError: the port is taken, or anvil ended by itself.
    """
    genesis = int(time.time()) - BLOCK_SECONDS * (ROUNDS + 2)
    async with Anvil(
        port=port, host=host, binary=binary, state=state, genesis_time_seconds=genesis
    ) as anvil:
        node = Node(anvil.url, deadline_seconds=CONNECTION_SECONDS)
        try:
            on_event(DevnetEvent("started", anvil.url))
            await place_registries(node)
            summary = None
            if await next_agent_id(node) == 0:
                summary = await seed_world(
                    node,
                    seed,
                    agents=agents,
                    block_seconds=BLOCK_SECONDS,
                    progress=lambda done, total: on_event(
                        DevnetEvent("seeding", anvil.url, done=done, total=total)
                    ),
                )
                await _arrive(node)
            on_event(DevnetEvent("ready", anvil.url, summary=summary))
            await _run(anvil, node, seed, lively, period_seconds, on_event)
        finally:
            await node.close()


async def _arrive(node: Node) -> None:
    """An empty block now: anvil's clock goes on from the last block's time."""
    async with mining(node) as miner:
        await miner.mine(max(miner.head_time_seconds, int(time.time())))


async def _run(
    anvil: Anvil,
    node: Node,
    seed: int,
    lively: bool,
    period_seconds: float,
    on_event: Callable[[DevnetEvent], None],
) -> None:
    """Until anvil ends, or keeping it lively fails; both are errors."""
    ended = asyncio.create_task(anvil.wait())
    tasks: list[asyncio.Task[object]] = [ended]
    if lively:
        moving = keep_lively(
            node,
            seed,
            period_seconds,
            on_block=lambda number: on_event(DevnetEvent("block", anvil.url, number=number)),
        )
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
