"""The read replica: what is asked of it, what never is, and what happens while it is behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from renown.errors import DatabaseUnavailable, StoreError
from renown.obs import metrics
from renown.store.pool import Conn, Pool, connect, connect_pool
from renown.store.replica import Replica, ReplicaFailed
from tests.access import Api, acting_api, give_account
from tests.standby import Pair, replicating

MAX_LAG = 0.3


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with replicating() as running:
        yield running


@pytest.fixture(autouse=True, scope="module")
def gauge_left_as_it_was() -> Iterator[None]:
    """Without a replica it shows nothing."""
    yield
    for gauge in (metrics.REPLICA_LAG, metrics.REPLICA_UP):
        vars(gauge).pop("_value", None)


@asynccontextmanager
async def watched(pair: Pair) -> AsyncIterator[tuple[Replica, Pool, Pool]]:
    primary = await connect_pool(pair.primary.dsn(), max_size=3)
    pool = await connect_pool(pair.standby.dsn(), name="replica", min_size=0, max_size=3)
    try:
        yield Replica(pool, primary, max_lag_seconds=MAX_LAG), primary, pool
    finally:
        await primary.close(grace_seconds=1)
        await pool.close(grace_seconds=1)


@asynccontextmanager
async def paused(pair: Pair) -> AsyncIterator[None]:
    """The standby replays nothing in the block."""
    conn = await connect(pair.standby.dsn())
    try:
        await conn.execute("SELECT pg_wal_replay_pause()")
        yield
    finally:
        await conn.execute("SELECT pg_wal_replay_resume()")
        await conn.close()


async def write(pair: Pair) -> None:
    conn = await connect(pair.primary.dsn())
    try:
        await conn.execute("SET synchronous_commit = on")  # the log is written when we go on
        await conn.execute("CREATE TABLE IF NOT EXISTS written (n int)")
        await conn.execute("INSERT INTO written VALUES (1)")
    finally:
        await conn.close()


async def until(done: Callable[[], Any], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


# How far behind -----------------------------------------------------------------------------------


async def test_idle_primary__is_no_lag(pair: Pair) -> None:
    await pair.caught_up()
    async with watched(pair) as (replica, _, _pool):
        assert not replica.is_fit, "nobody has looked yet"
        await replica.look()
        await asyncio.sleep(MAX_LAG + 0.1)
        await replica.look()
        assert (replica.is_fit, replica.lag_seconds) == (True, 0.0)
        assert metrics.REGISTRY.get_sample_value("renown_replica_lag_seconds") == 0


async def test_replay_stands_still__lag_grows_until_it_is_unfit_and_ends(pair: Pair) -> None:
    async with watched(pair) as (replica, _, _pool):
        await replica.look()
        async with paused(pair):
            await write(pair)
            await replica.look()
            await asyncio.sleep(MAX_LAG + 0.05)
            await replica.look()
            assert not replica.is_fit
            assert replica.lag_seconds is not None
            assert replica.lag_seconds > MAX_LAG
        await pair.caught_up()
        await replica.look()
        assert replica.is_fit


async def test_replica_away__is_unfit_and_says_no_error(pair: Pair) -> None:
    async with watched(pair) as (_, primary, _pool):
        nowhere = await connect_pool("postgresql://u:p@127.0.0.1:1/d", name="replica", min_size=0)
        replica = Replica(nowhere, primary, max_lag_seconds=MAX_LAG)
        await replica.look()
        assert (replica.is_fit, replica.lag_seconds) == (False, None)
        with pytest.raises(ReplicaFailed):
            async with replica.connection():
                pass
        await nowhere.close()


async def test_replica_gone__the_gauges_say_so_and_the_lag_grows(pair: Pair) -> None:
    def shown() -> tuple[float | None, float]:
        lag = metrics.REGISTRY.get_sample_value("renown_replica_lag_seconds")
        assert lag is not None
        return metrics.REGISTRY.get_sample_value("renown_replica_up"), lag

    await pair.caught_up()
    async with watched(pair) as (replica, _, pool):
        await replica.look()
        assert shown() == (1, 0)
        await pool.close(grace_seconds=1)
        await replica.look()
        up, lag = shown()
        await replica.look()
        assert up == shown()[0] == 0
        assert 0 < lag < shown()[1]


async def test_primary_away__the_replica_still_answers(pair: Pair) -> None:
    await pair.caught_up()
    async with watched(pair) as (_, _primary, pool):
        nowhere = await connect_pool("postgresql://u:p@127.0.0.1:1/d", min_size=0)
        replica = Replica(pool, nowhere, max_lag_seconds=MAX_LAG)
        await replica.look()
        assert replica.is_fit
        await nowhere.close()


# What is asked of it ------------------------------------------------------------------------------


@asynccontextmanager
async def api_with_replica(pair: Pair) -> AsyncIterator[tuple[Api, Replica]]:
    async with (
        acting_api(pair.primary.dsn()) as api,
        watched(pair) as (replica, _, _pool),
    ):
        await pair.caught_up()
        await replica.look()
        api.app.state.desk.replica = replica
        yield api, replica


async def asked_of_replica(replica: Replica, ask: Callable[[], Any]) -> tuple[Any, int]:
    before = replica.pool.stats().acquired
    answer = await ask()
    return answer, replica.pool.stats().acquired - before


async def test_public_reads_of_the_index__go_to_the_replica(pair: Pair) -> None:
    async with api_with_replica(pair) as (api, replica):
        for path in ("/v1/agents", "/v1/chains", "/v1/feedback", "/v1/quarantine", "/"):
            answer, asked = await asked_of_replica(replica, partial(api.client.get, path))
            assert (path, answer.status_code, asked) == (path, 200, 1)


async def test_what_must_see_its_own_writes__never_goes_to_the_replica(pair: Pair) -> None:
    async with api_with_replica(pair) as (api, replica):
        async with paused(pair):
            me = await give_account(api.pool)
            for path in ("/v1/account", "/v1/keys", "/v1/operations", "/v1/audit", "/readyz"):
                answer, asked = await asked_of_replica(
                    replica, partial(api.client.get, path, headers=me.headers)
                )
                assert (path, answer.status_code, asked) == (path, 200, 0)
            body = {"name": "new", "scopes": ["read"]}
            made = await api.client.post("/v1/keys", json=body, headers=me.headers)
            assert made.status_code == 201, made.text
            assert "new" in (await api.client.get("/v1/keys", headers=me.headers)).text
        await pair.caught_up()


async def test_lagging__public_reads_go_to_the_primary_and_come_back(pair: Pair) -> None:
    async with api_with_replica(pair) as (api, replica):
        async with paused(pair):
            await write(pair)
            await replica.look()
            await asyncio.sleep(MAX_LAG + 0.05)
            await replica.look()
            answer, asked = await asked_of_replica(replica, lambda: api.client.get("/v1/chains"))
            assert (answer.status_code, asked) == (200, 0)
        await pair.caught_up()
        await replica.look()
        answer, asked = await asked_of_replica(replica, lambda: api.client.get("/v1/chains"))
        assert (answer.status_code, asked) == (200, 1)


async def test_read_undone_by_what_is_replayed__is_asked_of_the_primary_once(pair: Pair) -> None:
    async with api_with_replica(pair) as (api, replica):
        real, failures = replica.connection, 0

        @asynccontextmanager
        async def conflicting() -> AsyncIterator[Conn]:
            nonlocal failures
            failures += 1
            async with real() as conn:
                await conn.execute(
                    "DO $$ BEGIN RAISE SQLSTATE '40001'"
                    " USING MESSAGE = 'canceling statement due to conflict with recovery'; END $$"
                )
                yield conn

        replica.connection = conflicting  # type: ignore[method-assign]
        answer = await api.client.get("/v1/chains")
        assert (answer.status_code, failures) == (200, 1)
        assert replica.is_fit, "one conflict says nothing about the next read"


async def test_replica_killed_between_looks__nobody_notices(pair: Pair) -> None:
    async with api_with_replica(pair) as (api, replica):
        assert (await api.client.get("/v1/chains")).status_code == 200
        await asyncio.to_thread(pair.standby.stop, at_once=True)
        answers: list[httpx.Response] = await asyncio.gather(
            *(api.client.get("/v1/chains") for _ in range(10))
        )
        assert {answer.status_code for answer in answers} == {200}
        assert not replica.is_fit
        await asyncio.to_thread(pair.standby.start)

        async def looked() -> None:
            while not replica.is_fit:
                await replica.look()
                await asyncio.sleep(0.05)

        await asyncio.wait_for(looked(), 20)


async def test_other_failures_of_a_read__are_not_asked_again() -> None:
    class Refusing:
        def connection(self) -> Any:
            raise StoreError("the statement was cancelled: it took longer than allowed")

    replica = Replica(Refusing(), SimpleNamespace(), max_lag_seconds=1)  # type: ignore[arg-type]
    with pytest.raises(StoreError) as caught:
        async with replica.connection():
            pass
    assert not isinstance(caught.value, ReplicaFailed | DatabaseUnavailable)
