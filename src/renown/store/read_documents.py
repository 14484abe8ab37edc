"""Documents behind agents' URIs, as served: the one of now or of then, and the history of them.

An agent's document is found by the hash of the URI that the chain has, never by the agent's row for
search, which comes later.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.reads import (
    AGENT_ID,
    CHAIN,
    HEAD,
    HEAD_COLUMNS,
    UNCUT,
    Head,
    KeyArgs,
    by_uuid,
)

Form = Literal["normalised", "raw", "served"]


class UriRow(msgspec.Struct, frozen=True, gc=False):
    """What is known of a URI. `attempts`, `attempted_at`, `outcome`, `reason` and `status` are
    of attempts up to the moment asked for, and so is `fetched_at`, the time of the last success."""

    kind: str
    fixed: bool
    attempts: int
    attempted_at: datetime | None
    outcome: str | None
    reason: str | None
    status: int | None
    fetched_at: datetime | None
    verified: bool | None
    final_url: str | None


class DocumentRow(msgspec.Struct, frozen=True, gc=False):
    """One document. `content` is the form asked for: JSON text of the normalised registration or
    of the document as found, None where it is neither; `raw` only where served bytes are asked."""

    document_id: int
    sha256: bytes
    size_bytes: int
    document_class: str
    reading: str
    findings: str
    content: str | None
    raw: bytes | None


class ProfileRow(msgspec.Struct, frozen=True, gc=False):
    """What of the agent's row for search concerns its document. `current`: it is made of it."""

    state: str
    findings: str
    changed_at: datetime
    current: bool


class Current(msgspec.Struct, frozen=True, gc=False):
    """An agent's URI and what is behind it. `agent_id` is None where there is no such agent."""

    head: Head
    agent_id: int | None
    version: int
    uri: bytes | None
    uri_bytes: int | None
    uri_block: int | None
    read: UriRow | None
    document: DocumentRow | None
    profile: ProfileRow | None


def _document(form: LiteralString) -> LiteralString:
    return f"""d.document_id, d.sha256, d.size_bytes, d.class, d.reading, d.findings::text,
       CASE {form} WHEN 'normalised' THEN d.registration::text
                   WHEN 'raw' THEN d.content::text END,
       CASE {form} WHEN 'served' THEN d.raw END"""


_URI: LiteralString = """u.kind, u.fixed, u.attempts, u.attempted_at, u.outcome, u.reason, u.status,
       u.fetched_at, u.verified,
       (SELECT r.final_url FROM resolution r
         WHERE r.uri_id = u.uri_id AND r.attempted_at = u.fetched_at)"""
_URI_COLUMNS = len(UriRow.__struct_fields__)
_READ = HEAD_COLUMNS + 5
_FILE = _READ + _URI_COLUMNS
_PROFILE = _FILE + len(DocumentRow.__struct_fields__)

CURRENT: LiteralString = f"""
SELECT {HEAD}, a.agent_id, s.version, substring(a.uri FOR $4), octet_length(a.uri), a.uri_block,
       {_URI},
       {_document("$3")},
       p.state, p.findings::text, p.changed_at,
       p.uri_id IS NOT DISTINCT FROM u.uri_id AND p.document_id IS NOT DISTINCT FROM d.document_id
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN uri u ON a.uri <> '' AND u.hash = sha256(a.uri)
  LEFT JOIN document d ON d.document_id = u.document_id
  LEFT JOIN agent_profile p ON p.chain_id = {CHAIN} AND p.agent_id = {AGENT_ID}
 WHERE c.chain_id = {CHAIN}
"""
CURRENT_BY_UUID: LiteralString = by_uuid(CURRENT)


