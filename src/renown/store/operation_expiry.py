"""Operations that nobody ever signed, and the hosted files that only they needed: dropped."""

from __future__ import annotations

import hashlib
from typing import LiteralString
from uuid import UUID

from renown.store.pool import Conn, Tx, transaction

KEPT_DAYS = 7
BATCH = 500

NEEDS: LiteralString = """
INSERT INTO operation_file (operation_id, sha256, uri) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""


async def needs_file(tx: Tx, operation_id: UUID, uri: bytes, content: bytes) -> None:
    """Note that a call of the operation names a hosted file, which is there, by `uri`."""
    await tx.execute(NEEDS, operation_id, hashlib.sha256(content).digest(), uri)


# Whoever signs holds the row: it is skipped then, or found to be `submitted`.
UNSIGNED: LiteralString = """
SELECT o.operation_id FROM operation o
 WHERE o.state = 'prepared' AND o.updated_at < now() - $1 * interval '1 day'
   AND (o.claimed_until IS NULL OR o.claimed_until <= now())
   AND NOT EXISTS (SELECT FROM operation_transaction t WHERE t.operation_id = o.operation_id)
 LIMIT $2 FOR UPDATE SKIP LOCKED
"""
FILES: LiteralString = """
SELECT DISTINCT sha256, uri FROM operation_file WHERE operation_id = ANY($1::uuid[])
"""
DROP: LiteralString = "DELETE FROM operation WHERE operation_id = ANY($1::uuid[])"
_SAYING = (
    "agent_registered",
    "uri_updated",
    "feedback_given",
    "response_appended",
    "validation_requested",
    "validation_responded",
)
"""Tables of facts that name URIs."""
# The facts above the trail, by their key: in the order of the blocks, so that they are not looked
# for in all that was ever said.
_SAID_SINCE: LiteralString = " UNION ALL ".join(
    f"""
    SELECT s.uri FROM behind b CROSS JOIN LATERAL (
           SELECT f.uri FROM {table} f
            WHERE f.chain_id = b.chain_id AND f.block_number > b.block_number
            ORDER BY f.block_number, f.log_index OFFSET 0) s"""
    for table in _SAYING
)
# A caller may have signed and sent it past us: then some fact names the file. The crawler knows the
# URIs of all facts up to its trail; those above it are looked at here.
DROP_FILES: LiteralString = f"""
WITH given AS (SELECT * FROM unnest($1::bytea[], $2::bytea[]) AS g (sha256, uri)),
behind AS (
    SELECT c.chain_id, coalesce(t.block_number, -1) AS block_number
      FROM chain c LEFT JOIN trail t ON t.chain_id = c.chain_id AND t.epoch = c.epoch),
named AS (
    SELECT g.sha256 FROM given g WHERE EXISTS (SELECT FROM uri u WHERE u.hash = sha256(g.uri))
    UNION ALL
    SELECT g.sha256 FROM given g WHERE g.uri IN ({_SAID_SINCE}))
DELETE FROM hosted_file f
 WHERE f.sha256 IN (SELECT sha256 FROM given)
   AND f.sha256 NOT IN (SELECT sha256 FROM named)
   AND NOT EXISTS (SELECT FROM operation_file o WHERE o.sha256 = f.sha256)
"""


async def drop_unsigned(conn: Conn, *, days: float = KEPT_DAYS, most: int = BATCH) -> int:
    """Drop up to `most` operations of which nothing was signed for `days`, and the files that only
    they needed and no agent, feedback, response or validation names. Returns how many operations.

    Raises:
        StoreError
    """
    async with transaction(conn) as tx:
        found = [row[0] for row in await tx.fetch(UNSIGNED, days, most)]
        if not found:
            return 0
        files = await tx.fetch(FILES, found)
        await tx.execute(DROP, found)
        if files:
            await tx.execute(DROP_FILES, [row[0] for row in files], [row[1] for row in files])
    return len(found)
