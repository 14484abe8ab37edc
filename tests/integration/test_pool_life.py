"""A pool through its life: who waits, who is turned away, what is lost and what comes back."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from renown.errors import BadSettings, DatabaseUnavailable, NotFound, Overloaded, StoreError
from renown.obs import metrics
from renown.store import pool as pools
from renown.store.embedded import EmbeddedPostgres, ephemeral_postgres
from renown.store.opening import Opening
from renown.store.pool import Conn, Pool, connect, connect_pool, transaction, wait_until_there

SEEDS = range(4)


def counted(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def small(database_url: str) -> AsyncIterator[Pool]:
    """Two connections, three who may wait for half a second."""
    made = await connect_pool(
        database_url, min_size=1, max_size=2, max_waiters=3, timeout_seconds=0.5
    )
    yield made
    await made.close(grace_seconds=1)


async def hold(pool: Pool, until: asyncio.Event) -> None:
    async with pool.connection():
        await until.wait()


# Who waits ----------------------------------------------------------------------------------------


async def test_acquire__the_queue_is_full__is_overloaded_at_once(small: Pool) -> None:
    shed = counted("renown_http_shed_total", cause="pool-full")
    go = asyncio.Event()
    held = [asyncio.create_task(hold(small, go)) for _ in range(5)]
    await asyncio.sleep(0.05)
    assert (small.stats().busy, small.stats().waiters) == (2, 3)

    with pytest.raises(Overloaded) as caught:
        async with small.connection():
            pass

    assert caught.value.context["retry_after_seconds"] > 0
    assert small.stats().refused == 1
    assert counted("renown_http_shed_total", cause="pool-full") == shed + 1
    go.set()
    await asyncio.gather(*held)
    assert (small.stats().busy, small.stats().waiters) == (0, 0)


async def test_acquire__nothing_is_given_back_in_time__is_overloaded(small: Pool) -> None:
    go = asyncio.Event()
    held = [asyncio.create_task(hold(small, go)) for _ in range(2)]
    await asyncio.sleep(0.05)

    with pytest.raises(Overloaded):
        async with small.connection():
            pass

    go.set()
    await asyncio.gather(*held)
    assert (small.stats().timeouts, small.stats().refused) == (1, 0)
    async with small.connection() as conn:
        assert await conn.fetchval("SELECT 1") == 1


async def test_acquire__openings_take_longer_than_the_limit__is_overloaded(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first has come; for the second there is room, but its login never ends."""
    first_is_open = asyncio.Event()

    async def slow(*args: Any, **options: Any) -> Conn:
        if first_is_open.is_set():
            await asyncio.Event().wait()
        return await connect(*args, **options)

    monkeypatch.setattr(pools, "connect", slow)
    pool = await connect_pool(database_url, min_size=0, max_size=9, timeout_seconds=5)
    async with pool.connection():
        first_is_open.set()
        pool._timeout_seconds = 0.2
        with pytest.raises(Overloaded):
            async with asyncio.timeout(30), pool.connection():
                pass
    assert (pool.stats().timeouts, pool._wanted) == (1, 0)
    await pool.close(grace_seconds=1)


async def test_ten_times_the_clients__all_are_served_or_refused_and_nothing_is_left(
    small: Pool,
) -> None:
    outcomes: Counter[str] = Counter()

    async def client() -> None:
        try:
            async with small.connection() as conn:
                await conn.execute("SELECT pg_sleep(0.01)")
        except Overloaded:
            outcomes["overloaded"] += 1
        else:
            outcomes["served"] += 1

    await asyncio.gather(*(client() for _ in range(50)))

    assert outcomes["served"] >= 5
    assert outcomes["served"] + outcomes["overloaded"] == 50
    assert (small.stats().busy, small.stats().waiters) == (0, 0)


@pytest.mark.parametrize("seed", SEEDS)
async def test_clients_cancelled_at_any_moment__leak_nothing(database_url: str, seed: int) -> None:
    dice = random.Random(seed)
    pool = await connect_pool(
        database_url, min_size=0, max_size=3, max_waiters=50, max_queries=20, timeout_seconds=5
    )

    async def client() -> None:
        async with pool.transaction() as tx:
            await tx.execute("SELECT pg_sleep(0.002)")
            async with transaction(tx):
                await tx.fetchval("SELECT 1")

    running = [asyncio.create_task(client()) for _ in range(40)]
    for task in running:
        await asyncio.sleep(dice.uniform(0, 0.004))
        if dice.random() < 0.7:
            task.cancel()
    ended = await asyncio.gather(*running, return_exceptions=True)

    assert {type(one) for one in ended} <= {type(None), asyncio.CancelledError}
    async with asyncio.timeout(5):
        while pool.stats().busy:  # noqa: ASYNC110 - a cancelled statement is still being cancelled
            await asyncio.sleep(0.005)
    stats = pool.stats()
    assert (stats.waiters, pool._wanted) == (0, 0)
    assert stats.size <= 3
    async with asyncio.timeout(5), pool.connection() as conn, pool.connection(), pool.connection():
        assert await conn.fetchval("SELECT 1") == 1
    await pool.close(grace_seconds=1)


