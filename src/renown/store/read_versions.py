"""The history of an agent's file: each URI it said, and what each led to from when to when."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.reads import (
    AGENT_ID,
    CHAIN,
    HEAD_TEXT,
    Head,
    KeyArgs,
    by_uuid,
    head_of,
)


class VersionRow(msgspec.Struct, frozen=True, gc=False):
    """One version: a URI as said, and a stretch of attempts that led to one document.

    `until_*` tell when another URI was said, None while it holds. All from `began_us` on is None
    where nothing was read of the URI while it held. `began_us` is the first attempt of the
    stretch in microseconds of Unix time. `outcomes` are of the attempts that are kept. A stretch
    without a document is one of failures before the first success.
    """

    block_number: int
    log_index: int
    said_at: datetime | None
    until_block: int | None
    until_at: datetime | None
    uri: bytes
    uri_bytes: int
    kind: str | None
    fixed: bool | None
    began_us: int | None
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    last_attempt_at: datetime | None
    outcomes: list[str] | None
    verified: bool | None
    final_url: str | None
    document_id: int | None
    sha256: bytes | None
    size_bytes: int | None
    document_class: str | None
    reading: str | None


class After(msgspec.Struct, frozen=True, gc=False):
    """Keyset position: the last version of the page before."""

    block_number: int = -1
    log_index: int = -1
    began_us: int = -2


FIRST = After()


class Versions(msgspec.Struct, frozen=True, gc=False):
    """A page of versions. `agent_id` is None where there is no such agent."""

    head: Head
    agent_id: int | None
    version: int
    rows: list[VersionRow]


# An empty URI of `Registered` says nothing where another was said before it, unless registration
# stored it, which the notice before it in its transaction tells; see derive.identity.
_SAYINGS: LiteralString = f"""
       SELECT e.block_number, e.log_index, e.is_update,
              lead(e.block_number) OVER (ORDER BY e.block_number, e.log_index) AS until_block
         FROM (SELECT x.block_number, x.log_index, true AS is_update FROM uri_updated x
                WHERE x.chain_id = {CHAIN} AND x.agent_id = {AGENT_ID}
               UNION ALL
               SELECT r.block_number, r.log_index, false FROM agent_registered r
                WHERE r.chain_id = {CHAIN} AND r.agent_id = {AGENT_ID}
                  AND (r.uri <> ''
                       OR NOT EXISTS (
                          SELECT FROM uri_updated x
                           WHERE x.chain_id = {CHAIN} AND x.agent_id = {AGENT_ID}
                             AND (x.block_number, x.log_index) < (r.block_number, r.log_index))
                       OR EXISTS (
                          SELECT FROM metadata_refreshed m
                           WHERE m.chain_id = {CHAIN} AND m.agent_id = {AGENT_ID}
                             AND m.last_agent_id = r.agent_id AND m.tx_hash = r.tx_hash
                             AND m.block_number = r.block_number AND m.log_index < r.log_index))
              ) e
        WHERE (e.block_number, e.log_index) > (a.created_block, a.created_log_index)"""
# Attempts that gave nothing go on with the document of before, so a stretch ends where another
# document was served.
_STRETCHES: LiteralString = """
       SELECT s.*, lead(s.began_at) OVER (ORDER BY s.began_at) AS next_at
         FROM (SELECT min(c.attempted_at) AS began_at, max(c.attempted_at) AS last_attempt_at,
                      max(c.attempted_at)
                        FILTER (WHERE c.document_id IS NOT NULL OR c.outcome = 'not-modified')
                        AS last_seen_at,
                      array_agg(c.outcome ORDER BY c.attempted_at) AS outcomes,
                      bool_or(c.verified) AS verified, max(c.final_url) AS final_url,
                      min(c.held) AS document_id
                 FROM (SELECT h.*, count(*) FILTER (WHERE h.held IS DISTINCT FROM h.held_before)
                                   OVER (ORDER BY h.attempted_at) AS stretch
                         FROM (SELECT g.*, lag(g.held) OVER (ORDER BY g.attempted_at) AS held_before
                                 FROM (SELECT r.*, first_value(r.document_id) OVER (
                                              PARTITION BY r.nth ORDER BY r.attempted_at) AS held
                                         FROM (SELECT q.*, count(q.document_id)
                                                           OVER (ORDER BY q.attempted_at) AS nth
                                                 FROM resolution q
                                                WHERE q.uri_id = u.uri_id) r) g) h) c
                GROUP BY c.stretch) s"""

VERSIONS: LiteralString = f"""
SELECT {HEAD_TEXT}, a.agent_id, s.version, p.*
  FROM checkpoint k
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN LATERAL (
       SELECT f.block_number, f.log_index, f.said_at, f.until_block, f.until_at,
              substring(f.uri FOR $7), octet_length(f.uri), u.kind, u.fixed,
              (extract(epoch FROM t.began_at) * 1000000)::bigint AS began_us,
              CASE WHEN t.document_id IS NOT NULL THEN t.began_at END AS first_seen_at,
              t.last_seen_at, t.last_attempt_at, t.outcomes, t.verified, t.final_url,
              d.document_id, d.sha256, d.size_bytes, d.class, d.reading
         FROM (SELECT y.block_number, y.log_index, b.time AS said_at, y.until_block,
                      n.time AS until_at, coalesce(x.uri, r.uri) AS uri
                 FROM (SELECT * FROM ({_SAYINGS}) w
                        WHERE (w.block_number, w.log_index) >= ($3::bigint, $4::integer)
                        ORDER BY w.block_number, w.log_index LIMIT $6 + 1) y
                 LEFT JOIN uri_updated x ON y.is_update AND x.chain_id = {CHAIN}
                       AND x.block_number = y.block_number AND x.log_index = y.log_index
                 LEFT JOIN agent_registered r ON NOT y.is_update AND r.chain_id = {CHAIN}
                       AND r.block_number = y.block_number AND r.log_index = y.log_index
                 LEFT JOIN block b ON b.chain_id = {CHAIN} AND b.number = y.block_number
                 LEFT JOIN block n ON n.chain_id = {CHAIN} AND n.number = y.until_block) f
         LEFT JOIN uri u ON f.uri <> '' AND u.hash = sha256(f.uri)
         LEFT JOIN LATERAL (
              SELECT * FROM ({_STRETCHES}) z
               WHERE u.fixed OR ((f.until_at IS NULL OR z.began_at < f.until_at)
                             AND (z.next_at IS NULL OR f.said_at IS NULL OR z.next_at > f.said_at))
              ) t ON true
         LEFT JOIN document d ON d.document_id = t.document_id
        WHERE (f.block_number, f.log_index,
               coalesce((extract(epoch FROM t.began_at) * 1000000)::bigint, -1))
              > ($3::bigint, $4::integer, $5::bigint)
        ORDER BY f.block_number, f.log_index, t.began_at LIMIT $6) p ON true
 WHERE k.chain_id = {CHAIN}
 ORDER BY p.block_number, p.log_index, p.began_us
