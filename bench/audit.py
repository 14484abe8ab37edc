"""The audit log: checking all of it against reading and hashing the same rows, proofs, numbering.

`python -m bench.audit [--entries N] [--rounds N]`.

Each check, and each reading, is a process of its own, so that its memory is its own. Reading is
PostgreSQL's COPY of the log's columns, each row hashed once: less than that, nothing that looks at
every entry can do. Rounds are interleaved.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog
import uvloop

from bench import harness, rig
from bench.harness import Report, Spread
from renown.audit.checkpoint import Signer, Verifier
from renown.audit.merkle import consistency as consistency_of
from renown.audit.merkle import inclusion as inclusion_of
from renown.audit.merkle import nodes_of
from renown.ingest.notary import CheckpointFolder, Notary
from renown.ingest.notary.proving import prove_consistency, prove_inclusion
from renown.ingest.notary.verifying import verify
from renown.store.audit_proofs import node_hashes
from renown.store.pool import connect, transaction

BUDGET = 5.0
"""How many times as long as reading and hashing a check of everything may take."""

SIGNER = Signer("bench", bytes(32))
SOME = 200
"""Proofs that are timed."""

# Nine of ten entries are reads, as where most clients ask and few write.
FILL = """
INSERT INTO audit_log (action, subject, request_id, account_id, key_id, address, user_agent, method,
       route, status, duration_ms, detail)
SELECT CASE WHEN n % 10 = 0 THEN 'request' ELSE 'read' END, '/v1/agents/{key}', md5(n::text)::uuid,
       n % 1000, 'abcd' || n % 10000, sha256((n % 5000)::text::bytea), 'python-httpx/0.28.1',
       CASE WHEN n % 10 = 0 THEN 'POST' ELSE 'GET' END, '/v1/agents/{key}', 200, (n % 500) / 7.0,
       CASE WHEN n % 10 = 0 THEN jsonb_build_object(
            'request', jsonb_build_object('uri', 'https://agents.example/' || n,
                                          'words', repeat('word ', 40)),
            'answer', jsonb_build_object('operation', md5(n::text), 'state', 'waiting')) END
  FROM generate_series($1::bigint, $2::bigint) n
