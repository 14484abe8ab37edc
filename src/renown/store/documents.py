"""Documents: distinct bytes, kept once however many URIs lead to them, and never deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import msgspec

from renown.store.pool import Conn, Tx


class DocumentRow(msgspec.Struct, frozen=True):
    """One document, see table `document`. `content`, `registration` and `findings` are JSON."""

    sha256: bytes
    raw: bytes
    klass: str
    reading: str
    content: str | None
    registration: str | None
    findings: str
    template: bytes | None
    reader: int


IDS: LiteralString = "SELECT sha256, document_id FROM document WHERE sha256 = ANY($1::bytea[])"
RAW: LiteralString = "SELECT raw FROM document WHERE document_id = $1"


async def ids(conn: Conn, hashes: Sequence[bytes]) -> dict[bytes, int]:
    """Ids of the documents that are held, by the SHA-256 of their bytes."""
    return {row[0]: row[1] for row in await conn.fetch(IDS, hashes)} if hashes else {}


async def add(tx: Tx, rows: Sequence[DocumentRow]) -> None:
    """Keep documents, none of which is held already (then the transaction fails)."""
    if rows:
        await tx.copy_records_to_table(
            "document",
            records=[(*msgspec.structs.astuple(row), len(row.raw)) for row in rows],
            columns=COLUMNS,
        )


COLUMNS = (
    *("sha256", "raw", "class", "reading", "content", "registration", "findings", "template"),
    *("reader", "size_bytes"),
)


async def raw(conn: Conn, document_id: int) -> bytes:
    """The bytes of a document that is held."""
    found: bytes = await conn.fetchval(RAW, document_id)
    return found


# Reading again -----------------------------------------------------------------------------------

OUTDATED: LiteralString = """
SELECT d.document_id, d.raw
  FROM (SELECT document_id, sum(size_bytes) OVER (ORDER BY reader, document_id) - size_bytes
               AS before
          FROM (SELECT document_id, reader, size_bytes FROM document
                 WHERE reader < $1 ORDER BY reader, document_id LIMIT $2) AS near) AS bounded
  JOIN document d USING (document_id)
 WHERE before < $3
 ORDER BY d.document_id
"""
REPLACE: LiteralString = """
UPDATE document d
   SET class = w.class, reading = w.reading, content = w.content::jsonb,
       registration = w.registration::jsonb, findings = w.findings::jsonb, template = w.template,
       reader = w.reader
  FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[],
              $8::smallint[])
    AS w (sha256, class, reading, content, registration, findings, template, reader)
 WHERE d.sha256 = w.sha256
"""
NAMED_BY: LiteralString = """
SELECT u.uri_id FROM uri u
 WHERE u.document_id = ANY($1::bigint[])
   AND EXISTS (SELECT FROM attachment a WHERE a.uri_id = u.uri_id)
 ORDER BY u.uri_id
"""


async def outdated(
    conn: Conn, reader: int, *, most: int, most_bytes: int
) -> list[tuple[int, bytes]]:
    """Ids and bytes of documents that an older reader read, of about `most_bytes` together."""
    return [(row[0], row[1]) for row in await conn.fetch(OUTDATED, reader, most, most_bytes)]


async def replace(tx: Tx, rows: Sequence[DocumentRow]) -> None:
    """Put what a newer reader makes of documents in the place of what was held."""
    fields = [list(f) for f in zip(*(msgspec.structs.astuple(row) for row in rows), strict=True)]
    del fields[1]  # the bytes stay
    await tx.execute(REPLACE, *fields)


async def attached_uris(conn: Conn, document_ids: Sequence[int]) -> list[int]:
    """The URIs that gave these documents and that feedback, responses or validations name."""
    return [row[0] for row in await conn.fetch(NAMED_BY, document_ids)]
