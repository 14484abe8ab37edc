"""What each role may do: all its processes need, and nothing else.

That the services need no more is also shown by `renown up`, whose embedded server has them run
under these roles (tests/e2e/test_up.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from renown.decode import Decoder
from renown.ingest import repair
from renown.ingest.indexer import Indexer, Limits
from renown.store import hashing, roles
from renown.store.lease import acquire
from renown.store.migrate import migrate
from renown.store.pool import Conn, connect
from renown.store.role_rights import FUNCTIONS, OWNERS_ALONE, RIGHTS, SEQUENCES
from tests.access import acting_api, bearer, give_account
from tests.activity import DEVNET, Activity
from tests.encode import log_of
from tests.fakes.chain import FakeChain
from tests.fakes.node import FakeNode
from tests.fakes.world import source_of
from tests.reading import reading

NAMES = roles.Names()
AUDIT = ("audit_log", "audit_leaf", "audit_node", "audit_checkpoint", "audit_review")


@pytest.fixture
async def url(fresh_database_url: str) -> str:
    """A database whose roles have their rights."""
    async with reading(fresh_database_url) as owner:
        await roles.apply(owner, NAMES)
    return fresh_database_url


@asynccontextmanager
async def acting(url: str, kind: roles.Kind) -> AsyncIterator[Conn]:
    conn = await connect(roles.url_as(url, kind, NAMES))
    try:
        yield conn
    finally:
        await conn.close()


# What there is -----------------------------------------------------------------------------------

PLACED = """
SELECT c.relname FROM pg_class c
 WHERE c.relkind = any($1::"char"[]) AND c.relnamespace = 'public'::regnamespace
   AND NOT c.relispartition
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND (d.deptype = 'e' OR d.deptype = 'i' AND c.relkind = 'S'))
"""
DEFINERS = """
SELECT p.proname, p.proacl IS NULL OR EXISTS (
           SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0) AS for_everybody
  FROM pg_proc p
 WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
