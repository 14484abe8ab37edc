"""The API of the product behind several ports of one process, for `limits`.

Reads BENCH_DSN and BENCH_REDIS, writes one line of JSON (`{"ports": {way: port}, "key": …,
"paths": […]}`) once it serves, and leaves when its input ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from contextlib import AsyncExitStack
from typing import Any

import structlog
import uvloop
from pydantic import SecretStr

from renown.api.access.limiting import Limiter
from renown.api.app import create_app
from renown.cli.listening import bind, serving
from renown.settings import Settings
from renown.shared.redis import SharedStore
from renown.spec.limits import COST_CLASSES, MOST_PER_MINUTE, TIERS, read_limits
from renown.store.accounts import create_account
from renown.store.api_keys import Wanted, issue_key
from renown.store.pool import connect_pool

_SECRET = "a secret of the benchmarks"
_UNKEPT = "open, read each time"
AGENTS = 1_000
"""So many are asked for, so that equal reads seldom meet: those are done once."""
_UNLIMITED = json.dumps({tier: dict.fromkeys(COST_CLASSES, MOST_PER_MINUTE) for tier in TIERS})


async def main() -> None:
    dsn = os.environ["BENCH_DSN"]
    given: dict[str, Any] = {
        "cursor_secret": _SECRET,
        "key_pepper": _SECRET,
        "limits_json": _UNLIMITED,
    }
    unkept = Settings(**given)
    settings = Settings(**given, database_url=SecretStr(dsn))
    limits = read_limits(_UNLIMITED)
    store = SharedStore(os.environ["BENCH_REDIS"])
    ways = {
        _UNKEPT: None,
        "open, kept": None,
        "key": None,
        "key, limits in memory": Limiter(limits),
        "key, limits in Redis": Limiter(limits, store),
    }
    ports = {}
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        pool = await connect_pool(dsn, min_size=2, max_size=settings.db_pool_max_size)
        stack.push_async_callback(pool.close)
        for name, limiter in ways.items():
            # With a pool alone it hears of no changes, and so keeps nothing.
            app = create_app(unkept, pool=pool) if name == _UNKEPT else create_app(settings)
            app.state.desk.gate.limiter = limiter
            bound = stack.enter_context(bind("127.0.0.1", 0))
            await stack.enter_async_context(serving(app, bound))
            ports[name] = bound.getsockname()[1]
        key, agents = await _prepare(dsn, settings)
        paths = [f"/v1/agents/{agent}" for agent in agents]
        print(json.dumps({"ports": ports, "key": key, "paths": paths}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def _prepare(dsn: str, settings: Settings) -> tuple[str, list[str]]:
    """An API key, and the keys of agents."""
    pool = await connect_pool(dsn, min_size=1, max_size=1)
    try:
        async with pool.transaction() as tx:
            account = await create_account(tx, "bench", tier="enterprise")
            wanted = Wanted(account_id=account.account_id, scopes=["read"])
            issued = await issue_key(tx, settings.key_peppers(), wanted)
            rows = await tx.fetch(
                "SELECT chain_id, agent_id FROM agent ORDER BY chain_id, agent_id LIMIT $1", AGENTS
            )
            return issued.text, [f"{chain_id}:{agent_id}" for chain_id, agent_id in rows]
    finally:
        await pool.close()


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    uvloop.run(main())
