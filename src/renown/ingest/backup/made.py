"""Make a backup: the dump of one snapshot, and the manifest of what that snapshot saw."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path

import msgspec

from renown.errors import BackupRefused, OutputFailed
from renown.ingest.backup.manifest import FORMAT, Backup, Manifest
from renown.ingest.backup.measure import outcome
from renown.store import dumping, held
from renown.store.embedded.programs import client_programs
from renown.store.migrate import require_current
from renown.store.pool import Conn, transaction

Advance = Callable[[int, int], None]


async def make_backup(
    conn: Conn,
    url: str,
    path: Path,
    *,
    pg_bin_dir: Path | None = None,
    jobs: int = 1,
    advance: Advance = lambda done, total: None,
) -> Manifest:
    """Write a backup of the database to `path`, which must not exist; others go on working.

    It appears there when it is whole, readable by us only: a file with `path.manifest.json` beside
    it, or with several `jobs` a folder.

    Args:
        conn: of the owner, and for this alone.
        url: the same database, for `pg_dump`.
        advance: told of tables done, and of how many.

    Raises:
        BackupRefused: there is something at `path` already.
        SchemaBehind, OutputFailed, ToolMissing.
    """
    _require_free(path)
    await require_current(conn)
    version, major = await held.server_version(conn)
    bin_dir = client_programs(("pg_dump",), at_least=major, override=pg_bin_dir)
    began = datetime.now(UTC)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        scratch.mkdir(mode=0o700)
        written = Backup.of_folder(scratch)
        if jobs == 1:  # else pg_dump makes the folder
            os.close(os.open(written.dump, os.O_CREAT | os.O_EXCL, 0o600))
        async with transaction(conn, "repeatable_read") as tx:
            snapshot = await dumping.export_snapshot(tx)
            dump = asyncio.create_task(
                dumping.dump(
                    *(url, snapshot, written.dump),
                    bin_dir=bin_dir,
                    jobs=jobs,
                    advance=_of(advance, await dumping.table_count(tx)),
                )
            )
            try:
                contents = await outcome(tx)
                migrations = await held.applied_migrations(tx)
                await dump
            finally:
                dump.cancel()
                await asyncio.gather(dump, return_exceptions=True)
        described = Manifest(
            format=FORMAT,
            created_at=began,
            renown=installed_version("renown"),
            server=version,
            server_major=major,
            migrations=migrations,
            held=contents,
            files=[],
        )
        return await asyncio.to_thread(_finish, written, path, jobs, described)
    except OSError as exc:
        raise OutputFailed(f"cannot write {path}: {exc.strerror or exc}") from exc
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _require_free(path: Path) -> None:
    for taken in (path, Backup.of_file(path).manifest):
        if taken.exists():
            raise BackupRefused(f"{taken} exists: a backup is never written over another")
    if not path.parent.is_dir():
        raise BackupRefused(f"there is no folder {path.parent}")


def _finish(written: Backup, path: Path, jobs: int, described: Manifest) -> Manifest:
    """Hash what was written, and move it to where it belongs: in one step, or the manifest last."""
    for path_written in written.files():
        _sync(path_written)
    if jobs > 1:
        manifest = msgspec.structs.replace(described, files=written.describe_files())
        _write(written.manifest, manifest)
        written.manifest.parent.rename(path)
    else:
        target = Backup.of_file(path)
        (file,) = written.describe_files()
        manifest = msgspec.structs.replace(
            described, files=[msgspec.structs.replace(file, name=path.name)]
        )
        _write(written.manifest, manifest)
        written.dump.rename(target.dump)
        written.manifest.rename(target.manifest)
    _sync(path.parent)
    return manifest


def _write(path: Path, manifest: Manifest) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _of(advance: Advance, total: int) -> dumping.Advance:
    return lambda done: advance(min(done, total), total)
