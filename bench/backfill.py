"""Backfill: a whole chain from nothing, against a bare COPY of the rows it left behind.

The indexer reads the mock chain from block 0 to its head with all its checks, decodes, folds and
stores. Then exactly those rows go by binary COPY, on one connection, into empty tables with the
same indexes and no partitions; of more than two million events, a sample of the pages. Rounds of
the two take turns. CPU time is that of the indexer and of all PostgreSQL processes; the mock
chain's is reported beside it. A large backfill is also told of million by million.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import rig
from bench.harness import Figure, Memory, Report, Spread, cpu_seconds, peak_rss_bytes
from renown.store.embedded import EmbeddedPostgres
from renown.store.pool import Conn

ROWS_RATIO, EVENTS_PER_CPU_SECOND, MEMORY_BYTES = 0.5, 20_000, 300 * 10**6
"""Budgets: rows/s against COPY; events a CPU second; the indexer's memory."""

MOST_COPIED_EVENTS = 2_000_000
"""Of more, only a share of the rows goes by COPY: writing them all twice would take longer than all
else, into tables that are never as large as those of the backfill."""
STEP_EVENTS = 1_000_000
_LOOK_SECONDS = 0.25

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
    copied_rows: int
    copy_seconds: float
    copy_cpu: float
    steps: list[tuple[int, float, int]]
    """Events stored, CPU seconds so far, memory of the indexer in bytes, every million events."""

    @property
    def ratio(self) -> float:
        """Rows a second of the backfill against those of COPY."""
        return (self.rows / self.seconds) / (self.copied_rows / self.copy_seconds)


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
            looking = asyncio.create_task(_steps(dsn, indexer.pid, server.pid))
            took = await asyncio.to_thread(indexer.done)
            looking.cancel()
            steps = await looking
        node_cpu = node.ask("mock_stats")["cpu_seconds"]
    await rig.settle(dsn)  # its writing out is part of the price
    postgres_cpu = cpu_seconds(server.pid) - postgres_before
    await _must_be_whole(dsn, node.world)
    with tempfile.TemporaryDirectory(prefix="renown-bench-rows-") as folder:
        rows, copied_rows = await _dump(dsn, Path(folder), node.world["events"])
        copy_seconds, copy_cpu = await _copy(server, Path(folder))
    return Round(
        seconds=took["seconds"],
        indexer_cpu=took["cpu_seconds"],
        postgres_cpu=postgres_cpu,
        node_cpu=node_cpu,
        peak_rss_bytes=took["peak_rss_bytes"],
        postgres_pss_bytes=memory.peak("postgres"),
        rows=rows,
        copied_rows=copied_rows,
        copy_seconds=copy_seconds,
        copy_cpu=copy_cpu,
        steps=steps,
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


async def _steps(dsn: str, indexer: int, postgres: int) -> list[tuple[int, float, int]]:
    """Look at the backfill until this is cancelled. See `Round.steps`."""
    steps: list[tuple[int, float, int]] = []
    before = cpu_seconds(postgres)
    async with rig.connection(dsn) as conn:
        statement = await conn.prepare("SELECT events FROM checkpoint")
        try:
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                events = await statement.fetchval() or 0
                if events // STEP_EVENTS > (steps[-1][0] // STEP_EVENTS if steps else 0):
                    cpu = cpu_seconds(indexer) + cpu_seconds(postgres) - before
                    steps.append((events, cpu, peak_rss_bytes(indexer)))
        except asyncio.CancelledError:
            return steps


async def _dump(dsn: str, folder: Path, events: int) -> tuple[int, int]:
    """Rows as binary COPY files, one a table; how many rows there are, and how many of them in the
    files."""
    rows = dumped = 0
    share = min(1.0, MOST_COPIED_EVENTS / events)
    sample = f" TABLESAMPLE SYSTEM ({100 * share:.3f})" if share < 1 else ""
    async with rig.connection(dsn) as conn:
        for (table,) in await conn.fetch(TABLES):
            # A partitioned table is copied through a query.
            query = f'SELECT * FROM "{table}"{sample}'
            status = await conn.copy_from_query(query, output=folder / table, format="binary")
            dumped += int(status.split()[-1])
            if sample:
                rows += await conn.fetchval(f'SELECT count(*) FROM "{table}"')
    return rows or dumped, dumped


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
    for number, (events_so_far, cpu, peak) in enumerate(rounds[0].steps):
        earlier = rounds[0].steps[number - 1] if number else (0, 0.0, 0)
        rate = (events_so_far - earlier[0]) / (cpu - earlier[1])
        name = f"million {events_so_far // STEP_EVENTS}: events per CPU second, peak MB"
        report.add(name, f"{rate:,.0f}, {peak / 1e6:.0f}")
    per_event = {
        "indexer": [r.indexer_cpu for r in rounds],
        "PostgreSQL": [r.postgres_cpu for r in rounds],
        "COPY's PostgreSQL": [r.copy_cpu * r.rows / r.copied_rows for r in rounds],
        "mock chain (not counted)": [r.node_cpu for r in rounds],
    }
    for name, seconds in per_event.items():
        spread = Spread.of([value / events * 1e6 for value in seconds])
        report.figures.append(Figure(f"CPU us an event, {name}", f"{spread:.1f}"))
    report.numbers = {"world": world, "rounds": [_as_numbers(r) for r in rounds]}
    return report


def _as_numbers(measured: Round) -> dict[str, Any]:
    return {name: getattr(measured, name) for name in Round.__slots__} | {"ratio": measured.ratio}
