"""`renown db backup`, `restore`, `verify`: copies that prove themselves."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli import process
from renown.cli.bars import bar
from renown.cli.console import print_fields, print_json, say
from renown.cli.options import Json, Yes, examples

if TYPE_CHECKING:
    from renown.ingest.backup import Manifest
    from renown.store.embedded import EmbeddedPostgres

Target = Annotated[
    Path, typer.Argument(metavar="PATH", help="Where to write it; nothing may be there.")
]
Source = Annotated[
    Path, typer.Argument(metavar="PATH", help="What `renown db backup` wrote there.")
]
Jobs = Annotated[
    int,
    typer.Option(min=1, max=64, metavar="N", help="Connections to work with at once."),
]


def add_to(group: typer.Typer) -> None:
    """Add the commands."""
    group.command(
        "backup",
        epilog=examples(
            "renown db backup /backups/renown-2026-11-23",
            "renown db backup --jobs 4 /backups/renown-2026-11-23",
        ),
    )(backup_)
    group.command(
        "restore",
        epilog=examples(
            "renown db restore /backups/renown-2026-11-23",
            "RENOWN_DATA_DIR=/srv/renown renown db restore --yes /backups/renown-2026-11-23",
        ),
    )(restore_)
    group.command("verify", epilog=examples("renown db verify /backups/renown-2026-11-23"))(verify)


def backup_(path: Target, jobs: Jobs = 1, json: Json = False) -> None:
    """Write a backup of the whole database, while everything goes on.

    A file and its manifest, or with several jobs a folder; readable by you only. The manifest has
    the state hash of every chain and the root of the audit log as the dump has them. Not in it:
    keys and peppers of the data directory, which belong elsewhere.
    """
    from renown.cli.runtime import database, load
    from renown.ingest.backup import make_backup

    settings = load()

    async def work() -> None:
        began = time.monotonic()
        async with database(settings) as where:
            conn = await where.own()
            try:
                with bar("backup", "tables") as advance:
                    manifest = await make_backup(
                        *(conn, where.direct_url, path.absolute()),
                        pg_bin_dir=settings.pg_bin_dir,
                        jobs=jobs,
                        advance=advance,
                    )
            finally:
                conn.terminate()
        _show(manifest, json)
        size = sum(file.bytes for file in manifest.files)
        say(f"{size:,} bytes in {time.monotonic() - began:.1f} s: {path}")

    process.run(work)


def restore_(path: Source, jobs: Jobs = 1, yes: Yes = False, json: Json = False) -> None:
    """Restore a backup into an empty database, and check that it is what was dumped.

    With DATABASE_URL into that database, as the user who will own it; without, into a new one in
    the data directory. With one job a failure leaves the database empty.
    """
    from renown.cli.runtime import database, load
    from renown.ingest.backup import checked, restore

    settings = load()

    async def work() -> None:
        backup, manifest = await checked(path.absolute())
        _show(manifest, json)
        if not yes:
            say("the files are as they were written; nothing was restored: add --yes to do it")
            return
        began = time.monotonic()
        async with database(settings, create=True) as where:
            where.must_be_direct()
            with bar("restore", "tables") as advance:
                await restore(
                    *(where.direct_url, backup, manifest),
                    migrate=where.migrate,
                    pg_bin_dir=settings.pg_bin_dir,
                    jobs=jobs,
                    advance=advance,
                )
            say(
                f"restored into {where.place} in {time.monotonic() - began:.1f} s: rows, state "
                "hashes and audit root are those of the backup"
            )
        say(
            "before you start services: bring back the pepper and other secrets, and read of "
            "managed writes after a restore in docs/operations/backup.md"
        )

    process.run(work)


def verify(path: Source, jobs: Jobs = 1, json: Json = False) -> None:
    """Restore a backup into a server of its own, check everything, and remove it again.

    Needs PostgreSQL's programs and room in the folder for temporary files (TMPDIR).
    """
    from renown.cli.runtime import load
    from renown.ingest.backup import checked, restore
    from renown.store.embedded import EPHEMERAL, ephemeral_postgres
    from renown.store.embedded.programs import client_programs
    from renown.store.migrate import migrate

    settings = load()

    async def work() -> None:
        began = time.monotonic()
        backup, manifest = await checked(path.absolute())
        bin_dir = client_programs(
            ("postgres", "initdb", "pg_restore"),
            at_least=manifest.server_major,
            override=settings.pg_bin_dir,
        )
        # Nobody will miss it; but it may have to hold much.
        quick = {**EPHEMERAL, "shared_buffers": "256MB", "maintenance_work_mem": "256MB"}
        server = ExitStack()

        def start() -> None:
            started.append(
                server.enter_context(ephemeral_postgres(bin_dir=bin_dir, settings=quick))
            )

        started: list[EmbeddedPostgres] = []
        async with process.in_thread(start, server.close):
            url = started[0].dsn()
            with bar("verify", "tables") as advance:
                await restore(
                    *(url, backup, manifest),
                    migrate=lambda: migrate(url),
                    pg_bin_dir=bin_dir,
                    jobs=jobs,
                    advance=advance,
                )
        _show(manifest, json)
        say(
            f"restored and checked in {time.monotonic() - began:.1f} s: rows, state hashes and "
            "audit root are those of the manifest"
        )

    process.run(work)


def _show(manifest: Manifest, json: bool) -> None:
    held = manifest.held
    shown: dict[str, Any] = {
        "created_at": manifest.created_at,
        "renown": manifest.renown,
        "server_version": manifest.server,
        "schema_version": len(manifest.migrations),
        "bytes": sum(file.bytes for file in manifest.files),
        "tables": len(held.rows),
        "rows": sum(held.rows.values()),
        "chains": held.chains,
        "audit_leaves": held.audit.leaves,
        "audit_root": held.audit.root,
    }
    if json:
        print_json(shown)
        return
    shown["created_at"] = manifest.created_at.isoformat()
    del shown["chains"]
    for chain in held.chains:
        shown[f"{chain.slug} block"] = chain.block_number
        shown[f"{chain.slug} state_hash"] = chain.state_hash
    print_fields(shown.items())