"""
VERSIONS_BY_UUID: LiteralString = by_uuid(VERSIONS)


async def versions(
    conn: Conn, key: KeyArgs, *, after: After = FIRST, limit: int, uri_cut_bytes: int
) -> Versions | None:
    """Up to `limit` versions of an agent's file after `after`, oldest first.

    None where the chain (or UUID) is unknown.
    """
    rows = await conn.fetch(
        *key.asks(VERSIONS, VERSIONS_BY_UUID),
        *(after.block_number, after.log_index, after.began_us, limit, uri_cut_bytes),
    )
    if not rows:
        return None
    first = rows[0]
    found = [VersionRow(*r[3:]) for r in rows if r[3] is not None]
    return Versions(head_of(first[0]), first[1], first[2] or 0, found)


# Attempts ----------------------------------------------------------------------------------------


class AttemptRow(msgspec.Struct, frozen=True, gc=False):
    """One attempt to read one of an agent's URIs. `uri` is cut."""

    uri_id: int
    attempted_at: datetime
    uri: bytes
    uri_bytes: int
    kind: str
    outcome: str
    reason: str | None
    status: int | None
    size_bytes: int | None
    duration_ms: int
    sha256: bytes | None
    verified: bool | None
    final_url: str | None


class Attempts(msgspec.Struct, frozen=True, gc=False):
    """A page of attempts. `agent_id` is None where there is no such agent."""

    head: Head
    agent_id: int | None
    version: int
    rows: list[AttemptRow]


ATTEMPTS: LiteralString = f"""
SELECT {HEAD_TEXT}, a.agent_id, s.version, p.*
  FROM checkpoint k
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN LATERAL (
       SELECT u.uri_id, r.attempted_at, substring(u.uri FOR $6), octet_length(u.uri), u.kind,
              r.outcome, r.reason, r.status, r.size_bytes, r.duration_ms, d.sha256, r.verified,
              r.final_url
         FROM uri u
         JOIN resolution r USING (uri_id)
         LEFT JOIN document d ON d.document_id = r.document_id
        WHERE u.hash IN (SELECT sha256(x.uri) FROM uri_updated x
                          WHERE x.chain_id = {CHAIN} AND x.agent_id = {AGENT_ID}
                          UNION
                         SELECT sha256(g.uri) FROM agent_registered g
                          WHERE g.chain_id = {CHAIN} AND g.agent_id = {AGENT_ID})
          AND a.agent_id IS NOT NULL AND (r.attempted_at, r.uri_id) < ($3::timestamptz, $4::bigint)
        ORDER BY r.attempted_at DESC, r.uri_id DESC LIMIT $5) p ON true
 WHERE k.chain_id = {CHAIN}
 ORDER BY p.attempted_at DESC, p.uri_id DESC
"""
ATTEMPTS_BY_UUID: LiteralString = by_uuid(ATTEMPTS)


async def attempts(
    conn: Conn, key: KeyArgs, *, after: tuple[datetime, int], limit: int, uri_cut_bytes: int
) -> Attempts | None:
    """Up to `limit` attempts to read any URI that the agent ever said, newest first.

    None where the chain (or UUID) is unknown.
    """
    rows = await conn.fetch(*key.asks(ATTEMPTS, ATTEMPTS_BY_UUID), *after, limit, uri_cut_bytes)
    if not rows:
        return None
    first = rows[0]
    found = [AttemptRow(*r[3:]) for r in rows if r[3] is not None]
    return Attempts(head_of(first[0]), first[1], first[2] or 0, found)
