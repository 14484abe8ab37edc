"""The indexer, as the product runs it, in a process that a benchmark steers.

Reads lines of JSON (`{"until": block or null}`) and answers each, when it is done, with the time
it took and how long each commit and each undoing of a reorg lasted:

    {"seconds": …, "cpu_seconds": …, "commits": [[first, last, facts, seconds], …],
     "retractions": [[to, facts, seconds], …]}

Without the display, metrics and periodic coverage checks of `renown index`. Only public parts are
used; the timings come from a writer that notes the time around each commit.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
import time
from typing import Any

import structlog
import uvloop

from renown.chain.source import ChainSource
from renown.decode import Decoder
from renown.derive.fold import Fold
from renown.ingest.collector import calm_collector
from renown.ingest.indexer import Indexer, Limits
from renown.spec.deployments import find
from renown.store.lease import acquire
from renown.store.pool import connect
from renown.store.writer import Extension, Prepared, Writer
from renown.types import BlockRef

POLL_SECONDS = 0.5  # what `renown index` takes for a chain with a block each second


class TimedWriter(Writer):
    """A writer that remembers how long it took."""

    commits: list[tuple[int, int, int, float]]
    retractions: list[tuple[int, int, float]]

    async def extend(self, stretch: Extension | Prepared) -> Fold:
        """As `Writer.extend`."""
        started, first = time.perf_counter(), self.checkpoint.block_number + 1
        fold = await super().extend(stretch)
        seconds = time.perf_counter() - started
        extension = stretch.extension if isinstance(stretch, Prepared) else stretch
        self.commits.append((first, extension.last.number, len(extension.facts), seconds))
        return fold

    async def retract(
        self, to: BlockRef | None, to_number: int, *, even_final: bool = False
    ) -> int:
        """As `Writer.retract`."""
        started = time.perf_counter()
        dropped = await super().retract(to, to_number, even_final=even_final)
        self.retractions.append((to_number, dropped, time.perf_counter() - started))
        return dropped


async def main() -> None:
    calm_collector()
    deployment = find("devnet")
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    source = ChainSource(
        deployment, [os.environ["RPC_URL"]], contracts=deployment.contracts, seed=0
    )
    async with source:
        genesis = await source.block(0)
        conn = await connect(os.environ["BENCH_DSN"], application_name="renown-writer")
        writer = await acquire(
            conn,
            deployment,
            start_block=0,
            genesis_hash=genesis.hash if genesis else None,
            name="bench",
        )
        writer.__class__ = TimedWriter
        assert isinstance(writer, TimedWriter)
        indexer = Indexer(
            source,
            writer,
            Decoder(deployment.identity, deployment.reputation, deployment.validation),
            Limits(
                reorg_limit_blocks=deployment.finality.reorg_limit_blocks,
                poll_seconds=POLL_SECONDS,
            ),
        )
        _say({"startup_cpu_seconds": time.process_time()})
        while line := await lines.readline():
            writer.commits, writer.retractions = [], []
            before, started = _cpu_seconds(), time.perf_counter()
            await indexer.run(until=json.loads(line)["until"])
            _say(
                {
                    "seconds": time.perf_counter() - started,
                    "cpu_seconds": _cpu_seconds() - before,
                    "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                    "commits": writer.commits,
                    "retractions": writer.retractions,
                }
            )


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    uvloop.run(main())
