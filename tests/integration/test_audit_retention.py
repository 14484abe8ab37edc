"""Retention with a moved clock: what goes, what stays, and that the log is whole after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import asyncpg
import msgspec
import pytest

from renown.errors import AuditBroken, BadSettings, StoreError
from renown.ingest.notary.verifying import Verdict, verify
from renown.store import audit_proofs, audit_retention
from renown.store.audit_entries import NewEntry
from renown.store.audit_retention import Month, Removed, destroy_address_keys, plan, remove
from renown.store.audit_review import review
from renown.store.pool import Conn, connect, transaction
from tests.audit_log import add, partition, put, take_all

OLD = datetime(2023, 3, 1, tzinfo=UTC)
CUTOFF = datetime(2023, 5, 10, 12, tzinfo=UTC)


@pytest.fixture
async def log(fresh_database_url: str) -> AsyncIterator[Conn]:
    """A log of March (a partition), April (a partition with an entry that waits for a review),
    May 2023 (none of its own) and now."""
    conn = await connect(fresh_database_url)
    await partition(conn, OLD)
    await partition(conn, OLD.replace(month=4))
    await conn.execute("SELECT ensure_audit_partitions()")
    times = [OLD + timedelta(days=day) for day in range(0, 90, 3)]
    entries = [NewEntry(action="request", subject="/v1/x", at=at, status=200) for at in times]
    await add(conn, entries)
    await put(conn, "repair", at=OLD.replace(month=4, day=20), subject="chain:1")
    await put(conn, "request")
    for day in ("2023-03-01", "2023-05-09", "2023-05-10", "2026-01-01"):
        await conn.execute(
            "INSERT INTO audit_address_key (day, key) VALUES ($1, $2)",
            date.fromisoformat(day),
            bytes(32),
        )
    await take_all(conn)
    yield conn
    await conn.close()


async def verdict(conn: Conn) -> Verdict:
    await take_all(conn)
    async with transaction(conn, "repeatable_read") as tx:
        return await verify(tx, [], None, on_progress=lambda done, total: None)


async def run(conn: Conn, before: datetime) -> list[Removed]:
    return [await remove(conn, month) for month in await plan(conn, before) if month.go]


async def held(conn: Conn, *, older_than: datetime = CUTOFF) -> int:
    count: int = await conn.fetchval("SELECT count(*) FROM audit_log WHERE at < $1", older_than)
    return count


async def told(conn: Conn) -> list[dict[str, object]]:
    rows = await conn.fetch(
        "SELECT detail::text FROM audit_log WHERE action = 'retention' ORDER BY entry_id"
    )
    return [msgspec.json.decode(row[0]) for row in rows]


async def test_plan__a_dry_run__says_what_would_go_and_removes_nothing(log: Conn) -> None:
    before = await held(log)

    found = await plan(log, CUTOFF)

    assert [(f"{m.first:%m}", m.go, m.stay, m.is_whole) for m in found] == [
        ("03", 11, 0, True),
        ("04", 10, 1, False),
        ("05", 3, 0, False),
    ]
    assert found[0].partition == "audit_log_2023_03"
    assert found[2].beyond == CUTOFF
    assert await held(log) == before
    assert await told(log) == []
    # Whatever the age asked for, the partition that is written to stays.
    now = datetime.now(UTC)
    current = [m for m in await plan(log, now) if m.partition.endswith(f"{now:%Y_%m}")]
    assert [month.is_whole for month in current] == [False]


async def test_run__with_the_clock_moved__removes_what_may_go_and_the_log_is_whole(
    log: Conn,
) -> None:
    gone = await log.fetchrow("SELECT seq, entry_id FROM audit_leaf ORDER BY seq LIMIT 1")
    assert gone is not None
    leaves = await log.fetchval("SELECT count(*) FROM audit_leaf")

    done = await run(log, CUTOFF)

    assert [(one.entries, one.is_dropped) for one in done] == [(11, True), (10, False), (3, False)]
    assert await log.fetchval("SELECT to_regclass('audit_log_2023_03')") is None
    assert await held(log) == 1  # which waits for its review
    entries = await told(log)
    assert [one["removed"] for one in entries] == [11, 10, 3]
    assert entries[0]["before"] == "2023-04-01T00:00:00+00:00"
    assert await log.fetchval("SELECT count(*) FROM audit_leaf") == leaves
    found = await verdict(log)
    assert (found.is_whole, found.removed) == (True, 24), found.findings
    proven = await audit_proofs.proven_entry(log, gone["entry_id"])
    assert proven is not None
    assert (proven.seq, proven.payload) == (gone["seq"], None)
    assert await run(log, CUTOFF) == []  # and again: nothing more
    rules = await log.fetch("SELECT rule FROM audit_leaf WHERE rule = 'retention'")
    assert len(rules) == 3


async def test_run__after_the_review__takes_what_waited_for_it(log: Conn) -> None:
    await run(log, CUTOFF)
    waiting = await log.fetchval("SELECT entry_id FROM audit_log WHERE action = 'repair'")
    async with transaction(log) as tx:
        await review(tx, waiting, account_id=None, reviewer="Rita", note="planned")

    [done] = await run(log, CUTOFF)

    assert (done.entries, await held(log)) == (1, 0)
    assert (await verdict(log)).is_whole
    assert await log.fetchval("SELECT count(*) FROM audit_review") == 1  # reviews stay


async def test_run__years_after_another__leaves_what_that_said_and_the_log_is_whole(
    log: Conn,
) -> None:
    january = datetime(2024, 1, 1, tzinfo=UTC)
    name = await partition(log, january)
    await put(log, "request", at=january + timedelta(days=3))
    await run(log, CUTOFF)
    await log.execute("SET session_replication_role = replica")  # as if that had been years ago
    for table in ("audit_pending", "audit_log"):
        await log.execute(
            f"UPDATE {table} SET at = '2024-01-15Z' WHERE entry_id IN"
            " (SELECT entry_id FROM audit_log WHERE action = 'retention')"
        )
    await log.execute("SET session_replication_role = origin")
    assert (await verdict(log)).removed == 24

    done = await run(log, datetime(2025, 1, 1, tzinfo=UTC))

    dropped = [(one.month.partition, one.entries) for one in done if one.is_dropped]
    assert dropped == [(name, 1)]
    found = await verdict(log)
    assert (found.is_whole, found.removed, found.unchecked[1:]) == (True, 31, []), found
    assert [one["removed"] for one in await told(log)] == [11, 10, 3, 6, 1]
    assert [m for m in await plan(log, datetime(2025, 1, 1, tzinfo=UTC)) if m.go] == []


async def test_run__entries_that_have_no_number_yet__stay(log: Conn) -> None:
    await put(log, "request", at=OLD)

    [march, *_] = await plan(log, CUTOFF)
    done = await remove(log, march)

    assert (march.stay, march.is_whole, done.is_dropped) == (1, False, False)
    assert await log.fetchval("SELECT count(*) FROM audit_log WHERE at = $1", OLD) == 1
    assert (await verdict(log)).is_whole


async def test_run__an_entry_that_came_after_the_plan__keeps_the_partition(log: Conn) -> None:
    [march, *_] = await plan(log, CUTOFF)
    assert march.is_whole
    await put(log, "request", at=OLD)

    done = await remove(log, march)

    assert (done.entries, done.is_dropped) == (11, False)
    assert await log.fetchval("SELECT count(*) FROM audit_log WHERE at = $1", OLD) == 1
    assert (await verdict(log)).is_whole


async def test_run__twice_at_once__removes_each_entry_once(
    log: Conn, fresh_database_url: str
) -> None:
    other = await connect(fresh_database_url)
    months = await plan(log, CUTOFF)

    both = await asyncio.gather(_all(log, months), _all(other, months))

    assert sum(one.entries for runs in both for one in runs) == 24
    assert sorted(str(one["removed"]) for one in await told(log)) == ["10", "11", "3"]
    assert (await verdict(log)).is_whole
    await other.close()


async def _all(conn: Conn, months: list[Month]) -> list[Removed]:
    return [await remove(conn, month) for month in months]


@pytest.mark.parametrize(
    "statement", ["DROP TABLE", "( DELETE FROM audit_log", "INSERT INTO audit"]
)
async def test_run__that_dies_half_way__has_done_all_of_a_month_or_nothing(
    log: Conn, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    before = await held(log)
    for method in ("execute", "fetch"):
        _dying(monkeypatch, method, statement)
    with pytest.raises(asyncpg.InterfaceError):
        for month in await plan(log, CUTOFF):
            await remove(log, month)
    monkeypatch.undo()

    removed = sum(one["removed"] for one in await told(log))  # type: ignore[misc]
    assert await held(log) == before - removed
    assert (await verdict(log)).is_whole
    await run(log, CUTOFF)
    assert (await held(log), (await verdict(log)).is_whole) == (1, True)


def _dying(monkeypatch: pytest.MonkeyPatch, method: str, statement: str) -> None:
    real = getattr(asyncpg.Connection, method)

    async def dies(self: Conn, query: str, *args: object, **given: object) -> object:
        if statement in " ".join(query.split()):
            raise asyncpg.InterfaceError("the process is gone")
        return await real(self, query, *args, **given)

    monkeypatch.setattr(asyncpg.Connection, method, dies)


async def test_run__where_an_entry_was_altered__refuses_and_removes_nothing(log: Conn) -> None:
    await log.execute("SET session_replication_role = replica")
    await log.execute("UPDATE audit_log SET status = 500 WHERE at = $1", OLD)
    await log.execute("SET session_replication_role = origin")
    before = await held(log)

    with pytest.raises(AuditBroken):
        await run(log, CUTOFF)

    assert (await held(log), await told(log)) == (before, [])


async def test_run__while_somebody_reads_the_log__waits_briefly_and_says_so(
    log: Conn, fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_retention, "LOCK_TIMEOUT", "SET LOCAL lock_timeout = '50ms'")
    [march, *_] = await plan(log, CUTOFF)
    reader = await connect(fresh_database_url)
    async with reader.transaction():
        await reader.fetchval("SELECT count(*) FROM audit_log")
        with pytest.raises(StoreError):
            await remove(log, march)
        assert await held(log) == 25
    assert (await remove(log, march)).is_dropped
    await reader.close()


async def test_run__by_another_than_the_owner__is_refused_with_what_to_do(log: Conn) -> None:
    [march, *_] = await plan(log, CUTOFF)
    await log.execute("CREATE ROLE guest; GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest")
    await log.execute("SET ROLE guest")
    for attempt in (remove(log, march), destroy_address_keys(log, CUTOFF)):
        with pytest.raises(BadSettings, match="owner"):
            await attempt
    await log.execute("RESET ROLE; DROP OWNED BY guest; DROP ROLE guest")
    assert await held(log) == 25


async def test_address_keys__of_days_before__are_destroyed_and_the_log_says_so(log: Conn) -> None:
    assert await audit_retention.address_keys_before(log, CUTOFF) == 2

    assert await destroy_address_keys(log, CUTOFF) == 2

    days = await log.fetch("SELECT day FROM audit_address_key ORDER BY day")
    assert [str(row[0]) for row in days] == ["2023-05-10", "2026-01-01"]
    assert [one["address_keys_destroyed"] for one in await told(log)] == [2]
    assert await destroy_address_keys(log, CUTOFF) == 0
    assert len(await told(log)) == 1
