"""Following what was asked of chains: operations and payments, beside what else a command does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from renown.cli.beside import beside

if TYPE_CHECKING:
    from renown.cli.runtime import Database
    from renown.cli.writing import Writing
    from renown.ingest.operations.watcher import Watcher
    from renown.ingest.payments.worker import PaymentWorker
    from renown.settings import Settings

GWEI = 10**9


@asynccontextmanager
async def settling(settings: Settings, where: Database, found: Writing) -> AsyncIterator[None]:
    """Send and watch operations, and hold payments against the chain, while the block runs."""
    from renown.ingest.operations.expiring import expire_for_ever

    watcher, payments = _workers(settings, where, found)
    async with beside(watcher.run(), payments.run(), expire_for_ever(where.connect)):
        yield


async def settle_once(settings: Settings, where: Database, found: Writing) -> tuple[int, int]:
    """Look once at all that is due: at how many operations, and transactions of payments.

    Raises:
        StoreError: the database failed; what was done so far stays.
    """
    watcher, payments = _workers(settings, where, found)
    return await watcher.run_once(), (await payments.run_until_idle()).transactions


def _workers(settings: Settings, where: Database, found: Writing) -> tuple[Watcher, PaymentWorker]:
    from renown.ingest.operations.watcher import Watcher
    from renown.ingest.payments.worker import PaymentWorker

    watcher = Watcher(
        where.connect,
        found.writers,
        found.signer,
        max_fee_wei=round(settings.signer_max_fee_gwei * GWEI),
        allowance=settings.allowance,
        signer_is_open=found.signer_is_open,
    )
    return watcher, PaymentWorker(where.connect, found.writers, tokens=settings.tokens)
