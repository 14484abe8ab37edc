"""Backups: what comes back is what was there, or it is said why not."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from renown.errors import BackupRefused
from renown.ingest.backup import checked, make_backup, restore
from renown.spec.events import Quarantined
from renown.store import dumping, hashing, roles
from renown.store.embedded import EmbeddedPostgres
from renown.store.lease import acquire
from renown.store.migrate import migrate
from renown.store.pool import connect, transaction
from renown.store.writer import Extension, Writer
from renown.types import BlockRef
from tests.activity import DEVNET, Activity
from tests.command import Outcome, data_directory, renown
from tests.needs import OTHER_POSTGRES
from tests.reading import reading

CHAIN = DEVNET.chain_id
ENVIRONMENT = {"RENOWN_PG_BIN_DIR": OTHER_POSTGRES} if OTHER_POSTGRES else {}
BIN_DIR = Path(OTHER_POSTGRES) if OTHER_POSTGRES else None

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Growing:
    """An index that grows block by block."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._activity = Activity(3)
        self._tip: BlockRef | None = None

    async def grow(self, blocks: int) -> None:
        for _ in range(blocks):
            before = self._tip or BlockRef(0, bytes(32), bytes(32), 0)
            ref, found = self._activity.block(before.number + 1, before.hash, facts=6)
            odd = [one for one in found if isinstance(one, Quarantined)]
            facts = [one for one in found if not isinstance(one, Quarantined)]
            await self._writer.extend(Extension(ref, facts, odd, [ref]))
            self._tip = ref


@asynccontextmanager
async def growing(url: str) -> AsyncIterator[Growing]:
    conn = await connect(url, application_name="renown-writer")
    try:
        yield Growing(await acquire(conn, DEVNET, start_block=1, genesis_hash=None, name="test"))
    finally:
        await conn.close()


LEAVES = """
INSERT INTO audit_leaf (seq, entry_id, at, leaf_hash, link_hash)
SELECT n - 1, n, now(), sha256(n::text::bytea), sha256(n::text::bytea) FROM generate_series(1, 5) n
"""
PEOPLE = "INSERT INTO account (name) SELECT 'account ' || n FROM generate_series(1, 3) n"


@pytest.fixture(scope="module")
def source_url(database_url: str) -> str:
    """An index with a chain, accounts, roles and an audit log."""

    async def fill() -> None:
        async with growing(database_url) as index:
            await index.grow(25)
        async with reading(database_url) as owner:
            await owner.execute(PEOPLE)
            await owner.execute(LEAVES)
            await owner.execute("SELECT refresh_view('network')")
            await roles.apply(owner, roles.Names())

    asyncio.run(fill())
    return database_url


async def test_snapshot__of_a_database_that_limits_idle_transactions__outlives_the_limit(
    database_url: str,
) -> None:
    """`pg_dump` may work for hours in it, while we wait."""
    async with reading(database_url) as conn:
        await conn.execute("SET idle_in_transaction_session_timeout = '1s'")
        await conn.execute("SET statement_timeout = '1s'")
        async with transaction(conn, "repeatable_read") as tx:
            await dumping.export_snapshot(tx)
            await asyncio.sleep(1.3)
            assert await tx.fetchval("SELECT current_setting('statement_timeout')") == "0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backups")


