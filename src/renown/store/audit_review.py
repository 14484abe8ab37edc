"""Reviews: that a person looked at an entry, and what they say of it. They are never changed."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from renown.errors import EntryNotFound
from renown.store.pool import Conn, Tx

LONGEST_REVIEWER = 200
LONGEST_NOTE = 4_000


class ReviewRow(msgspec.Struct, frozen=True):
    """One review. `account` is whose key it came by; None: by a command on the database."""

    review_id: int
    entry_id: int
    at: datetime
    account: UUID | None
    reviewer: str
    note: str


IS_THERE: LiteralString = "SELECT EXISTS (SELECT FROM audit_log WHERE entry_id = $1)"
ADD: LiteralString = """
WITH made AS (
    INSERT INTO audit_review (entry_id, account_id, reviewer, note) VALUES ($1, $2, $3, $4)
    RETURNING review_id, entry_id, at, account_id, reviewer, note)
SELECT m.review_id, m.entry_id, m.at, a.uuid, m.reviewer, m.note
  FROM made m LEFT JOIN account a USING (account_id)
"""


async def review(
    tx: Tx, entry_id: int, *, account_id: int | None, reviewer: str, note: str
) -> ReviewRow:
    """Say that `reviewer` looked at the entry. One may be reviewed more than once.

    NUL characters, which PostgreSQL cannot hold, become U+FFFD.

    Raises:
        EntryNotFound.
    """
    if not await tx.fetchval(IS_THERE, entry_id):
        raise no_such_entry(entry_id)
    told = (text.replace("\0", "\ufffd") for text in (reviewer, note))
    row = await tx.fetchrow(ADD, entry_id, account_id, *told)
    assert row is not None
    return ReviewRow(*row)


OF_ENTRY: LiteralString = """
SELECT r.review_id, r.entry_id, r.at, a.uuid, r.reviewer, r.note
  FROM audit_review r LEFT JOIN account a USING (account_id)
 WHERE r.entry_id = $1
 ORDER BY r.review_id LIMIT $2
"""


async def reviews_of(conn: Conn, entry_id: int, *, limit: int = 100) -> list[ReviewRow]:
    """The first reviews of an entry, the oldest first."""
    return [ReviewRow(*row) for row in await conn.fetch(OF_ENTRY, entry_id, limit)]


def no_such_entry(entry_id: int) -> EntryNotFound:
    """The error for an entry that is not there, or not the asker's to see."""
    return EntryNotFound("the audit log has no such entry for you", entry=entry_id)
