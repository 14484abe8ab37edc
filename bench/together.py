"""Following the head while the same database is read, and catching up while it is read.

The world of a million agents gets one chain more: the mock chain, which makes blocks that hold 200
events a second. The indexer follows it alone; then while requests come at 80 % of what the API can
take; then it catches up with a stretch of chain under the same requests. They come as a load test
sends them (open model, the mix of `load_mix`), for as long as the indexer works. What the API can
take is found in the same way: the highest rate at which 99 % is answered within the step. Indexer,
API, PostgreSQL, mock chain and the generator of requests share the machine, so the last two take
from what is measured.

In the middle of both stretches that are followed all views are counted anew once, as an indexer in
service does it from time to time beside following (`ingest.upkeep`).

How long a block takes from being visible on the chain to being stored is its delay; half a poll of
the head is in it by choice. Afterwards what is stored is compared with the chain, block by block,
and the chain is dropped from the world again.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bench import follow, harness, rig, worlds
from bench.driver import POLL_SECONDS
from bench.harness import Report, peak_rss_bytes, quantile
from bench.load_mix import mix_of
from bench.load_model import between, rates
from renown.ingest.upkeep import VIEWS, refresh
from renown.store.forget import forget
from renown.store.pool import connect

T = TypeVar("T")

EVENTS, EVENTS_PER_SECOND, SHARE = 60_000, 200.0, 0.8
"""On the mock chain; while it is followed; of the API's capacity."""
CATCH_UP_EVENTS = 20_000
IN_TIME = 0.99
"""Least share of the requests of a step that is answered within it, up to the capacity."""
ENOUGH = 200
"""Blocks below which the last hundredth is one or two of them: then the worst one is told."""
SLOWER, API_BYTES, INDEXER_BYTES = 2.0, 150 * 10**6, 300 * 10**6
"""Budgets: p99 of the delay against alone; memory."""
_WARM_RATE, _WARM_SECONDS = 150.0, 4.0
_STEP_SECONDS, _ALONE_SECONDS = 2.0, 6.0
_FIRST, _FACTOR, _MOST, _BISECTIONS = 300.0, 1.5, 20_000.0, 3
"""Rates a second in search of the capacity."""
_READ_AT_MOST_SECONDS = 120.0
"""How long requests go on where the work they stand beside does not end."""
_SPARE_BLOCKS = 5


@dataclass(slots=True)
class Bench:
    """What runs, and how long each part does."""

    dsn: str
    node: rig.MockChain
    indexer: rig.IndexerProcess
    load: rig.DriverProcess
    blocks_per_second: float
    seconds: float
    seed: int = 0

    async def follow(self, start: int) -> Followed:
        """Follow for a while from block `start`, with a count of all views in the middle."""
        last = start + int(self.blocks_per_second * self.seconds)
        counting = asyncio.create_task(self._count_views(self.seconds / 3))
        self.indexer.run(last)
        self.node.ask("mock_follow", self.blocks_per_second, last)
        seen = await follow.watch(self.dsn, start, last)
        await asyncio.to_thread(self.indexer.done)
        made = dict(self.node.ask("mock_heads"))
        if sorted(made) != sorted(seen):
            raise RuntimeError(f"blocks {sorted(made.keys() ^ seen.keys())[:9]} were missed")
        delays = [seen[number] - made[number] for number in sorted(made)]
        return Followed(last, delays, await counting)

    async def _count_views(self, after_seconds: float) -> float:
        await asyncio.sleep(after_seconds)
        return await count_views(self.dsn)

    async def read(self, rate: float, seconds: float) -> dict[str, Any]:
        """Requests at `rate` a second, due at moments that do not wait for answers."""
        self.seed += 1
        self.load.tell({"rate": rate, "seconds": seconds, "seed": self.seed})
        return await asyncio.to_thread(self.load.heard)

    async def while_read(
        self, work: Callable[[], Awaitable[T]], rate: float
    ) -> tuple[T, dict[str, Any]]:
        """`work`, and requests at `rate` beside it until it is done."""
        reading = asyncio.create_task(self.read(rate, self.seconds + _READ_AT_MOST_SECONDS))
        try:
            done = await work()
        finally:
            self.load.tell({"stop": True})
            read = await reading
        return done, read

    async def capacity(self, seconds: float) -> float:
        """The highest rate at which nearly all is answered in time; two digits of it.

        A step that fails is taken once more: others may have disturbed it.
        """

        async def keeps_up(rate: float) -> bool:
            for _ in range(2):
                found = await self.read(rate, seconds)
                if found["in_time"] >= IN_TIME * found["due"]:
                    return True
            return False

        return await highest(keeps_up)


