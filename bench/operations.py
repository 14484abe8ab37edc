"""Operations in flight: what looking after a thousand of them costs, and that it leaves nothing.

`python -m bench.operations [--seconds N]`.

The watcher runs in its own process over PostgreSQL and a chain that stands still
(`operations_driver`): half of the operations wait in the pool, half are in blocks that are not
final. All are made due at once, again and again; no look changes any of them, so memory, rows and
connections must stay as they are.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from bench import harness, rig
from bench.harness import Report, Spread
from renown.store.pool import Conn

WARM_ROUNDS, ROUNDS_A_TURN = 3, 2
FLAT = 0.05
MOST_CONNECTIONS = 4
TABLES = ("operation", "operation_step", "operation_event", "operation_transaction")


def measure(seconds: float = 180.0) -> Report:
    """About `seconds` of looks."""
    with rig.postgres() as server:
        dsn = asyncio.run(rig.new_database(server, "operations"))
        with rig.WatcherProcess(dsn) as watcher:
            return asyncio.run(_watching(dsn, watcher, seconds))


async def _watching(dsn: str, watcher: rig.WatcherProcess, seconds: float) -> Report:
    count = watcher.ready["operations"]
    report = Report("operations", f"{count:,} in flight, looked at again and again")
    async with rig.connection(dsn) as conn:
        warm = watcher.watch({"rounds": WARM_ROUNDS})
        rows = await _rows(conn)
        turns: list[dict[str, Any]] = []
        end = time.perf_counter() + seconds
        while not turns or time.perf_counter() < end:
            turns.append(watcher.watch({"rounds": ROUNDS_A_TURN}))
        rows_after, size = await _rows(conn), await _bytes(conn)
    looks = sum(turn["looks"] for turn in turns)
    each = {
        name: Spread.of([turn[name] / turn["looks"] for turn in turns])
        for name in ("seconds", "cpu_seconds", "statements", "questions")
    }
    report.add("looks", f"{looks:,} in {len(turns) * ROUNDS_A_TURN} rounds")
    report.add("looks/s", f"{Spread.of([t['looks'] / t['seconds'] for t in turns]):,.0f}")
    report.add("CPU of the watcher a look, us", f"{each['cpu_seconds'].median * 1e6:,.0f}")
    report.add("statements a look", f"{each['statements']:.2f}")
    report.add("questions to the chain a look", f"{each['questions']:.2f}")
    first, last = warm["rss_bytes"], turns[-1]["rss_bytes"]
    growth = last / first - 1
    report.add("memory after the first rounds", f"{first / 2**20:.0f} MB")
    report.add("growth by the end", f"{growth:+.1%}", f"<= {FLAT:.0%}", growth <= FLAT)
    report.add("rows added by looking", f"{rows_after - rows:,}", "0", rows_after == rows)
    report.add("tables and their indexes", f"{size / 2**20:.1f} MB")
    used = turns[-1]["connections"]
    within = used <= MOST_CONNECTIONS
    report.add("connections opened", str(used), f"<= {MOST_CONNECTIONS}", within)
    report.numbers |= {"warm": warm, "turns": turns, "rows": rows_after, "table_bytes": size}
    return report


async def _rows(conn: Conn) -> int:
    return sum([await conn.fetchval(f'SELECT count(*) FROM "{table}"') for table in TABLES])


async def _bytes(conn: Conn) -> int:
    """Dead rows included: looks write, and autovacuum comes when it likes."""
    sizes = [
        await conn.fetchval("SELECT pg_total_relation_size($1::text::regclass)", table)
        for table in TABLES
    ]
    return sum(sizes)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.operations", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    about = harness.machine()
    report = measure(options.seconds)
    print(harness.show(report))
    if options.json:
        harness.save([report], about, options.json)
    return int(any(figure.within is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
