"""From kill -9 to new rows: the indexer and every PostgreSQL process die at once, then come back.

The clock starts when PostgreSQL accepts connections again (crash recovery is its own affair, and
shown), with `renown index` started in that moment as an operator's service manager would; it stops
when the checkpoint has moved. Once in the middle of a backfill, once while following the head.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from dataclasses import dataclass

import asyncpg
import psutil

from bench import rig
from bench.harness import Report, Spread
from renown.store.embedded import EmbeddedPostgres

SECONDS = 2.0
"""Budget."""

_GIVE_UP_SECONDS = 120.0
_CHECKPOINT = "SELECT block_number FROM checkpoint"


@dataclass(slots=True)
class Round:
    """Seconds of PostgreSQL's recovery, and from there to new rows."""

    recovery: float
    rows: float


async def run(size: int, rounds: int) -> Report:
    """Kill `rounds` times in a backfill of `size` events and as often while following."""
    report = Report("restart", f"kill -9 of everything, {size:,} events, network density")
    with rig.MockChain(size, "network") as node:
        last = node.world["last_block"]
        backfill = [await _round(node, last, None) for _ in range(rounds)]
        follow = [await _round(node, last // 10, 4.0) for _ in range(rounds)]
    for name, measured in (("in a backfill", backfill), ("while following", follow)):
        rows = Spread.of([r.rows for r in measured])
        report.add(
            f"{name}: new rows after, s", f"{rows:.2f}", f"< {SECONDS:.0f}", rows.median < SECONDS
        )
        recovery = Spread.of([r.recovery for r in measured])
        report.add(f"{name}: PostgreSQL's own recovery, s", f"{recovery:.2f}")
        report.numbers[name] = [{"recovery": r.recovery, "rows": r.rows} for r in measured]
    return report


async def _round(node: rig.MockChain, head: int, blocks_per_second: float | None) -> Round:
    node.ask("mock_setHead", head)
    with rig.postgres() as server:
        dsn = await rig.new_database(server, "restart")
        first = rig.index_command(dsn, node.url)
        try:
            if blocks_per_second is None:
                await _reached(dsn, head // 3)
            else:
                await _reached(dsn, head)
                node.ask("mock_follow", blocks_per_second)
                await _reached(dsn, head + 4)
        finally:
            _kill(server, first)
        recovering = time.perf_counter()
        await asyncio.to_thread(server.start)
        accepting = time.perf_counter()
        second = rig.index_command(dsn, node.url)
        try:
            before = await _checkpoint(dsn)
            await _reached(dsn, before + 1)
            return Round(accepting - recovering, time.perf_counter() - accepting)
        finally:
            _end(second)
            node.ask("mock_setHead", head)


def _kill(server: EmbeddedPostgres, indexer: subprocess.Popen[bytes]) -> None:
    """As a power cut would, short of losing what the kernel holds."""
    processes = [psutil.Process(server.pid)]
    processes += processes[0].children(recursive=True)
    os.kill(indexer.pid, signal.SIGKILL)
    for process in processes:
        process.kill()
    indexer.wait()
    psutil.wait_procs(processes, timeout=10)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    _, errors = process.communicate()
    if process.returncode not in (-signal.SIGKILL, 0):
        raise RuntimeError(f"renown index left with {process.returncode}: {errors.decode()[-500:]}")


async def _reached(dsn: str, block: int) -> None:
    """Wait until the checkpoint is at or above `block`."""
    give_up_at = time.monotonic() + _GIVE_UP_SECONDS
    async with rig.connection(dsn) as conn:
        while (await _held(conn)) < block:
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"block {block} not stored in {_GIVE_UP_SECONDS:.0f} s")
            await asyncio.sleep(0.005)


async def _checkpoint(dsn: str) -> int:
    async with rig.connection(dsn) as conn:
        return await _held(conn)


async def _held(conn: asyncpg.Connection[asyncpg.Record]) -> int:
    held = await conn.fetchval(_CHECKPOINT)
    return -1 if held is None else int(held)
