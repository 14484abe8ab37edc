"""An audit log to try things on: entries of every kind, numbered, signed, exported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from renown.audit.checkpoint import Signer
from renown.ingest.notary import CheckpointFolder, Notary
from renown.ingest.notary.verifying import Verdict, verify
from renown.store.audit_entries import NewEntry, append
from renown.store.pool import Conn, Tx, connect, transaction

SEED = bytes(range(32))
SIGNER = Signer("log.example", SEED)
OLD = datetime(2026, 3, 4, 5, 6, 7, 890_123, UTC)
"""A month without a partition of its own."""

POLICY = "INSERT INTO policy (name, value) VALUES ('review', '{}')"
CHANGE = "UPDATE policy SET value = '{\"repair\": false}' WHERE name = 'review'"


def request(n: int, **more: object) -> NewEntry:
    """What the API writes, with characters that are easily mangled."""
    entry = NewEntry(
        action="request",
        subject="/v1/agents/{key}",
        method="POST",
        route="/v1/agents/{key}",
        status=201,
        account_id=7,
        key_id="abcd1234",
        wallet=bytes(range(20)),
        address=b"\x01" * 32,
        user_agent='curl/8 "é\\\n\u2028\u202e"',
        request_id=UUID(int=n),
        detail={"request": {"n": n, "text": 'a"\\\u0007é\U0001f600', "big": 10**30}},
    )
    return msgspec.structs.replace(entry, **more)


def notary(url: str, folder: Path, **more: object) -> Notary:
    """A notary of the test's key."""
    return Notary(lambda: connect(url), SIGNER, CheckpointFolder(folder), **more)  # type: ignore[arg-type]


async def written(url: str, entries: Iterable[NewEntry]) -> None:
    """Commit entries."""
    async with opened(url) as conn:
        await append(conn, list(entries))


async def a_log(url: str, folder: Path) -> None:
    """40 entries, over two months and every kind of column, under checkpoints of 12, 30 and 40."""
    work = notary(url, folder, batch=9)
    await written(url, [request(n, at=OLD + timedelta(hours=n)) for n in range(12)])
    await work.run_until_idle()
    async with opened(url) as conn:
        await conn.execute("SELECT ensure_audit_partitions()")
        await conn.execute(POLICY)  # as somebody with `psql` would
        await conn.execute(CHANGE)
    await written(url, [request(n, detail=None, status=None) for n in range(12, 28)])
    await work.run_until_idle()
    await written(url, [request(n, action="read", method="GET") for n in range(28, 38)])
    await work.run_until_idle()


async def checked(tx: Tx, folder: Path | None) -> Verdict:
    """What a check of the whole log finds."""
    notes = None if folder is None else CheckpointFolder(folder).notes()
    return await verify(tx, [SIGNER.verifier], notes)


async def checked_at(url: str, folder: Path | None) -> Verdict:
    """The same, of what is committed."""
    async with opened(url) as conn, transaction(conn, "repeatable_read") as tx:
        return await checked(tx, folder)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Conn]:
    """A connection."""
    conn = await connect(url)
    try:
        yield conn
    finally:
        await conn.close()
