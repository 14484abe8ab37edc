"""What the pool costs: a borrowed connection against one of one's own, and a timed statement
against the driver's. Both in turns, so that what else happens on the machine meets both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable

import asyncpg
import uvloop

from bench import rig
from bench.harness import Report, Spread
from renown.store.pool import connect, connect_pool
from renown.store.standing import STANDINGS
from renown.store.statements import ran

BATCH = 200
MOST_RATIO = 1.3
"""Against the driver's own pool: what ours adds are bounded waiting, measures, and the look at
connections that were idle for long."""
MOST_TIMING_US = 2.0


def measure(rounds: int = 30) -> Report:
    """About two seconds."""
    with rig.postgres() as server:
        return uvloop.run(_measured(server.dsn("postgres"), rounds))


async def _measured(dsn: str, rounds: int) -> Report:
    pool = await connect_pool(dsn, min_size=2, max_size=8)
    own = await connect(dsn, numeric_as_int=True)
    bare = await asyncpg.connect(dsn)
    drivers = await asyncpg.create_pool(dsn, min_size=2, max_size=8, reset=_nothing)

    async def through_the_pool() -> None:
        async with pool.connection() as conn:
            await conn.fetchval("SELECT 1")

    async def through_the_drivers_pool() -> None:
        async with drivers.acquire() as conn:
            await conn.fetchval("SELECT 1")

    async def own_connection() -> None:
        await own.fetchval("SELECT 1")

    async def bare_connection() -> None:
        await bare.fetchval("SELECT 1")

    async def acquire_only() -> None:
        async with pool.connection():
            pass

    work = (
        *(through_the_pool, through_the_drivers_pool),
        *(own_connection, bare_connection, acquire_only),
    )
    times: dict[str, list[float]] = {one.__name__: [] for one in work}
    for one in work:
        await _batch(one)
    for _ in range(rounds):
        for one in work:
            times[one.__name__].append(await _batch(one))
    await pool.close()
    await own.close()
    await bare.close()
    await drivers.close()

    report = Report("pool", f"{rounds} rounds of {BATCH} statements", numbers={"us": times})
    spread = {name: Spread.of(values) for name, values in times.items()}
    for name, of in spread.items():
        report.add(name.replace("_", " "), f"{of:.1f} µs")
    against_bare = _ratio(times, "bare_connection")
    ratio = _ratio(times, "through_the_drivers_pool")
    report.add("pool / bare connection", f"{against_bare:.2f}")
    report.add("pool / driver's pool", f"{ratio:.2f}", f"<= {MOST_RATIO}", ratio <= MOST_RATIO)
    timing = _timing_us()
    report.add(
        "a statement's name and time", f"{timing:.2f} µs", f"<= {MOST_TIMING_US}", timing <= 2
    )
    return report


def _ratio(times: dict[str, list[float]], other: str) -> float:
    """Ours to another, round by round: neighbours in time met the same machine."""
    pairs = zip(times["through_the_pool"], times[other], strict=True)
    return statistics.median(ours / theirs for ours, theirs in pairs)


async def _nothing(_: object) -> None:
    """As our pool: a reset would be a round trip."""


async def _batch(work: Callable[[], Awaitable[None]]) -> float:
    """Microseconds each."""
    began = time.perf_counter()
    for _ in range(BATCH):
        await work()
    return (time.perf_counter() - began) / BATCH * 1e6


def _timing_us() -> float:
    ran(STANDINGS, 0.001)
    return min(_once(5_000) for _ in range(5))


def _once(count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        ran(STANDINGS, 0.001)
    return (time.perf_counter() - began) / count * 1e6
