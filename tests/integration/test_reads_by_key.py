"""Reads of one agent: by its id and by its UUID, and the head of its chain beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast
from uuid import UUID

import pytest

from renown.api.answers.answer import URI_CUT_BYTES
from renown.api.crossings import Crossings
from renown.spec.events import FeedbackGiven
from renown.store import (
    agents,
    at_once,
    feedback,
    history,
    read_documents,
    read_endpoints,
    read_payments,
    read_stats,
    read_versions,
    reads_reputation,
    reads_responses,
    validations,
)
from renown.store.pool import Conn, Pool, connect_pool
from renown.store.reads import HEAD, NEVER, Head, KeyArgs, by_uuid, head_of
from tests.activity import Activity
from tests.factories import ALICE, BOB, CAROL, DAVE, DEVNET, Story, store_blocks

BLOCKS = 25
CHAIN = DEVNET.chain_id
Read = Callable[[Conn, KeyArgs], Awaitable[Any]]


def reads(client: bytes, upto: int) -> dict[str, Read]:
    """Every read of one agent, up to a block where it can be."""
    bounds: dict[str, Any] = {"upto_block": upto, "limit": 100}
    gone = feedback.Filter(revoked=True, superseded=True)
    of_client = feedback.Filter(client=client, revoked=True)
    paid = feedback.Filter(paid=True)
    given = {**bounds, "uri_cut_bytes": 50}
    cut = {**bounds, "cut_bytes": 50}
    page: dict[str, Any] = {"limit": 100, "cut_bytes": 50}
    return {
        "agent": lambda c, k: agents.one(c, k, uri_cut_bytes=50),
        "metadata": lambda c, k: agents.metadata(c, k, **page),
        "reputation": lambda c, k: reads_reputation.kept(c, k, **page),
        "stats": read_stats.of_agent,
        "feedback": lambda c, k: feedback.of_agent(c, k, **given),
        "all feedback": lambda c, k: feedback.of_agent(c, k, gone, **given),
        "of a client": lambda c, k: feedback.of_agent(c, k, of_client, **given),
        "paid": lambda c, k: feedback.of_agent(c, k, paid, **given),
        "record": lambda c, k: feedback.record(c, k, client, 1, upto_block=upto, cut_bytes=50),
        "responses": lambda c, k: reads_responses.responses(c, k, client, 1, **given),
        "validations": lambda c, k: validations.of_agent(c, k, **cut),
        "history": lambda c, k: history.of_agent(c, k, **cut),
        "newest history": lambda c, k: history.of_agent(c, k, newest_first=True, **cut),
        "payments": lambda c, k: read_payments.of_agent(c, k, limit=100),
        "claims": lambda c, k: read_payments.claims_of_agent(c, k, limit=100),
        "document": read_documents.current,
        "endpoints": read_endpoints.declared,
        "versions": lambda c, k: read_versions.versions(c, k, limit=100, uri_cut_bytes=50),
        "attempts": lambda c, k: read_versions.attempts(
            c, k, after=(NEVER, 0), limit=100, uri_cut_bytes=50
        ),
    }


@pytest.fixture
async def pool(fresh_database_url: str) -> AsyncIterator[Pool]:
    """Of a database with agents of all kinds: with marks and without, with profiles of different
    revisions and without, with texts that are cut."""
    activity = Activity(11)
    blocks, parent = [], bytes(32)
    for number in range(1, BLOCKS + 1):
        blocks.append(activity.block(number, parent, facts=6))
        parent = blocks[-1][0].hash
    await store_blocks(fresh_database_url, blocks)
    pool = await connect_pool(fresh_database_url, max_size=4)
    try:
        async with pool.connection() as conn:
            await conn.execute(
                """
                INSERT INTO installation_mark (chain_id, agent_id, mark)
                SELECT chain_id, agent_id, mark
                  FROM agent, unnest(ARRAY['suspended', 'hidden']) AS m (mark) WHERE agent_id = 0;
                INSERT INTO agent_profile (chain_id, agent_id, state, name, owner, created_at,
                                           active_at, revision)
                SELECT chain_id, agent_id, 'tolerant', 'agent ' || agent_id, owner, created_at,
                       created_at, 100 + agent_id
                  FROM agent WHERE agent_id % 3 > 0;
                UPDATE agent SET uri = convert_to(repeat('u', 100000), 'UTF8')
                 WHERE agent_id % 2 = 0;
                UPDATE agent_tag_stats SET tag1 = convert_to(repeat('t', 100000), 'UTF8')
                 WHERE agent_id % 2 = 0;
                """
            )
        yield pool
    finally:
        await pool.close()


def some_keys() -> list[tuple[int, int]]:
    """Of agents that there are and that there are not, in an order of their own, one twice."""
    keys = [(CHAIN, agent_id) for agent_id in reversed(range(20))]
    keys[3:3] = [(CHAIN, 2**63 - 1), (CHAIN + 1, 0), keys[0]]
    return keys


async def test_at_once__any_keys_in_any_order__is_what_each_gives_alone(pool: Pool) -> None:
    keys = some_keys()
    alone = [KeyArgs(*key, None) for key in keys]
    page: dict[str, Any] = {"limit": 3, "cut_bytes": 50}
    async with pool.connection() as conn:
        found = await at_once.agents(conn, keys, uri_cut_bytes=50)
        versions = await at_once.versions(conn, keys)
        reputations = await at_once.reputations(conn, keys, **page)

        assert found == [await agents.one(conn, key, uri_cut_bytes=50) for key in alone]
        assert versions == [await agents.version(conn, key) for key in alone]
        assert reputations == [await reads_reputation.kept(conn, key, **page) for key in alone]

    assert any(version and version.marks for version in versions)
    assert None in versions
    assert len({version.revision for version in versions if version}) > 3
    assert len({one.profile for one in found if one}) > 3


async def test_crossings__many_ask_at_once__each_gets_what_it_would_alone(pool: Pool) -> None:
    keys = some_keys()
    alone = [KeyArgs(*key, None) for key in keys]
    cut: dict[str, Any] = {"cut_bytes": feedback.LABEL_CUT_BYTES}
    crossings = Crossings(pool.connection, lambda: None)

    found = await asyncio.gather(*map(crossings.agents.read, keys))
    versions = await asyncio.gather(*map(crossings.versions.read, keys))
    reputations = {
        limit: await asyncio.gather(*map(crossings.reputations(limit).read, keys))
        for limit in (1, 4)
    }

    async with pool.connection() as conn:
        assert found == [await agents.one(conn, k, uri_cut_bytes=URI_CUT_BYTES) for k in alone]
        assert versions == [await agents.version(conn, key) for key in alone]
        for limit, kept in reputations.items():
            assert kept == [
                await reads_reputation.kept(conn, key, limit=limit, **cut) for key in alone
            ]
    assert reputations[1] != reputations[4]


async def test_reads__by_uuid__give_what_the_id_gives(database_url: str) -> None:
    activity = Activity(7)
    blocks, parent = [], bytes(32)
    for number in range(1, BLOCKS + 1):
        blocks.append(activity.block(number, parent, facts=6))
        parent = blocks[-1][0].hash
    await store_blocks(database_url, blocks)
    clients = [f.client for _, facts in blocks for f in facts if isinstance(f, FeedbackGiven)]

    pool = await connect_pool(database_url, max_size=1)
    try:
        async with pool.connection() as conn:
            made = await conn.fetch(
                "SELECT agent_id, uuid, created_block FROM agent ORDER BY 1 LIMIT 5"
            )
            assert len(made) > 3
            told = dict.fromkeys(reads(b"", 0), 0)
            for upto in (BLOCKS // 2, 2**63 - 1):
                for name, read in reads(max(clients, key=clients.count), upto).items():
                    assert await read(conn, KeyArgs(None, None, UUID(int=5))) is None, name
                    for agent_id, uuid, created_block in made:
                        by_id = await read(conn, KeyArgs(CHAIN, agent_id, None))
                        assert by_id is not None
                        assert await read(conn, KeyArgs(None, None, uuid)) == by_id, name
                        rows = getattr(by_id, "rows", [1])
                        told[name] += bool(rows) and created_block <= upto
                    assert await read(conn, KeyArgs(CHAIN + 1, 0, None)) is None, name
            empty = {name for name, times in told.items() if not times}
            assert empty <= {"paid", "payments", "claims", "attempts"}, empty
    finally:
        await pool.close()


async def test_feedback__client_who_gave_much__is_walked_to_the_same_page(
    new_database: Callable[[str], str], template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await asyncio.to_thread(new_database, template)
    story = Story(first_block=5)
    story.mint(0, ALICE, b"").next_block()
    for index in range(1, 9):
        story.give(0, CAROL, index, 80 + index).give(0, DAVE, index, 1).next_block()
    story.revoke(0, CAROL, 7).respond(0, CAROL, 6, DAVE).next_block()
    story.give(0, CAROL, 1, 70).next_block()  # the registry restarted its indexes
    await story.write(url)

    async def pages(conn: Conn) -> list[Any]:
        found = []
        for upto in (14, 2**63 - 1):
            for client in (CAROL, DAVE, BOB):
                wanted = feedback.Filter(client=client, superseded=True)
                after = feedback.NEWEST
                while True:
                    page = await feedback.of_agent(
                        conn,
                        KeyArgs(CHAIN, 0, None),
                        wanted,
                        upto_block=upto,
                        after=after,
                        limit=3,
                        uri_cut_bytes=9,
                    )
                    assert page is not None
                    found.append(page)
                    if len(page.rows) < 3:
                        break
                    after = feedback.After(page.rows[-1].block_number, page.rows[-1].log_index)
        return found

    pool = await connect_pool(url, max_size=1)
    try:
        async with pool.connection() as conn:
            little = await pages(conn)
            asked = feedback.OF_AGENT_BY_CLIENT
            assert asked.count("500") == 2
            monkeypatch.setattr(feedback, "OF_AGENT_BY_CLIENT", asked.replace("500", "0"))
            much = await pages(conn)
            monkeypatch.setattr(feedback, "OF_AGENT_BY_CLIENT", asked.replace("500", "3"))
            mixed = await pages(conn)
    finally:
        await pool.close()
    assert little == much == mixed
    assert sum(len(page.rows) for page in little) > 20


def test_by_uuid__first_parameters_only__are_replaced() -> None:
    statement = by_uuid("SELECT $1::bigint, $10::bigint, $2::bigint, $3")

    assert "SELECT (SELECT chain_id FROM key), $10::bigint, (SELECT agent_id FROM key), $3" in (
        statement
    )


# The head -----------------------------------------------------------------------------------------

COLUMNS = f"SELECT {HEAD}, k.head FROM chain c JOIN checkpoint k USING (chain_id)"
CHANGES = (
    "UPDATE checkpoint SET block_number = 17, block_hash = sha256('17'), final_block = 3",
    "UPDATE checkpoint SET block_time = '2026-03-01 12:00:00.123456+05', safe_block = 5",
    "UPDATE checkpoint SET position = position + 1, safe_block = NULL",
    "UPDATE checkpoint SET head = 'nonsense'",
    "UPDATE chain SET identity = substring(sha256('x') FOR 20)",
    "UPDATE chain SET start_block = 9",
    "UPDATE chain SET epoch = epoch + 1, name = 'again'",
)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
async def test_head__after_each_change__is_what_the_columns_say(conn: Conn, zone: str) -> None:
    work = conn.transaction()
    await work.start()
    try:
        await conn.execute(f"SET LOCAL timezone = '{zone}'")
        await conn.execute(
            "INSERT INTO chain (chain_id, slug, name, testnet, identity, reputation, start_block)"
            " VALUES (77, 'x', 'X', false, $1, $1, 5)",
            b"\x01" * 20,
        )
        await conn.execute("INSERT INTO checkpoint (chain_id, block_number) VALUES (77, 4)")
        seen = set()
        for change in ("SELECT 1", *CHANGES):
            await conn.execute(change)
            (row,) = await conn.fetch(f"{COLUMNS} WHERE chain_id = 77")
            assert head_of(row["head"]) == Head(*tuple(row)[:-1]), change
            seen.add(row["head"])
        assert len(seen) == len(CHANGES)  # nonsense is not taken, so one change is none
    finally:
        await work.rollback()


def test_head_of__time__is_in_utc() -> None:
    head = head_of('[1, "01", 2, 3, null, "2026-03-01T07:00:00.123456", 4, null, 5, 6]')

    assert head.block_time == datetime(2026, 3, 1, 12, 0, 0, 123456, timezone(timedelta(hours=5)))
    assert head.block_time.tzinfo is UTC
    assert head == Head(1, b"\x01", 2, 3, None, head.block_time, 4, None, 5, 6)


# Partitions ---------------------------------------------------------------------------------------


class Explained:
    """Stands for a connection: says how a statement would be run for any arguments."""

    def __init__(self, conn: Conn) -> None:
        self._conn = conn
        self.plan = ""

    async def fetch(self, statement: str, *args: Any) -> list[Any]:
        await self._conn.execute(f"PREPARE asked AS {statement}")
        given = ", ".join("NULL" if arg is None else literal(arg) for arg in args)
        rows = await self._conn.fetch(f"EXPLAIN EXECUTE asked ({given})")
        await self._conn.execute("DEALLOCATE asked")
        self.plan = "\n".join(row[0] for row in rows)
        return []


def literal(arg: Any) -> str:
    return f"'\\x{arg.hex()}'" if isinstance(arg, bytes) else f"'{arg}'"


@pytest.mark.parametrize("name", ["feedback", "of a client", "record", "responses", "history"])
async def test_read__many_chains__opens_the_partitions_of_one(conn: Conn, name: str) -> None:
    work = conn.transaction()
    await work.start()
    try:
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        for chain in (1, 2, 3):
            await conn.execute("SELECT ensure_fact_partitions($1::bigint, 0)", chain)
        explained = Explained(conn)
        await reads(b"\1" * 20, 2**27 - 1)[name](cast(Conn, explained), KeyArgs(3, 1, None))
    finally:
        await work.rollback()

    assert "_c3_p0" in explained.plan
    assert not any(f"_c{chain}_p0" in explained.plan for chain in (1, 2)), explained.plan
