"""Kept answers: what a stampede costs, and reads that are kept against reads that are not.

`python -m bench.cache [--seconds N]`.

The app is called as a server calls it, without a socket between, in one process. Its own answer as
fixed bytes from a route of the same stack is the ceiling. Rounds of the three are interleaved.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from bench import harness, rig
from bench.harness import Report, Spread
from renown.api.app import create_app
from renown.api.replies import JSON
from renown.api.routing import StrictRoute
from renown.settings import Settings
from renown.spec.deployments import DEPLOYMENTS, DEVNET_CHAIN_ID
from renown.spec.events import AgentTransferred
from renown.store.lease import acquire
from renown.store.pool import Conn, Pool, connect, connect_pool
from renown.store.writer import Extension
from renown.types import ZERO_ADDRESS, BlockRef

STAMPEDE = 1_000
AGENTS = 200
ROUNDS = 5
HEADERS = {"ETag": 'W/"1.1"', "Renown-As-Of": "31337;block=1", "Cache-Control": "no-cache"}
DEVNET = DEPLOYMENTS[DEVNET_CHAIN_ID]


async def run(seconds: float) -> Report:
    """About `seconds` of requests."""
    with rig.postgres() as server:
        dsn = await rig.new_database(server, "cache")
        await fill(dsn)
        async with serving(dsn) as (app, pool):
            report = Report("cache", f"{AGENTS} agents, one process, no socket, no limits")
            await stampede(app, pool, report)
            await rates(app, report, seconds / ROUNDS / 3)
            kept = app.state.desk.kept
            report.add("answers kept", f"{len(kept)}, {kept._entries.bytes / 2**10:,.0f} KB")
            memory = psutil.Process().memory_info().rss
            report.add("memory of the process", f"{memory / 2**20:.0f} MB")
    return report


async def stampede(app: FastAPI, pool: Counted, report: Report) -> None:
    """Equal reads at once on a key that nothing is kept under."""
    before = pool.statements
    began = time.perf_counter()
    await asyncio.gather(*(ask(app, path(0)) for _ in range(STAMPEDE)))
    spent = time.perf_counter() - began
    cost = pool.statements - before
    report.add(f"statements of {STAMPEDE:,} equal reads at once", str(cost), "1", cost == 1)
    report.add("ms until the last is answered", f"{spent * 1e3:.0f}")
    report.numbers |= {"stampede_statements": cost, "stampede_seconds": spent}


async def rates(app: FastAPI, report: Report, seconds: float) -> None:
    """Requests a second: kept, read anew each time, and fixed bytes."""
    desk = app.state.desk
    body = await ask(app, path(0))

    router = APIRouter(route_class=StrictRoute)

    @router.get("/fixed")
    async def fixed(request: Request) -> Response:
        return Response(body, media_type=JSON, headers=HEADERS)

    app.router.routes.insert(0, router.routes[0])

    async def kept(number: int) -> bytes:
        return await ask(app, path(number % AGENTS))

    async def anew(number: int) -> bytes:
        desk.kept._hearing = False  # as while nobody hears what changes
        try:
            return await ask(app, path(number % AGENTS))
        finally:
            desk.kept._hearing = True

    kinds: dict[str, Callable[[int], Awaitable[bytes]]] = {
        "kept": kept,
        "read anew": anew,
        "fixed bytes": lambda _: ask(app, "/fixed"),
    }
    for number in range(AGENTS):
        await kept(number)
    rounds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, request in kinds.items():
            rounds[name].append(await rate(request, seconds))
    for name, found in rounds.items():
        report.add(f"requests/s, {name}", f"{Spread.of(found):,.0f}")
    for name, against in (("kept", "read anew"), ("kept", "fixed bytes")):
        ratios = [a / b for a, b in zip(rounds[name], rounds[against], strict=True)]
        budget = (">= 0.4", Spread.of(ratios).median >= 0.4) if against == "fixed bytes" else ()
        report.add(f"{name} / {against}", f"{Spread.of(ratios):.2f}", *budget)
    report.numbers["requests_per_second"] = rounds


async def rate(request: Callable[[int], Awaitable[bytes]], seconds: float) -> float:
    """Requests a second, one after the other."""
    began, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        for _ in range(20):
            await request(count)
            count += 1
    return count / spent


# The app -----------------------------------------------------------------------------------------


class Counted:
    """A pool that counts the statements run on its connections."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.statements = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        async with self._pool.connection() as conn:
            self.statements += 1  # these routes run one on each
            yield conn


@asynccontextmanager
async def serving(dsn: str) -> AsyncIterator[tuple[FastAPI, Counted]]:
    pool = await connect_pool(dsn, min_size=2, max_size=4)
    counted = Counted(pool)
    app = create_app(
        Settings(cursor_secret="a secret of the bench"),  # type: ignore[arg-type]
        pool=counted,  # type: ignore[arg-type]
        listen=lambda: connect(dsn),
    )
    app.state.desk.gate.limiter = None
    try:
        async with app.router.lifespan_context(app):
            while not app.state.desk.kept._hearing:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            yield app, counted
    finally:
        await pool.close()


async def ask(app: FastAPI, path: str) -> bytes:
    """The body of a GET that must succeed."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"bench")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
        "asgi": {"version": "3.0"},
    }
    body = b""

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal body
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
        else:
            body += message["body"]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(scope, receive, send)
    return body


def path(number: int) -> str:
    return f"/v1/agents/{DEVNET_CHAIN_ID}:{number}"


async def fill(dsn: str) -> None:
    """One block that mints the agents."""
    async with rig.connection(dsn) as conn:
        writer = await acquire(conn, DEVNET, start_block=1, genesis_hash=None, name="bench")
        block = BlockRef(1, b"\x01" * 32, bytes(32), 1_750_000_000)
        minted = [
            AgentTransferred(1, n, bytes(32), DEVNET.identity, n, ZERO_ADDRESS, b"\x02" * 20)
            for n in range(AGENTS)
        ]
        await writer.extend(Extension(block, minted, (), [block]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cache", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    about = harness.machine()
    report = asyncio.run(run(options.seconds))
    print(harness.show(report))
    if options.json:
        harness.save([report], about, options.json)
    return int(any(figure.within is False for figure in report.figures))


if __name__ == "__main__":
    sys.exit(main())
