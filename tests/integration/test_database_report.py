"""`renown db report`: each thing that can be wrong is found, and a healthy database has nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from renown.ingest.upkeep import VIEWS
from renown.store import roles
from renown.store.pool import Conn, connect
from renown.store.report import Report, report
from renown.store.server_settings import machine_memory_bytes
from tests.command import renown
from tests.reading import reading

WITHOUT_STATISTICS = {"no-statement-statistics", "roles-missing"}
"""What every database of the tests lacks."""


async def looked_at(url: str, *, memory_bytes: int | None = None) -> Report:
    async with reading(url) as conn:
        return await report(conn, memory_bytes=memory_bytes)


def codes(found: Report) -> set[str]:
    return {one.code for one in found.findings} - WITHOUT_STATISTICS - {"no-checksums"}


async def test_report__of_a_new_database__finds_nothing(fresh_database_url: str) -> None:
    found = await looked_at(fresh_database_url)

    assert codes(found) == set()
    assert found.overview["connections_limit"] > 0
    assert {row["view"] for row in found.views} == VIEWS.keys()
    assert {row["partition"] for row in found.partitions} >= {"audit_log_rest"}
    assert {"agent", "audit_log"} <= {row["table"] for row in found.tables}


async def rows_die(conn: Conn) -> None:
    await conn.execute(
        "INSERT INTO host SELECT 'h' || n, 0, now() FROM generate_series(1, 15000) n"
    )
    await conn.execute("DELETE FROM host")
    await conn.execute("SELECT pg_stat_force_next_flush()")


SABOTAGE: dict[str, str | Callable[[Conn], object]] = {
    "duplicate-index": "CREATE INDEX agent_twice ON agent (owner, chain_id)",
    "old-view": "INSERT INTO view_refresh VALUES ('network', now() - interval '2 hours', 1)",
    "audit-rest": "INSERT INTO audit_log (at, action, subject) VALUES ('2001-01-01', 'x', 'y')",
    "invalid-index": "UPDATE pg_index SET indisvalid = false"
    " WHERE indexrelid = 'agent_by_age'::regclass",
    "dead-rows": rows_die,
}


@pytest.mark.parametrize("code", SABOTAGE)
async def test_report__of_what_is_wrong__says_so_and_what_to_do(
    code: str, fresh_database_url: str
) -> None:
    wrong = SABOTAGE[code]
    async with reading(fresh_database_url) as conn:
        if isinstance(wrong, str):
            await conn.execute(wrong)
        else:
            await wrong(conn)  # type: ignore[misc]

    found = await looked_at(fresh_database_url)

    assert codes(found) == {code}
    (finding,) = (one for one in found.findings if one.code == code)
    assert finding.what
    assert finding.do


async def test_report__of_a_lock_that_many_wait_for__names_who_has_it(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("renown.store.report.LONG_WAIT_SECONDS", -1)
    monkeypatch.setattr("renown.store.report.LOCK_SECONDS", 0.1)
    monkeypatch.setattr("renown.store.report.LONG_TRANSACTION_SECONDS", -1)
    holder = await connect(fresh_database_url, application_name="the holder")
    waiter = await connect(fresh_database_url, application_name="the waiter")
    await holder.execute("BEGIN; LOCK TABLE agent")
    waiting = asyncio.create_task(waiter.execute("SELECT FROM agent"))
    async with reading(fresh_database_url) as conn:
        while not await conn.fetchval("SELECT count(*) FROM v_db_locks"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    found = await looked_at(fresh_database_url)

    await holder.execute("ROLLBACK")
    await waiting
    await holder.close()
    await waiter.close()
    (lock,) = (one for one in found.findings if one.code == "lock-wait")
    assert "the waiter" in lock.what
    assert "the holder, idle in transaction" in lock.what
    # What cannot be sized now is said, and not waited for.
    assert {one.subject for one in found.findings if one.code == "not-seen"} >= {"tables"}
    idle = [one for one in found.findings if one.code == "long-transaction"]
    assert any(one.severity == "warning" and "the holder" in one.what for one in idle)


async def test_report__of_a_login_without_limits__names_it(fresh_database_url: str) -> None:
    async with reading(fresh_database_url) as owner:
        await roles.apply(owner, roles.Names())
        await owner.execute("CREATE ROLE test_unlimited LOGIN IN ROLE renown_writer")
        await owner.execute("CREATE ROLE test_limited LOGIN IN ROLE renown_writer")
        await owner.execute("ALTER ROLE test_limited SET statement_timeout = 0")
        await owner.execute("ALTER ROLE test_limited CONNECTION LIMIT 5")
    try:
        found = await looked_at(fresh_database_url)
    finally:
        async with reading(fresh_database_url) as owner:
            await owner.execute("DROP ROLE test_unlimited, test_limited")

    assert "roles-missing" not in {one.code for one in found.findings}
    assert [one.subject for one in found.findings if one.code == "role-without-limits"] == [
        "test_unlimited"
    ]


async def test_report__told_the_machine__says_which_settings_differ(database_url: str) -> None:
    found = await looked_at(database_url, memory_bytes=machine_memory_bytes())

    differing = {one.name: one for one in found.settings}
    assert differing["shared_buffers"].value == "64MB"  # of the tests' server
    assert differing["shared_buffers"].needs_restart
    assert "max_connections" not in differing
    assert codes(found) == {"settings"}


def test_command__that_finds_something__fails_only_if_asked(fresh_database_url: str) -> None:
    async def spoil() -> None:
        async with reading(fresh_database_url) as conn:
            await conn.execute(str(SABOTAGE["old-view"]))

    asyncio.run(spoil())

    plain = renown("db", "report", DATABASE_URL=fresh_database_url)
    strict = renown(
        "db", "report", "--json", "--fail-on", "warning", DATABASE_URL=fresh_database_url
    )

    assert plain.code == 0, plain.err
    assert "old-view" in plain.out.splitlines()[1]
    assert strict.code == 65
    assert json.loads(strict.out)["findings"][0]["code"] == "old-view"


def test_settings__printed__are_lines_of_a_configuration(database_url: str) -> None:
    outcome = renown("db", "settings", "--memory", "32GB", DATABASE_URL=database_url)

    assert outcome.code == 0, outcome.err
    lines = [line.removeprefix("# ").split("#")[0].strip() for line in outcome.out.splitlines()]
    assert "shared_buffers = '8GB'" in lines
    assert all(name.isidentifier() for name, _, _ in (line.partition(" = ") for line in lines))


async def test_report__of_indexes_nobody_read__lists_them_with_their_bytes_and_since_when(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("renown.store.report.UNUSED_BYTES", 0)
    async with reading(fresh_database_url) as conn:
        await conn.execute(
            "INSERT INTO host SELECT 'h' || n, 0, now() FROM generate_series(1, 4000) n;"
            "CREATE INDEX host_idle ON host (rest_until, host);"
            "CREATE UNIQUE INDEX host_unique ON host (host, failures);"
            "CREATE INDEX host_read ON host (reason, host);"
            "SET enable_seqscan = off; SET enable_bitmapscan = off"
        )
        await conn.fetch("SELECT reason, host FROM host WHERE reason = 'x'")
        await conn.execute("SELECT pg_stat_force_next_flush()")

    found = await looked_at(fresh_database_url)

    (idle,) = (one for one in found.idle.indexes if one["table"] == "host")
    assert (idle["index"], idle["bytes"] > 100_000) == ("host_idle", True)
    assert found.idle.total_bytes >= idle["bytes"]
    (finding,) = (one for one in found.findings if one.subject == "host_idle")
    assert (finding.code, found.idle.is_young) == ("unused-index", True)
    assert "too short to tell" in finding.what
    assert "in a week" in finding.do


async def test_report__when_statistics_are_old__says_since_when(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("renown.store.idle_indexes.YOUNG_SECONDS", -1)

    found = await looked_at(fresh_database_url)

    assert found.idle.when() == f"since {found.idle.since:%Y-%m-%d}"
