"""What the notary found wrong with the audit log, until a person has acknowledged it.

Kept in the database, so that every process says so and a restart forgets nothing. Whoever owns the
database can remove it, as all else in it: what tells of that is checkpoints kept elsewhere.
"""

from __future__ import annotations

from typing import LiteralString

from renown.store.pool import Conn, Tx

MOST = 20
"""Alarms that may stand at once; more would say nothing new."""

STANDING: LiteralString = """
SELECT what FROM audit_alarm WHERE acknowledged_at IS NULL ORDER BY alarm_id
"""
RAISE: LiteralString = """
INSERT INTO audit_alarm (what)
SELECT $1::text
 WHERE (SELECT count(*) < $2 AND bool_and(what <> $1::text) IS NOT FALSE
          FROM audit_alarm WHERE acknowledged_at IS NULL)
"""
ACKNOWLEDGE: LiteralString = """
UPDATE audit_alarm SET acknowledged_at = now(), found_out = $1
 WHERE acknowledged_at IS NULL
RETURNING what
"""


async def standing(conn: Conn) -> list[str]:
    """What was found and nobody has acknowledged, in the order it was found."""
    return [row[0] for row in await conn.fetch(STANDING)]


async def raise_alarm(conn: Conn, what: str) -> None:
    """Keep what was found, unless it stands already."""
    await conn.execute(RAISE, what, MOST)


async def acknowledge(tx: Tx, found_out: str) -> list[str]:
    """Take it that a person looked into all that stands, and what came of it. Returns what stood.

    Each is an entry of the audit log. For the owner alone.
    """
    return [row[0] for row in await tx.fetch(ACKNOWLEDGE, found_out)]
