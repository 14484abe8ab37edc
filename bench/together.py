"""Following the head while the same database is read, and catching up while it is read.

The world of a million agents gets one chain more: the mock chain, which makes blocks that hold 200
events a second. The indexer follows it alone; then while requests come at 80 % of what the API can
take, as a load test sends them (open model, the mix of `load_mix`); then it catches up with a
stretch of chain under the same requests. Indexer, API, PostgreSQL, mock chain and the generator of
requests share the machine, so the last two take from what is measured.

How long a block takes from being visible on the chain to being stored is its delay; half a poll of
the head is in it by choice. Afterwards what is stored is compared with the chain, block by block,
and the chain is dropped from the world again.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bench import follow, harness, rig, worlds
from bench.driver import POLL_SECONDS
from bench.harness import Report, peak_rss_bytes, quantile
from bench.load_mix import Mix, mix_of
from renown.store.forget import forget
from renown.store.pool import connect

EVENTS, EVENTS_PER_SECOND, SHARE = 60_000, 200.0, 0.8
"""On the mock chain; while it is followed; of the API's capacity."""
CATCH_UP_EVENTS = 20_000
SLOWER, API_BYTES, INDEXER_BYTES = 2.0, 150 * 10**6, 300 * 10**6
"""Budgets: p99 of the delay against alone; memory."""
_CONNECTIONS = 16
_WARM_SECONDS = 4.0
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

    async def follow(self, start: int) -> tuple[int, list[float]]:
        """Follow for a while from block `start`; the last block and the delays of all."""
        last = start + int(self.blocks_per_second * self.seconds)
        self.indexer.run(last)
        self.node.ask("mock_follow", self.blocks_per_second, last)
        seen = await follow.watch(self.dsn, start, last)
        await asyncio.to_thread(self.indexer.done)
        made = dict(self.node.ask("mock_heads"))
        if sorted(made) != sorted(seen):
            raise RuntimeError(f"blocks {sorted(made.keys() ^ seen.keys())[:9]} were missed")
        return last, [seen[number] - made[number] for number in sorted(made)]

    async def read(self, rate: float, seconds: float) -> dict[str, Any]:
        """Requests at `rate` a second, due at moments that do not wait for answers."""
        self.seed += 1
        self.load.tell({"rate": rate, "seconds": seconds, "seed": self.seed})
        return await asyncio.to_thread(self.load.heard)

    async def while_read(
        self, work: Callable[[], Awaitable[Any]], rate: float, seconds: float
    ) -> tuple[Any, dict[str, Any]]:
        """`work`, and requests at `rate` around it for `seconds`."""
        reading = asyncio.create_task(self.read(rate, seconds))
        done = await work()
        return done, await reading


def measure(*, seconds: float | None = None, size: str | None = None) -> Report:
    """Some three minutes. `seconds` is how long each part lasts."""
    size = size or worlds.largest()
    seconds = seconds or (8.0 if harness.is_quick() else 30.0)
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
            port = api.ready["port"]
            rate = SHARE * await asyncio.to_thread(_capacity, port, mix, seconds / 3)
            with (
                rig.DriverProcess("bench.load_client", {}, str(port), file.name) as load,
                rig.IndexerProcess(dsn, node.url) as indexer,
            ):
                blocks_per_second = (
                    EVENTS_PER_SECOND * node.world["last_block"] / node.world["events"]
                )
                bench = Bench(dsn, node, indexer, load, blocks_per_second, seconds)
                await _run(bench, report, rate)
                memory = {"API": peak_rss_bytes(api.pid), "indexer": peak_rss_bytes(indexer.pid)}
    finally:
        await _drop_chain(dsn)
    for name, most in (("API", API_BYTES), ("indexer", INDEXER_BYTES)):
        value = f"{memory[name] / 1e6:.0f}"
        report.add(f"memory, {name}, MB", value, f"<= {most // 10**6}", memory[name] <= most)
    report.numbers["memory"] = {name: {size: peak} for name, peak in memory.items()}
    return report


def _capacity(port: int, mix: Mix, seconds: float) -> float:
    """Requests a second of the mix, each connection asking again as soon as it is answered."""
    paths = [path for kind in mix for path in _spread(kind, 2_000)]
    order = {
        "port": port,
        "paths": paths,
        "connections": _CONNECTIONS,
        "seconds": max(seconds, _WARM_SECONDS),
    }
    with rig.DriverProcess("bench.http_client", {}) as client:
        client.tell(order | {"seconds": _WARM_SECONDS})
        client.heard()
        client.tell(order)
        found = client.heard()
    return float(found["answered"] / found["seconds"])


def _spread(kind: tuple[str, float, list[str]], total: int) -> list[str]:
    """A kind's share of `total` paths, the ones that are asked most."""
    _, share, paths = kind
    return paths[: max(1, round(share * total))]


async def _run(bench: Bench, report: Report, rate: float) -> None:
    node, seconds = bench.node, bench.seconds
    stretch = int(bench.blocks_per_second * seconds) + _SPARE_BLOCKS
    catch_up = CATCH_UP_EVENTS * node.world["last_block"] // node.world["events"]
    start = node.world["last_block"] - 2 * stretch - catch_up
    if start < 1:
        raise RuntimeError("the mock chain is too short for this")
    node.ask("mock_setHead", start)
    bench.indexer.run(start)
    await asyncio.to_thread(bench.indexer.done)

    await bench.read(rate, _WARM_SECONDS)
    read_alone = await bench.read(rate, seconds / 2)
    at, alone = await bench.follow(start)
    (at, together), read_together = await bench.while_read(
        lambda: bench.follow(at), rate, seconds + 1
    )

    async def catch_up_now() -> dict[str, Any]:
        node.ask("mock_setHead", at + catch_up)
        bench.indexer.run(at + catch_up)
        return await asyncio.to_thread(bench.indexer.done)

    events = node.ask("mock_logsUpTo", at + catch_up) - node.ask("mock_logsUpTo", at)
    caught_up, read_in_catch_up = await bench.while_read(catch_up_now, rate, seconds / 3)
    await _must_be_whole(bench, at + catch_up)

    report.add("requests a second, 80 % of capacity", f"{rate:,.0f}")
    delays = {"alone": alone, "with reads": together}
    for name, found in delays.items():
        for share, label in ((0.5, "p50"), (0.99, "p99")):
            value = f"{quantile(found, share) * 1e3:.0f}"
            report.add(f"delay of a block, {name}, {label}, ms", value)
    slower = quantile(together, 0.99) / quantile(alone, 0.99)
    report.add("p99 of the delay, against alone", f"{slower:.2f}", "<= 2", slower <= SLOWER)
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
    report.numbers |= {
        "delays_seconds": delays,
        "reads": {"alone": read_alone, "together": read_together, "catch_up": read_in_catch_up},
        "rate": rate,
        "poll_seconds": POLL_SECONDS,
        "catch_up_events_per_second": rate_of_events,
    }


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


async def _drop_chain(dsn: str) -> None:
    conn = await connect(dsn, application_name="renown-bench")
    try:
        if await conn.fetchval("SELECT 1 FROM chain WHERE chain_id = $1", follow.CHAIN_ID):
            await forget(conn, follow.CHAIN_ID)
    finally:
        await conn.close()
