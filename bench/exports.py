"""Bulk files of agents against PostgreSQL's own COPY of the same rows.

`python -m bench.exports [--rounds N]`.

Each export is the command in a process of its own, its start included; COPY is streamed to a client
that throws it away. Both read the same joins in the same order. Rounds are interleaved.

The chain is exported at its final block, as the command does unless told otherwise: there COPY says
the same of the agents as the export, but for the few about which something happened since. At a
block of long ago it does not: a third of the agents are counted anew, as they were. What that costs
is measured by itself, and is not compared with COPY.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from bench import harness, rig, worlds
from bench.harness import Report, Spread
from renown.store import exporting
from renown.store.exported import FORMATS
from renown.store.exporting_tables import AGENTS
from renown.store.pool import Conn

BUDGET = 0.3
FLAT = 0.25
"""How much more memory all agents may take than a tenth of them."""

MOST_AGENTS = 300_000
"""Agents that are exported: more only takes longer."""

# The largest chain that has not more agents, at its final block.
_WHOLE = """
SELECT k.chain_id, least(k.final_block, k.block_number)
  FROM checkpoint k JOIN agent a USING (chain_id)
 GROUP BY k.chain_id
 ORDER BY count(*) > $1, abs(count(*) - $1) LIMIT 1
"""
# The block with which the chain has so many agents, or all it has.
_BLOCK = """
SELECT created_block FROM agent WHERE chain_id = $1 AND agent_id < $2
 ORDER BY agent_id DESC LIMIT 1
"""
_AGENTS = "SELECT count(*) FROM agent WHERE chain_id = $1 AND created_block <= $2"


class Extent(msgspec.Struct, frozen=True):
    """What is exported: the agents of a chain up to a block, about `agents`."""

    chain_id: int
    block: int
    agents: int


def measure(*, rounds: int = 2) -> Report:
    """Agents of the largest world."""
    return asyncio.run(run(worlds.largest(), rounds))


async def run(size: str, rounds: int) -> Report:
    """Export agents of a world in each format, `rounds` times."""
    dsn = worlds.dsn(size)
    async with rig.connection(dsn) as conn:
        with tempfile.TemporaryDirectory(prefix="renown-bench-") as scratch:
            whole = await _whole(conn)
            small, half = [await _past(conn, whole, whole.agents // part) for part in (10, 2)]
            await copied(conn, whole)  # so that all find the same pages in memory
            taken: dict[str, list[dict[str, float]]] = {"copy": [], **{f: [] for f in FORMATS}}
            for _ in range(rounds):
                taken["copy"].append(await copied(conn, whole))
                for form in FORMATS:
                    taken[form].append(exported(dsn, form, Path(scratch), whole))
            tenth: dict[str, dict[str, float]] = {
                form: exported(dsn, form, Path(scratch), small) for form in FORMATS
            }
            past = exported(dsn, FORMATS[0], Path(scratch), half)
    return _report(whole.agents, taken, tenth, half.agents, past)


async def _whole(conn: Conn) -> Extent:
    row = await conn.fetchrow(_WHOLE, MOST_AGENTS)
    if row is None:
        raise RuntimeError("the world has no agents")
    chain_id, block = row
    return Extent(chain_id, block, await conn.fetchval(_AGENTS, chain_id, block))


async def _past(conn: Conn, whole: Extent, agents: int) -> Extent:
    """The same chain when it had about so many agents."""
    chain_id = whole.chain_id
    block = await conn.fetchval(_BLOCK, chain_id, max(1, agents))
    return Extent(chain_id, block, await conn.fetchval(_AGENTS, chain_id, block))


async def copied(conn: Conn, extent: Extent) -> dict[str, float]:
    """COPY of the columns as they are stored."""
    columns = ", ".join(column.sql for column in exporting.carried(AGENTS))
    size = 0

    async def sink(piece: bytes) -> None:
        nonlocal size
        size += len(piece)

    began = time.perf_counter()
    query = f"SELECT {columns} {AGENTS.body}"
    of = extent.chain_id, extent.block, 0, exporting.END
    await conn.copy_from_query(query, *of, output=sink)
    return {"seconds": time.perf_counter() - began, "bytes": size}


def exported(dsn: str, form: str, scratch: Path, extent: Extent) -> dict[str, float]:
    """The command, from its start to its end."""
    out = scratch / form
    command = [str(Path(sys.executable).with_name("renown")), "export", "--table", "agents"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--format", form, *_options(extent), "--out", str(out)],
        env=_environment(dsn, scratch),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    with process.stderr as said:
        words = said.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"renown export --format {form}: {words}")
    size = sum(path.stat().st_size for path in out.iterdir())
    shutil.rmtree(out)
    return {
        "seconds": seconds,
        "bytes": size,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_rss_bytes": usage.ru_maxrss * 1024,
    }


def _environment(dsn: str, scratch: Path) -> dict[str, str]:
    ours = {key: value for key, value in os.environ.items() if not key.startswith("RENOWN_")}
    return {**ours, "DATABASE_URL": dsn, "RENOWN_DATA_DIR": str(scratch)}


def _options(extent: Extent) -> list[str]:
    return ["--chain", str(extent.chain_id), "--at", str(extent.block)]


def _report(
    agents: int,
    taken: dict[str, list[dict[str, float]]],
    tenth: dict[str, dict[str, float]],
    past_agents: int,
    past: dict[str, float],
) -> Report:
    numbers: dict[str, Any] = {"agents": agents, "rounds": taken, "tenth": tenth}
    numbers["past"] = {"agents": past_agents, **past}
    report = Report("exports", "agents of one chain", numbers=numbers)
    report.add("agents", f"{agents:,}")
    copies = [one["seconds"] for one in taken["copy"]]
    report.add("COPY, rows/s", f"{Spread.of([agents / seconds for seconds in copies]):,.0f}")
    for form in FORMATS:
        rows = taken[form]
        speed = Spread.of([agents / one["seconds"] for one in rows])
        ratios = [copy / one["seconds"] for copy, one in zip(copies, rows, strict=True)]
        ratio = Spread.of(ratios)
        peak = max(one["peak_rss_bytes"] for one in rows)
        growth = peak / tenth[form]["peak_rss_bytes"] - 1
        report.add(f"{form}, rows/s", f"{speed:,.0f}")
        report.add(f"{form}, of COPY", f"{ratio:.2f}", f">= {BUDGET}", ratio.median >= BUDGET)
        report.add(f"{form}, file MB", f"{rows[0]['bytes'] / 1e6:,.0f}")
        report.add(f"{form}, CPU s", f"{Spread.of([one['cpu_seconds'] for one in rows]):.1f}")
        report.add(f"{form}, peak RSS MB", f"{peak / 1e6:,.0f}")
        report.add(f"{form}, against a tenth", f"{growth:+.0%}", f"<= {FLAT:+.0%}", growth <= FLAT)
    named = f"{FORMATS[0]} of a block when the chain had half its agents, rows/s"
    report.add(named, f"{past_agents / past['seconds']:,.0f}")
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.exports", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    report = measure(rounds=parser.parse_args().rounds)
    print(harness.show(report))
    print(f"\nwritten to {harness.save([report], harness.machine())}")
    return int(any(figure.within is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