@pytest.fixture(scope="module")
def made(source_url: str, folder: Path) -> Path:
    """A backup of it, as the command makes one."""
    path = folder / "renown.dump"
    outcome = renown(
        "db", "backup", str(path), DATABASE_URL=source_url, RENOWN_DATA_DIR=str(folder),
        **ENVIRONMENT,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    return path


def copy_of(made: Path, folder: Path) -> Path:
    """The same backup, to be damaged."""
    path = folder / made.name
    path.write_bytes(made.read_bytes())
    manifest = made.with_name(f"{made.name}.manifest.json")
    path.with_name(manifest.name).write_bytes(manifest.read_bytes())
    return path


def manifest_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.manifest.json")


# On an empty machine ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def restored(made: Path) -> Iterator[tuple[Path, Outcome]]:
    """A data directory that was empty, and what the command said."""
    with data_directory() as data:
        outcome = renown(
            "db", "restore", "--yes", str(made), RENOWN_DATA_DIR=str(data), **ENVIRONMENT
        )
        yield data, outcome


def test_backup__restored_on_an_empty_machine__has_the_same_state_hash(
    source_url: str, restored: tuple[Path, Outcome]
) -> None:
    data, outcome = restored
    assert outcome.code == 0, outcome.err

    async def held(url: str) -> tuple[str, str | None, int]:
        async with reading(url) as conn:
            return (
                await hashing.stored_hash(conn, CHAIN),
                await conn.fetchval("SELECT string_agg(name, ',' ORDER BY name) FROM account"),
                await conn.fetchval("SELECT count(*) FROM audit_log WHERE action <> 'repair'"),
            )

    async def still_works(url: str) -> None:
        names = roles.Names()
        api = await connect(roles.url_as(url, "api", names))
        async with reading(url) as owner:
            # Numbers go on, triggers write, partitions are there, rights are given.
            taken = await owner.fetchval("SELECT max(account_id) FROM account")
            number = await api.fetchval(
                "INSERT INTO account (name) VALUES ('new') RETURNING account_id"
            )
            assert number > taken
            assert (
                await owner.fetchval(
                    "SELECT after ->> 'name' FROM audit_log ORDER BY entry_id DESC LIMIT 1"
                )
                == "new"
            )
            assert await owner.fetchval("SELECT count(*) FROM audit_log_rest") == 0
            assert (
                await owner.fetchval(
                    "SELECT detail ->> 'operation' FROM audit_log WHERE action = 'repair'"
                )
                == "restore"
            )
            assert not await owner.fetchval(
                "SELECT has_function_privilege('renown_readonly', 'refresh_view(text)', 'EXECUTE')"
            )
        await api.close()
        async with growing(url):  # a writer takes the lease
            pass

    with EmbeddedPostgres(data, bin_dir=BIN_DIR) as server:
        assert asyncio.run(held(server.dsn())) == asyncio.run(held(source_url))
        asyncio.run(still_works(server.dsn()))


def test_restore__over_what_is_there__is_refused(
    made: Path, source_url: str, restored: tuple[Path, Outcome]
) -> None:
    async def state() -> str:
        async with reading(source_url) as conn:
            return await hashing.stored_hash(conn, CHAIN)

    before = asyncio.run(state())

    outcome = renown("db", "restore", "--yes", str(made), DATABASE_URL=source_url, **ENVIRONMENT)

    assert outcome.code == 65
    assert "not empty" in outcome.err
    assert asyncio.run(state()) == before


def test_restore__without_yes__only_says_what_is_in_it(made: Path, empty_database_url: str) -> None:
    outcome = renown("db", "restore", str(made), DATABASE_URL=empty_database_url, **ENVIRONMENT)

    assert outcome.code == 0
    assert f"{DEVNET.slug} state_hash" in outcome.out
    assert "nothing was restored" in outcome.err


def test_verify__restores_it_elsewhere_and_leaves_nothing(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o711)
    with data_directory() as scratch:
        monkeypatch.setattr("tempfile.tempdir", str(scratch))
        outcome = renown("db", "verify", str(made), **ENVIRONMENT)
        left = list(scratch.iterdir())

    assert outcome.code == 0, outcome.err
    assert left == []


# As files ----------------------------------------------------------------------------------------


def test_backup__its_files__are_for_its_owner_only(made: Path) -> None:
    for path in (made, manifest_of(made)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.name for path in made.parent.iterdir() if path.is_file()) == [
        made.name,
        manifest_of(made).name,
    ]


def test_backup__where_something_is__is_refused(made: Path, source_url: str) -> None:
    before = made.read_bytes()

    outcome = renown("db", "backup", str(made), DATABASE_URL=source_url, **ENVIRONMENT)

    assert outcome.code == 65
    assert "exists" in outcome.err
    assert made.read_bytes() == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lose_manifest(path: Path) -> None:
    manifest_of(path).unlink()


def spoil_manifest(path: Path) -> None:
    manifest_of(path).write_bytes(manifest_of(path).read_bytes()[:-40])


def of_the_future(path: Path) -> None:
    manifest_of(path).write_text(
        manifest_of(path).read_text().replace('"format": 1', '"format": 9')
    )


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "it was cut or changed"),
        (flip, "its hash differs"),
        (lose_manifest, "not finished"),
        (spoil_manifest, "cannot be read"),
        (of_the_future, "format 9"),
        (Path.unlink, "no backup"),
    ],
)
async def test_backup__that_was_damaged__is_refused_before_anything_is_done(
    damage: Callable[[Path], None], words: str, made: Path, tmp_path: Path
) -> None:
    path = copy_of(made, tmp_path)
    damage(path)

    with pytest.raises(BackupRefused, match=words):
        await checked(path)


@pytest.mark.parametrize("lie", ["rows", "hashes"])
async def test_restore__of_a_backup_whose_manifest_lies__says_what_differs(
    lie: str, made: Path, tmp_path: Path, empty_database_url: str
) -> None:
    path = copy_of(made, tmp_path)
    said = json.loads(manifest_of(path).read_text())
    if lie == "rows":
        said["held"]["rows"]["agent"] += 1
    else:
        said["held"]["audit"]["root"] = said["held"]["chains"][0]["state_hash"] = "00" * 32
    manifest_of(path).write_text(json.dumps(said))
    backup, manifest = await checked(path)

    words = "agent has" if lie == "rows" else "state hash .*the root"
    with pytest.raises(BackupRefused, match=words):
        await restore(
            *(empty_database_url, backup, manifest),
            migrate=lambda: migrate(empty_database_url),
            pg_bin_dir=BIN_DIR,
        )


# While it is written to ---------------------------------------------------------------------------


async def test_backup__made_while_the_indexer_writes__is_of_one_moment(
    fresh_database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    async with growing(fresh_database_url) as index, reading(fresh_database_url) as conn:
        await index.grow(10)
        writing = asyncio.create_task(index.grow(1_000))
        try:
            manifest = await make_backup(
                *(conn, fresh_database_url, tmp_path / "backup"), pg_bin_dir=BIN_DIR, jobs=2
            )
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        (chain,) = manifest.held.chains
    async with reading(fresh_database_url) as conn:
        head = await conn.fetchval("SELECT block_number FROM checkpoint")
        assert 10 <= chain.block_number < head
        assert chain.state_hash == await hashing.folded_hash(conn, CHAIN, at=chain.block_number)

    backup, manifest = await checked(tmp_path / "backup")
    await restore(
        *(empty_database_url, backup, manifest),
        migrate=lambda: migrate(empty_database_url),
        pg_bin_dir=BIN_DIR,
        jobs=2,
    )

    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o700
    async with reading(empty_database_url) as conn:
        assert await hashing.stored_hash(conn, CHAIN) == chain.state_hash
        assert await hashing.folded_hash(conn, CHAIN) == chain.state_hash
