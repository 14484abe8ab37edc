"""Files that we serve for accounts, by the SHA-256 of their bytes. They never change."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import LiteralString

import msgspec

from renown.errors import BodyTooLarge, HostingFull
from renown.store.pool import Conn, Tx

MOST_FILE_BYTES = 256 * 1024
MOST_ACCOUNT_BYTES = 32 * 1024 * 1024
JSON = "application/json"


class HostedRow(msgspec.Struct, frozen=True):
    """One file."""

    content: bytes
    media_type: str
    created_at: datetime


# Waits for whoever drops it, and nobody drops it before the transaction ends.
HELD: LiteralString = "SELECT true FROM hosted_file WHERE sha256 = $1 FOR KEY SHARE"
# One account's files in turn: two requests at once must not both take the last room.
IN_TURN: LiteralString = """
SELECT pg_advisory_xact_lock(hashtextextended('renown.hosting.' || $1::bigint, 0))
"""
USED: LiteralString = """
SELECT coalesce(sum(octet_length(content)), 0)::bigint FROM hosted_file WHERE account_id = $1
"""
KEEP: LiteralString = """
INSERT INTO hosted_file (sha256, content, media_type, account_id) VALUES ($1, $2, $3, $4)
    ON CONFLICT (sha256) DO NOTHING
"""


async def keep(
    tx: Tx, account_id: int, content: bytes, *, most_bytes: int | None = MOST_ACCOUNT_BYTES
) -> bytes:
    """Serve `content`, which is JSON, from the commit on; returns its SHA-256.

    What anybody's account brought before is there already and counts for that one only.

    Args:
        most_bytes: of all files of the account; None: as much as it takes, for what was promised.

    Raises:
        BodyTooLarge: the file is larger than any may be.
        HostingFull: the account has no room left.
    """
    name = hashlib.sha256(content).digest()
    if len(content) > MOST_FILE_BYTES:
        raise BodyTooLarge(
            f"a hosted file has at most {MOST_FILE_BYTES} bytes", most_bytes=MOST_FILE_BYTES
        )
    if await tx.fetchval(HELD, name):
        return name
    if most_bytes is not None:
        await tx.execute(IN_TURN, account_id)
        if await tx.fetchval(USED, account_id) + len(content) > most_bytes:
            raise HostingFull(
                f"an account's hosted files have {most_bytes} bytes at most: put the file into the"
                " URI, or host it yourself",
                most_bytes=most_bytes,
            )
    await tx.execute(KEEP, name, content, JSON, account_id)
    return name


FILE: LiteralString = "SELECT content, media_type, created_at FROM hosted_file WHERE sha256 = $1"


async def load(conn: Conn, sha256: bytes) -> HostedRow | None:
    """The file of this hash; None where we serve none."""
    row = await conn.fetchrow(FILE, sha256)
    return None if row is None else HostedRow(*row)
