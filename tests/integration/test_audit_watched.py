"""Which changes of rows the audit log tells of, made by whoever is connected."""

from __future__ import annotations

import pytest

from renown.store.audit_entries import say_unattended
from renown.store.pool import Conn
from tests.audited import entries

CLAIM = """
INSERT INTO payment_claim (chain_id, agent_id, pay_chain_id, tx_hash, feedback_block,
                           feedback_log_index, client, feedback_index)
VALUES (1, 1, 1, decode(repeat('00', 32), 'hex'), 1, 1, decode(repeat('00', 20), 'hex'), 1)
"""
TAKEN = """
UPDATE payment_claim SET account_id = $1, feedback_block = NULL, feedback_log_index = NULL,
                         client = NULL, feedback_index = NULL
"""
OF_NO_ROW = [
    *("UPDATE payment SET agent_id = 0", "DELETE FROM payment", "TRUNCATE payment"),
    *("UPDATE checkpoint SET position = 0", "UPDATE coverage SET state = 'ok'"),
    *("UPDATE chain SET start_block = 0", "DELETE FROM outbox"),
]


async def test_claim__of_a_file__that_psql_makes_an_accounts__is_told(conn: Conn) -> None:
    account_id = await conn.fetchval("INSERT INTO account (name) VALUES ('x') RETURNING account_id")
    before = (await entries(conn))[-1].entry_id
    await say_unattended(conn)
    await conn.execute(CLAIM)
    assert await entries(conn, after=before) == []  # the worker's, by a file
    await conn.execute(TAKEN, account_id)
    await conn.execute("DELETE FROM payment_claim")

    taken, gone = await entries(conn, after=before)
    assert (taken.action, taken.subject, gone.action) == ("update", "payment_claim", "delete")
    assert (taken.before["account_id"], taken.after["account_id"]) == (None, account_id)


async def test_claim__of_a_file__that_is_not_the_workers__is_told(conn: Conn) -> None:
    before = max((one.entry_id for one in await entries(conn)), default=0)
    await conn.execute(CLAIM)
    await conn.execute("UPDATE payment_claim SET tries = 1")  # nothing
    await conn.execute("UPDATE payment_claim SET agent_id = 2")
    await conn.execute("DELETE FROM payment_claim")

    told = [(one.action, one.subject) for one in await entries(conn, after=before)]
    assert told == [(action, "payment_claim") for action in ("insert", "update", "delete")]


@pytest.mark.parametrize("statement", OF_NO_ROW)
async def test_statement__on_what_follows_from_the_chains__is_told_unless_it_is_a_workers(
    conn: Conn, statement: str
) -> None:
    before = max((one.entry_id for one in await entries(conn)), default=0)
    work = conn.transaction()
    await work.start()
    try:
        await conn.execute(statement)
        told = await entries(conn, after=before)
        await conn.execute("SET LOCAL renown.indexer = 'on'")
        await conn.execute(statement)
        assert len(await entries(conn, after=before)) == len(told)
    finally:
        await work.rollback()

    assert [one.action for one in told] == ["foreign-write"]
    assert told[0].detail["statement"] == statement