# Lost and found -----------------------------------------------------------------------------------


async def test_backends_terminated__each_next_user_gets_one_that_works(database_url: str) -> None:
    pool = await connect_pool(database_url, min_size=3, max_size=3)
    killer = await connect(database_url)
    for _ in range(3):
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'renown' AND pid <> pg_backend_pid()"
            " AND datname = current_database()"
        )
        await asyncio.sleep(0.05)  # the word that they are gone has come
        for _ in range(3):
            async with pool.connection() as conn:
                assert await conn.fetchval("SELECT 1") == 1
    await killer.close()
    await pool.close(grace_seconds=1)


async def test_connection_lost_while_lent__is_unavailable_and_given_back(
    database_url: str,
) -> None:
    pool = await connect_pool(database_url, min_size=1, max_size=1)
    killer = await connect(database_url)
    with pytest.raises(DatabaseUnavailable):
        async with pool.connection() as conn:
            pid = conn.get_server_pid()
            await killer.execute("SELECT pg_terminate_backend($1)", pid)
            await asyncio.sleep(0.05)
            await conn.fetchval("SELECT 1")

    async with asyncio.timeout(5), pool.connection() as conn:
        assert await conn.fetchval("SELECT 1") == 1
    assert (pool.stats().busy, pool.stats().recycled) == (0, 0)
    await killer.close()
    await pool.close(grace_seconds=1)


