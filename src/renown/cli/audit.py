"""`renown audit`: the log of what was changed, checked and proved."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli import (
    audit_alarms,
    audit_checkpoints,
    audit_facts,
    audit_retention,
    audit_review,
    policy,
    process,
)
from renown.cli.bars import bar
from renown.cli.console import print_fields, print_json, print_table, say
from renown.cli.options import Json, examples
from renown.errors import EX_DATAERR, BadParameter, DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from renown.audit.checkpoint import Verifier
    from renown.ingest.notary.verifying import Verdict
    from renown.settings import Settings
    from renown.store.pool import Tx

audit_app = typer.Typer(
    name="audit",
    help="The audit log: what was changed and by whom, and that nobody altered it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples("renown audit verify", "renown audit prove 1042 --json > proof.json"),
)

Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="VERIFIER",
        help="Key that signs checkpoints, as `name+id+base64`; may be given several times.",
    ),
]
MOST_FILE_BYTES = 16 * 2**20


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    audit_app.command(
        epilog=examples(
            "renown audit verify",
            "renown audit verify --checkpoints /srv/elsewhere/checkpoints.log --json",
        )
    )(verify)
    audit_app.command(
        epilog=examples("renown audit prove 1042", "renown audit prove 1042 --json > proof.json")
    )(prove)
    audit_app.command(
        epilog=examples(
            "renown audit check proof.json",
            "renown audit check proof.json --key renown.example+7c676b15+AQOhB7/zzhC+…",
        )
    )(check)
    audit_app.command(epilog=examples("renown audit consistency 1000 25000"))(consistency)
    audit_alarms.add_to(audit_app)
    audit_checkpoints.add_to(audit_app)
    audit_review.add_to(audit_app)
    audit_retention.add_to(audit_app)
    audit_facts.add_to(audit_app)
    policy.add_to(audit_app)
    app.add_typer(audit_app)


def verify(
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Folder, or file, of checkpoints that were kept outside the database.  "
            "[default: RENOWN_AUDIT_DIR]",
        ),
    ] = None,
    key: Keys = None,
    json: Json = False,
) -> None:
    """Check the whole audit log: every entry, leaf, link, node and checkpoint.

    Exit code 0 only if nothing was altered, removed, added or put in another order, else 65; the
    first line names the first entry that is touched. Says what it could not check. Reads only,
    and may run beside everything else. Takes two connections to one server; where it gets but one,
    it takes longer.
    """
    from renown.cli.runtime import database, load

    settings = load()
    exported = _exported(checkpoints, settings)
    verifiers = keys_of(key, settings)

    async def work() -> int:
        from renown.ingest.notary.verifying import verify as verify_all
        from renown.store.pool import transaction

        async with database(settings) as where:
            async with where.reading():  # the schema is current
                pass
            async with AsyncExitStack() as stack:
                advance = stack.enter_context(bar("audit", "entries"))
                both: list[Tx] = []
                for n in range(2):
                    try:
                        conn = await where.connect()
                    except DatabaseUnavailable as exc:
                        if n == 0:
                            raise
                        say(f"reads over one connection: {exc.detail}")
                        break
                    stack.callback(conn.terminate)
                    both.append(
                        await stack.enter_async_context(transaction(conn, "repeatable_read"))
                    )
                tx, beside = both[0], both[-1] if len(both) > 1 else None
                found = await verify_all(
                    tx, verifiers, exported, beside=beside, on_progress=advance
                )
        _show(found, json=json)
        return 0 if found.is_whole else EX_DATAERR

    process.run(work)


def prove(
    entry_id: Annotated[int, typer.Argument(metavar="ENTRY_ID", min=0, help="Which entry.")],
    json: Json = False,
) -> None:
    """Prove to strangers that an entry is in the log that was signed.

    The JSON is all that they need besides the key; `renown audit check` checks it anywhere.
    """
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> None:
        from renown.audit.proofs import read_payload
        from renown.ingest.notary.proving import prove_inclusion
        from renown.store.pool import transaction

        verifier = signer_of(settings).verifier
        async with (
            database(settings) as where,
            where.reading() as conn,
            transaction(conn, "repeatable_read") as tx,
        ):
            found = await prove_inclusion(tx, entry_id, verifier)
        if json:
            print_json(found)
            return
        entry = {} if found.payload is None else read_payload(found.payload)
        print_fields([("seq", found.seq), *entry.items(), ("leaf_hash", found.leaf_hash)])
        print_fields((f"proof {n}", one) for n, one in enumerate(found.proof))
        say((found.checkpoint or "").partition("\n\n")[0].replace("\n", " "))
        say("the proof is good; with --json it can be handed on")

    process.run(work)


def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A proof, as `renown audit prove --json` wrote.")
    ],
    key: Keys = None,
    json: Json = False,
) -> None:
    """Check a proof that an entry is in the log, with nothing but the proof and the key.

    Exit code 0 only if it is good, else 65. Needs no database. Without --key the key is taken from
    the proof, which then shows only that it agrees with itself.
    """
    from renown.audit.checkpoint import Verifier
    from renown.audit.proofs import check_inclusion, read_inclusion

    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_FILE_BYTES)
    except OSError as exc:
        raise BadParameter(f"{file} cannot be read: {exc.strerror}", parameter="FILE") from None
    found = check_inclusion(read_inclusion(content), [Verifier.read(one) for one in key or ()])
    if json:
        print_json(found)
        return
    if found.entry is not None:
        print_fields(found.entry.items())
    else:
        say("the entry itself was removed by retention; its hash is in the log")
    say(f"in the log {found.origin}: number {found.seq} of the {found.size} that were signed for")
    if found.is_own_key:
        say("the key is the proof's own: compare it with one that you have from elsewhere (--key)")


def consistency(
    old: Annotated[int, typer.Argument(metavar="OLD", min=0, help="Entries of the earlier log.")],
    new: Annotated[int, typer.Argument(metavar="NEW", min=0, help="Entries of the later log.")],
    json: Json = False,
) -> None:
    """Prove that the log of one size is how the log of a later one begins: nothing was rewritten.

    Compare the roots with those of the checkpoints that you kept.
    """
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> None:
        from renown.ingest.notary.proving import prove_consistency
        from renown.store.pool import transaction

        async with (
            database(settings) as where,
            where.reading() as conn,
            transaction(conn, "repeatable_read") as tx,
        ):
            found = await prove_consistency(tx, old, new)
        if json:
            print_json(found)
            return
        print_table(("entries", "root"), [(old, found.old_root), (new, found.new_root)])
        print_fields((f"proof {n}", one) for n, one in enumerate(found.proof))

    process.run(work)


def keys_of(given: list[str] | None, settings: Settings) -> list[Verifier]:
    """The keys named, else the own one.

    Raises:
        BadParameter: one is none.
        BadSettings: the own one is damaged.
    """
    from renown.audit.checkpoint import Verifier

    return [Verifier.read(one) for one in given] if given else [signer_of(settings).verifier]


def signer_of(settings: Settings) -> Any:
    """Who signs checkpoints here."""
    return audit_checkpoints.signer_of(settings)


def _exported(path: Path | None, settings: Settings) -> Iterator[str] | None:
    from renown.ingest.notary.folder import LOG, read_notes

    if path is None:
        return read_notes(settings.audit_folder / LOG)
    if not path.exists():
        raise BadParameter(f"{path} does not exist", parameter="--checkpoints")
    return read_notes(path / LOG if path.is_dir() else path)


def _show(found: Verdict, *, json: bool) -> None:
    for one in found.findings:
        say(f"entry {one.seq}: {one.about} ({one.kind})")
    for kind, count in found.counts.items():
        shown = sum(one.kind == kind for one in found.findings)
        if count > shown:
            say(f"and {count - shown:,} more of {kind}")
    for words in found.unchecked:
        say(f"not checked: {words}")
    if json:
        print_json(found)
        return
    print_fields(
        [
            ("audit log", "whole" if found.is_whole else "BROKEN"),
            ("leaves", found.leaves),
            ("entries", found.entries),
            ("removed by retention", found.removed),
            ("pending", found.pending),
            ("root", found.root_hash),
            ("link", found.link_hash),
            *((f"checkpoints {name}", count) for name, count in found.checkpoints.items()),
            ("under checkpoints outside", found.covered),
        ]
    )
