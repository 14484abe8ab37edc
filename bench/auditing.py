"""What the audit log costs the API: requests a second with it against without, over HTTP.

`python -m bench.auditing [--rounds N] [--seconds N]`.

Two processes of the API, one with `RENOWN_AUDIT` and one without, take turns over one database;
`renown notary` runs beside in a third, and between rounds it is waited for, so that what one round
left is not paid for by the next. Of ten requests, all with a key, eight read an agent (kept
answers, the cheapest there are), one reads the account, and one asks for a wallet's challenge,
which is a row that is committed. Client, PostgreSQL and notary share the machine with the API.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import uvloop

from bench import cache, harness, rig
from bench.harness import Report, Spread, quantile
from bench.limits import CONNECTIONS, load
from renown.settings import Settings
from renown.store.accounts import create_account
from renown.store.api_keys import Wanted, issue_key
from renown.store.pool import connect, transaction

BUDGET = 0.85
"""Least share of the requests that are answered without audit."""
SECRET = "a secret of the benchmarks"
WALLET = "0x" + "5a" * 20
_PENDING = "SELECT count(*) FROM audit_pending"
_LONGEST_SECONDS = 60.0


def measure(rounds: int = 5, seconds: float = 2.0) -> Report:
    """`rounds` times `seconds` of requests with audit, and as many without."""
    report = Report("auditing", f"{CONNECTIONS} connections with a key, one request of ten writes")
    with ExitStack() as stack:
        server = stack.enter_context(rig.postgres())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="renown-bench-"))
        dsn = asyncio.run(rig.new_database(server, "auditing"))
        key = asyncio.run(_filled(dsn))
        stack.enter_context(_notary(dsn, Path(folder)))
        ways = {audit: _Way(stack.enter_context(_api(dsn, audit))) for audit in ("on", "off")}
        uvloop.run(_measured(report, dsn, ways, _requests(key), rounds, seconds))
    return report


@dataclass(slots=True)
class _Way:
    """One process, and its rounds."""

    api: rig.DriverProcess
    answered: int = 0
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


async def _measured(
    report: Report,
    dsn: str,
    ways: dict[str, _Way],
    requests: list[bytes],
    rounds: int,
    seconds: float,
) -> None:
    for way in ways.values():
        way.answered += len(await load(way.api.ready["port"], requests, 0.5))
    began = time.perf_counter()
    for number in range(rounds):
        for audit in ("on", "off") if number % 2 else ("off", "on"):
            await _settled(dsn, ways["on"])
            gc.collect()
            await _round(ways[audit], requests, seconds)
    await _settled(dsn, ways["on"])
    on, off = ways["on"], ways["off"]
    for audit, way in ways.items():
        report.add(
            f"audit {audit}",
            f"{Spread.of(way.rates):,.0f} requests/s, p99 {Spread.of(way.p99_ms):.1f} ms,"
            f" {Spread.of(way.cpu_us):,.0f} us CPU",
        )
        report.numbers[audit] = {"rates": way.rates, "p99_ms": way.p99_ms, "cpu_us": way.cpu_us}
    ratio = Spread.of([a / b for a, b in zip(on.rates, off.rates, strict=True)])
    report.add("audit on against off", f"{ratio:.2f}", f">= {BUDGET}", ratio.median >= BUDGET)
    by_cpu = Spread.of([b / a for a, b in zip(on.cpu_us, off.cpu_us, strict=True)])
    report.add("  the same by CPU of the API", f"{by_cpu:.2f}")
    said = _said(on)
    each = said["written"] / on.answered
    report.add("entries written/s", f"{Spread.of([rate * each for rate in on.rates]):,.0f}")
    report.add(
        "entries of the requests answered",
        f"{said['written']:,} of {on.answered:,}",
        "all",
        said["written"] == on.answered,
    )
    report.add("renown_audit_unwritten_total", str(said["unwritten"]), "0", not said["unwritten"])
    report.numbers |= said | {"answered": on.answered, "seconds": time.perf_counter() - began}


async def _round(way: _Way, requests: list[bytes], seconds: float) -> None:
    cpu, began = harness.cpu_seconds(way.api.pid), time.perf_counter()
    latencies = await load(way.api.ready["port"], requests, seconds)
    way.rates.append(len(latencies) / (time.perf_counter() - began))
    way.cpu_us.append((harness.cpu_seconds(way.api.pid) - cpu) / len(latencies) * 1e6)
    way.p99_ms.append(quantile(latencies, 0.99) * 1e3)
    way.answered += len(latencies)


async def _settled(dsn: str, audited: _Way) -> None:
    """Wait until every request has its entry, or was given up, and the notary has taken them."""
    give_up_at = time.monotonic() + _LONGEST_SECONDS
    async with rig.connection(dsn) as conn:
        while time.monotonic() < give_up_at:
            said = _said(audited)
            if said["written"] + said["unwritten"] >= audited.answered and not await conn.fetchval(
                _PENDING
            ):
                return
            await asyncio.sleep(0.1)
    raise RuntimeError(f"{audited.answered} requests were answered, entries: {said}")


def _said(way: _Way) -> dict[str, int]:
    way.api.tell({})
    return way.api.heard()


def _requests(key: str) -> list[bytes]:
    """Rounds of ten, until every agent was read."""
    account = _request("GET", "/v1/account", key)
    challenge = _request(
        "POST", "/v1/account/wallets/challenge", key, {"address": WALLET, "chain_id": 1}
    )
    found: list[bytes] = []
    for first in range(0, cache.AGENTS, 8):
        agents = [_request("GET", cache.path(n), key) for n in range(first, first + 8)]
        found += [*agents, account, challenge]
    return found


def _request(method: str, path: str, key: str, body: dict[str, object] | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: renown.example", "Accept: application/json"]
    lines += ["User-Agent: bench/1", f"Authorization: Bearer {key}"]
    text = b"" if body is None else json.dumps(body).encode()
    if text:
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    return "\r\n".join([*lines, "", ""]).encode() + text


async def _filled(dsn: str) -> str:
    """Agents to read, and a key that may do all this."""
    await cache.fill(dsn)
    peppers = Settings(cursor_secret=SECRET, key_pepper=SECRET).key_peppers()  # type: ignore[arg-type]
    conn = await connect(dsn)
    try:
        async with transaction(conn) as tx:
            account = await create_account(tx, "bench", tier="enterprise")
            wanted = Wanted(account_id=account.account_id, scopes=["admin", "read"])
            return (await issue_key(tx, peppers, wanted)).text
    finally:
        await conn.close()


# Processes ---------------------------------------------------------------------------------------


def _api(dsn: str, audit: str) -> rig.DriverProcess:
    environment = {"BENCH_DSN": dsn, "BENCH_AUDIT": audit, "BENCH_KEY_PEPPER": SECRET}
    return rig.DriverProcess("bench.auditing_driver", environment)


@contextmanager
def _notary(dsn: str, folder: Path) -> Iterator[None]:
    process = rig.notary_command(dsn, folder)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(rig.STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(rig.STOP_SECONDS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.auditing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    report = measure(options.rounds, options.seconds)
    print(harness.show(report))
    return int(any(figure.within is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
