"""A crawler, or plain GETs of the same URLs, in a process of its own that a benchmark steers.

    python -m bench.crawl_driver crawl|rows|get

`crawl` crawls the database BENCH_DSN until nothing is due, `rows` makes agents' rows as well, and
`get` reads the URLs with nothing but an HTTP client. All through the origin on BENCH_PORT, with the
product's limits. Prints what it took as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import socket
import sys
import time
from typing import Any

import aiohttp
import structlog
import uvloop
from aiohttp.abc import AbstractResolver, ResolveResult

from bench.crawl import CONNECTIONS, PER_HOST, url_of
from renown.ingest.collector import calm_collector
from renown.ingest.crawler import Crawler
from renown.ingest.profiles import refresh
from renown.offchain.fetcher import Fetcher
from renown.store.pool import Conn, connect


class Here(AbstractResolver):
    """Every name is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


async def crawl(port: int, *, rows: bool) -> dict[str, Any]:
    """Crawl until idle."""

    async def opened() -> Conn:
        return await connect(os.environ["BENCH_DSN"], application_name="renown-crawler")

    detour = f"*.example=http://127.0.0.1:{port}"
    async with Fetcher(opened=[detour], connections=CONNECTIONS, per_host=PER_HOST) as reader:
        more = {"refresh": refresh} if rows else {}
        crawler = Crawler(opened, reader, connections=CONNECTIONS, per_host=PER_HOST, **more)  # type: ignore[arg-type]
        tally = await crawler.run_until_idle()
    return {"good": tally.outcomes["ok"], "rows": tally.agents}


async def get(port: int) -> dict[str, Any]:
    """The same GETs: as many at once in all and at a host, and every body read."""
    numbers = iter(range(int(os.environ["BENCH_URIS"])))
    hosts = int(os.environ["BENCH_HOSTS"])
    good = size = 0
    connector = aiohttp.TCPConnector(
        limit=CONNECTIONS, limit_per_host=PER_HOST, resolver=Here(), use_dns_cache=True
    )

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal good, size
        for number in numbers:
            url = url_of(number, hosts).replace(".example/", f".example:{port}/")
            async with session.get(url) as response:
                size += len(await response.read())
                good += response.status == 200

    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(work(session) for _ in range(CONNECTIONS)))
    return {"good": good, "bytes": size}


async def main() -> None:
    calm_collector()
    port, what = int(os.environ["BENCH_PORT"]), sys.argv[1]
    started = time.perf_counter()
    found = await (get(port) if what == "get" else crawl(port, rows=what == "rows"))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    took = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_rss_bytes": usage.ru_maxrss * 1024,
    }
    print(json.dumps(found | took), flush=True)


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    uvloop.run(main())
