"""What an agent says it can be called at, and how that went when asked."""

from __future__ import annotations

from typing import LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.reads import AGENT_ID, CHAIN, HEAD, HEAD_COLUMNS, Head, KeyArgs, by_uuid

UPTIME_DAYS = 30
MOST_CHECKED = 200
"""Endpoints and hosts of one agent at most."""


class Declared(msgspec.Struct, frozen=True, gc=False):
    """An agent's registration with what its endpoints and hosts gave, each as JSON text.

    `agent_id` is None where there is no such agent, `registration` where none was read. `checks`
    has one object per endpoint that the agent's row for search is linked to, in the order of
    services; they belong to `registration` where `current`. `domains` are in the order of hosts.
    """

    head: Head
    agent_id: int | None
    version: int
    registration: str | None
    current: bool
    checks: str
    domains: str


DECLARED: LiteralString = f"""
SELECT {HEAD}, a.agent_id, coalesce(s.version, 0), d.registration::text,
       p.document_id IS NOT NULL AND p.document_id = d.document_id,
       coalesce((
       SELECT jsonb_agg(jsonb_build_object(
                  'position', x.position, 'protocol', e.protocol, 'url', e.url,
                  'verdict', e.verdict, 'verdict_since', e.verdict_at, 'checked_at', e.checked_at,
                  'latency_ms', e.latency_ms, 'recent_checks', h.checks, 'recent_good', h.good,
                  'capabilities', e.capabilities) ORDER BY x.position, e.protocol)
         FROM (SELECT l.* FROM agent_endpoint l
                WHERE l.chain_id = {CHAIN} AND l.agent_id = {AGENT_ID}
                ORDER BY l.position, l.protocol LIMIT {MOST_CHECKED}) x
         JOIN endpoint e USING (endpoint_id)
        CROSS JOIN LATERAL (
              SELECT coalesce(sum(z.checks), 0)::bigint AS checks,
                     coalesce(sum(z.good), 0)::bigint AS good
                FROM (SELECT count(*) AS checks, count(*) FILTER (WHERE c.good) AS good
                        FROM endpoint_check c
                       WHERE c.endpoint_id = e.endpoint_id AND c.leaning <> 'unknown'
                         AND c.checked_at > now() - interval '{UPTIME_DAYS} days'
                       UNION ALL
                      SELECT y.checks, y.good FROM endpoint_day y
                       WHERE y.endpoint_id = e.endpoint_id
                         AND y.day > current_date - {UPTIME_DAYS}) z) h), '[]')::text,
       coalesce((
       SELECT jsonb_agg(jsonb_build_object(
                  'host', o.host, 'state', o.state, 'by_uri', o.by_uri,
                  'checked_at', o.checked_at) ORDER BY o.host)
         FROM (SELECT * FROM agent_domain m
                WHERE m.chain_id = {CHAIN} AND m.agent_id = {AGENT_ID}
                ORDER BY m.host LIMIT {MOST_CHECKED}) o), '[]')::text
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN uri u ON a.uri <> '' AND u.hash = sha256(a.uri)
  LEFT JOIN document d ON d.document_id = u.document_id
  LEFT JOIN agent_profile p ON p.chain_id = {CHAIN} AND p.agent_id = {AGENT_ID}
 WHERE c.chain_id = {CHAIN}
"""
DECLARED_BY_UUID: LiteralString = by_uuid(DECLARED)


async def declared(conn: Conn, key: KeyArgs) -> Declared | None:
    """What the agent declares; None where its chain (or UUID) is unknown."""
    row = await conn.fetchrow(*key.asks(DECLARED, DECLARED_BY_UUID))
    if row is None:
        return None
    return Declared(Head(*row[:HEAD_COLUMNS]), *row[HEAD_COLUMNS:])
