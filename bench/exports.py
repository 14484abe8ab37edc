"""Bulk files of a million agents against PostgreSQL's own COPY of the same rows.

`python -m bench.exports [--agents N] [--rounds N]`.

Each export is the command in a process of its own, its start included; COPY is streamed to a client
that throws it away. Both read the same joins in the same order. Rounds are interleaved.
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

from bench import harness, rig
from bench.harness import Report, Spread
from renown.store import exporting
from renown.store.exported import FORMATS
from renown.store.exporting_tables import AGENTS
from renown.store.pool import Conn

BUDGET = 0.3
FLAT = 0.25
"""How much more memory all agents may take than a tenth of them."""

CHAIN, FIRST_BLOCK, HEAD = 8453, 40_000_000, 50_000_000

FILL = """
INSERT INTO chain (chain_id, slug, name, testnet, identity, reputation, start_block)
VALUES (:chain, 'base', 'Base', false, decode(repeat('80', 20), 'hex'),
        decode(repeat('81', 20), 'hex'), 1);
INSERT INTO checkpoint (chain_id, block_number, final_block, head_block, block_hash, block_time)
VALUES (:chain, :head, :head, :head, sha256(':head'), now());
INSERT INTO block SELECT :chain, n, sha256(n::text::bytea), sha256('parent'), now(), 1
  FROM unnest(ARRAY[:first + :agents / 10 - 1, :head]) AS n;

INSERT INTO agent (chain_id, agent_id, uuid, owner, registrant, uri, uri_block, wallet,
       wallet_state, created_block, created_log_index, created_tx, created_at, transfer_count)
SELECT :chain, n, md5(n::text)::uuid, o.owner, o.owner,
       CASE WHEN n % 5 < 2  -- two of five carry their file with them, as on the network
            THEN convert_to('data:application/json;enc=gzip;base64,' || repeat(md5(n::text), 20),
                            'UTF8')
            ELSE convert_to('https://agents.example.org/registrations/' || n || '/agent.json',
                            'UTF8') END,
       :first + n, CASE WHEN n % 3 = 0 THEN o.owner END,
       CASE WHEN n % 3 = 0 THEN 'default' ELSE 'unset' END, :first + n, 1,
       sha256(n::text::bytea), timestamptz '2026-01-01' + n * interval '2 s', 0
  FROM generate_series(0, :agents - 1) AS n
 CROSS JOIN LATERAL (SELECT substring(sha256((n % 300000)::text::bytea) FOR 20)) AS o (owner);

INSERT INTO agent_stats (chain_id, agent_id, version, feedback_count, client_count)
SELECT :chain, n, n + 1, n % 7, n % 5 FROM generate_series(0, :agents - 1) AS n;

INSERT INTO document (sha256, raw, size_bytes, class, reading, content, registration, reader)
SELECT sha256(n::text::bytea), '{}', 2, 'registration', 'strict', '{}', '{}', 1
  FROM generate_series(0, :agents / 4) AS n;

DROP INDEX agent_profile_words;  -- search's, and dear to fill
INSERT INTO agent_profile (chain_id, agent_id, document_id, state, name, description, image, x402,
       active, findings, domains, terms, owner, created_at, active_at, revision)
SELECT :chain, n, 1 + n % (:agents / 4), 'tolerant', 'Agent number ' || n,
       'This agent does ' || n || ' things, and ' || repeat('helps people with many tasks ', 6),
       'https://img.example.org/' || n || '.png', n % 2 = 0, n % 3 = 0,
       '[{"code": "missing-type", "path": "", "detail": ""}]',
       CASE WHEN n % 9 = 0 THEN ARRAY['host' || n || '.example.org'] ELSE '{}' END,
       ARRAY['chain=8453', 'state=tolerant', 'kind=mcp', 'kind=a2a', 'kind=web',
             'version=mcp/2025-06-18', 'tool=search', 'tool=fetch', 'skill=language',
             'skill=language/text', 'domain=technology', 'trust=reputation', 'tag=defi',
             'x402=yes', 'active=yes', 'alive=unknown', 'verified=no', 'finding=missing-type',
             'name=yes'],
       substring(sha256((n % 300000)::text::bytea) FOR 20),
       timestamptz '2026-01-01' + n * interval '2 s', now(), n
  FROM generate_series(0, :agents - 1) AS n;
VACUUM ANALYZE agent;
VACUUM ANALYZE agent_stats;
VACUUM ANALYZE document;
VACUUM ANALYZE agent_profile;
"""


async def run(agents: int, rounds: int) -> Report:
    """Fill an index with `agents` agents and export them in each format, `rounds` times."""
    with rig.postgres() as server, tempfile.TemporaryDirectory(prefix="renown-bench-") as scratch:
        dsn = await rig.new_database(server, "exports")
        async with rig.connection(dsn) as conn:
            await fill(conn, agents)
            await rig.settle(dsn)
            await copied(conn)  # so that all find the same pages in memory
            taken: dict[str, list[dict[str, float]]] = {"copy": [], **{f: [] for f in FORMATS}}
            for _ in range(rounds):
                taken["copy"].append(await copied(conn))
                for form in FORMATS:
                    taken[form].append(exported(dsn, form, Path(scratch)))
            tenth = {
                form: exported(dsn, form, Path(scratch), at=FIRST_BLOCK + agents // 10 - 1)
                for form in FORMATS
            }
    return _report(agents, taken, tenth)


async def fill(conn: Conn, agents: int) -> None:
    """An index of one chain with nothing but agents, and what was found about them."""
    values = {"agents": agents, "chain": CHAIN, "first": FIRST_BLOCK, "head": HEAD}
    script = FILL
    for name, value in values.items():
        script = script.replace(f":{name}", str(value))
    for statement in script.split(";\n")[:-1]:
        await conn.execute(statement)


async def copied(conn: Conn) -> dict[str, float]:
    """COPY of the columns as they are stored."""
    columns = ", ".join(column.sql for column in exporting.carried(AGENTS))
    size = 0

    async def sink(piece: bytes) -> None:
        nonlocal size
        size += len(piece)

    began = time.perf_counter()
    query = f"SELECT {columns} {AGENTS.body}"
    await conn.copy_from_query(query, CHAIN, HEAD, 0, exporting.END, output=sink)
    return {"seconds": time.perf_counter() - began, "bytes": size}


def exported(dsn: str, form: str, scratch: Path, *, at: int = HEAD) -> dict[str, float]:
    """The command, from its start to its end."""
    out = scratch / form
    command = [str(Path(sys.executable).with_name("renown")), "export", "--table", "agents"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--format", form, "--at", str(at), "--out", str(out)],
        env={**os.environ, "DATABASE_URL": dsn, "RENOWN_DATA_DIR": str(scratch)},
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


def _report(
    agents: int, taken: dict[str, list[dict[str, float]]], tenth: dict[str, dict[str, float]]
) -> Report:
    numbers: dict[str, Any] = {"agents": agents, "rounds": taken, "tenth": tenth}
    report = Report("exports", f"{agents:,} agents", numbers=numbers)
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
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.exports", description=__doc__)
    parser.add_argument("--agents", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    report = asyncio.run(run(options.agents, options.rounds))
    print(harness.show(report))
    print(f"\nwritten to {harness.save([report], harness.machine())}")
    return int(any(figure.within is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
