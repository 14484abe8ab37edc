"""Bring a database to the schema this version needs: plain SQL files, in order, forward only.

A migration is `migrations/NNNN_{pre,post}_name.sql`. `pre` ones are compatible with the version
that still runs and are applied before the new one starts; `post` ones remove what only the old
version used and are applied once it is gone. Each runs in a transaction of its own together with
its row in `schema_migration`, so a crash leaves it applied or not, never half.

So a version lives with `pre` ones that only a newer one knows, running or started anew, and with
nothing else that it does not know.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Literal, LiteralString, TypeAlias

import asyncpg
import structlog

from renown.errors import SchemaBehind, StoreError
from renown.store.pool import Conn, connect, translate
from renown.store.roles import regrant

log = structlog.get_logger(__name__)

Phase: TypeAlias = Literal["pre", "all"]

LOCK_TIMEOUT_SECONDS = 3
"""How long a migration may queue for a table lock: everyone else queues behind it meanwhile."""
STATEMENT_TIMEOUT_SECONDS = 600
"""Longest statement, unless the migration says `SET LOCAL statement_timeout` itself."""

_LOCK_ATTEMPTS = 5
_WAIT_FOR_OTHERS_SECONDS = 600
_ADVISORY_KEY = int.from_bytes(b"renown-m")  # one number nobody else is likely to lock

APPLIED = "SELECT number, name, checksum FROM schema_migration ORDER BY number"
EXISTS = "SELECT to_regclass('schema_migration') IS NOT NULL"
RECORD = "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3)"
TABLE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,  -- SHA-256 of the file, hex
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file of this version."""

    number: int
    phase: Literal["pre", "post"]
    name: str  # the file's name
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Applied:
    """One migration that was applied, or with `dry_run` would have been."""

    number: int
    name: str
    seconds: float


def migrations(folder: Path | None = None) -> list[Migration]:
    """The migrations of this version, or those in `folder`, by number.

    Raises:
        StoreError: a file with another kind of name, or two with one number.
    """
    root = resources.files("renown.store") / "migrations" if folder is None else folder
    found = []
    for file in root.iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise StoreError(f"{file.name} is not named NNNN_pre_name.sql or NNNN_post_name.sql")
        phase: Literal["pre", "post"] = "pre" if match[2] == "pre" else "post"
        found.append(Migration(int(match[1]), phase, file.name, file.read_text("utf-8")))
    found.sort(key=lambda m: m.number)
    for one, other in pairwise(found):
        if one.number == other.number:
            raise StoreError(f"{one.name} and {other.name} have the same number")
    return found


async def migrate(
    database: str | Conn,
    *,
    phase: Phase = "all",
    dry_run: bool = False,
    folder: Path | None = None,
) -> list[Applied]:
    """Apply what is pending, in order; several callers at once are let in one by one.

    Args:
        database: URL (the direct one, not PgBouncer's) or a connection outside any transaction.
        phase: `pre` stops after the last pending `pre` migration; see the module.
        dry_run: say what would be applied, change nothing.

    Raises:
        SchemaBehind: a newer version took something away, or an applied file was edited.
        StoreError: a migration failed; those before it stay, it left nothing behind.
    """
    if isinstance(database, str):
        conn = await connect(database, application_name="renown-migrate")
        try:
            return await migrate(conn, phase=phase, dry_run=dry_run, folder=folder)
        finally:
            await conn.close()

    known = migrations(folder)
    due = await _pending(database, known, phase)
    if dry_run:
        return [Applied(m.number, m.name, 0.0) for m in due]
    done = []
    for migration in due:
        began = asyncio.get_running_loop().time()
        if await _apply_with_patience(database, migration):
            seconds = round(asyncio.get_running_loop().time() - began, 3)
            log.info("migration_applied", name=migration.name, seconds=seconds)
            done.append(Applied(migration.number, migration.name, seconds))
    if await database.fetchval(_HAS_AUDIT):
        await database.execute(_AUDIT_PARTITIONS)
    if not _of_newer(known, await _applied(database)):  # whose tables we would close
        await regrant(database)
    return done


async def pending(
    conn: Conn, *, phase: Phase = "all", folder: Path | None = None
) -> list[Migration]:
    """Migrations of this version that the database has not had, in order.

    Raises:
        SchemaBehind: as `migrate`.
    """
    return await _pending(conn, migrations(folder), phase)