async def test_idle_connection_that_died_in_silence__is_never_lent(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that vanished sends no word: only a question shows that nobody is there."""
    monkeypatch.setattr(pools, "LOOK_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(pools, "LOOK_SECONDS", 0.2)
    pool = await connect_pool(database_url, min_size=0, max_size=2)
    async with pool.connection() as one, pool.connection() as other:
        pids = [one.get_server_pid(), other.get_server_pid()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(5), pool.connection() as conn:
            assert conn.get_server_pid() not in pids
            assert await conn.fetchval("SELECT 1") == 1
        assert pool.size == 1, "the other that was idle as long is dropped without a look"
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        await pool.close(grace_seconds=1)


async def test_server_gone_and_back_under_load__errors_are_quick_and_end() -> None:
    with ephemeral_postgres(in_memory=True) as server:
        pool = await connect_pool(server.dsn(), min_size=2, max_size=4, max_waiters=100)
        outcomes: Counter[str] = Counter()
        slowest = 0.0
        done = asyncio.Event()

        async def client() -> None:
            nonlocal slowest
            while not done.is_set():
                began = time.monotonic()
                try:
                    async with pool.connection() as conn:
                        await conn.fetchval("SELECT 1")
                except StoreError as exc:
                    outcomes[exc.slug] += 1
                    slowest = max(slowest, time.monotonic() - began)
                else:
                    outcomes["ok"] += 1
                await asyncio.sleep(0.005)

        clients = [asyncio.create_task(client()) for _ in range(40)]
        await asyncio.sleep(0.2)
        opened = pool.stats().opened
        os.kill(server.pid, signal.SIGKILL)
        await asyncio.sleep(1.0)
        assert outcomes["database-unavailable"]
        assert outcomes["database-unavailable"] < 4_000, "they wait for each other's attempt"
        await asyncio.to_thread(server.start)
        before = outcomes["ok"]
        async with asyncio.timeout(15):
            while outcomes["ok"] < before + 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        done.set()
        await asyncio.gather(*clients)

        assert set(outcomes) <= {"ok", "database-unavailable"}
        assert pool.stats().opened - opened <= 8, "no more are opened than are needed"
        assert (pool.stats().busy, pool.stats().waiters) == (0, 0)
        await pool.close(grace_seconds=1)


async def test_opening__server_away__one_tries_for_all() -> None:
    tries = 0

    async def nobody() -> Conn:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0.01)
        raise DatabaseUnavailable("nobody there")

    opening = Opening(nobody, "here")
    ended = await asyncio.gather(*(opening() for _ in range(100)), return_exceptions=True)

    assert {type(one) for one in ended} == {DatabaseUnavailable}
    assert tries <= 4
    assert opening.is_failing
    with pytest.raises(DatabaseUnavailable):
        await opening()
    assert tries <= 5


async def test_start__the_database_comes_later__waits_and_says_so() -> None:
    with ephemeral_postgres(in_memory=True) as server:
        url = server.dsn()
        os.kill(server.pid, signal.SIGKILL)
        structlog.reset_defaults()
        with capture_logs() as said:
            waiting = asyncio.create_task(wait_until_there(url, most_seconds=30))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            await asyncio.to_thread(server.start)
            await waiting
    awaited = [line for line in said if line["event"] == "database_awaited"]
    assert awaited
    assert server._connection.password not in str(awaited)


async def test_start__nobody_ever_comes__gives_up() -> None:
    with pytest.raises(DatabaseUnavailable):
        await wait_until_there("postgresql://u:p@127.0.0.1:1/d", most_seconds=0.3)


async def test_start__wrong_password__does_not_wait(postgres: EmbeddedPostgres) -> None:
    url = postgres.dsn().replace("postgresql://renown:", "postgresql://renown:x")
    with pytest.raises(BadSettings):
        await wait_until_there(url, most_seconds=60)


async def test_several_hosts__first_away__the_one_that_takes_writes(
    postgres: EmbeddedPostgres,
) -> None:
    scheme, _, rest = postgres.dsn().partition("@")
    pool = await connect_pool(f"{scheme}@127.0.0.1:1,{rest}", min_size=1)
    async with pool.connection() as conn:
        assert await conn.fetchval("SELECT NOT pg_is_in_recovery()")
    await pool.close(grace_seconds=1)


async def test_more_than_the_server_has__is_said_with_figures(postgres: EmbeddedPostgres) -> None:
    with capture_logs() as said:
        pool = await connect_pool(postgres.dsn(), min_size=1, max_size=5_000)
    await pool.close(grace_seconds=1)
    (line,) = [line for line in said if line["event"] == "db_pool_larger_than_server"]
    assert line["pool_max_size"] == 5_000
    assert 0 < line["server_limit"] < 5_000


# What it tells ------------------------------------------------------------------------------------


async def test_most_queries__the_connection_is_replaced_and_counted(database_url: str) -> None:
    before = counted("renown_db_pool_recycled_total", pool="primary")
    pool = await connect_pool(database_url, min_size=0, max_size=1, max_queries=10)
    pids = set()
    for _ in range(12):
        async with pool.connection() as conn:
            pids.add(conn.get_server_pid())
            await conn.fetchval("SELECT 1")
    stats = pool.stats()
    await pool.close(grace_seconds=1)

    assert len(pids) >= 2
    assert stats.recycled == counted("renown_db_pool_recycled_total", pool="primary") - before >= 1
    assert stats.opened == len(pids)
    assert stats.acquired == 12


async def test_connection_broken_by_a_cancelled_statement__is_not_taken_for_used_up(
    database_url: str,
) -> None:
    pool = await connect_pool(database_url, min_size=1, max_size=1)
    for breaking in ("SELECT pg_terminate_backend(pg_backend_pid())", "SELECT pg_sleep(30)"):
        with pytest.raises(StoreError):
            async with pool.connection() as conn:
                await conn.execute(breaking, timeout=0.5)
    assert pool.stats().recycled == 0
    await pool.close(grace_seconds=1)


async def test_tell__sets_the_gauges(small: Pool) -> None:
    opened = counted("renown_db_pool_opened_total", pool="primary")
    async with small.connection():
        small.tell()
        small.tell()
        busy = counted("renown_db_pool_connections", pool="primary", state="busy")
    assert (busy, counted("renown_db_pool_limit", pool="primary")) == (1, 2)
    assert counted("renown_db_pool_opened_total", pool="primary") == opened + 1


def ended(outcome: str) -> float:
    return counted("renown_db_transactions_total", outcome=outcome)


async def test_transactions__are_counted_by_how_they_ended_savepoints_are_not(
    small: Pool,
) -> None:
    good, bad = (ended("committed"), ended("rolled_back"))

    def both() -> tuple[float, float]:
        return ended("committed"), ended("rolled_back")

    async with small.transaction("repeatable_read") as tx:
        assert await tx.fetchval("SHOW transaction_isolation") == "repeatable read"
        with pytest.raises(KeyError):
            async with transaction(tx):
                raise KeyError("x")
    assert both() == (good + 1, bad)
    with pytest.raises(KeyError):
        async with small.transaction():
            raise KeyError("x")
    assert both() == (good + 1, bad + 1)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotFound("no such agent"), "refused"),
        (asyncio.CancelledError(), "refused"),
        (DatabaseUnavailable("it went away"), "rolled_back"),
        (ZeroDivisionError(), "rolled_back"),
    ],
)
async def test_transaction__undone__is_a_failure_only_if_the_database_or_we_failed(
    small: Pool, error: BaseException, outcome: str
) -> None:
    before = {name: ended(name) for name in ("committed", "rolled_back", "refused")}
    with pytest.raises(type(error)):
        async with small.transaction():
            raise error
    now = {name: ended(name) for name in before}
    assert now == before | {outcome: before[outcome] + 1}


async def test_statement__with_a_limit_of_its_own__is_held_to_that(database_url: str) -> None:
    pool = await connect_pool(database_url, command_timeout_seconds=0.05)
    async with pool.connection() as conn:
        await conn.execute("SELECT pg_sleep(0.2)", timeout=5)
        with pytest.raises(TimeoutError):
            await conn.execute("SELECT pg_sleep(5)")
    await pool.close(grace_seconds=2)
