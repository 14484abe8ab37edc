"""Files that feedback, responses and validations name, and whether they are what was promised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn, Tx

PREFETCH_ROWS = 500


class NewAttachment(msgspec.Struct, frozen=True):
    """A fact that names a file, and the SHA-256 of the URI it names it by."""

    block_number: int
    log_index: int
    role: str
    agent_id: int
    uri_hash: bytes
    content_hash: bytes | None


class Attached(msgspec.Struct, frozen=True):
    """An attachment with all that its verdict is made of.

    `kind`, `verified` and `document_id` are of its URI; the fields from `client` on are those of
    the feedback, None for other roles.
    """

    chain_id: int
    block_number: int
    log_index: int
    role: str
    agent_id: int
    content_hash: bytes | None
    kind: str
    verified: bool | None
    document_id: int | None
    registry: bytes
    client: bytes | None
    value: int | None
    decimals: int | None
    tag1: bytes | None
    tag2: bytes | None


class Verdict(msgspec.Struct, frozen=True):
    """How the file of an attachment compares; `findings` is JSON. See table `attachment`."""

    chain_id: int
    block_number: int
    log_index: int
    document_id: int | None
    verdict: str
    findings: str


ADD: LiteralString = """
INSERT INTO attachment (chain_id, block_number, log_index, role, agent_id, uri_id, content_hash)
SELECT $1, w.block_number, w.log_index, w.role, w.agent_id, u.uri_id, w.content_hash
  FROM unnest($2::bigint[], $3::integer[], $4::text[], $5::bigint[], $6::bytea[], $7::bytea[])
    AS w (block_number, log_index, role, agent_id, hash, content_hash)
  JOIN uri u USING (hash)
    ON CONFLICT (chain_id, block_number, log_index) DO NOTHING
"""
TRIED: LiteralString = """
SELECT uri_id FROM uri WHERE hash = ANY($1::bytea[]) AND outcome IS NOT NULL ORDER BY uri_id
"""
NAMED: LiteralString = """
SELECT w.uri_id FROM unnest($1::bigint[]) AS w (uri_id)
 WHERE EXISTS (SELECT FROM attachment a WHERE a.uri_id = w.uri_id)
 ORDER BY w.uri_id
"""
_OF_URIS: LiteralString = """
SELECT a.chain_id, a.block_number, a.log_index, a.role, a.agent_id, a.content_hash,
       u.kind, u.verified, u.document_id, c.identity,
       f.client, f.value, f.decimals, f.tag1, f.tag2
  FROM uri u
  JOIN attachment a USING (uri_id)
  JOIN chain c USING (chain_id)
  LEFT JOIN feedback_given f
    ON a.role = 'feedback' AND f.chain_id = a.chain_id AND f.block_number = a.block_number
   AND f.log_index = a.log_index
 WHERE u.uri_id = ANY($1::bigint[])"""
_IN_TURN: LiteralString = "\n ORDER BY u.document_id, u.uri_id\n"
OF_URIS: LiteralString = _OF_URIS + _IN_TURN
# In so many words, so that their own index serves: a million others may hang on the URI.
PENDING_OF_URIS: LiteralString = _OF_URIS + " AND a.verdict = 'pending'" + _IN_TURN
JUDGE: LiteralString = """
UPDATE attachment a
   SET document_id = w.document_id, verdict = w.verdict, findings = w.findings::jsonb,
       checked_at = $7
  FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], $5::text[], $6::text[])
    AS w (chain_id, block_number, log_index, document_id, verdict, findings)
 WHERE a.chain_id = w.chain_id AND a.block_number = w.block_number AND a.log_index = w.log_index
"""

# Only files that name a payment, or did.
LOOK_FOR_PAYMENTS: LiteralString = """
INSERT INTO payment_look (chain_id, block_number, log_index)
SELECT a.chain_id, a.block_number, a.log_index
  FROM unnest($1::bigint[], $2::bigint[], $3::integer[]) AS w (chain_id, block_number, log_index)
  JOIN attachment a USING (chain_id, block_number, log_index)
 WHERE a.role = 'feedback'
   AND (EXISTS (SELECT FROM document d
                 WHERE d.document_id = a.document_id
                   AND d.content ?| ARRAY['proofOfPayment', 'proof_of_payment'])
        OR EXISTS (SELECT FROM payment_claim c
                    WHERE c.chain_id = a.chain_id AND c.feedback_block = a.block_number
                      AND c.feedback_log_index = a.log_index))
 ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING
"""


async def add(tx: Tx, chain_id: int, rows: Sequence[NewAttachment]) -> None:
    """Keep attachments, whose URIs are known; those that are held already stay as they are."""
    if rows:
        fields = zip(*(msgspec.structs.astuple(row) for row in rows), strict=True)
        await tx.execute(ADD, chain_id, *(list(field) for field in fields))


async def tried(conn: Conn, uri_hashes: Sequence[bytes]) -> list[int]:
    """Ids of those URIs whose outcome is known, so that what hangs on them can be judged."""
    return [row[0] for row in await conn.fetch(TRIED, uri_hashes)]


async def named(conn: Conn, uri_ids: Sequence[int]) -> list[int]:
    """Those of the URIs that have attachments."""
    return [row[0] for row in await conn.fetch(NAMED, uri_ids)]


async def of_uris(tx: Tx, uri_ids: Sequence[int], *, pending: bool) -> AsyncIterator[Attached]:
    """The attachments of URIs, those with the same document one after the other.

    A million may hang on one URI, so they come through a cursor.

    Args:
        pending: only those that have no verdict yet.
    """
    query = PENDING_OF_URIS if pending else OF_URIS
    async for row in tx.cursor(query, uri_ids, prefetch=PREFETCH_ROWS):
        fields = list(row)
        if fields[11] is not None:
            fields[11] = int(fields[11])
        yield Attached(*fields)


async def judge(tx: Tx, verdicts: Sequence[Verdict], now: datetime) -> None:
    """Keep verdicts, and have those files looked at that name a payment."""
    if verdicts:
        fields = zip(*(msgspec.structs.astuple(one) for one in verdicts), strict=True)
        columns = [list(field) for field in fields]
        await tx.execute(JUDGE, *columns, now)
        await tx.execute(LOOK_FOR_PAYMENTS, *columns[:3])
