"""The key of a day, under which addresses stand in the audit log.

An IPv4 address that is merely hashed is found by trying all of them. Under a key it is not, once
retention has destroyed the key: then nobody can tell any more whose address it was.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import date
from typing import LiteralString

from renown.store.pool import Conn

KEY_BYTES = 32
PSEUDONYM_BYTES = 16

_MADE: LiteralString = """
WITH made AS (
    INSERT INTO audit_address_key (day, key) VALUES ($1, $2) ON CONFLICT (day) DO NOTHING
    RETURNING key)
SELECT key FROM made UNION ALL SELECT key FROM audit_address_key WHERE day = $1 LIMIT 1
"""
_HELD: LiteralString = "SELECT key FROM audit_address_key WHERE day = $1"


async def address_key(conn: Conn, day: date) -> bytes | None:
    """The key of a day (UTC), made at random by whoever asks first; None: two made it at once and
    neither is seen yet, ask again."""
    held: bytes | None = await conn.fetchval(_HELD, day)
    if held is None:
        held = await conn.fetchval(_MADE, day, secrets.token_bytes(KEY_BYTES))
    return held


def pseudonym(key: bytes, address: str) -> bytes:
    """What stands for `address` on the day of `key`: the first bytes of its HMAC-SHA-256."""
    return hmac.digest(key, address.encode(), "sha256")[:PSEUDONYM_BYTES]