"""


async def test_relations__every_one__has_its_rights_written_down(conn: Conn) -> None:
    tables = {row[0] for row in await conn.fetch(PLACED, [b"r", b"p", b"v", b"m"])}
    sequences = {row[0] for row in await conn.fetch(PLACED, [b"S"])}

    assert tables == RIGHTS.keys()
    assert sequences == {name for names in SEQUENCES.values() for name in names}


async def test_functions__with_their_owners_rights__are_for_nobody_else(conn: Conn) -> None:
    found = {row["proname"]: row["for_everybody"] for row in await conn.fetch(DEFINERS)}

    assert found.keys() <= {*OWNERS_ALONE}
    assert {*FUNCTIONS["writer"]} <= found.keys()
    assert not any(found.values())


# What they may ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", roles.KINDS)
async def test_audit_log__whatever_the_role__is_append_only(url: str, kind: roles.Kind) -> None:
    async with acting(url, kind) as conn:
        await conn.execute("SET default_transaction_read_only = off")  # as anybody may
        for table in AUDIT:
            for statement in (
                f"UPDATE {table} SET at = at"
                if table != "audit_node"
                else "UPDATE audit_node SET hash = hash",
                f"DELETE FROM {table}",
                f"TRUNCATE {table}",
                f"ALTER TABLE {table} DISABLE TRIGGER ALL",
                f"DROP TABLE {table}",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(statement)
        for statement in (
            "SELECT audit_add('insert', 'account', '1', NULL, NULL, NULL)",
            "SET session_replication_role = replica",
            "DROP FUNCTION audit_row",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)


async def test_api__what_it_must_not__it_cannot(url: str) -> None:
    async with acting(url, "api") as conn:
        for statement in (
            "INSERT INTO account (name, is_operator) VALUES ('me', true)",
            "UPDATE account SET is_operator = true",
            "UPDATE account SET tier = 'enterprise'",
            "INSERT INTO signer_grant (address, account_id) VALUES ('\\x00', 1)",
            "INSERT INTO policy (name, value) VALUES ('review', '{}')",
            "UPDATE agent SET owner = owner",
            "DELETE FROM feedback_given",
            "DELETE FROM audit_pending",
            "INSERT INTO audit_leaf SELECT * FROM audit_leaf",
            "SELECT refresh_view('network')",
            "SELECT ensure_fact_partitions(1, 0)",
            "CREATE TABLE mine (id int)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)


async def test_readonly__reads_what_is_public__and_no_secret(url: str) -> None:
    async with acting(url, "readonly") as conn:
        for table in ("agent", "feedback", "network", "document", "payment", "v_db_indexes"):
            await conn.execute(f"SELECT FROM {table} LIMIT 1")
        for table in ("account", "api_key", "audit_log", "idempotency", "audit_address_key"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(f"SELECT FROM {table} LIMIT 1")
        with pytest.raises(asyncpg.PostgresError):
            await conn.execute("INSERT INTO agent_name VALUES ('x', 1)")


# What they need ----------------------------------------------------------------------------------


async def test_writer__indexes_refreshes_and_rebuilds__under_its_role(url: str) -> None:
    activity, chain = Activity(8), FakeChain(8)
    for number in range(1, 41):
        _, facts = activity.block(number, bytes(32), facts=number % 4)
        chain.append([log_of(fact) for fact in facts])
    decoder = Decoder(DEVNET.identity, DEVNET.reputation, DEVNET.validation)

    async with acting(url, "writer") as conn, source_of(FakeNode(chain)) as source:
        writer = await acquire(conn, DEVNET, start_block=0, genesis_hash=None, name="test")
        limits = Limits(64, poll_seconds=0.001, batch_events=30)
        await Indexer(source, writer, decoder, limits).run(until=40)
        verdict = await repair.verify_state(conn, DEVNET.chain_id)
        assert verdict.equal
        await conn.execute("SELECT refresh_view('network'), refresh_view('term_count')")
        await conn.execute("SELECT analyze_tables(ARRAY['agent', 'feedback_given', 'pg_class'])")
        ages = {row["view"]: row["age_seconds"] for row in await conn.fetch("TABLE v_view_age")}
        analyzed = await conn.fetchval(
            "SELECT count(*) FROM pg_stats WHERE tablename IN ('agent', 'network')"
        )

    assert ages["network"] is not None
    assert ages["term_count"] is not None
    assert analyzed
    async with reading(url) as owner:
        assert await hashing.stored_hash(owner, DEVNET.chain_id) == verdict.stored_hash


async def test_api__serves_and_makes_keys__under_its_role(url: str) -> None:
    async with acting_api(roles.url_as(url, "api", NAMES)) as api:
        holder = await give_account(api.pool)
        headers = bearer(holder.key)
        for path in ("/v1/agents", "/v1/feedback", "/v1/status", "/v1/network", "/v1/account",
                     "/v1/keys", "/readyz", "/v1/stats"):  # fmt: skip
            answer = await api.client.get(path, headers=headers)
            assert answer.status_code in (200, 404, 422, 503), (path, answer.text)
        made = await api.client.post(
            "/v1/keys",
            json={"name": "second", "scopes": ["read"]},
            headers=headers,
        )
        assert made.status_code == 201, made.text
        gone = await api.client.delete(f"/v1/keys/{made.json()['id']}", headers=headers)
        assert gone.status_code in (200, 204), gone.text

    async with reading(url) as owner:
        entries = await owner.fetch("SELECT action FROM audit_log WHERE subject = 'api_key'")
    assert {"insert", "update"} <= {row["action"] for row in entries}


# How they are made --------------------------------------------------------------------------------


async def test_limits__of_each_kind__hold_in_its_sessions_and_for_its_logins(url: str) -> None:
    async with acting(url, "api") as conn:
        assert await conn.fetchval("SHOW statement_timeout") == "30s"
        assert await conn.fetchval("SELECT current_user") == "renown_api"
    async with acting(url, "readonly") as conn:
        assert await conn.fetchval("SHOW default_transaction_read_only") == "on"
    async with reading(url) as owner:
        login = "LOGIN PASSWORD 'x' IN ROLE renown_api"
        await owner.execute(f"CREATE ROLE test_login {login}")
        await owner.execute(f"CREATE ROLE test_limited {login} CONNECTION LIMIT 7")
        try:
            await roles.apply(owner, NAMES)
            (kept,) = await owner.fetchrow(
                "SELECT rolconfig FROM pg_roles WHERE rolname = 'test_login'"
            ) or ([],)
            connections = await owner.fetch(
                "SELECT rolconnlimit FROM pg_roles WHERE rolname IN ('test_login', 'test_limited')"
                " ORDER BY 1"
            )
        finally:
            await owner.execute("DROP ROLE test_login, test_limited")
    assert "statement_timeout=30s" in kept
    assert [row[0] for row in connections] == [7, roles.CONNECTIONS["api"]], "yours stays"


async def test_migrate__by_a_version_with_other_rights__gives_them_again(url: str) -> None:
    async with reading(url) as owner:
        await owner.execute("REVOKE SELECT ON agent FROM renown_api")
        await owner.execute("GRANT DELETE ON audit_log TO renown_api")
        await owner.execute("UPDATE service_role SET granted = 'of another version'")

    await migrate(roles.url_as(url, "writer", NAMES))  # a worker may not, and does not fail
    async with acting(url, "api") as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("SELECT FROM agent")

    await migrate(url)

    async with acting(url, "api") as conn:
        await conn.execute("SELECT FROM agent")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("DELETE FROM audit_log")


async def test_script__run_by_hand_twice__does_what_apply_does(fresh_database_url: str) -> None:
    names = roles.named("renown_other")
    async with reading(fresh_database_url) as owner:
        for _ in range(2):
            for statement in roles.script(names):
                await owner.execute(statement)
        held = await roles.existing(owner)
        allowed = await owner.fetchval(
            "SELECT has_column_privilege('renown_other_api', 'audit_log', 'action', 'INSERT')"
        )
        await owner.execute("DROP OWNED BY renown_other_api, renown_other_writer")
    assert held == {kind: f"renown_other_{kind}" for kind in roles.KINDS}
    assert allowed
