"""`renown notary`: the audit log's entries put in order and signed, beside an API or alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import typer

from renown.cli import process
from renown.cli.audit_checkpoints import notary_of, signer_of
from renown.cli.beside import beside
from renown.cli.console import say
from renown.cli.options import examples

if TYPE_CHECKING:
    from renown.cli.runtime import Database
    from renown.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples("renown notary", "RENOWN_AUDIT_DIR=/srv/elsewhere/audit renown notary")
    )(notary)


def notary() -> None:
    """Number the entries of the audit log, and sign checkpoints, until told to stop.

    `renown up` does so by itself; this is for an installation of several processes. One works per
    database, others stand by. Every RENOWN_AUDIT_CHECKPOINT_SECONDS it signs where the log
    stands, and writes that to RENOWN_AUDIT_DIR, which others should copy elsewhere.
    """
    from renown.cli.measured import measured_here
    from renown.cli.runtime import database, load

    settings = load(service=True)

    async def work() -> None:
        async with database(settings, service=True) as where:
            async with where.reading():  # the schema is current
                pass
            say(f"key of the checkpoints: {signer_of(settings).verifier.text}")
            async with (
                measured_here(settings, where, "notary", "audit"),
                notarising(settings, where),
            ):
                await asyncio.Event().wait()

    process.run(work, service=True)


@asynccontextmanager
async def notarising(settings: Settings, where: Database) -> AsyncIterator[None]:
    """Number entries and sign checkpoints while the block runs.

    Enter it before what writes entries: when it ends it takes what they left, and signs.
    """
    async with beside(notary_of(settings, where).run()):
        yield
