"""What a database holds as a whole: its chains, and the leaves of its audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import LiteralString

import msgspec

from renown.store.pool import Conn, Tx


class HeldChain(msgspec.Struct, frozen=True):
    """A chain of this index, and how far it is indexed."""

    chain_id: int
    slug: str
    block_number: int
    events: int


CHAINS: LiteralString = """
SELECT c.chain_id, c.slug, k.block_number, k.events
  FROM chain c JOIN checkpoint k USING (chain_id) ORDER BY c.chain_id
"""
LEAVES: LiteralString = "SELECT leaf_hash FROM audit_leaf ORDER BY seq"
NOTE: LiteralString = "SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
MIGRATIONS: LiteralString = "SELECT number, checksum FROM schema_migration ORDER BY number"
SERVER: LiteralString = (
    "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000"
)


async def chains(conn: Conn) -> list[HeldChain]:
    """Every chain, by id."""
    return [HeldChain(*row) for row in await conn.fetch(CHAINS)]


async def leaf_hashes(tx: Tx, *, batch: int = 10_000) -> AsyncIterator[list[bytes]]:
    """The leaves of the audit log in order, some at a time."""
    cursor = await tx.cursor(LEAVES)
    while rows := await cursor.fetch(batch):
        yield [row[0] for row in rows]


async def last_note(conn: Conn) -> str | None:
    """The last checkpoint that was signed."""
    note: str | None = await conn.fetchval(NOTE)
    return note


async def applied_migrations(conn: Conn) -> dict[int, str]:
    """Checksums by number."""
    return {row["number"]: row["checksum"] for row in await conn.fetch(MIGRATIONS)}


async def server_version(conn: Conn) -> tuple[str, int]:
    """The server's version, and its major one."""
    row = await conn.fetchrow(SERVER)
    assert row is not None
    return row[0], row[1]
