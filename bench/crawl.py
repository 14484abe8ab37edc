"""The crawler against the same GETs with nothing behind them.

Agents' URIs lie on many hosts, all of which lead to one local origin in a process of its own. The
crawler reads them with its limits on (connections, connections per host, size, deadline, redirects,
address checks), parses each file, finds what is wrong with it and keeps it with its history. Its
peer sends the same GETs with aiohttp, as many at once in all and per host, and drops what comes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import rig
from bench.harness import Report, Spread
from renown.spec.deployments import DEVNET_CHAIN_ID, find
from renown.spec.events import AgentRegistered, AgentTransferred, Fact
from renown.store.lease import acquire
from renown.store.pool import connect
from renown.store.writer import Extension
from renown.types import ZERO_ADDRESS, BlockRef

URIS, HOSTS = 20_000, 600
CONNECTIONS, PER_HOST = 64, 2
AGENTS_A_BLOCK = 20
LEAST = 0.5
"""Budget: the crawler's URIs a second against the peer's."""
FLAT = 0.10
"""Budget: how much more memory ten times the URIs may take."""


def url_of(number: int, hosts: int = HOSTS) -> str:
    """The URI of an agent; its neighbours are on other hosts."""
    return f"http://h{number % hosts}.example/{number}.json"


async def run(uris: int = URIS, hosts: int = HOSTS, rounds: int = 3) -> Report:
    """`rounds` of both, one after the other."""
    report = Report("crawl", f"{uris:,} URIs on {hosts} hosts, {CONNECTIONS} connections")
    found: dict[str, list[dict[str, Any]]] = {"get": [], "crawl": [], "rows": [], "small": []}
    with rig.postgres() as server, _origin() as port:
        for number in range(rounds):
            found["get"].append(await _drive("get", port, uris, hosts))
            for what, count in (("crawl", uris), ("rows", uris), ("small", uris // 10)):
                dsn = await rig.new_database(server, f"crawl_{what}_{number}")
                await _fill(dsn, count, hosts)
                await rig.settle(dsn)
                kind = "crawl" if what == "small" else what
                found[what].append(await _drive(kind, port, count, hosts, dsn))
    rates = {
        what: Spread.of([one["good"] / one["seconds"] for one in all_rounds])
        for what, all_rounds in found.items()
    }
    ratio = Spread.of(
        [
            get["seconds"] / crawl["seconds"]
            for get, crawl in zip(found["get"], found["crawl"], strict=True)
        ]
    )
    report.add("plain GETs a second", f"{rates['get']:,.0f}")
    report.add("URIs crawled a second", f"{rates['crawl']:,.0f}")
    report.add("against plain GETs", f"{ratio:.2f}", f">= {LEAST}", ratio.median >= LEAST)
    report.add("with agents' rows, URIs a second", f"{rates['rows']:,.0f}")
    cpu = Spread.of([one["cpu_seconds"] / uris * 1e6 for one in found["crawl"]])
    report.add("CPU of the crawler, us a URI", f"{cpu:,.0f}")
    peaks = {what: max(one["peak_rss_bytes"] for one in found[what]) for what in found}
    growth = peaks["crawl"] / peaks["small"] - 1
    report.add("peak memory, MB", f"{peaks['crawl'] / 2**20:.0f}")
    report.add("growth from a tenth", f"{growth:+.1%}", f"< {FLAT:.0%}", growth < FLAT)
    report.numbers = {"rounds": found, "uris": uris, "hosts": hosts}
    return report


async def _fill(dsn: str, uris: int, hosts: int) -> None:
    """An index of agents with these URIs, as the indexer leaves it."""
    devnet = find(str(DEVNET_CHAIN_ID))
    facts: list[Fact] = []
    blocks = [
        BlockRef(number, number.to_bytes(32), (number - 1).to_bytes(32), 1_760_000_000 + number)
        for number in range(1, uris // AGENTS_A_BLOCK + 2)
    ]
    for n in range(uris):
        number, index = 1 + n // AGENTS_A_BLOCK, 2 * (n % AGENTS_A_BLOCK)
        tx, who = n.to_bytes(32), n.to_bytes(20)
        facts.append(AgentTransferred(number, index, tx, devnet.identity, n, ZERO_ADDRESS, who))
        uri = url_of(n, hosts).encode()
        facts.append(AgentRegistered(number, index + 1, tx, devnet.identity, n, who, uri))
    writer = await acquire(
        await connect(dsn), devnet, start_block=1, genesis_hash=None, name="bench"
    )
    await writer.extend(Extension(blocks[-1], facts, [], blocks))
    await writer.close()


async def _drive(what: str, port: int, uris: int, hosts: int, dsn: str = "") -> dict[str, Any]:
    environment = {
        "BENCH_PORT": str(port),
        "BENCH_URIS": str(uris),
        "BENCH_HOSTS": str(hosts),
        "BENCH_DSN": dsn,
    }
    process = rig._python("bench.crawl_driver", what, environment=environment)
    out, _ = await asyncio.to_thread(process.communicate)
    if process.returncode != 0:
        raise RuntimeError(f"the driver ended with {process.returncode}")
    answer: dict[str, Any] = json.loads(out)
    if answer["good"] < uris:  # with rows, the well-known files of hosts as well
        raise RuntimeError(f"{what}: {answer['good']} of {uris} URIs were read")
    return answer


@contextmanager
def _origin() -> Iterator[int]:
    process: subprocess.Popen[bytes] = rig._python("bench.origin")
    try:
        yield int(rig._line(process)["port"])
    finally:
        rig._end(process)


if __name__ == "__main__":
    from bench import harness

    print(harness.show(asyncio.run(run())))
