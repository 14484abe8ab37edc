"""Restore a backup into an empty database, and hold what came out against its manifest."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from renown.errors import BackupRefused
from renown.ingest.backup.manifest import (
    Backup,
    Manifest,
    different_content,
    different_copy,
)
from renown.ingest.backup.measure import outcome
from renown.store import audit_entries, dumping, held, roles
from renown.store.audit_entries import NewEntry
from renown.store.embedded.programs import client_programs
from renown.store.migrate import migrations
from renown.store.pool import connect

Advance = Callable[[int, int], None]


async def checked(path: Path) -> tuple[Backup, Manifest]:
    """The backup at `path`, whose files are those that were written. Raises BackupRefused."""
    backup = Backup.at(path)
    manifest = backup.read()
    await asyncio.to_thread(backup.check_files, manifest)
    return backup, manifest


async def restore(
    url: str,
    backup: Backup,
    manifest: Manifest,
    *,
    migrate: Callable[[], Awaitable[object]],
    pg_bin_dir: Path | None = None,
    jobs: int = 1,
    advance: Advance = lambda done, total: None,
) -> None:
    """Load a backup that was `checked` into the empty database at `url`.

    When this returns, the database has the schema, the rows, the state hash of every chain and the
    audit root that the manifest says. With one job a failure of loading leaves it empty.

    Args:
        url: of the owner.
        migrate: brings that database to the schema of this version.

    Raises:
        BackupRefused: the database is not empty or too old, the backup is of a newer Renown, or
            what came out differs; the last leaves it there to be looked at.
        OutputFailed, ToolMissing.
    """
    conn = await connect(url, application_name="renown-restore")
    try:
        if not await dumping.is_empty(conn):
            raise BackupRefused(
                "the database is not empty, and nothing is restored over what is there: make "
                "another one, or set another RENOWN_DATA_DIR"
            )
        _, major = await held.server_version(conn)
        _require_readable(manifest, major)
        bin_dir = client_programs(
            ("pg_restore",), at_least=max(major, manifest.server_major), override=pg_bin_dir
        )
        total = len(manifest.held.rows)
        with tempfile.TemporaryDirectory(prefix="renown-restore-") as scratch:
            await dumping.load(
                *(url, backup.dump),
                bin_dir=bin_dir,
                jobs=jobs,
                scratch=Path(scratch),
                advance=lambda done: advance(min(done, total), total),
            )
        wrong = different_copy(
            manifest.held, await dumping.schema_hash(conn), await dumping.row_counts(conn)
        )
        if wrong:
            raise _unlike(wrong)
        await conn.execute("ANALYZE")
        names = await roles.forget(conn)  # they are of the server that was dumped
        await migrate()
        await roles.close_functions(conn)
        wrong = different_content(manifest.held, await outcome(conn))
        wrong += [
            f"{name} would give numbers again" for name in await dumping.sequences_behind(conn)
        ]
        if wrong:
            raise _unlike(wrong)
        if names is not None and await roles.made(conn, names):
            await roles.apply(conn, names)
        await audit_entries.append(conn, [_entry(manifest)])
    finally:
        await conn.close()


def _require_readable(manifest: Manifest, server_major: int) -> None:
    if server_major < manifest.server_major:
        raise BackupRefused(
            f"the backup is of PostgreSQL {manifest.server_major}, this server is {server_major}: "
            "restore it on one that is at least as new"
        )
    known = {migration.number: migration.checksum for migration in migrations()}
    for number, checksum in sorted(manifest.migrations.items()):
        if known.get(number) != checksum:
            raise BackupRefused(
                f"schema change {number} of the backup is none of this version: it was made by "
                f"Renown {manifest.renown}; restore it with that one"
            )


def _unlike(wrong: list[str]) -> BackupRefused:
    more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return BackupRefused(
        "what was restored is not what was dumped, do not use it: " + "; ".join(wrong[:5]) + more
    )


def _entry(manifest: Manifest) -> NewEntry:
    held_then = manifest.held
    return NewEntry(
        action="repair",
        subject="database",
        detail={
            "operation": "restore",
            "backup_created_at": manifest.created_at.isoformat(),
            "audit_leaves": held_then.audit.leaves,
            "audit_root": held_then.audit.root,
        },
    )
