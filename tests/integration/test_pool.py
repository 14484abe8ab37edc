"""Connections to a real database: what is borrowed, what failures are called, what stays secret."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from renown.errors import BadSettings, DatabaseFull, DatabaseUnavailable, StoreError
from renown.store.embedded import EmbeddedPostgres, ephemeral_postgres
from renown.store.pool import (
    Conn,
    Pool,
    Tx,
    connect,
    connect_pool,
    database_place,
    is_conflict,
    naming_failures,
    retry_conflicts,
    transaction,
    translate,
)

SECRET = "hunter2"


async def test_transaction__error_inside__rolls_back(pool: Pool):
    async with pool.connection() as conn:
        await conn.execute("CREATE TABLE IF NOT EXISTS kept (n int)")

    with pytest.raises(KeyError):
        async with pool.transaction() as tx:
            await tx.execute("INSERT INTO kept VALUES (1)")
            raise KeyError("x")

    async with pool.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM kept") == 0


async def test_transaction__nested__is_a_savepoint(tx: Tx):
    await tx.execute("CREATE TEMP TABLE kept (n int)")
    with pytest.raises(KeyError):
        async with transaction(tx, "serializable") as inner:
            await inner.execute("INSERT INTO kept VALUES (1)")
            raise KeyError("x")
    await tx.execute("INSERT INTO kept VALUES (2)")

    assert await tx.fetchval("SELECT array_agg(n) FROM kept") == [2]


async def test_numeric__on_a_read_pool__is_int_of_any_size(pool: Pool):
    async with pool.connection() as conn:
        whole = await conn.fetchval("SELECT $1::numeric", 2**256 - 1)
        broken = await conn.fetchval("SELECT 1.5")

    assert (type(whole), whole) == (int, 2**256 - 1)
    assert broken == Decimal("1.5")


async def test_numeric__on_a_writers_connection__can_be_copied_exactly(tx: Tx):
    await tx.execute("CREATE TEMP TABLE big (n numeric)")

    await tx.copy_records_to_table("big", records=[(2**256 - 1,), (-(2**127),)])

    assert [int(row["n"]) for row in await tx.fetch("SELECT n FROM big ORDER BY n")] == [
        -(2**127),
        2**256 - 1,
    ]


async def test_release__costs_no_round_trip(database_url: str):
    pool = await connect_pool(database_url, max_size=1)
    async with pool.connection() as conn:
        statements: list[str] = []
        conn.add_query_logger(lambda record: statements.append(record.query))
    async with pool.connection() as conn:
        await conn.fetchval("SELECT 1")
    await pool.close()

    assert statements == ["SELECT 1"]


async def test_statement_cache_off__prepares_nothing_by_name(database_url: str):
    pool = await connect_pool(database_url, max_size=1, statement_cache_size=0)
    async with pool.connection() as conn:
        await conn.fetchval("SELECT $1::int", 1)
        names = await conn.fetch("SELECT name FROM pg_prepared_statements WHERE name <> ''")
    await pool.close()

    assert names == []


async def test_statement_cache__a_long_statement__stays_prepared_for_good(database_url: str):
    pool = await connect_pool(database_url, max_size=1)
    statement = f"SELECT $1::int /* {'long' * 7_000} */"
    async with pool.connection() as conn:
        for n in range(3):
            await conn.fetchval(statement, n)
        calls = await conn.fetchval(
            "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement = $1",
            statement,
        )
        driver: Any = conn
        lifetime_seconds = driver._config.max_cached_statement_lifetime
    await pool.close()

    assert calls == 3
    assert lifetime_seconds == 0


async def test_retry_conflicts__write_skew__runs_until_it_fits(database_url: str):
    first, second = await connect(database_url), await connect(database_url)
    await first.execute("DROP TABLE IF EXISTS counter; CREATE TABLE counter (n int)")
    await first.execute("INSERT INTO counter VALUES (0)")
    tries = 0

    async def bump(conn: Conn) -> None:
        nonlocal tries
        for _ in range(10):

            async def once() -> None:
                nonlocal tries
                tries += 1
                async with transaction(conn, "serializable") as tx:
                    seen = await tx.fetchval("SELECT n FROM counter")
                    await asyncio.sleep(0.001)
                    await tx.execute("UPDATE counter SET n = $1", seen + 1)

            await retry_conflicts(once, attempts=50, base_seconds=0.001)

    await asyncio.gather(bump(first), bump(second))

    assert await first.fetchval("SELECT n FROM counter") == 20
    assert tries > 20, "no conflict happened, so nothing was shown"
    await first.close()
    await second.close()


async def test_retry_conflicts__another_error__is_not_tried_again():
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        raise StoreError("no")

    with pytest.raises(StoreError):
        await retry_conflicts(work)

    assert tries == 1


async def test_statement_too_slow__is_a_store_error(database_url: str):
    pool = await connect_pool(database_url, command_timeout_seconds=0.05)
    with pytest.raises(StoreError, match="took too long"):
        async with pool.connection() as conn:
            await conn.execute("SELECT pg_sleep(5)")
    await pool.close()


async def test_callers_own_timeout__stays_a_timeout(pool: Pool):
    with pytest.raises(TimeoutError):
        async with pool.connection(), asyncio.timeout(0.01):
            await asyncio.sleep(5)


async def test_callers_own_os_error__stays_itself(pool: Pool):
    with pytest.raises(FileNotFoundError):
        async with pool.transaction():
            os.stat("/no/such/file")


async def test_constraint_violation__stays_itself(pool: Pool):
    with pytest.raises(asyncpg.CheckViolationError):
        async with pool.transaction() as tx:
            await tx.execute("CREATE TEMP TABLE c (n int CHECK (n > 0)) ON COMMIT DROP")
            await tx.execute("INSERT INTO c VALUES (0)")


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("53100", DatabaseFull),
        ("53200", StoreError),
        ("53300", DatabaseUnavailable),
        ("57P01", DatabaseUnavailable),
        ("57P03", DatabaseUnavailable),
        ("08006", DatabaseUnavailable),
        ("57014", StoreError),
        ("55P03", StoreError),
        ("40P01", StoreError),
    ],
)
async def test_server_says__state__is_called(pool: Pool, sqlstate: str, expected: type[StoreError]):
    with pytest.raises(StoreError) as caught:
        async with pool.connection() as conn:
            await conn.execute(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$")

    assert type(caught.value) is expected
    assert is_conflict(caught.value) is (sqlstate == "40P01")


def test_translate__connection_closed_under_us__is_unavailable():
    closed = asyncpg.InterfaceError("connection is closed")

    assert isinstance(translate(closed, "db:5432/x"), DatabaseUnavailable)


async def test_server_killed_under_the_pool__is_unavailable_and_comes_back(
    caplog: pytest.LogCaptureFixture,
):
    with ephemeral_postgres(in_memory=True) as server:
        pool = await connect_pool(server.dsn(), min_size=1)
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(DatabaseUnavailable):
            while True:  # until the old backend notices
                async with pool.connection() as conn:
                    await conn.fetchval("SELECT 1")
        while server.is_running():  # noqa: ASYNC110 - till then "start" sees it up
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.start)

        async with pool.connection() as conn:
            assert await conn.fetchval("SELECT 1") == 1
        await pool.close(grace_seconds=1)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("dsn", "says"),
    [
        ("", "does not begin with postgresql://"),
        (f"mysql://u:{SECRET}@h/d", "does not begin with postgresql://"),
        (f"u:{SECRET}@h:5432/d", "does not begin with postgresql://"),
        (f"postgresql://u:{SECRET}@h:port/d", "host or port cannot be read"),
        (f"postgresql://u:{SECRET}@h:99999/d", "host or port cannot be read"),
        (f"postgresql://u:{SECRET}@[h/d", "host or port cannot be read"),
        (f"postgresql://u:{SECRET}#x@h/d", "write # as %23"),
        (f"postgresql://u:{SECRET} x@h/d", "white space"),
        (f"postgresql://u:{SECRET}/x@h/d", "host or port cannot be read"),
        (f"postgresql://u:p@{SECRET}@h:1:2/d", "host or port cannot be read"),
    ],
)
async def test_connect__bad_url__says_what_is_wrong_on_one_line_without_the_password(
    dsn: str, says: str
):
    with pytest.raises(BadSettings) as caught:
        await connect_pool(dsn)

    assert says in caught.value.detail
    assert SECRET not in caught.value.detail
    assert "\n" not in caught.value.detail


async def test_connect__nobody_there__is_unavailable_with_the_place(
    postgres: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)

    with pytest.raises(DatabaseUnavailable) as caught:
        await connect(f"postgresql://u:{SECRET}@127.0.0.1:1/d")

    assert "127.0.0.1:1/d (connection refused)" in caught.value.detail
    assert SECRET not in caught.value.detail + caplog.text


async def test_connect__wrong_password_or_database__is_a_bad_setting(postgres: EmbeddedPostgres):
    port = urlsplit(postgres.dsn()).port

    with pytest.raises(BadSettings, match="refuses this user"):
        await connect(f"postgresql://renown:{SECRET}@127.0.0.1:{port}/renown")
    with pytest.raises(BadSettings, match="no such database at 127"):
        await connect(postgres.dsn("nowhere"))


def test_database_place__names_no_user_and_no_password():
    assert database_place(f"postgresql://u:{SECRET}@db.local:6432/index") == "db.local:6432/index"
    assert database_place("postgres:///index") == "localhost:5432/index"
    assert database_place("postgres:///index?host=/run/pg") == "/run/pg:5432/index"
    assert database_place("postgresql://u@a:1,[::1]/i?x=y") == "a:1,[::1]:5432/i"


async def test_pool_closed__is_unavailable(database_url: str):
    pool = await connect_pool(database_url)
    await pool.close()

    with pytest.raises(DatabaseUnavailable, match="closed"):
        async with pool.connection():
            pass


async def test_pool_close__borrower_never_returns__does_not_wait_for_ever(database_url: str):
    pool = await connect_pool(database_url)
    borrowed = pool.connection()
    await borrowed.__aenter__()

    await asyncio.wait_for(pool.close(grace_seconds=0.05), 5)
    with pytest.raises(DatabaseUnavailable):
        async with pool.connection():
            pass


async def test_naming_failures__the_driver_complains_while_cancelled__stays_a_cancellation() -> (
    None
):
    """A rollback that fails because of the cancellation must not be taken for a failed database."""

    async def work() -> None:
        with naming_failures():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise asyncpg.InterfaceError("another operation is in progress") from None

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
