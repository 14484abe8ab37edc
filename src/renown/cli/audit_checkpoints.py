"""`renown audit checkpoint`: where the log stood when it was signed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli import process
from renown.cli.console import print_json, print_lines, say
from renown.cli.options import Json, Yes, examples
from renown.errors import AuditUnavailable, BadParameter, LeaseLost

if TYPE_CHECKING:
    from renown.audit.checkpoint import Signer
    from renown.cli.runtime import Database
    from renown.ingest.notary import CheckpointFolder, Notary
    from renown.settings import Settings

LONGER_SECONDS = 15.0
"""How much later than due another's checkpoint may be."""


def add_to(audit_app: typer.Typer) -> None:
    """Add the command."""
    audit_app.command(
        epilog=examples(
            "renown audit checkpoint",
            "renown audit checkpoint --now --json",
            "renown audit checkpoint --accept-restore --yes",
        )
    )(checkpoint)


def signer_of(settings: Settings) -> Signer:
    """Who signs checkpoints here.

    Raises:
        BadSettings: the key in the data directory is damaged, or cannot be kept there.
    """
    from renown.audit.checkpoint import Signer

    return Signer(settings.audit_origin, settings.audit_seed())


def notary_of(settings: Settings, where: Database) -> Notary:
    """The notary that the settings describe."""
    from renown.ingest.notary import CheckpointFolder, Notary

    return Notary(
        where.connect,
        signer_of(settings),
        CheckpointFolder(settings.audit_folder),
        checkpoint_seconds=settings.audit_checkpoint_seconds,
    )


def checkpoint(
    now: Annotated[
        bool, typer.Option("--now", help="Sign where the log stands now, if nobody did.")
    ] = False,
    accept_restore: Annotated[
        bool,
        typer.Option(
            "--accept-restore",
            help="Take this database for good although it contradicts checkpoints that were "
            "signed: after it was restored from an older backup.",
        ),
    ] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Show the newest signed checkpoint, and the key to check it with.

    --accept-restore sets the folder's checkpoints aside, under another name, and begins anew; the
    log tells of it. Use it only if you know why entries are gone: it is what a forger would do.
    """
    from renown.cli.runtime import database, load

    if now and accept_restore:
        raise BadParameter("either --now or --accept-restore", parameter="--now")
    settings = load()

    async def work() -> None:
        from renown.audit.checkpoint import read_note
        from renown.ingest.notary import CheckpointFolder

        folder = CheckpointFolder(settings.audit_folder)
        async with database(settings) as where:
            async with where.reading():  # the schema is current
                pass
            if accept_restore and not await _accept(where, folder, yes=yes):
                return
            if now:
                note = await _signed_now(settings, where)
            else:
                note = await _newest(where, folder)
        verifier = signer_of(settings).verifier.text
        if json:
            shown: dict[str, Any] = {"checkpoint": note, "verifier": verifier}
            shown["size"] = None if note is None else read_note(note).size
            print_json(shown)
            return
        say(f"key: {verifier}")
        if note is None:
            say("nothing was signed yet")
        else:
            print_lines([note.removesuffix("\n")])

    process.run(work)


async def _newest(where: Database, folder: CheckpointFolder) -> str | None:
    from renown.store.audit_proofs import latest_checkpoint

    async with where.reading() as conn:
        kept = await latest_checkpoint(conn)
    return folder.latest() or (None if kept is None else kept.note)


async def _signed_now(settings: Settings, where: Database) -> str | None:
    def at_work() -> None:
        raise LeaseLost("another notary is at work")

    try:
        return await notary_of(settings, where).run_until_idle(on_wait=at_work)
    except LeaseLost:
        say("a notary is at work; waiting for its next checkpoint")
        return await _next_of_another(settings, where)


async def _next_of_another(settings: Settings, where: Database) -> str:
    from renown.store.audit_leaves import head
    from renown.store.audit_proofs import latest_checkpoint

    async with where.reading() as conn:
        wanted = (await head(conn)).size
        try:
            async with asyncio.timeout(settings.audit_checkpoint_seconds + LONGER_SECONDS):
                while True:
                    if (found := await latest_checkpoint(conn, at_least=wanted)) is not None:
                        return found.note
                    await asyncio.sleep(0.25)
        except TimeoutError:
            raise AuditUnavailable(
                "the notary signed nothing in time: see its log, and `renown audit verify`"
            ) from None


async def _accept(where: Database, folder: CheckpointFolder, *, yes: bool) -> bool:
    """Set the folder's checkpoints aside; whether that was done."""
    from renown.audit.checkpoint import read_note
    from renown.audit.proofs import to_base64
    from renown.ingest.notary.sequencing import frontier
    from renown.store.audit_entries import NewEntry, append
    from renown.store.audit_leaves import head
    from renown.store.pool import naming_failures, transaction

    last = folder.latest()
    async with where.reading() as conn:
        async with transaction(conn, "repeatable_read") as tx:
            size = (await head(tx)).size
            root = (await frontier(tx, size)).root()
        if last is None:
            say(f"there are no checkpoints in {folder.path} that this database could contradict")
            return True
        given_up = read_note(last)
        say(f"signed in {folder.path}: {given_up.size} entries; this database has {size}")
        if not yes:
            say("nothing was changed; add --yes to give those checkpoints up")
            return False
        detail = {
            "size": size,
            "root_hash": to_base64(root),
            "given_up": {
                "size": given_up.size,
                "root_hash": to_base64(given_up.root_hash),
                "note": last,
            },
        }
        # The entry first: without the word of it nothing is given up.
        with naming_failures():
            await append(conn, [NewEntry(action="restore", subject="audit_log", detail=detail)])
    aside = folder.set_aside()
    say(f"the checkpoints are kept as {aside}")
    return True
