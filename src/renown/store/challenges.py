"""Messages of ours that wait to be signed, each once (EIP-4361)."""

from __future__ import annotations

from datetime import timedelta
from typing import LiteralString

import msgspec

from renown.store.pool import Conn

LIFETIME = timedelta(minutes=10)


class ChallengeRow(msgspec.Struct, frozen=True):
    """One message. `account_id` is whose wallet it would add; None: it signs somebody in."""

    nonce: str
    account_id: int | None
    address: bytes
    chain_id: int
    message: str


KEEP: LiteralString = """
INSERT INTO wallet_challenge (nonce, account_id, address, chain_id, message, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + $6::interval)
"""
PRUNE: LiteralString = """
DELETE FROM wallet_challenge WHERE nonce IN (
       SELECT nonce FROM wallet_challenge WHERE expires_at < now()
        ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED)
"""


async def keep_challenge(conn: Conn, new: ChallengeRow) -> None:
    """Keep a message that was given out, and drop some of those nobody came back for."""
    await conn.execute(
        KEEP, new.nonce, new.account_id, new.address, new.chain_id, new.message, LIFETIME
    )
    await conn.execute(PRUNE)


TAKE: LiteralString = """
DELETE FROM wallet_challenge
 WHERE nonce = $1
RETURNING nonce, account_id, address, chain_id, message, expires_at > now()
"""


async def take_challenge(conn: Conn, nonce: str) -> ChallengeRow | None:
    """The message with this nonce, if it still waits; nobody gets it a second time."""
    row = await conn.fetchrow(TAKE, nonce)
    return ChallengeRow(*tuple(row)[:-1]) if row is not None and row[-1] else None
