"""The one clock that all processes share: the database's."""

from __future__ import annotations

from datetime import datetime

from renown.store.pool import Conn


async def clock(conn: Conn) -> datetime:
    """The time by the database's clock. What is compared with times that the database keeps is
    compared by it: this machine's own may be days off, or step."""
    now: datetime = await conn.fetchval("SELECT clock_timestamp()")
    return now
