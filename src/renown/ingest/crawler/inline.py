"""URIs that carry their document in themselves: read in bulk, without asking anybody."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

from renown.ingest.crawler.attempt import Attempt
from renown.ingest.crawler.reading import Reading
from renown.ingest.crawler.schedule import USUAL, Pauses
from renown.ingest.crawler.settling import Settled, settle
from renown.offchain.fetched import Fetched
from renown.spec.uris import read_inline
from renown.store import uris
from renown.store.pool import Conn
from renown.store.uris import STAGES, Due

BATCH_URIS = 500
BATCH_BYTES = 8 * 2**20
"""Of URIs, and of what is inside them: a small one may inflate to much."""
TURN_SECONDS = 0.005
"""For so long inline documents are read before others get their turn."""


async def read_some(
    conn: Conn, reading: Reading, now: datetime, *, pauses: Pauses = USUAL
) -> list[Settled]:
    """Read one batch of inline URIs that are due. Nothing is returned when there are none."""
    due: list[Due] = []
    for stage in STAGES:
        due += await uris.inline_due(
            conn, now, most=BATCH_URIS - len(due), most_bytes=BATCH_BYTES, stage=stage
        )
        if len(due) >= BATCH_URIS // 2:
            break
    settled: list[Settled] = []
    attempts: list[Attempt] = []
    size = 0
    turn_ends = time.monotonic() + TURN_SECONDS
    for one in due:
        attempts.append(reading.attempt(one, now, _fetched(one.uri)))
        size += attempts[-1].size_bytes
        if size >= BATCH_BYTES:
            settled += await settle(conn, attempts, now, pauses=pauses)
            reading.kept(attempts)
            attempts, size = [], 0
        if time.monotonic() > turn_ends:
            await asyncio.sleep(0)
            turn_ends = time.monotonic() + TURN_SECONDS
    settled += await settle(conn, attempts, now, pauses=pauses)
    reading.kept(attempts)
    return settled


def _fetched(raw: bytes) -> Fetched:
    inline = read_inline(raw)
    if inline.body is None:
        return Fetched(outcome="undecodable", reason=inline.reason)
    return Fetched(outcome="ok", body=inline.body)
