"""Upkeep of operations: what nobody ever signed goes after a week."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from renown.errors import StoreError
from renown.store.operation_expiry import BATCH, drop_unsigned
from renown.store.pool import Conn, naming_failures

log = structlog.get_logger()

PERIOD_SECONDS = 3600.0


async def expire_for_ever(connect: Callable[[], Awaitable[Conn]]) -> None:
    """Drop what was never signed, every hour, on a connection that is closed in between."""
    while True:
        try:
            dropped = await expire(connect)
        except StoreError as exc:
            log.warning("operations_not_expired", reason=exc.detail)
        else:
            if dropped:
                log.info("operations_expired", operations=dropped)
        await asyncio.sleep(PERIOD_SECONDS * random.uniform(0.9, 1.1))


async def expire(connect: Callable[[], Awaitable[Conn]]) -> int:
    """Drop all that is due now. Returns how many operations.

    Raises:
        StoreError
    """
    conn = await connect()
    try:
        dropped = 0
        with naming_failures():
            while some := await drop_unsigned(conn):
                dropped += some
                if some < BATCH:
                    break
        return dropped
    finally:
        conn.terminate()
