"""The API of the product in a process of its own, with or without audit, for `auditing`.

Reads BENCH_DSN, BENCH_AUDIT (`on` or `off`) and BENCH_KEY_PEPPER, writes one line of JSON
(`{"port": …}`) once it serves, and answers each line that it reads with what it wrote into the
audit log: `{"written": …, "unwritten": …}`. It leaves when its input ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from typing import Any

import structlog
import uvloop

from renown.api.access.limiting import Limiter
from renown.api.app import create_app
from renown.cli.listening import bind, serving
from renown.obs import metrics
from renown.settings import Settings
from renown.spec.limits import COST_CLASSES, MOST_PER_MINUTE, TIERS

_UNLIMITED = {tier: dict.fromkeys(COST_CLASSES, MOST_PER_MINUTE) for tier in TIERS}
_ENTRIES, _UNWRITTEN = "renown_audit_entries_total", "renown_audit_unwritten_total"


async def main() -> None:
    pepper = os.environ["BENCH_KEY_PEPPER"]
    given: dict[str, Any] = {
        "database_url": os.environ["BENCH_DSN"],
        "audit": os.environ["BENCH_AUDIT"] == "on",
        "cursor_secret": pepper,
        "key_pepper": pepper,
        "limits_json": json.dumps(_UNLIMITED),
    }
    app = create_app(Settings(**given))
    app.state.desk.gate.limiter = Limiter(_UNLIMITED)
    with bind("127.0.0.1", 0) as bound:
        async with serving(app, bound):
            print(json.dumps({"port": bound.getsockname()[1]}), flush=True)
            while await asyncio.to_thread(sys.stdin.readline):
                said = {"written": _total(_ENTRIES), "unwritten": _total(_UNWRITTEN)}
                print(json.dumps(said), flush=True)


def _total(name: str) -> int:
    """Of a counter with all its labels, as a scrape shows it."""
    lines = metrics.exposition().decode().splitlines()
    return round(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)))


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    uvloop.run(main())
