"""Bench worlds: what the loader writes is what indexing, crawling and counting would have made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from renown.errors import StoreError
from renown.ingest.profiles import refresh
from renown.ingest.world import WorldSize, load
from renown.ingest.world.size import chain_parts
from renown.store import hashing, world_copy
from renown.store.pool import Conn, connect, transaction
from renown.store.schema import schema_dump
from tests.command import renown
from tests.conftest import NewDatabase

SIZE = WorldSize(300)
SMALL = WorldSize(60, chains=2, seed=7)

# What says when something was done here, and not when it happened in the world.
_OF_THE_WALL: dict[str, set[str]] = {
    "checkpoint": {"head_seen_at", "updated_at"},
    "trail": {"updated_at"},
    "coverage": {"checked_at"},
}
_NOT_OF_WORLDS = ("schema_migration", "view_refresh")


@pytest.fixture(scope="module")
def world_url(database_url: str) -> str:
    """A world of 300 agents, 3,000 feedbacks and 1,500 payments."""
    asyncio.run(load(database_url, SIZE, processes=0))
    return database_url


@pytest.fixture
async def world(world_url: str) -> Any:
    conn = await connect(world_url)
    await conn.execute("SET renown.indexer = 'on'")
    yield conn
    await conn.close()


# What it holds -----------------------------------------------------------------------------------


async def test_load__every_chain__has_the_state_that_its_facts_fold_to(world: Conn):
    for part in chain_parts(SIZE):
        stored = await hashing.stored_digests(world, part.chain_id)

        assert stored == await hashing.folded_digests(world, part.chain_id)
    counts = await world.fetchrow(
        "SELECT (SELECT count(*) FROM agent), (SELECT count(*) FROM feedback_given),"
        " (SELECT count(*) FROM payment), (SELECT count(*) FROM unattached)"
    )
    assert counts is not None
    assert tuple(counts) == (300, 3_000, 1_500, 0)


async def test_load__blocks__hold_the_facts_that_they_say(world: Conn):
    wrong = await world.fetchval(
        "SELECT count(*) FROM checkpoint k WHERE events <>"
        " (SELECT sum(fact_count) FROM block b WHERE b.chain_id = k.chain_id)"
        " OR NOT EXISTS (SELECT FROM block b WHERE (b.chain_id, b.number, b.hash)"
        " = (k.chain_id, k.block_number, k.block_hash))"
    )
    loose = await world.fetchval(
        "SELECT count(*) FROM feedback_given f WHERE NOT EXISTS (SELECT FROM block b"
        " WHERE (b.chain_id, b.number) = (f.chain_id, f.block_number)"
        " AND f.log_index < b.fact_count)"
    )
    orphaned = await world.fetchval(
        "SELECT count(*) FROM block b JOIN block a"
        " ON a.chain_id = b.chain_id AND a.number = b.number - 1 WHERE b.parent_hash <> a.hash"
    )

    assert (wrong, loose, orphaned) == (0, 0, 0)


async def test_load__rows_for_search_made_anew__stay_as_they_are(world: Conn):
    shown = "SELECT * FROM agent_profile ORDER BY chain_id, agent_id"
    before = [tuple(row) for row in await world.fetch(shown)]
    await world.execute(
        "INSERT INTO profile_due SELECT chain_id, agent_id FROM agent_profile"
        " WHERE state <> 'none' OR agent_id % 10 = 0"
    )

    while await refresh(world):
        pass

    # Revisions, too: nothing was written.
    assert [tuple(row) for row in await world.fetch(shown)] == before
    states = {row[0] for row in await world.fetch("SELECT DISTINCT state FROM agent_profile")}
    assert {"none", "strict", "tolerant", "unreachable", "pending"} <= states


async def test_load__payments__are_counted_as_their_definition_says(world: Conn):
    columns = (
        "chain_id, agent_id, payment_count, final_payment_count, paid_feedback_count, payer_count,"
        " final_payer_count, first_paid_at, last_paid_at, settled_claims, good_claims,"
        " pending_claims"
    )

    differ = await world.fetchval(
        f"SELECT count(*) FROM ((SELECT {columns} FROM v_payment_stats EXCEPT"
        f" SELECT {columns} FROM agent_payment_stats) UNION ALL (SELECT {columns}"
        f" FROM agent_payment_stats EXCEPT SELECT {columns} FROM v_payment_stats)) d"
    )

    assert differ == 0
    states = {row[0] for row in await world.fetch("SELECT DISTINCT state FROM payment_claim")}
    assert states == {"pending", "included", "confirmed", "refused"}
    named = await world.fetchval("SELECT count(*) FROM payment WHERE feedback_claim_id IS NOT NULL")
    assert named > 50


async def test_load__views_and_sequences__are_as_new(world: Conn):
    views = {
        row[0]: row[1]
        for row in await world.fetch("SELECT view, refreshed_at FROM v_view_age ORDER BY 1")
    }
    taken = await world.fetchval(
        "SELECT count(*) FROM pg_matviews WHERE schemaname = 'public' AND NOT ispopulated"
    )
    counted = await world.fetchval("SELECT sum(agent_count) FROM network")
    await world.fetchval(
        "INSERT INTO document (sha256, raw, size_bytes, class, reading, reader)"
        " VALUES (sha256('new'), 'new', 3, 'not-json', 'none', 1) RETURNING document_id"
    )

    assert None not in views.values()
    assert (taken, counted) == (0, 300)


async def test_load__skew__is_that_of_the_network(world: Conn):
    most = await world.fetchval(
        "SELECT count(*) FROM feedback_given GROUP BY chain_id, agent_id, client"
        " ORDER BY 1 DESC LIMIT 1"
    )
    unrated = await world.fetchval("SELECT count(*) FROM agent_stats WHERE feedback_count = 0")
    empty = await world.fetchval("SELECT count(*) FROM agent WHERE uri = ''")
    copies = await world.fetchval(
        "SELECT max(count) FROM (SELECT count(*) FROM agent_profile WHERE template IS NOT NULL"
        " GROUP BY template) t"
    )

    assert most >= sum(part.heavy_feedback for part in chain_parts(SIZE))
    assert 120 < unrated < 260
    assert 120 < empty < 190
    assert copies > 10


# The schema --------------------------------------------------------------------------------------


async def test_load__schema__is_that_of_the_migrations(world: Conn, fresh_database_url: str):
    other = await connect(fresh_database_url)
    for part in chain_parts(SIZE):
        for slot in {part.start_block >> 27, part.last_block >> 27}:
            await other.execute("SELECT ensure_fact_partitions($1, $2)", part.chain_id, slot)

    ours, theirs = await schema_dump(world), await schema_dump(other)
    await other.close()

    kept = [b for b in ours.split("\n\n") if not b.startswith("table bench.")]
    assert "\n\n".join(kept).strip() == theirs.strip()
    assert await world.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
    assert await world.fetchval("SELECT count(*) FROM pg_trigger WHERE tgenabled <> 'O'") == 0


# Being cut short ----------------------------------------------------------------------------------


async def contents(url: str) -> dict[str, str]:
    """A hash of each table's rows, whatever order they lie in."""
    conn = await connect(url)
    tables = await conn.fetch(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
    )
    found = {}
    for (table,) in tables:
        if table in _NOT_OF_WORLDS:
            continue
        left_out = sorted(_OF_THE_WALL.get(table, ()))
        found[table] = await conn.fetchval(
            f"SELECT count(*) || ' ' || coalesce(md5(string_agg(r, ' ' ORDER BY r)), '')"
            f" FROM (SELECT (to_jsonb(t) - $1::text[])::text AS r FROM {table} t) rows",
            left_out,
        )
    await conn.close()
    return found


