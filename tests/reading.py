"""A look into a database from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from renown.store.pool import Conn, connect


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Conn]:
    """A connection of its own, closed whatever happens."""
    conn = await connect(url)
    try:
        yield conn
    finally:
        await conn.close(timeout=5)
