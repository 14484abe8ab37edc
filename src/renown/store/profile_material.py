"""What the rows of `agent_profile` are made of, as the database has it now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

import msgspec

from renown.store.pool import Conn

Place = tuple[int, int]
"""A chain's id and an agent's."""

PROMINENT_CLIENTS = 10
"""Distinct clients from which on a name is worth guarding; an index has the number too."""


class Neighbour(msgspec.Struct, frozen=True, gc=False):
    """Another agent that bears on this one."""

    chain_id: int
    agent_id: int
    owner: bytes
    created_at: datetime
    name_key: str | None
    prominent: bool


class Material(msgspec.Struct, frozen=True, gc=False):
    """All that one agent's row is made of, as the database has it now.

    `document_*` are of the last success; `owner_since` is the time of the last change of hands,
    None if it never changed; `file_since` is when its file was first seen as it is now.
    """

    chain_id: int
    agent_id: int
    registry: bytes
    owner: bytes
    wallet: bytes | None
    wallet_state: str
    uri: bytes | None
    created_at: datetime
    active_at: datetime
    owner_since: datetime | None
    uri_since: datetime | None
    feedback_count: int
    client_count: int
    uri_id: int | None
    uri_kind: str | None
    fixed: bool | None
    attempts: int | None
    failures: int | None
    outcome: str | None
    reason: str | None
    status: int | None
    verified: bool | None
    final_url: str | None
    file_since: datetime | None
    document_id: int | None
    document_class: str | None
    reading: str | None
    registration: str | None
    findings: str | None
    template: bytes | None


# The newest fact about an agent: one index look-up per kind of event.
_NEWEST: LiteralString = " UNION ALL ".join(
    f"""(SELECT f.block_number FROM {table} f
          WHERE f.chain_id = a.chain_id AND f.agent_id = a.agent_id
          ORDER BY f.block_number DESC, f.log_index DESC LIMIT 1)"""
    for table in (
        "agent_transferred", "uri_updated", "metadata_set", "feedback_given", "feedback_revoked",
        "response_appended", "validation_requested", "validation_responded",
    )
)  # fmt: skip

MATERIAL: LiteralString = f"""
SELECT a.chain_id, a.agent_id, c.identity, a.owner, a.wallet, a.wallet_state, a.uri, a.created_at,
       coalesce(greatest(b.time, a.created_at), a.created_at),
       (SELECT t.time FROM block t
         WHERE a.transfer_count > 0 AND t.chain_id = a.chain_id AND t.number = o.from_block),
       (SELECT t.time FROM block t WHERE t.chain_id = a.chain_id AND t.number = a.uri_block),
       coalesce(s.feedback_count - s.revoked_count, 0), coalesce(s.client_count, 0),
       u.uri_id, u.kind, u.fixed, u.attempts, u.failures, u.outcome, u.reason, u.status, u.verified,
       l.final_url,
       CASE WHEN u.fixed THEN NULL ELSE
            (SELECT min(r.attempted_at) FROM resolution r
              WHERE r.uri_id = u.uri_id AND r.document_id = u.document_id) END,
       d.document_id, d.class, d.reading, d.registration::text, d.findings::text, d.template
  FROM unnest($1::bigint[], $2::bigint[]) AS w (chain_id, agent_id)
  JOIN agent a USING (chain_id, agent_id)
  JOIN chain c USING (chain_id)
  LEFT JOIN agent_stats s USING (chain_id, agent_id)
  LEFT JOIN agent_ownership o
    ON o.chain_id = a.chain_id AND o.agent_id = a.agent_id AND o.to_block IS NULL
  LEFT JOIN uri u ON u.hash = sha256(a.uri)
  LEFT JOIN document d ON d.document_id = u.document_id
  LEFT JOIN LATERAL (SELECT r.final_url FROM resolution r
                      WHERE r.uri_id = u.uri_id AND NOT u.fixed AND r.attempted_at = u.fetched_at) l
    ON true
  LEFT JOIN LATERAL (SELECT max(f.block_number) AS number FROM ({_NEWEST}) f) n ON true
  LEFT JOIN block b ON b.chain_id = a.chain_id AND b.number = n.number
 ORDER BY a.chain_id, a.agent_id
