"""What keeps the audit log told: its triggers, and that somebody misses one."""

from __future__ import annotations

import pytest

from renown.store.audit_triggers import altered
from renown.store.pool import Conn
from renown.store.report import report

CASES = [
    ("ALTER TABLE account DISABLE TRIGGER ALL", "audit_insert of account is disabled"),
    ("ALTER TABLE api_key ENABLE REPLICA TRIGGER audit_change", "audit_change of api_key is dis"),
    ("DROP TRIGGER audit_insert ON api_key", "audit_insert of api_key is gone"),
    ("DROP TRIGGER audit_foreign_write ON agent_registered_c8453_p0", "p0 is gone"),
    ("ALTER TABLE audit_log_rest DISABLE TRIGGER audit_owners_word", "_rest is disabled"),
    (
        """CREATE OR REPLACE TRIGGER audit_insert AFTER INSERT ON policy FOR EACH ROW WHEN (false)
           EXECUTE FUNCTION audit_row('name', '', 'updated_at')""",
        "audit_insert of policy was altered",
    ),
    (
        """CREATE OR REPLACE FUNCTION audit_truncate() RETURNS trigger LANGUAGE plpgsql
           AS 'BEGIN RETURN NULL; END'""",
        "audit_truncate was altered",
    ),
    ("ALTER ROLE CURRENT_USER SET session_replication_role = replica", "disables triggers"),
    ("DROP FUNCTION audit_add", "audit_add is gone"),
]


async def test_altered__of_what_was_migrated__finds_nothing(conn: Conn) -> None:
    await conn.execute("SELECT ensure_fact_partitions(8453, 0), ensure_audit_partitions()")

    assert await altered(conn) == []


@pytest.mark.parametrize(("statement", "said"), CASES, ids=[case[1] for case in CASES])
async def test_altered__what_the_owner_took_away__is_named(
    conn: Conn, statement: str, said: str
) -> None:
    await conn.execute("SELECT ensure_fact_partitions(8453, 0)")
    work = conn.transaction()
    await work.start()
    try:
        await conn.execute(statement)
        assert any(said in one for one in await altered(conn)), await altered(conn)
        found = await report(conn, memory_bytes=None)
        assert "audit-trigger" in {one.code for one in found.findings}
    finally:
        await work.rollback()


async def test_altered__on_the_database_of_a_newer_version__says_nothing(conn: Conn) -> None:
    work = conn.transaction()
    await work.start()
    try:
        await conn.execute("DROP TRIGGER audit_insert ON api_key")
        await conn.execute(
            "INSERT INTO schema_migration (number, name, checksum) VALUES (9999, 'x', 'x')"
        )
        assert await altered(conn) == []
    finally:
        await work.rollback()
