"""Every statement of the product, planned on a world in which a wrong plan would be dear.

A statement fails here that reads a large table whole without a reason, does not use the indexes
that the catalogue names, rests on an estimate that is off by a factor of a hundred, spills into
temporary files or touches more pages than it says. It is planned twice: as a plan that serves every
call (what a server may keep of a prepared statement), under the writer's settings if the indexer
sends it, and with parameters, run and taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from bench.queries import CATALOGUE, KEPT_FOR, Query, statements
from bench.queries.plans import Tables, faults, planned, ran, sent
from bench.queries.sample import Sample, sample

from renown.store.embedded import EmbeddedPostgres
from renown.store.lease import WRITERS_SETTINGS
from renown.store.pool import Conn, connect
from tests.conftest import NewDatabase
from tests.integration import plan_world

pytestmark = pytest.mark.timeout(300)  # the first test makes the world

NEED = {"report_queries.statements": "the extension pg_stat_statements, preloaded"}
"""Statements that this server cannot plan, by what they need."""


@pytest.fixture(scope="module")
def world_url(postgres: EmbeddedPostgres, new_database: NewDatabase, template: str) -> str:
    """URL of the world, made once for all plans."""

    async def build() -> str:
        if await _version(postgres.dsn()) < 160000:
            pytest.skip("plans for every call are shown by PostgreSQL 16 and later")
        url = await asyncio.to_thread(new_database, template)
        await plan_world.build(url)
        return url

    return asyncio.run(build())


async def _version(url: str) -> int:
    conn = await connect(url)
    try:
        return int(await conn.fetchval("SELECT current_setting('server_version_num')"))
    finally:
        await conn.close()


@pytest.fixture(scope="module")
def found(world_url: str) -> dict[str, list[str]]:
    """What is wrong, by the name of the query."""
    return asyncio.run(_faults(world_url))


async def _faults(url: str) -> dict[str, list[str]]:
    conn, writers = await connect(url), await connect(url)
    try:
        for setting in WRITERS_SETTINGS:
            await writers.execute(f"SET {setting}")
        w, tables = await sample(conn), await Tables.read(conn)
        return {
            query.name: [fault async for fault in _of(conn, writers, query, w, tables)]
            for query in CATALOGUE.values()
            if query.name not in NEED
        }
    finally:
        await conn.close()
        await writers.close()


async def _of(
    conn: Conn, writers: Conn, query: Query, w: Sample, tables: Tables
) -> AsyncIterator[str]:
    try:
        if query.build is not None:
            text, args = await sent(conn, query, w)
            for fault in faults(query, await ran(conn, text, args), tables):
                yield fault
            return
        text = statements()[query.name]
        if query.template is not None:
            text = query.template(text)
        whose = writers if query.asked_by == "indexer" else conn
        for fault in faults(query, await planned(whose, text), tables):
            yield f"for every call: {fault}"
        for case, args_of in query.calls():
            plan = await ran(conn, text, args_of(w))
            for fault in faults(query, plan, tables, whole=False):
                yield f"{case or 'with parameters'}: {fault}"
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as failure:
        yield f"fails: {failure}"


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name not in NEED])
def test_query__in_a_large_world__is_planned_as_promised(
    found: dict[str, list[str]], name: str
) -> None:
    assert not found[name]


async def test_world__has_the_tables_that_matter__large(world_url: str) -> None:
    conn = await connect(world_url)
    try:
        tables = await Tables.read(conn)
    finally:
        await conn.close()

    large = {tables.root[name] for name in tables.rows if tables.is_large(name)}
    assert {
        *("agent", "agent_stats", "agent_tag_stats", "agent_profile", "block", "uri", "document"),
        *("feedback_given", "payment", "payment_claim", "resolution"),
        *("account", "api_key", "operation", "audit_log", "audit_leaf"),
    } <= large


async def test_query__without_its_index__is_found_out(world_url: str) -> None:
    conn = await connect(world_url)
    query, tables = CATALOGUE["feedback.of_agent"], await Tables.read(conn)
    work = conn.transaction()
    await work.start()
    try:
        await conn.execute("DROP INDEX feedback_given_by_agent")
        plan = await planned(conn, statements()[query.name])
    finally:
        await work.rollback()
        await conn.close()

    assert "does not use feedback_given_by_agent" in faults(query, plan, tables)


async def test_indexes__of_large_tables__are_each_named_by_a_query(world_url: str) -> None:
    conn = await connect(world_url)
    try:
        tables = await Tables.read(conn)
    finally:
        await conn.close()

    named = {index for query in CATALOGUE.values() for index in query.indexes}
    assert tables.large_indexes() - named - set(KEPT_FOR) == set()