async def require_current(conn: Conn, *, folder: Path | None = None) -> None:
    """Return if this version can work on the database; pending `post` migrations do not matter, nor
    do `pre` ones of a newer version.

    Raises:
        SchemaBehind: a `pre` migration is pending, or as `migrate`.
    """
    if due := await pending(conn, phase="pre", folder=folder):
        raise SchemaBehind(
            f"the database lacks {len(due)} schema change(s), from {due[0].name} on: "
            "run 'renown db migrate'"
        )


_HAS_AUDIT: LiteralString = "SELECT to_regproc('ensure_audit_partitions') IS NOT NULL"
_AUDIT_PARTITIONS: LiteralString = "SELECT ensure_audit_partitions()"

_FILE_NAME = re.compile(r"(\d{4})_(pre|post)_[a-z0-9_]+\.sql")


async def _applied(conn: Conn) -> dict[int, tuple[str, str]]:
    """Name and checksum of each applied migration, by number."""
    if not await conn.fetchval(EXISTS):
        return {}
    return {row["number"]: (row["name"], row["checksum"]) for row in await conn.fetch(APPLIED)}


async def _pending(conn: Conn, known: Sequence[Migration], phase: Phase) -> list[Migration]:
    due = _unapplied(known, await _applied(conn))
    if phase == "pre":
        last = max((i for i, m in enumerate(due) if m.phase == "pre"), default=-1)
        return due[: last + 1]
    return due


def _of_newer(known: Sequence[Migration], applied: dict[int, tuple[str, str]]) -> set[int]:
    """Numbers of the applied `pre` migrations that come after all we know."""
    newest = max((m.number for m in known), default=0)
    return {
        number
        for number, (name, _) in applied.items()
        if number > newest and (match := _FILE_NAME.fullmatch(name)) and match[2] == "pre"
    }


def _unapplied(known: Sequence[Migration], applied: dict[int, tuple[str, str]]) -> list[Migration]:
    by_number = {m.number: m for m in known}
    of_newer = _of_newer(known, applied)
    for number, (name, checksum) in sorted(applied.items()):
        if number in of_newer:
            continue
        if number not in by_number:
            raise SchemaBehind(
                f"the database has had {name}, which this version does not know: "
                "it was changed by a newer Renown; install that one"
            )
        if by_number[number].checksum != checksum:
            raise SchemaBehind(
                f"{by_number[number].name} was edited after it had been applied as {name}: "
                "restore the file and put the change into a new migration"
            )
    return [m for m in known if m.number not in applied]


async def _apply_with_patience(conn: Conn, migration: Migration) -> bool:
    """Apply one migration, again if others held its tables for longer than we may queue."""
    for attempt in range(_LOCK_ATTEMPTS):
        try:
            return await _apply(conn, migration)
        except asyncpg.LockNotAvailableError as exc:
            last = exc
            log.info("migration_waits_for_lock", name=migration.name, attempt=attempt + 1)
            await asyncio.sleep(0.2 * 2**attempt)
        except asyncpg.PostgresError as exc:
            meaning = translate(exc)
            if meaning is exc:
                place = _place_of(exc, migration.sql)
                meaning = StoreError(f"{migration.name}{place} failed: {exc}")
            raise meaning from exc
    raise StoreError(
        f"{migration.name} could not lock its tables in {_LOCK_ATTEMPTS} tries of "
        f"{LOCK_TIMEOUT_SECONDS} s: run it again when long transactions have ended"
    ) from last


async def _apply(conn: Conn, migration: Migration) -> bool:
    """Apply one migration unless another process has meanwhile. Returns whether we did."""
    async with conn.transaction():
        await _enter(conn)
        await conn.execute(TABLE)
        if migration.number in await _applied(conn):
            return False
        await conn.execute(
            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s';"
            f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s'"
        )
        await conn.execute(migration.sql)
        await conn.execute(RECORD, migration.number, migration.name, migration.checksum)
    return True


async def _enter(conn: Conn) -> None:
    """Wait for other migrators. The lock falls with the transaction, also behind a pooler."""
    await conn.execute(f"SET LOCAL lock_timeout = '{_WAIT_FOR_OTHERS_SECONDS}s'")
    try:
        await conn.execute("SELECT pg_advisory_xact_lock($1)", _ADVISORY_KEY)
    except asyncpg.LockNotAvailableError as exc:
        raise StoreError(
            f"another process has been migrating this database for {_WAIT_FOR_OTHERS_SECONDS} s"
        ) from exc


def _place_of(exc: asyncpg.PostgresError, sql: str) -> str:
    position = getattr(exc, "position", None)
    return f" line {sql.count(chr(10), 0, int(position) - 1) + 1}" if position else ""
