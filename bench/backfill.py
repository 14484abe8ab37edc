"""Backfill: a whole chain from nothing, against a bare COPY of the rows it left behind.

The indexer reads the mock chain from block 0 to its head with all its checks, decodes, folds and
stores. Then exactly those rows go by binary COPY, on one connection, into empty tables with the
same indexes and no partitions. Rounds of the two take turns. CPU time is that of the indexer and of
all PostgreSQL processes; the mock chain's is reported beside it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import rig
from bench.harness import Figure, Memory, Report, Spread, cpu_seconds
from renown.store.embedded import EmbeddedPostgres
from renown.store.pool import Conn

ROWS_RATIO, EVENTS_PER_CPU_SECOND, MEMORY_BYTES = 0.5, 20_000, 300 * 10**6
"""Budgets: rows/s against COPY; events a CPU second; the indexer's memory."""

TABLES = """
SELECT c.relname
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace
   AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND c.relname NOT IN ('schema_migration', 'chain')
 ORDER BY c.relname
"""


@dataclass(slots=True)
class Round:
    """One backfill and the COPY of its rows."""

    seconds: float
    indexer_cpu: float
    postgres_cpu: float
    node_cpu: float
    peak_rss_bytes: int
    postgres_pss_bytes: int
    rows: int
    copy_seconds: float
    copy_cpu: float

    @property
    def ratio(self) -> float:
        """Rows a second of the backfill against those of COPY."""
        return self.copy_seconds / self.seconds


async def run(size: int, density: str, rounds: int) -> Report:
    """Measure `rounds` backfills of `size` events."""
    with rig.MockChain(size, density) as node, rig.postgres() as server:
        measured = [await _round(node, server) for _ in range(rounds)]
        return _report(node.world, measured)


async def _round(node: rig.MockChain, server: EmbeddedPostgres) -> Round:
    dsn = await rig.new_database(server, "backfill")
    with rig.IndexerProcess(dsn, node.url) as indexer:
        await rig.settle(dsn)
        node.ask("mock_stats", True)
        postgres_before = cpu_seconds(server.pid)
        with Memory(postgres=server.pid) as memory:
            indexer.run(until=node.world["last_block"])
            took = await asyncio.to_thread(indexer.done)
        node_cpu = node.ask("mock_stats")["cpu_seconds"]
    await rig.settle(dsn)  # its writing out is part of the price
    postgres_cpu = cpu_seconds(server.pid) - postgres_before
    await _must_be_whole(dsn, node.world)
    with tempfile.TemporaryDirectory(prefix="renown-bench-rows-") as folder:
        rows = await _dump(dsn, Path(folder))
        copy_seconds, copy_cpu = await _copy(server, Path(folder))
    return Round(
        seconds=took["seconds"],
        indexer_cpu=took["cpu_seconds"],
        postgres_cpu=postgres_cpu,
        node_cpu=node_cpu,
        peak_rss_bytes=took["peak_rss_bytes"],
        postgres_pss_bytes=memory.peak("postgres"),
        rows=rows,
        copy_seconds=copy_seconds,
        copy_cpu=copy_cpu,
    )


async def _must_be_whole(dsn: str, world: dict[str, Any]) -> None:
    """A backfill that lost something does not count."""
    async with rig.connection(dsn) as conn:
        held = await conn.fetchrow(
            "SELECT (SELECT sum(events) FROM checkpoint) AS events,"
            " (SELECT count(*) FROM agent) AS agents,"
            " (SELECT sum(feedback_count) FROM agent_stats) AS feedbacks,"
            " (SELECT sum(revoked_count) FROM agent_stats) AS revocations,"
            " (SELECT count(*) FROM quarantine) + (SELECT count(*) FROM unattached) AS odd"
        )
    expected = (world["events"], world["agents"], world["feedback"], world["revoke"], 0)
    if held is None or tuple(held) != expected:
        raise RuntimeError(f"the index holds {held}, the chain has {expected}")


async def _dump(dsn: str, folder: Path) -> int:
    """Every row as binary COPY files, one a table; how many rows."""
    rows = 0
    async with rig.connection(dsn) as conn:
        for (table,) in await conn.fetch(TABLES):
            # A partitioned table is copied through a query.
            query = f'SELECT * FROM "{table}"'
            status = await conn.copy_from_query(query, output=folder / table, format="binary")
            rows += int(status.split()[-1])
    return rows


async def _copy(server: EmbeddedPostgres, folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of COPY into the same tables, plain, on one connection."""
    model = server.dsn("backfill")
    dsn = await rig.new_database(server, "baseline")
    async with rig.connection(model) as conn:
        tables = [table for (table,) in await conn.fetch(TABLES)]
    async with rig.connection(dsn) as conn:
        await _make_plain(conn, tables)
        await rig.settle(dsn)
        cpu_before, started = cpu_seconds(server.pid), time.perf_counter()
        for table in tables:
            await conn.copy_to_table(
                table, source=folder / table, schema_name="plain", format="binary"
            )
        seconds = time.perf_counter() - started
        await rig.settle(dsn)
        return seconds, cpu_seconds(server.pid) - cpu_before


async def _make_plain(conn: Conn, tables: list[str]) -> None:
    """The tables without partitions, triggers and foreign keys, but with every index."""
    await conn.execute("CREATE SCHEMA plain")
    for table in tables:
        await conn.execute(
            f'CREATE TABLE plain."{table}" (LIKE public."{table}" INCLUDING ALL'
            " EXCLUDING STATISTICS EXCLUDING COMMENTS)"
        )


def _report(world: dict[str, Any], rounds: list[Round]) -> Report:
    events = world["events"]
    report = Report("backfill", f"{events:,} events, {world['density']} density")
    ratio = Spread.of([r.ratio for r in rounds])
    per_cpu = Spread.of([events / (r.indexer_cpu + r.postgres_cpu) for r in rounds])
    memory = Spread.of([r.peak_rss_bytes for r in rounds])
    report.add("events/s", f"{Spread.of([events / r.seconds for r in rounds]):,.0f}")
    report.add("rows/s", f"{Spread.of([r.rows / r.seconds for r in rounds]):,.0f}")
    report.add(
        "rows/s against COPY",
        f"{ratio:.2f}",
        f">= {ROWS_RATIO}",
        ratio.median >= ROWS_RATIO,
    )
    report.add(
        "events per CPU second",
        f"{per_cpu:,.0f}",
        f">= {EVENTS_PER_CPU_SECOND:,}",
        per_cpu.median >= EVENTS_PER_CPU_SECOND,
    )
    report.add(
        "indexer's peak memory, MB",
        f"{memory.median / 1e6:.0f}",
        f"< {MEMORY_BYTES // 10**6}",
        memory.most < MEMORY_BYTES,
    )
    per_event = {
        "indexer": [r.indexer_cpu for r in rounds],
        "PostgreSQL": [r.postgres_cpu for r in rounds],
        "COPY's PostgreSQL": [r.copy_cpu for r in rounds],
        "mock chain (not counted)": [r.node_cpu for r in rounds],
    }
    for name, seconds in per_event.items():
        spread = Spread.of([value / events * 1e6 for value in seconds])
        report.figures.append(Figure(f"CPU us an event, {name}", f"{spread:.1f}"))
    report.numbers = {"world": world, "rounds": [_as_numbers(r) for r in rounds]}
    return report


def _as_numbers(measured: Round) -> dict[str, float]:
    return {name: getattr(measured, name) for name in Round.__slots__} | {"ratio": measured.ratio}