async def schema_of(url: str) -> str:
    """Everything but the rows, the indexes above all."""
    conn = await connect(url)
    dump = await schema_dump(conn)
    await conn.close()
    return dump


class Killed(Exception):
    """The process ended here."""


async def test_load__killed_and_run_again__ends_in_the_same_rows(
    new_database: NewDatabase, template: str
):
    whole, killed = [await asyncio.to_thread(new_database, template) for _ in range(2)]
    total = (await load(whole, SMALL, processes=0)).parts
    for parts in (3, total // 2, total // 3):  # among spans, profiles, indexes
        left = iter(range(parts))

        def kill(_done: int, _of: int, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Killed

        with pytest.raises(Killed):
            await load(killed, SMALL, kill, processes=0)

    rest = await load(killed, SMALL, processes=1)

    assert 0 < rest.parts < total
    assert await contents(killed) == await contents(whole)
    assert await schema_of(killed) == await schema_of(whole)
    assert (await load(killed, SMALL, processes=0)).parts == 0


async def test_load__beside_something_else__refuses(world_url: str, fresh_database_url: str):
    conn = await connect(fresh_database_url)
    await conn.execute("INSERT INTO account (name) VALUES ('mine')")
    await conn.close()

    with pytest.raises(StoreError, match="no bench world"):
        await load(fresh_database_url, SMALL, processes=0)
    with pytest.raises(StoreError, match="another bench world"):
        await load(world_url, SMALL, processes=0)


def test_command__on_an_index_of_an_older_version__leaves_its_schema(
    fresh_database_url: str,
) -> None:
    async def numbers(*before: str) -> list[int]:
        conn = await connect(fresh_database_url)
        try:
            for statement in before:
                await conn.execute(statement)
            rows = await conn.fetch("SELECT number FROM schema_migration ORDER BY number")
        finally:
            await conn.close()
        return [row[0] for row in rows]

    held = asyncio.run(
        numbers(
            "INSERT INTO account (name) VALUES ('mine')",
            "DELETE FROM schema_migration WHERE number = 9",
            "DROP TABLE endpoint CASCADE",
        )
    )

    refused = renown("bench", "world", "--agents", "60", DATABASE_URL=fresh_database_url)

    assert (refused.code, "no bench world" in refused.err) == (75, True)
    assert asyncio.run(numbers()) == held


# Rows in binary -----------------------------------------------------------------------------------


async def test_numeric__of_any_size__is_read_as_it_was(conn: Conn):
    values = [0, 1, -1, 9_999, 10_000, -10_000, 10**8, 12_345_678_901, 5 * 10**18 + 1, -(10**37)]
    async with transaction(conn) as tx:
        await tx.execute("CREATE TEMP TABLE drawn (n bigint, value numeric) ON COMMIT DROP")
        rows = [
            b"\x00\x02" + world_copy.bigint(n) + world_copy.numeric(value)
            for n, value in enumerate(values)
        ]
        await world_copy.copy(tx, "drawn", ("n", "value"), rows)

        found = [row[0] for row in await tx.fetch("SELECT value FROM drawn ORDER BY n")]

    assert found == values