"""
SETTLE = ("VACUUM ANALYZE audit_log", "VACUUM ANALYZE audit_leaf", "VACUUM ANALYZE audit_node")
COLUMNS = (
    "entry_id, at, action, subject, subject_key, request_id, account_id, key_id, wallet, address,"
    " user_agent, db_user, program, method, route, status, duration_ms, before, after, detail"
)


async def run(entries: int, rounds: int) -> Report:
    """Number `entries` entries, then read and check them `rounds` times, and prove some."""
    report = Report("audit", f"{entries:,} entries")
    with rig.postgres() as server, tempfile.TemporaryDirectory(prefix="renown-bench-") as scratch:
        dsn = await rig.new_database(server, "audit")
        seconds = await fill(dsn, entries, Path(scratch))
        report.add("numbered a second", f"{entries / seconds:,.0f}")
        taken: dict[str, list[dict[str, Any]]] = {"read": [], "verify": []}
        in_process("read", dsn, scratch)  # so that all find the same pages in memory
        for _ in range(rounds):
            for what, found in taken.items():
                found.append(in_process(what, dsn, scratch))
        proofs = await proved(dsn, entries)
    read, check = ([one["seconds"] for one in taken[what]] for what in ("read", "verify"))
    ratio = Spread.of([v / r for v, r in zip(check, read, strict=True)])
    report.add("COPY and hash, s", f"{Spread.of(read):.2f}")
    report.add("verify, s", f"{Spread.of(check):.2f}")
    report.add("verify against it", f"{ratio:.2f}", f"<= {BUDGET}", ratio.median <= BUDGET)
    peak = max(one["peak_rss_bytes"] for one in taken["verify"])
    report.add("verify, peak memory", f"{peak / 2**20:.0f} MiB")
    limit = 4 * entries.bit_length()
    report.add(
        *("rows of both proofs, most", f"{proofs['most_rows']}", f"<= {limit}"),
        proofs["most_rows"] <= limit,
    )
    report.add("inclusion proof, ms", f"{proofs['inclusion_ms']:.2f}")
    report.add("consistency proof, ms", f"{proofs['consistency_ms']:.2f}")
    report.numbers = {"entries": entries, "numbering_seconds": seconds, **taken, **proofs}
    return report


async def fill(dsn: str, entries: int, folder: Path) -> float:
    """Write the entries and number them; seconds that the numbering took."""
    conn = await connect(dsn)
    try:
        await conn.execute("SELECT ensure_audit_partitions()")
        for begin in range(0, entries, 100_000):
            await conn.execute(FILL, begin, min(begin + 100_000, entries) - 1)
        await conn.execute("VACUUM ANALYZE audit_pending")
        began = time.perf_counter()
        await Notary(lambda: connect(dsn), SIGNER, CheckpointFolder(folder)).run_until_idle()
        seconds = time.perf_counter() - began
        for statement in SETTLE:
            await conn.execute(statement)
    finally:
        await conn.close()
    await rig.settle(dsn)
    return seconds


async def proved(dsn: str, entries: int) -> dict[str, Any]:
    """Times and rows of proofs spread over the log, as they are made for strangers."""
    inclusion, consistency, rows = [], [], []
    conn = await connect(dsn)
    try:
        for n in range(SOME):
            at = 1 + n * (entries - 1) // SOME
            async with transaction(conn, "repeatable_read") as tx:
                began = time.perf_counter()
                await prove_inclusion(tx, at, SIGNER.verifier)
                inclusion.append(time.perf_counter() - began)
                began = time.perf_counter()
                await prove_consistency(tx, at, entries)
                consistency.append(time.perf_counter() - began)
                wanted = nodes_of([*inclusion_of(at - 1, entries), *consistency_of(at, entries)])
                rows.append(len(await node_hashes(tx, wanted)))
    finally:
        await conn.close()
    return {
        "most_rows": max(rows),
        "inclusion_ms": 1000 * harness.quantile(inclusion, 0.5),
        "consistency_ms": 1000 * harness.quantile(consistency, 0.5),
    }


# Processes ---------------------------------------------------------------------------------------


def in_process(what: str, dsn: str, folder: str) -> dict[str, Any]:
    """One reading, or one check, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.audit", f"--{what}", dsn, "--folder", folder],
        cwd=rig.ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


async def read(dsn: str) -> int:
    """COPY every entry, and hash each row; how many."""
    count, held = 0, b""

    async def sink(chunk: bytes) -> None:
        nonlocal count, held
        *rows, held = (held + chunk).split(b"\n")
        for row in rows:
            sha256(row).digest()
        count += len(rows)

    conn = await connect(dsn)
    try:
        await conn.copy_from_query(f"SELECT {COLUMNS} FROM audit_log", output=sink)
    finally:
        conn.terminate()
    return count


async def check(dsn: str, folder: Path) -> int:
    """What `renown audit verify` does."""
    one, other = await connect(dsn), await connect(dsn)
    try:
        async with (
            transaction(one, "repeatable_read") as tx,
            transaction(other, "repeatable_read") as beside,
        ):
            keys: list[Verifier] = [SIGNER.verifier]
            found = await verify(tx, keys, CheckpointFolder(folder).notes(), beside=beside)
    finally:
        one.terminate()
        other.terminate()
    assert found.is_whole, found
    return found.entries


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.audit", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    for what in ("--read", "--verify", "--folder"):
        parser.add_argument(what, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read or options.verify:
        began = time.perf_counter()
        if options.read:
            entries = uvloop.run(read(options.read))
        else:
            entries = uvloop.run(check(options.verify, Path(options.folder)))  # as a command does
        seconds = time.perf_counter() - began
        peak = harness.peak_rss_bytes(os.getpid())
        print(json.dumps({"seconds": seconds, "entries": entries, "peak_rss_bytes": peak}))
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(harness.show(asyncio.run(run(options.entries, options.rounds))))


if __name__ == "__main__":
    main()