"""


async def material(conn: Conn, places: Sequence[Place]) -> list[Material]:
    """What the rows of these agents are made of; agents that are gone are left out."""
    return [Material(*row) for row in await conn.fetch(MATERIAL, *columns(places))]


# Neighbours --------------------------------------------------------------------------------------

# Rows of agents that are being made anew ($4, $5) are left out: the caller knows them better.
_OLDEST: LiteralString = """
SELECT w.chain_id, w.agent_id, p.chain_id, p.agent_id, p.owner, p.created_at, NULL, false
  FROM unnest($1::bigint[], $2::bigint[], $3::{type}[]) AS w (chain_id, agent_id, shared)
 CROSS JOIN LATERAL (
       SELECT chain_id, agent_id, owner, created_at FROM agent_profile
        WHERE {column} = w.shared
          AND (chain_id, agent_id) NOT IN (SELECT * FROM unnest($4::bigint[], $5::bigint[]))
        ORDER BY {column}, created_at, chain_id, agent_id LIMIT 1) p
"""
OLDEST_WITH_DOCUMENT: LiteralString = _OLDEST.format(type="bigint", column="document_id")
OLDEST_WITH_TEMPLATE: LiteralString = _OLDEST.format(type="bytea", column="template")

GUARDED: LiteralString = f"""
SELECT w.chain_id, w.agent_id, p.chain_id, p.agent_id, p.owner, p.created_at, p.name_key, true
  FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS w (chain_id, agent_id, skeleton)
 CROSS JOIN LATERAL (
       SELECT chain_id, agent_id, owner, created_at, name_key FROM agent_profile
        WHERE skeleton = w.skeleton
          AND (chain_id, agent_id) NOT IN (SELECT * FROM unnest($4::bigint[], $5::bigint[]))
          AND (domains <> '{{}}' OR client_count >= {PROMINENT_CLIENTS})
        ORDER BY created_at, chain_id, agent_id LIMIT 1) p
"""


async def oldest_with_document(
    conn: Conn, wanted: Sequence[tuple[int, int, int]], but: Sequence[Place]
) -> dict[Place, Neighbour]:
    """For agents as (chain, agent, document): the oldest holder of the document not among `but`."""
    return await _neighbours(conn, OLDEST_WITH_DOCUMENT, wanted, but)


async def oldest_with_template(
    conn: Conn, wanted: Sequence[tuple[int, int, bytes]], but: Sequence[Place]
) -> dict[Place, Neighbour]:
    """For agents as (chain, agent, template): the oldest of the template not among `but`."""
    return await _neighbours(conn, OLDEST_WITH_TEMPLATE, wanted, but)


async def guarded_names(
    conn: Conn, wanted: Sequence[tuple[int, int, str]], but: Sequence[Place]
) -> dict[Place, Neighbour]:
    """For agents as (chain, agent, skeleton): the oldest one not among `but` whose name looks the
    same and that has a verified domain or `PROMINENT_CLIENTS` distinct clients."""
    return await _neighbours(conn, GUARDED, wanted, but)


async def _neighbours(
    conn: Conn, statement: str, wanted: Sequence[tuple[int, int, Any]], but: Sequence[Place]
) -> dict[Place, Neighbour]:
    if not wanted:
        return {}
    rows = await conn.fetch(statement, *columns(wanted), *columns(but))
    return {(row[0], row[1]): Neighbour(*tuple(row)[2:]) for row in rows}


def columns(rows: Sequence[tuple[Any, ...]], width: int = 2) -> list[list[Any]]:
    """Rows as lists of columns, which `unnest` takes."""
    return [list(c) for c in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
