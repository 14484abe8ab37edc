"""How far the index lags behind the head while it follows, block by block.

The mock chain makes blocks at a steady rate and notes when each became visible; the benchmark
looks every 5 ms how far the checkpoint is. The indexer asks for the head every half second, so half
of that is waiting by choice.
"""

from __future__ import annotations

import asyncio
import time

from bench import rig
from bench.driver import POLL_SECONDS
from bench.harness import Report, cpu_seconds, quantile
from renown.spec.deployments import find

EVENTS = 50_000
CHAIN_ID = find("devnet").chain_id
_LOOK_SECONDS = 0.005


async def run(density: str, blocks_per_second: float, seconds: float) -> Report:
    """Follow for `seconds` at `blocks_per_second`."""
    blocks = int(blocks_per_second * seconds)
    with rig.MockChain(EVENTS, density) as node, rig.postgres() as server:
        start = node.world["last_block"] - blocks - 5
        node.ask("mock_setHead", start)
        dsn = await rig.new_database(server, "follow")
        with rig.IndexerProcess(dsn, node.url) as indexer:
            indexer.run(start)
            await asyncio.to_thread(indexer.done)
            cpu_before = cpu_seconds(indexer.pid) + cpu_seconds(server.pid)
            indexer.run(start + blocks)
            node.ask("mock_follow", blocks_per_second, start + blocks)
            seen = await watch(dsn, start, start + blocks)
            cpu = cpu_seconds(indexer.pid) + cpu_seconds(server.pid) - cpu_before
        made = dict(node.ask("mock_heads"))
    delays = [seen[number] - made[number] for number in sorted(made)]
    report = Report(
        "follow",
        f"{blocks} blocks at {blocks_per_second:g} a second, {density} density,"
        f" head asked for every {POLL_SECONDS:g} s",
    )
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        report.add(f"delay of a block, {name}, ms", f"{quantile(delays, share) * 1e3:.0f}")
    report.add("CPU ms a block, indexer and PostgreSQL", f"{cpu / blocks * 1e3:.1f}")
    report.numbers = {"delays_seconds": delays, "cpu_seconds": cpu}
    return report


async def watch(dsn: str, start: int, last: int) -> dict[int, float]:
    """When each block of the mock chain from `start + 1` to `last` was first seen stored, in
    monotonic seconds."""
    seen: dict[int, float] = {}
    next_block = start + 1
    async with rig.connection(dsn) as conn:
        statement = await conn.prepare("SELECT block_number FROM checkpoint WHERE chain_id = $1")
        while next_block <= last:
            held = await statement.fetchval(CHAIN_ID)
            now = time.monotonic()
            while next_block <= held:
                seen[next_block] = now
                next_block += 1
            await asyncio.sleep(_LOOK_SECONDS)
    return seen