@dataclass(frozen=True, slots=True)
class Followed:
    """Up to which block, the delays of all on the way, and how long the views took."""

    last: int
    delays: list[float]
    counting_seconds: float


async def highest(keeps_up: Callable[[float], Awaitable[bool]]) -> float:
    """The highest rate that is kept up with, looked for upwards and then between.

    Raises:
        RuntimeError: it is none that is worth a look.
    """
    bad = 0.0
    first = _FIRST
    while not await keeps_up(first):
        first /= 4
        if first < 1:
            raise RuntimeError("the API keeps up with no rate")
    good = first
    for rate in rates(first * _FACTOR, _FACTOR, _MOST):
        if not await keeps_up(rate):
            bad = rate
            break
        good = rate
    for _ in range(_BISECTIONS if bad else 0):
        rate = between(good, bad)
        if not good < rate < bad:
            break
        if await keeps_up(rate):
            good = rate
        else:
            bad = rate
    return good


def measure(*, seconds: float | None = None, size: str | None = None) -> Report:
    """Some four minutes. `seconds` is how long each of the two stretches is followed."""
    size = size or worlds.largest()
    seconds = seconds or (8.0 if harness.is_quick() else 75.0)
    return asyncio.run(_measure(worlds.dsn(size), size, seconds))


async def _measure(dsn: str, size: str, seconds: float) -> Report:
    report = Report("together", f"{size} agents, {EVENTS_PER_SECOND:g} events/s, one API process")
    mix = await mix_of(dsn)
    given = {"BENCH_DSN": dsn, "BENCH_AUDIT": "on", "BENCH_KEY_PEPPER": "of the benchmarks"}
    await _drop_chain(dsn)  # of a run that was interrupted
    try:
        with (
            tempfile.NamedTemporaryFile("w", suffix=".json") as file,
            rig.MockChain(EVENTS, "dense") as node,
            rig.DriverProcess("bench.auditing_driver", given) as api,
        ):
            json.dump(mix, file)
            file.flush()
            port = str(api.ready["port"])
            with (
                rig.DriverProcess("bench.load_client", {}, port, file.name) as load,
                rig.IndexerProcess(dsn, node.url) as indexer,
            ):
                blocks_per_second = (
                    EVENTS_PER_SECOND * node.world["last_block"] / node.world["events"]
                )
                bench = Bench(dsn, node, indexer, load, blocks_per_second, seconds)
                await _run(bench, report)
                memory = {"API": peak_rss_bytes(api.pid), "indexer": peak_rss_bytes(indexer.pid)}
    finally:
        if await _drop_chain(dsn):
            # Or others would find its agents on the leaderboards. They have no words: nobody
            # crawled them.
            await count_views(dsn, [view for view in VIEWS if view != "term_count"])
    for name, most in (("API", API_BYTES), ("indexer", INDEXER_BYTES)):
        value = f"{memory[name] / 1e6:.0f}"
        report.add(f"memory, {name}, MB", value, f"<= {most // 10**6}", memory[name] <= most)
    report.numbers["memory"] = {name: {size: peak} for name, peak in memory.items()}
    return report


