"""How connections are lent: what befalls one while somebody has it, and the end of all."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import pytest

from renown.errors import DatabaseUnavailable, Overloaded, StoreError
from renown.store.lending import Lending
from renown.store.pool import Conn, Pool, connect_pool


class Line:
    """What `Lending` needs of a connection to a server that `ends` in one way or another."""

    def __init__(self, ends: Any = None) -> None:
        self.used_at = time.monotonic()
        self.is_given_back = self.is_gone = False
        self._ends = ends

    def is_closed(self) -> bool:
        return self.is_gone

    def terminate(self) -> None:
        self.is_gone = True

    async def close(self) -> None:
        if self._ends is not None:
            await self._ends()
        self.is_gone = True


async def in_silence() -> None:
    await asyncio.Event().wait()


async def with_a_reset() -> None:
    raise ConnectionResetError


def lending(open_one: Any, **more: Any) -> Lending:
    given = {"min_size": 0, "max_size": 3, "max_queries": 10, "max_inactive_seconds": 300.0, **more}
    return Lending(open_one, "here", name="primary", **given)


@pytest.fixture
async def one(database_url: str) -> Any:
    """A pool of one connection."""
    made = await connect_pool(database_url, min_size=1, max_size=1, timeout_seconds=0.4)
    yield made
    await made.close(grace_seconds=1)


# A schema that changes under a prepared statement -------------------------------------------------


async def test_stale_statement__in_transactions__fails_once_and_is_prepared_anew(
    one: Pool, conn: Conn
) -> None:
    await conn.execute("CREATE TABLE grows (a int); INSERT INTO grows VALUES (1)")
    async with one.transaction() as tx:
        await tx.fetch("SELECT * FROM grows")
    await conn.execute("ALTER TABLE grows ADD COLUMN b int")

    with pytest.raises(asyncpg.InvalidCachedStatementError):
        async with one.transaction() as tx:
            await tx.fetch("SELECT * FROM grows")
    async with one.transaction() as tx:
        assert [*(await tx.fetch("SELECT * FROM grows"))[0].keys()] == ["a", "b"]


async def test_stale_statement__alone__is_prepared_anew_unnoticed(one: Pool, conn: Conn) -> None:
    await conn.execute("CREATE TABLE grows_too (a int); INSERT INTO grows_too VALUES (1)")
    async with one.connection() as reading:
        await reading.fetchrow("SELECT * FROM grows_too")
        await conn.execute("ALTER TABLE grows_too ADD COLUMN b int")
        row = await reading.fetchrow("SELECT * FROM grows_too")
    assert row is not None
    assert [*row.keys()] == ["a", "b"]


async def test_rows_of_a_type_that_changed__the_write_is_not_done_twice(
    one: Pool, conn: Conn
) -> None:
    await conn.execute("CREATE TYPE pair AS (x int); CREATE TABLE paired (c pair)")
    write = "INSERT INTO paired VALUES (ROW(1)::pair) RETURNING c"
    copy = "INSERT INTO paired SELECT c FROM paired LIMIT 1 RETURNING c"
    async with one.connection() as writing:
        await writing.fetchrow(write)
        await writing.fetchrow(copy)
        await conn.execute("ALTER TYPE pair ADD ATTRIBUTE y int CASCADE")
        with pytest.raises(asyncpg.OutdatedSchemaCacheError):
            await writing.fetchrow(copy)
        assert await conn.fetchval("SELECT count(*) FROM paired") == 3
        row = await writing.fetchrow(copy)
    assert row is not None
    assert row["c"]["y"] is None


# Cut off while lent -------------------------------------------------------------------------------


async def test_pool_closed_under_a_statement__is_unavailable(one: Pool) -> None:
    async def long() -> None:
        async with one.connection() as conn:
            await conn.execute("SELECT pg_sleep(5)")

    reading = asyncio.create_task(long())
    await asyncio.sleep(0.1)
    await one.close(grace_seconds=0.05)

    with pytest.raises(DatabaseUnavailable):
        await reading
    assert one._wanted == 0


async def test_cancelling_fails_in_a_transaction__the_time_limit_is_told(
    one: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(**_: Any) -> None:
        raise OSError("unreachable")

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.connect_utils, "_cancel", unreachable)
        with pytest.raises(StoreError):
            async with one.transaction() as tx:
                await tx.execute("SELECT pg_sleep(5)", timeout=0.05)

    async with one.connection() as conn:
        assert await conn.fetchval("SELECT 1") == 1


async def test_used_after_it_was_given_back__says_so(one: Pool) -> None:
    async with one.connection() as kept:
        await kept.fetchval("SELECT 1")
    for use in (kept.execute, kept.fetch, kept.fetchrow, kept.fetchval):
        with pytest.raises(RuntimeError, match="given back"):
            await use("SELECT 1")
    async with one.connection() as conn:
        assert await conn.fetchval("SELECT 1") == 1


# Who waits ----------------------------------------------------------------------------------------


async def test_room_after_a_loss__is_kept_for_who_waits(one: Pool) -> None:
    """Nobody who comes later gets it, or he who waited would wait once more."""
    lent = one._lending
    conn = lent.take_idle()
    assert conn is not None
    got: list[str] = []

    async def ask(name: str) -> None:
        async with one.connection() as mine:
            got.append(name)
            await mine.fetchval("SELECT 1")

    first = asyncio.create_task(ask("first"))
    await asyncio.sleep(0.01)
    lent.drop(conn)
    await ask("second")  # before the first has heard of it
    await first

    assert got == ["first", "second"]
    assert (lent._promised, lent._opening, len(lent._waiting)) == (0, 0, 0)


async def test_opening_hangs_for_who_waited__one_time_limit_holds_for_both(
    one: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = one._lending
    conn = lent.take_idle()
    assert conn is not None
    monkeypatch.setattr(lent, "_open_one", in_silence)

    async def ask() -> float:
        began = time.monotonic()
        with pytest.raises((Overloaded, DatabaseUnavailable)):
            async with one.connection():
                pass
        return time.monotonic() - began

    limits: list[float | None] = []
    timeout = asyncio.timeout

    def noted(delay: float | None) -> asyncio.Timeout:
        limits.append(delay)
        return timeout(delay)

    monkeypatch.setattr(asyncio, "timeout", noted)
    asking = asyncio.create_task(ask())
    await asyncio.sleep(0.2)
    lent.drop(conn)
    assert await asking >= 0.3
    assert limits[0] is not None
    assert limits[0] < 0.21, "what is left of the 0.4 s"


async def test_waiter_cancelled_with_room_promised__the_next_gets_it() -> None:
    made: list[Line] = []

    async def open_one() -> Line:
        made.append(Line())
        return made[-1]

    lent = lending(open_one, max_size=1)
    out = await lent.take()
    until = time.monotonic() + 5
    first, second = (asyncio.create_task(lent.next_back(until)) for _ in range(2))
    await asyncio.sleep(0)
    lent.drop(out)
    first.cancel()

    async with asyncio.timeout(2):
        assert await second is None
    assert lent._promised == 0
    await lent.take()
    assert len(made) == 2
    lent.terminate()


# The end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [in_silence, with_a_reset])
async def test_close__one_does_not_close__all_are_cut_off(ends: Any) -> None:
    made: list[Line] = []

    async def open_one() -> Line:
        made.append(Line(ends))
        return made[-1]

    lent = lending(open_one, min_size=3)
    await lent.fill()
    try:
        async with asyncio.timeout(0.05):
            await lent.close()
    except TimeoutError:
        assert ends is in_silence

    assert [line.is_gone for line in made] == [True] * 3


async def test_terminated_while_one_is_opened__it_is_closed_and_nobody_gets_it() -> None:
    line, is_asked, may_come = Line(), asyncio.Event(), asyncio.Event()

    async def open_one() -> Line:
        is_asked.set()
        await may_come.wait()
        return line

    lent = lending(open_one)
    taking = asyncio.create_task(lent.take())
    await is_asked.wait()
    lent.terminate()
    may_come.set()

    with pytest.raises(DatabaseUnavailable):
        await taking
    assert (line.is_gone, lent.size) == (True, 0)
    with pytest.raises(DatabaseUnavailable):
        await lent.take()


async def test_close__who_was_told_of_room__is_waited_for() -> None:
    made: list[Line] = []

    async def open_one() -> Line:
        await asyncio.sleep(0.01)
        made.append(Line())
        return made[-1]

    lent = lending(open_one, max_size=1)
    out = await lent.take()

    async def waits() -> None:
        assert await lent.next_back(time.monotonic() + 5) is None
        lent.drop(await lent.take())

    waiting = asyncio.create_task(waits())
    await asyncio.sleep(0)
    closing = asyncio.create_task(lent.close())
    await asyncio.sleep(0)
    lent.drop(out)
    await asyncio.gather(waiting, closing)

    assert [line.is_gone for line in made] == [True, True]


async def test_closed__no_timer_keeps_it(database_url: str) -> None:
    pool = await connect_pool(database_url, min_size=0, max_size=2, timeout_seconds=5)
    lent = pool._lending
    async with pool.connection(), pool.connection():
        waiting = asyncio.create_task(lent.next_back(time.monotonic() + 5))
        await asyncio.sleep(0)
        assert lent._watch is not None
        closing = asyncio.create_task(pool.close(grace_seconds=5))
        await asyncio.sleep(0)
    back = await waiting
    assert back is not None
    await lent.give_back(back)
    await closing
    assert lent._timer is None or lent._timer.cancelled()
    assert lent._watch is None or lent._watch.cancelled()
