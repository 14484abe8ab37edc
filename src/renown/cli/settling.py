"""Following what was asked of chains: operations and payments, beside what else a command does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from renown.cli.beside import beside

if TYPE_CHECKING:
    from renown.cli.runtime import Database
    from renown.cli.writing import Writing
    from renown.settings import Settings

GWEI = 10**9


@asynccontextmanager
async def settling(settings: Settings, where: Database, found: Writing) -> AsyncIterator[None]:
    """Send and watch operations, and hold payments against the chain, while the block runs."""
    from renown.ingest.operations.watcher import Watcher
    from renown.ingest.payments.worker import PaymentWorker

    watcher = Watcher(
        where.connect,
        found.writers,
        found.signer,
        max_fee_wei=int(settings.signer_max_fee_gwei * GWEI),
    )
    payments = PaymentWorker(where.connect, found.writers, tokens=settings.tokens)
    async with beside(watcher.run(), payments.run()):
        yield
