"""What a crawler does now and then: old attempts shrink, documents are read by a newer reader."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta

from renown.ingest.crawler import judging
from renown.ingest.crawler.reading import read
from renown.spec.documents import READER
from renown.store import documents, resolutions, trail
from renown.store.pool import Conn, transaction

KEPT_DAYS = 90
"""Attempts are kept whole for so long."""
READ_AGAIN = 200
READ_AGAIN_BYTES = 8 * 2**20


class Shrinking:
    """Goes over the attempts of past days, one day at a time, each once in this process."""

    def __init__(self) -> None:
        self._next: date | None = None

    async def step(self, conn: Conn, now: datetime) -> bool:
        """Shrink one day. Returns whether there was one."""
        limit = (now.astimezone(UTC) - timedelta(days=KEPT_DAYS)).date()
        if self._next is None:
            self._next = await resolutions.oldest_day(conn, _begin(limit))
        if self._next is None or self._next >= limit:
            return False
        day = self._next
        async with transaction(conn) as tx:
            await resolutions.shrink(tx, _begin(day), _begin(day + timedelta(days=1)))
        self._next = day + timedelta(days=1)
        return True


async def read_again(conn: Conn, now: datetime, *, reader: int = READER) -> int:
    """Read a batch of documents again that an older reader read. Returns how many; 0 when all are
    current."""
    found = await documents.outdated(conn, reader, most=READ_AGAIN, most_bytes=READ_AGAIN_BYTES)
    if not found:
        return 0
    rows = []
    for _, raw in found:
        rows.append(read(raw))
        await asyncio.sleep(0)
    ids = [document_id for document_id, _ in found]
    async with transaction(conn) as tx:
        await documents.replace(tx, rows)
        await judging.judge(tx, await documents.attached_uris(tx, ids), now)
        await trail.touch_of_documents(tx, ids)
    return len(found)


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
