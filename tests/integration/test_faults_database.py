"""The database fails under a backfill: in the end the index is that of an undisturbed run.

The mock chain of the benchmarks is the network. Connections are ended, the server is restarted,
its disk is full, two indexers want one chain.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from bench.rig import MockChain

from renown.ingest import supervise
from renown.ingest.repair import verify_state
from renown.ingest.supervise import Job, Supervisor
from renown.store.embedded import EmbeddedPostgres, ephemeral_postgres
from renown.store.embedded.ephemeral import EPHEMERAL
from renown.store.embedded.programs import account_for
from renown.store.migrate import migrate
from renown.store.pool import Conn, connect
from tests.command import data_directory
from tests.factories import DEVNET
from tests.reading import reading

EVENTS = 12_000
BATCH_EVENTS = 200
"""Events a commit: small, so that a fault meets many."""
CHAIN = DEVNET.chain_id
DEADLINE_SECONDS = 60
DISK_BYTES, ROOM_BYTES = 128 * 2**20, 3 * 2**20
"""A small disk, and what a ballast leaves of it."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def chain() -> Iterator[MockChain]:
    with MockChain(EVENTS, "network") as running:
        yield running
    assert running._process.stdout is not None
    running._process.stdout.close()


@pytest.fixture(scope="module")
def expected(chain: MockChain, database_url: str) -> str:
    """The state hash of an index that met no fault."""

    async def run() -> str:
        await follow(Supervisor(lambda: connect(database_url)), chain)
        return await whole_state(database_url, chain)

    return asyncio.run(run())


async def follow(supervisor: Supervisor, chain: MockChain) -> None:
    """Index the mock chain to its end."""
    job = Job(DEVNET, (chain.url,), poll_seconds=0.05, batch_events=BATCH_EVENTS)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await supervisor.follow(job, until=chain.world["last_block"])


@asynccontextmanager
async def indexing(url: str, chain: MockChain) -> AsyncIterator[Supervisor]:
    """An indexer at work; the block waits for its end."""
    supervisor = Supervisor(lambda: connect(url, application_name="renown-writer"))
    work = asyncio.create_task(follow(supervisor, chain))
    try:
        yield supervisor
        await work
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def stored(supervisor: Supervisor) -> int:
    """The last block it stored."""
    progress = supervisor.progress.get(CHAIN)
    return progress.block_number if progress else -1


