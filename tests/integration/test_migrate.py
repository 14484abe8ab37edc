"""Migrations on a real database: order, atomicity, neighbours, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from renown.errors import SchemaBehind, StoreError
from renown.store import migrate as module
from renown.store.migrate import migrate, migrations, pending, require_current
from renown.store.pool import Conn, connect
from renown.store.schema import schema_dump


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[Conn]:
    conn = await connect(empty_database_url)
    yield conn
    await conn.close()


def write(folder: Path, **files: str) -> Path:
    for name, sql in files.items():
        (folder / f"{name.removeprefix('m')}.sql").write_text(sql)
    return folder


async def test_migrate__empty_database__applies_in_order_and_once(empty: Conn, tmp_path: Path):
    folder = write(
        tmp_path,
        m0002_pre_second="ALTER TABLE a ADD COLUMN two int",
        m0001_pre_first="CREATE TABLE a (one int); INSERT INTO a VALUES (1)",
    )

    first = await migrate(empty, folder=folder)
    second = await migrate(empty, folder=folder)

    assert [m.name for m in first] == ["0001_pre_first.sql", "0002_pre_second.sql"]
    assert second == []
    assert tuple(await empty.fetchrow("SELECT one, two FROM a") or ()) == (1, None)
    await require_current(empty, folder=folder)


async def test_migrate__dry_run__says_and_changes_nothing(empty: Conn, tmp_path: Path):
    folder = write(tmp_path, m0001_pre_first="CREATE TABLE a (one int)")

    planned = await migrate(empty, dry_run=True, folder=folder)

    assert [m.name for m in planned] == ["0001_pre_first.sql"]
    assert await empty.fetchval("SELECT to_regclass('a')") is None
    assert await empty.fetchval("SELECT to_regclass('schema_migration')") is None


async def test_migrate__second_statement_fails__leaves_nothing_and_names_the_line(
    empty: Conn, tmp_path: Path
):
    folder = write(
        tmp_path,
        m0001_pre_good="CREATE TABLE a (one int)",
        m0002_pre_bad="CREATE TABLE b (two int);\n\nALTER TABLE nowhere ADD x int;\n",
    )

    with pytest.raises(StoreError, match=r'0002_pre_bad\.sql.* failed: .*"nowhere"'):
        await migrate(empty, folder=folder)

    assert await empty.fetchval("SELECT to_regclass('b')") is None
    assert [m.name for m in await pending(empty, folder=folder)] == ["0002_pre_bad.sql"]
    (tmp_path / "0002_pre_bad.sql").write_text("\n\nSELEC 1;")
    with pytest.raises(StoreError, match=r"0002_pre_bad\.sql line 3 failed: syntax error"):
        await migrate(empty, folder=folder)


async def test_migrate__three_at_once__one_applies(
    empty: Conn, empty_database_url: str, tmp_path: Path
):
    folder = write(tmp_path, m0001_pre_slow="CREATE TABLE a (one int); SELECT pg_sleep(0.2)")

    done = await asyncio.gather(*(migrate(empty_database_url, folder=folder) for _ in range(3)))

    assert sorted(len(applied) for applied in done) == [0, 0, 1]


async def test_migrate__applied_file_was_edited__refuses(empty: Conn, tmp_path: Path):
    folder = write(tmp_path, m0001_pre_first="CREATE TABLE a (one int)")
    await migrate(empty, folder=folder)

    write(tmp_path, m0001_pre_first="CREATE TABLE a (one bigint)")

    with pytest.raises(SchemaBehind, match=r"0001_pre_first\.sql was edited"):
        await migrate(empty, folder=folder)


@pytest.mark.parametrize("left", ["0002_post_drop", "0000_pre_before"])
async def test_require_current__database_is_newer_by_what_may_hurt__refuses(
    empty: Conn, tmp_path: Path, left: str
):
    folder = write(tmp_path, m0001_pre_first="SELECT 1", **{f"m{left}": "SELECT 2"})
    await migrate(empty, folder=folder)

    (tmp_path / f"{left}.sql").unlink()

    with pytest.raises(SchemaBehind, match=rf"{left}\.sql.*newer Renown"):
        await require_current(empty, folder=folder)


async def test_migrate_pre_of_a_newer_version__this_one_works_on_and_takes_nothing_from_it(
    empty: Conn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = write(tmp_path, m0001_pre_first="SELECT 1", m0002_pre_next="SELECT 2")
    await migrate(empty, folder=folder)
    (tmp_path / "0002_pre_next.sql").unlink()
    regranted: list[Conn] = []

    async def regrant(conn: Conn) -> None:
        regranted.append(conn)

    monkeypatch.setattr(module, "regrant", regrant)

    await require_current(empty, folder=folder)
    assert await migrate(empty, folder=folder) == []
    assert regranted == [], "the rights on the newer version's tables are not ours to give"


async def test_require_current__pre_pending__names_the_command(empty: Conn, tmp_path: Path):
    folder = write(tmp_path, m0001_pre_first="SELECT 1")

    with pytest.raises(SchemaBehind, match=r"0001_pre_first\.sql.*'renown db migrate'"):
        await require_current(empty, folder=folder)


async def test_phase_pre__stops_before_the_last_post__which_does_not_block_the_start(
    empty: Conn, tmp_path: Path
):
    folder = write(
        tmp_path,
        m0001_pre_add="CREATE TABLE a (one int, two int)",
        m0002_post_due="ALTER TABLE a DROP COLUMN one",
        m0003_pre_add="ALTER TABLE a ADD three int",
        m0004_post_drop="ALTER TABLE a DROP COLUMN two",
    )

    applied = await migrate(empty, phase="pre", folder=folder)
    await require_current(empty, folder=folder)
    rest = await migrate(empty, folder=folder)

    assert [m.number for m in applied] == [1, 2, 3]
    assert [m.number for m in rest] == [4]


async def test_migrate__table_locked_for_a_while__tries_again(
    empty: Conn, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "LOCK_TIMEOUT_SECONDS", 0.05)
    folder = write(tmp_path, m0001_pre_first="CREATE TABLE a (one int)")
    await migrate(empty, folder=folder)
    write(tmp_path, m0002_pre_next="ALTER TABLE a ADD two int")
    reader = await connect(empty_database_url)
    holding = reader.transaction()
    await holding.start()
    await reader.fetch("SELECT * FROM a")

    work = asyncio.create_task(migrate(empty, folder=folder))
    await asyncio.sleep(0.15)
    await holding.commit()

    assert [m.number for m in await work] == [2]
    await reader.close()


async def test_migrate__table_locked_for_good__gives_up_with_advice(
    empty: Conn, empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "LOCK_TIMEOUT_SECONDS", 0.01)
    monkeypatch.setattr(module, "_LOCK_ATTEMPTS", 2)
    folder = write(tmp_path, m0001_pre_first="CREATE TABLE a (one int)")
    await migrate(empty, folder=folder)
    write(tmp_path, m0002_pre_next="ALTER TABLE a ADD two int")
    reader = await connect(empty_database_url)
    async with reader.transaction():
        await reader.fetch("SELECT * FROM a")
        with pytest.raises(StoreError, match="could not lock its tables in 2 tries"):
            await migrate(empty, folder=folder)
    await reader.close()


def test_migrations__wrong_name__is_an_error(tmp_path: Path):
    with pytest.raises(StoreError, match=r"x\.sql is not named NNNN_pre_name\.sql"):
        migrations(write(tmp_path, x="SELECT 1"))


def test_migrations__same_number_twice__is_an_error(tmp_path: Path):
    with pytest.raises(StoreError, match="have the same number"):
        migrations(write(tmp_path, m0001_pre_a="SELECT 1", m0001_post_b="SELECT 1"))


def test_migrations__of_this_version__are_numbered_without_gaps():
    assert [m.number for m in migrations()] == list(range(1, len(migrations()) + 1))


async def test_schema_dump__every_kind_of_object__appears_once(empty: Conn):
    await empty.execute("""
        CREATE EXTENSION pg_trgm;
        CREATE TYPE mood AS ENUM ('glad', 'sad');
        CREATE DOMAIN word AS text CHECK (VALUE <> '');
        CREATE TABLE fact (n bigint NOT NULL DEFAULT 7, w word, PRIMARY KEY (n))
            PARTITION BY RANGE (n);
        CREATE TABLE fact_low PARTITION OF fact FOR VALUES FROM (0) TO (10);
        CREATE TABLE note (id int GENERATED ALWAYS AS IDENTITY, twice int
            GENERATED ALWAYS AS (1 + 1) STORED, m mood);
        COMMENT ON COLUMN note.m IS 'how it feels';
        CREATE INDEX note_by_mood ON note (m) WHERE m = 'sad';
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER note_touched BEFORE UPDATE ON note
            FOR EACH ROW EXECUTE FUNCTION touch();
        ALTER TABLE note ENABLE ROW LEVEL SECURITY;
        CREATE POLICY glad_only ON note FOR SELECT USING (m = 'glad');
        CREATE VIEW gladness AS SELECT count(*) FROM note;
        GRANT SELECT ON note TO PUBLIC;
    """)

    text = await schema_dump(empty)

    for expected in (
        "extension pg_trgm\n",
        "enum mood ('glad', 'sad')\n",
        "domain word text CHECK ((VALUE <> ''::text))\n",
        "table fact partition by RANGE (n)\n    n bigint not null default 7\n    w word\n",
        "    constraint fact_pkey PRIMARY KEY (n)\n",
        "table fact_low partition of fact FOR VALUES FROM ('0') TO ('10')\n",
        "table note row security\n    id integer not null generated always as identity\n",
        "    twice integer generated ((1 + 1))\n    m mood -- how it feels\n",
        "    CREATE INDEX note_by_mood ON public.note USING btree (m) WHERE (m = 'sad'::mood)\n",
        "    CREATE TRIGGER note_touched BEFORE UPDATE ON public.note",
        "    policy glad_only for r to public using ((m = 'glad'::mood)) check ()\n",
        "    grant SELECT to public\n",
        "view gladness\n    count bigint\n",
        "CREATE OR REPLACE FUNCTION public.touch()",
    ):
        assert text.count(expected) == 1, f"{expected!r} in\n{text}"
    assert "similarity" not in text, "what extensions own is not ours"


async def test_schema_dump__one_default_differs__texts_differ(empty: Conn):
    await empty.execute("CREATE TABLE a (one int DEFAULT 1)")
    before = await schema_dump(empty)

    await empty.execute("ALTER TABLE a ALTER one SET DEFAULT 2")

    assert await schema_dump(empty) != before