async def _run(bench: Bench, report: Report) -> None:
    node, seconds = bench.node, bench.seconds
    stretch = int(bench.blocks_per_second * seconds) + _SPARE_BLOCKS
    catch_up = CATCH_UP_EVENTS * node.world["last_block"] // node.world["events"]
    start = node.world["last_block"] - 2 * stretch - catch_up
    if start < 1:
        raise RuntimeError("the mock chain is too short for this")
    node.ask("mock_setHead", start)
    bench.indexer.run(start)
    await asyncio.to_thread(bench.indexer.done)

    await bench.read(_WARM_RATE, _WARM_SECONDS)
    capacity = await bench.capacity(_STEP_SECONDS)
    rate = SHARE * capacity
    read_alone = await bench.read(rate, _ALONE_SECONDS)
    alone = await bench.follow(start)
    together, read_together = await bench.while_read(lambda: bench.follow(alone.last), rate)
    at = together.last

    async def catch_up_now() -> dict[str, Any]:
        node.ask("mock_setHead", at + catch_up)
        bench.indexer.run(at + catch_up)
        return await asyncio.to_thread(bench.indexer.done)

    events = node.ask("mock_logsUpTo", at + catch_up) - node.ask("mock_logsUpTo", at)
    caught_up, read_in_catch_up = await bench.while_read(catch_up_now, rate)
    await _must_be_whole(bench, at + catch_up)

    report.add("capacity of the API alone, requests/s", f"{capacity:,.0f}")
    report.add("… 80 % of it, as it is read from here on", f"{rate:,.0f}")
    report.add("blocks followed in each part", f"{len(alone.delays)}")
    last = "p99" if len(alone.delays) >= ENOUGH else "worst"
    share = 0.99 if last == "p99" else 1.0
    for name, found in (("alone", alone), ("with reads", together)):
        report.add(f"delay of a block, {name}, p50, ms", _ms(found.delays, 0.5))
        report.add(f"delay of a block, {name}, {last}, ms", _ms(found.delays, share))
        report.add("… views counted in the middle, s", f"{found.counting_seconds:.1f}")
    slower = quantile(together.delays, share) / quantile(alone.delays, share)
    report.add(f"{last} of the delay, against alone", f"{slower:.2f}", "<= 2", slower <= SLOWER)
    report.add("blocks missed", "0", "0", True)
    for name, read in (
        ("alone", read_alone),
        ("while following", read_together),
        ("while catching up", read_in_catch_up),
    ):
        report.add(f"reads {name}, p50 and p99, ms", f"{read['p50_ms']:.1f}, {read['p99_ms']:.1f}")
        report.add(f"reads {name}, answered in time", f"{read['in_time'] / read['due']:.1%}")
    rate_of_events = events / caught_up["seconds"]
    report.add("events/s of catching up with reads", f"{rate_of_events:,.0f}")
    report.add("… it took, and was read for, s", _lasted(caught_up, read_in_catch_up))
    report.numbers |= {
        "delays_seconds": {"alone": alone.delays, "with reads": together.delays},
        "views_seconds": {
            "alone": alone.counting_seconds,
            "with reads": together.counting_seconds,
        },
        "capacity": capacity,
        "reads": {"alone": read_alone, "together": read_together, "catch_up": read_in_catch_up},
        "rate": rate,
        "poll_seconds": POLL_SECONDS,
        "catch_up_events_per_second": rate_of_events,
    }


def _ms(delays: list[float], share: float) -> str:
    return f"{quantile(delays, share) * 1e3:.0f}"


def _lasted(work: dict[str, Any], read: dict[str, Any]) -> str:
    return f"{work['seconds']:.1f}, {read['sent_for_seconds']:.1f}"


async def _must_be_whole(bench: Bench, last: int) -> None:
    """Every log of the chain is there, and counted at a block."""
    expected = bench.node.ask("mock_logsUpTo", last)
    async with rig.connection(bench.dsn) as conn:
        held = await conn.fetchrow(HELD, follow.CHAIN_ID)
    if held is None or tuple(held) != (last, expected, expected, 0):
        raise RuntimeError(f"the index holds {held}, the chain {expected} logs up to block {last}")


HELD = """
SELECT k.block_number, k.events,
       (SELECT sum(fact_count) FROM block b WHERE b.chain_id = k.chain_id)::bigint,
       (SELECT count(*) FROM quarantine q WHERE q.chain_id = k.chain_id)
  FROM checkpoint k WHERE k.chain_id = $1
"""


async def _drop_chain(dsn: str) -> bool:
    """Whether it was there."""
    conn = await connect(dsn, application_name="renown-bench")
    try:
        if not await conn.fetchval("SELECT 1 FROM chain WHERE chain_id = $1", follow.CHAIN_ID):
            return False
        await forget(conn, follow.CHAIN_ID)
        return True
    finally:
        await conn.close()


async def count_views(dsn: str, views: Sequence[str] = tuple(VIEWS)) -> float:
    """Count what an installation counts beside following, however lately it was; seconds."""
    conn = await connect(dsn, application_name="renown-bench")
    try:
        began = time.perf_counter()
        await refresh(conn, views, share=float("inf"))
        return time.perf_counter() - began
    finally:
        await conn.close()