async def current(
    conn: Conn, key: KeyArgs, *, form: Form = "normalised", uri_cut_bytes: int = UNCUT
) -> Current | None:
    """The agent's URI, the document behind it in one form, and its row for search.

    None where the chain (or UUID) is unknown.
    """
    row = await conn.fetchrow(*key.asks(CURRENT, CURRENT_BY_UUID), form, uri_cut_bytes)
    if row is None:
        return None
    agent_id, version, uri, uri_bytes, uri_block = row[HEAD_COLUMNS:_READ]
    return Current(
        head=Head(*row[:HEAD_COLUMNS]),
        agent_id=agent_id,
        version=version or 0,
        uri=uri,
        uri_bytes=uri_bytes,
        uri_block=uri_block,
        read=UriRow(*row[_READ:_FILE]) if row[_READ] is not None else None,
        document=DocumentRow(*row[_FILE:_PROFILE]) if row[_FILE] is not None else None,
        profile=ProfileRow(*row[_PROFILE:]) if row[_PROFILE] is not None else None,
    )


# What a mutable URI led to then is told by the attempts; old ones are kept where they are changes,
# and the last success before a moment is one, or of the same document.
AT: LiteralString = f"""
SELECT u.kind, u.fixed, CASE WHEN u.fixed THEN u.attempts WHEN l.uri_id IS NULL THEN 0 ELSE 1 END,
       CASE WHEN u.fixed THEN u.attempted_at ELSE l.attempted_at END,
       CASE WHEN u.fixed THEN u.outcome ELSE l.outcome END,
       CASE WHEN u.fixed THEN u.reason ELSE l.reason END,
       CASE WHEN u.fixed THEN u.status ELSE l.status END,
       CASE WHEN u.fixed THEN u.fetched_at ELSE g.attempted_at END,
       CASE WHEN u.fixed THEN u.verified ELSE g.verified END,
       CASE WHEN NOT u.fixed THEN g.final_url END,
       {_document("$1")}
  FROM uri u
  LEFT JOIN LATERAL (SELECT r.* FROM resolution r
                      WHERE NOT u.fixed AND r.uri_id = u.uri_id AND r.attempted_at <= $3
                      ORDER BY r.attempted_at DESC LIMIT 1) l ON true
  LEFT JOIN LATERAL (SELECT r.* FROM resolution r
                      WHERE NOT u.fixed AND r.uri_id = u.uri_id AND r.attempted_at <= $3
                        AND r.document_id IS NOT NULL
                      ORDER BY r.attempted_at DESC LIMIT 1) g ON true
  LEFT JOIN document d
    ON d.document_id = CASE WHEN u.fixed THEN u.document_id ELSE g.document_id END
 WHERE u.hash = sha256($2::bytea)
"""


async def at(
    conn: Conn, uri: bytes, moment: datetime, *, form: Form = "normalised"
) -> tuple[UriRow | None, DocumentRow | None]:
    """A URI and its document by the two times: where the URI determines the bytes, whenever they
    were fetched; else as of the last attempts at or before `moment`. None: it is not known."""
    row = await conn.fetchrow(AT, form, uri, moment)
    if row is None:
        return None, None
    found = row[_URI_COLUMNS:]
    document = DocumentRow(*found) if found[0] is not None else None
    return UriRow(*row[:_URI_COLUMNS]), document


# One document ------------------------------------------------------------------------------------

BY_SHA256: LiteralString = f"""
SELECT {_document("$1")} FROM document d WHERE d.sha256 = $2
"""


async def by_sha256(conn: Conn, sha256: bytes, *, form: Form) -> DocumentRow | None:
    """The document of these bytes; None if nobody ever served them to us."""
    row = await conn.fetchrow(BY_SHA256, form, sha256)
    return None if row is None else DocumentRow(*row)


CONTENTS: LiteralString = """
SELECT document_id, content::text FROM document
 WHERE document_id = ANY($1::bigint[]) AND size_bytes <= $2 AND content IS NOT NULL
"""


async def contents(conn: Conn, document_ids: list[int], *, longest_bytes: int) -> dict[int, str]:
    """The JSON of these documents as found; those that are none, or longer, are left out."""
    rows = await conn.fetch(CONTENTS, document_ids, longest_bytes)
    return {row[0]: row[1] for row in rows}
