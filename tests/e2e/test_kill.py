"""kill -9 in the middle of a backfill, of the indexer and of PostgreSQL: in the end nothing tells.

The mock chain of the benchmarks is the network, `renown index` the indexer, each a process of its
own. How many events and kills: `tests.counts`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from bench.rig import MockChain

from renown.ingest.repair import verify_state
from renown.spec.deployments import DEVNET_CHAIN_ID
from renown.store import facts
from renown.store.embedded import EmbeddedPostgres, running_dsn
from renown.store.pool import Conn
from tests.command import data_directory
from tests.counts import KILL_EVENTS, KILLS
from tests.reading import reading

PROGRAM = [sys.executable, "-c", "from renown.cli import main; main()"]
BATCH_EVENTS = 1_000
"""Events a commit: small, so that there are many moments to die at."""
DEADLINE_SECONDS = 240.0
SEED = 8004

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]


@pytest.fixture(scope="module")
def chain() -> Iterator[MockChain]:
    with MockChain(KILL_EVENTS, "network") as running:
        yield running
    assert running._process.stdout is not None
    running._process.stdout.close()


class Undisturbed(msgspec.Struct, frozen=True):
    """A backfill that nobody disturbed: its state, and how long it took to start and in all."""

    state_hash: str
    startup_seconds: float
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(
    chain: MockChain,
    new_database: Callable[[str], str],
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Undisturbed:
    url = new_database(template)
    log = tmp_path_factory.mktemp("undisturbed") / "index.log"

    async def run() -> Undisturbed:
        with index(chain, log, DATABASE_URL=url) as indexer:
            async with reading(url) as conn:
                await indexer.commit(conn)
            startup = time.monotonic() - indexer.started_at
            seconds = await indexer.end()
        return Undisturbed(await whole_state(url, chain), startup, seconds)

    return asyncio.run(run())


class Index:
    """A `renown index` that runs to the end of the mock chain, in a process of its own."""

    def __init__(self, chain: MockChain, log: Path, **settings: str) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RENOWN_")}
        self._log = log
        self.started_at = time.monotonic()
        with log.open("a") as stderr:
            self.process = subprocess.Popen(
                [*PROGRAM, "index", "--chain", "devnet", "--until", str(chain.world["last_block"])],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=inherited
                | {"RPC_URL": chain.url, "RENOWN_BACKFILL_BATCH_EVENTS": str(BATCH_EVENTS)}
                | settings,
            )

    @property
    def ended(self) -> bool:
        """Whether it is over; it may only end well."""
        code = self.process.poll()
        assert code in (None, 0), f"it ended with {code}:\n{self._log.read_text()[-2_000:]}"
        return code == 0

    async def live_for(self, seconds: float) -> None:
        """Wait, but not beyond its end."""
        until = time.monotonic() + seconds
        while not self.ended:
            left = until - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(0.01, left))

    async def commit(self, conn: Conn) -> None:
        """Wait for its next commit, but not beyond its end."""
        before = await held(conn)
        while not self.ended:
            if await held(conn) != before:
                return
            await asyncio.sleep(0.002)

    async def end(self) -> float:
        """Wait for its end; the seconds it lived."""
        await self.live_for(DEADLINE_SECONDS)
        assert self.ended, f"still running:\n{self._log.read_text()[-2_000:]}"
        return time.monotonic() - self.started_at

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def index(chain: MockChain, log: Path, **settings: str) -> Iterator[Index]:
    started = Index(chain, log, **settings)
    try:
        yield started
    finally:
        started.kill()


async def held(conn: Conn) -> int:
    """The last block stored; -1 before the first commit."""
    return int(await conn.fetchval("SELECT max(block_number) FROM checkpoint") or -1)


async def whole_state(url: str, chain: MockChain) -> str:
    """The state hash, after it is certain that every log of the chain is stored just once."""
    async with reading(url) as conn:
        counted = 0
        for table in facts.TABLES.values():
            rows = await conn.fetchrow(
                f"SELECT count(*), count(DISTINCT (block_number, log_index)) FROM {table.name}"
            )
            assert rows is not None
            assert rows[0] == rows[1]
            counted += rows[0]
        assert counted == chain.world["events"]
        assert await conn.fetchval("SELECT events FROM checkpoint") == counted
        assert await conn.fetchval("SELECT sum(fact_count) FROM block") == counted
        assert await conn.fetchval("SELECT count(*) FROM agent") == chain.world["agents"]
        strange = "(SELECT count(*) FROM quarantine) + (SELECT count(*) FROM unattached)"
        assert await conn.fetchval(f"SELECT {strange}") == 0
        await assert_outbox_covers(conn, chain.world["last_block"])
        verdict = await verify_state(conn, DEVNET_CHAIN_ID)
        assert verdict.equal, verdict.differing
        return verdict.stored_hash


async def assert_outbox_covers(conn: Conn, last: int) -> None:
    """Each commit goes on where the one before stopped, and none is there twice."""
    entries = await conn.fetch("SELECT * FROM outbox ORDER BY position")
    assert [entry["position"] for entry in entries] == list(range(1, len(entries) + 1))
    next_block = 0
    for entry in entries:
        assert (entry["kind"], entry["from_block"]) == ("extend", next_block)
        next_block = entry["to_block"] + 1
    assert next_block == last + 1


async def test_backfill__killed_at_random_moments__ends_as_the_undisturbed_one(
    chain: MockChain,
    undisturbed: Undisturbed,
    new_database: Callable[[str], str],
    template: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dice = random.Random(SEED)
    startup, seconds = undisturbed.startup_seconds, undisturbed.seconds
    expected = undisturbed.state_hash

    # As many kills to a backfill as let it end; then another backfill, until all have happened.
    stretch = (seconds - startup) / min(KILLS, 10)
    kills, backfills, places = 0, 0, []
    while kills < KILLS:
        url = await asyncio.to_thread(new_database, template)
        backfills += 1
        done = False
        async with reading(url) as conn:
            while kills < KILLS and not done:
                with index(chain, tmp_path / "killed.log", DATABASE_URL=url) as doomed:
                    if dice.random() < 0.85:  # the others die while they start, or soon after
                        await doomed.commit(conn)
                        await doomed.live_for(dice.uniform(0, 2 * stretch))
                    else:
                        await doomed.live_for(dice.uniform(0, 1.5 * startup))
                    done = doomed.ended
                if not done:
                    kills += 1
                    places.append(await held(conn))
            if not done:
                with index(chain, tmp_path / "killed.log", DATABASE_URL=url) as last:
                    await last.end()
        assert await whole_state(url, chain) == expected

    assert len(set(places)) >= min(2, KILLS)
    with capsys.disabled():
        sys.stdout.write(
            f"\nkill -9 of the indexer: {kills} in {backfills} backfills of"
            f" {chain.world['events']:,} events ({BATCH_EVENTS:,} a commit), undisturbed"
            f" {seconds:.1f} s; stored at death: {sorted(places)} of block"
            f" {chain.world['last_block']:,}; all state hashes {expected[:16]}…\n"
        )


async def test_backfill__postgresql_killed_in_the_middle__goes_on_and_ends_the_same(
    chain: MockChain,
    undisturbed: Undisturbed,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dice = random.Random(SEED)
    expected = undisturbed.state_hash
    with data_directory() as folder:
        log = tmp_path / "embedded.log"
        with index(chain, log, RENOWN_DATA_DIR=str(folder)) as indexer:
            while not tables_fill(log):
                assert not indexer.ended
                await asyncio.sleep(0.02)
            async with reading(running_dsn(folder) or "") as conn:
                for _ in range(dice.randint(1, 5)):
                    await indexer.commit(conn)
            assert not indexer.ended
            server = postmaster_of(indexer)
            server.kill()
            killed_at = time.monotonic()
            await indexer.end()
            took = time.monotonic() - killed_at
        said = log.read_text()
        assert "database_server_gone" in said
        assert "chain_interrupted" in said
        with EmbeddedPostgres(folder) as after:
            assert await whole_state(after.dsn(), chain) == expected

    with capsys.disabled():
        sys.stdout.write(
            f"\nkill -9 of PostgreSQL: whole {took:.1f} s later (the server comes back within a"
            f" second, crash recovery included); state hash {expected[:16]}…\n"
        )


def postmaster_of(indexer: Index) -> psutil.Process:
    """The PostgreSQL server that the indexer runs."""
    children: list[psutil.Process] = psutil.Process(indexer.process.pid).children()
    (server,) = [child for child in children if child.name() == "postgres"]
    return server


def tables_fill(log: Path) -> bool:
    """Whether migrations are through, so that a kill hits the backfill."""
    return "migration_applied" in log.read_text()