async def until(ready: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + DEADLINE_SECONDS
    while not ready():
        assert time.monotonic() < give_up_at, f"not within {DEADLINE_SECONDS} s: {what}"
        await asyncio.sleep(0.005)


async def whole_state(url: str, chain: MockChain) -> str:
    """The state hash of an index that holds every event of the chain just once."""
    async with reading(url) as conn:
        held = await conn.fetchrow(
            "SELECT events, (SELECT sum(fact_count) FROM block), (SELECT count(*) FROM agent),"
            " (SELECT count(*) FROM quarantine) + (SELECT count(*) FROM unattached) FROM checkpoint"
        )
        assert held is not None
        events = chain.world["events"]
        assert tuple(held) == (events, events, chain.world["agents"], 0)
        return await consistent_state(conn)


async def consistent_state(conn: Conn) -> str:
    """The state hash, which equals the fold of the facts: no commit was half stored."""
    counted = await conn.fetchrow(
        "SELECT (SELECT sum(fact_count) FROM outbox), (SELECT sum(fact_count) FROM block), events"
        "  FROM checkpoint"
    )
    assert counted is not None
    assert counted[0] == counted[1] == counted[2]
    verdict = await verify_state(conn, CHAIN)
    assert verdict.equal, verdict.differing
    return verdict.stored_hash


TERMINATE_WRITERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'renown-writer'
"""


async def test_backfill__writer_ended_by_the_server_again_and_again__ends_the_same(
    fresh_database_url: str, chain: MockChain, expected: str
) -> None:
    dice = random.Random(1)
    ended = 0
    async with (
        indexing(fresh_database_url, chain) as supervisor,
        reading(fresh_database_url) as admin,
    ):
        for _ in range(5):
            before = stored(supervisor)
            await until(lambda before=before: stored(supervisor) > before, "progress")  # type: ignore[misc]
            await asyncio.sleep(dice.uniform(0, 0.05))
            ended += await admin.fetchval(TERMINATE_WRITERS)

    assert ended >= 4
    assert await whole_state(fresh_database_url, chain) == expected


async def test_backfill__server_restarted_twice__ends_the_same(
    chain: MockChain, expected: str
) -> None:
    with ephemeral_postgres(in_memory=True) as server:
        url = server.dsn()
        await migrate(url)
        async with indexing(url, chain) as supervisor:
            for at_once in (False, True):
                before = stored(supervisor)
                await until(lambda before=before: stored(supervisor) > before, "progress")  # type: ignore[misc]
                await asyncio.to_thread(server.stop, at_once=at_once)
                await until(lambda: CHAIN in supervisor.problems, "the indexer notices")
                await asyncio.to_thread(server.start)
                assert server.dsn() == url

        assert await whole_state(url, chain) == expected


async def test_backfill__no_room_for_tables__waits_whole_and_goes_on_when_there_is(
    postgres: EmbeddedPostgres, chain: MockChain, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(owner=psutil.Process(postgres.pid).uids().real) as disk:
        async with reading(postgres.dsn()) as admin:
            await admin.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            await admin.execute("CREATE DATABASE on_small TABLESPACE small TEMPLATE template0")
        try:
            url = postgres.dsn("on_small")
            await migrate(url)
            said = await fill_and_free(disk, url, chain)
            assert "no disk space left" in said
            assert await whole_state(url, chain) == expected
        finally:
            async with reading(postgres.dsn()) as admin:
                await admin.execute("DROP DATABASE on_small WITH (FORCE)")
                await admin.execute("DROP TABLESPACE small")
    with capsys.disabled():
        sys.stdout.write(f"\nfull disk under the tables: {said!r}, then went on by itself\n")


async def test_backfill__no_room_for_the_log__goes_on_when_there_is(
    chain: MockChain, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without room for its log PostgreSQL itself dies; it is started again until it lives."""
    with data_directory() as folder, small_disk(owner=account_for(folder).uid) as disk:
        # No checkpoint comes, so no part of the log is used again, and it grows until it is full.
        settings = {**EPHEMERAL, "max_wal_size": "1GB", "min_wal_size": "2MB"}
        options = ("--wal-segsize=1", "--no-sync", f"--waldir={disk / 'wal'}")
        with EmbeddedPostgres(folder, settings=settings, initdb_options=options) as server:
            first_pid = server.pid
            watching = asyncio.create_task(server.keep_running(check_seconds=0.2))
            try:
                url = server.dsn()
                await migrate(url)
                said = await fill_and_free(
                    disk,
                    url,
                    chain,
                    dies=lambda: server.pid != first_pid or not server.is_running(),
                )
                assert await whole_state(url, chain) == expected
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            assert server.pid != first_pid
    with capsys.disabled():
        sys.stdout.write(f"\nfull disk under the log: {said!r}, then went on by itself\n")


async def test_two_indexers__of_one_chain__the_second_stands_by_and_takes_over(
    fresh_database_url: str, chain: MockChain, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE_SECONDS", 0.05)
    url = fresh_database_url
    first, second = (Supervisor(lambda: connect(url)) for _ in range(2))
    working = asyncio.create_task(follow(first, chain))
    await until(lambda: CHAIN in first.progress, "the first has the lease")
    standing_by = asyncio.create_task(follow(second, chain))
    try:
        await until(lambda: CHAIN in second.problems, "the second stands by")
        assert "being written by" in second.problems[CHAIN]
        before = stored(first)
        await until(lambda: stored(first) > before, "the first goes on")
        assert stored(second) == -1

        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await standing_by
    finally:
        working.cancel()
        standing_by.cancel()
        await asyncio.gather(working, standing_by, return_exceptions=True)

    assert stored(first) < chain.world["last_block"]
    assert CHAIN not in second.problems
    assert await whole_state(url, chain) == expected
    async with reading(url) as conn:
        assert await conn.fetchval("SELECT fence FROM checkpoint") == 2


async def fill_and_free(
    disk: Path, url: str, chain: MockChain, *, dies: Callable[[], bool] | None = None
) -> str:
    """Index with no room left; free some when the indexer has noticed. Returns what it said then.

    Args:
        dies: whether the server, which a full disk ends, has ended; None when it must live on,
            and what it holds then is looked at.
    """
    ballast = disk / "ballast"
    _fill(ballast, shutil.disk_usage(disk).free - ROOM_BYTES)
    async with indexing(url, chain) as supervisor:
        last = chain.world["last_block"]
        await until(lambda: CHAIN in supervisor.problems or stored(supervisor) >= last, "trouble")
        said = supervisor.problems[CHAIN]
        assert stored(supervisor) < last
        if dies is not None:
            await until(dies, "the server dies")
        else:
            async with reading(url) as conn:
                await consistent_state(conn)
        ballast.unlink()
    return said


def _fill(path: Path, size_bytes: int) -> None:
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size_bytes)


@contextmanager
def small_disk(*, owner: int | None = None) -> Iterator[Path]:
    """An empty folder on a disk of its own with DISK_BYTES. Skips where we may not mount one."""
    folder = Path(tempfile.mkdtemp(prefix="renown-small-"))
    options = f"size={DISK_BYTES},mode=0711" + ("" if owner is None else f",uid={owner}")
    mounted = False
    try:
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        with suppress(FileNotFoundError):
            mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        if not mounted:
            pytest.skip("mounting a small disk is not permitted here (it takes root)")
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)
        folder.rmdir()
