"""A watcher of operations, as the product runs it, over a chain in the same process.

Makes `OPERATIONS` operations in the database BENCH_DSN, each of one transaction of one of
`WALLETS` wallets, signed and offered by the watcher. One half is in blocks that are not final,
the other waits in the pool: the chain stands still. Writes `{"operations": …}` then, reads lines of
JSON (`{"rounds": n}`), and answers each with what so many rounds over all operations took:

    {"looks": …, "seconds": …, "cpu_seconds": …, "statements": …, "questions": …,
     "rss_bytes": …, "connections": …}

`statements` are those of the watcher alone, the pieces of transactions among them; `questions` go
to the chain, whose answers cost nothing here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import psutil
import structlog
import uvloop
from tests.fakes.acting_chain import ActingChain, quick_devnet
from tests.operations import Bench

from renown.chain.devnet.wallets import devnet_wallet
from renown.chain.tx.signer import LocalSigner
from renown.ingest.operations import Watcher
from renown.spec.transactions import Receipt, SignedTransaction
from renown.store.changes import OPERATION_CHANNEL
from renown.store.pool import Conn, connect

OPERATIONS, WALLETS = 1_000, 10
BLOCK_SECONDS = 12.0
"""Of a chain so slow that nothing is due twice within a round."""
_WAITING = """
SELECT count(*) FROM operation WHERE due_at IS NOT NULL AND (claimed_by IS NOT NULL OR due_at <= $1)
"""
_ALL_DUE = "UPDATE operation SET due_at = now() WHERE due_at IS NOT NULL RETURNING now()"
_IN_STATE = "SELECT count(*) FROM operation WHERE state = ANY($1)"


class StandingChain(ActingChain):
    """Blocks that stay as they are, looked up without search; counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(quick_devnet(BLOCK_SECONDS))
        self.questions = 0
        self._receipts: dict[bytes, Receipt] = {}
        self._counts: dict[bytes, int] = {}
        self._known: set[bytes] = set()

    async def mine_all(self) -> None:
        """Put what the pool holds into one block."""
        waiting = list(self.pool.values())
        self.mine()
        for one in waiting:
            receipt = await super().receipt(one.tx_hash)
            assert receipt is not None
            self._receipts[one.tx_hash] = receipt
        self._counts.clear()

    async def receipt(self, tx_hash: bytes) -> Receipt | None:
        self.questions += 1
        return self._receipts.get(tx_hash)

    async def receipts(self, hashes: Sequence[bytes]) -> list[Receipt | None]:
        self.questions += 1  # one batch
        return [self._receipts.get(tx_hash) for tx_hash in hashes]

    async def known(self, tx_hash: bytes) -> bool:
        self.questions += 1
        return tx_hash in self._known

    async def _answer(self) -> None:
        self.questions += 1
        await super()._answer()

    def _count(self, sender: bytes) -> int:
        if sender not in self._counts:
            self._counts[sender] = super()._count(sender)
        return self._counts[sender]

    def _find(self, tx_hash: bytes) -> tuple[int, SignedTransaction] | None:
        return super()._find(tx_hash) if tx_hash in self._known else None

    def _take(self, one: SignedTransaction) -> Any:
        said = super()._take(one)
        self._known.add(one.tx_hash)
        return said


class Counting:
    """Opens the watcher's connections and counts what runs on them."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.statements = self.connections = 0

    async def __call__(self) -> Conn:
        conn = await connect(self._dsn, application_name="renown-writer")
        conn.add_query_logger(self._ran)
        self.connections += 1
        return conn

    def _ran(self, _: Any) -> None:
        self.statements += 1


class Looks:
    """Counts operations that were let go of after a look."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, point: str) -> None:
        self.count += point == "released"


async def main() -> None:
    dsn = os.environ["BENCH_DSN"]
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    chain, counting, looks = StandingChain(), Counting(dsn), Looks()
    wallets = [devnet_wallet(number) for number in range(WALLETS)]
    signer = LocalSigner.from_keys([wallet.private_key for wallet in wallets])
    bench = await Bench.open(dsn, chain)
    watcher = Watcher(counting, {chain.chain_id: chain}, signer, signer_is_open=True, point=looks)
    watching = asyncio.create_task(watcher.run())
    try:
        for half in ("included", "submitted"):
            for number in range(OPERATIONS // 2):
                await bench.ask(sender=bytes(wallets[number % WALLETS].address))
            await _until_all(bench.conn, ["submitted", "included"])
            if half == "included":
                await chain.mine_all()
                await _round(bench.conn)
                await _until_all(bench.conn, ["included"])
        await _round(bench.conn)
        print(json.dumps({"operations": OPERATIONS}), flush=True)
        while line := await lines.readline():
            print(
                json.dumps(
                    await _rounds(bench.conn, json.loads(line)["rounds"], chain, counting, looks)
                ),
                flush=True,
            )
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _rounds(
    conn: Conn, rounds: int, chain: StandingChain, counting: Counting, looks: Looks
) -> dict[str, Any]:
    before = looks.count, counting.statements, chain.questions, time.process_time()
    began = time.perf_counter()
    for _ in range(rounds):
        await _round(conn)
    after = looks.count, counting.statements, chain.questions, time.process_time()
    made, statements, questions, cpu = (b - a for a, b in zip(before, after, strict=True))
    return {
        "looks": made,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": cpu,
        "statements": statements,
        "questions": questions,
        "rss_bytes": psutil.Process().memory_info().rss,
        "connections": counting.connections,
    }


async def _round(conn: Conn) -> None:
    """Have everything looked at once."""
    now = await conn.fetchval(_ALL_DUE)
    await conn.execute("SELECT pg_notify($1, '')", OPERATION_CHANNEL)
    while await conn.fetchval(_WAITING, now):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def _until_all(conn: Conn, states: list[str]) -> None:
    total = await conn.fetchval("SELECT count(*) FROM operation")
    while await conn.fetchval(_IN_STATE, states) < total:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    uvloop.run(main())
