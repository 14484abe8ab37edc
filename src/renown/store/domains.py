"""Hosts that agents claim, and what the well-known files of those hosts say of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn, Tx
from renown.store.profile_material import Place, columns

MOST_OWNERS = 3
"""Owners whose files one host may serve and still be taken to speak for each of them."""


class Wanted(msgspec.Struct, frozen=True):
    """One host of one agent. `url` is its well-known file's; `by_uri` says that none is needed,
    because the registration itself is served there."""

    chain_id: int
    agent_id: int
    host: str
    url: str
    by_uri: bool


class Heard(msgspec.Struct, frozen=True, gc=False):
    """What the well-known file of a host gave. `names_agent` is None where no claims were read."""

    chain_id: int
    agent_id: int
    host: str
    by_uri: bool
    uri_id: int | None
    attempts: int
    outcome: str | None
    status: int | None
    attempted_at: datetime | None
    final_url: str | None
    names_agent: bool | None


# A file that was not to be read again, because nobody claimed its host any more, is due again.
LEARN: LiteralString = """
INSERT INTO uri AS u (hash, uri, kind, host, fixed, stage, due_at)
SELECT DISTINCT ON (w.url) sha256(convert_to(w.url, 'UTF8')), convert_to(w.url, 'UTF8'), 'https',
       w.host, false, 0, now()
  FROM unnest($1::text[], $2::text[]) AS w (url, host)
 ORDER BY w.url
    ON CONFLICT (hash) DO UPDATE SET due_at = now()
 WHERE u.due_at IS NULL
"""
FORGET: LiteralString = """
DELETE FROM agent_domain d USING unnest($1::bigint[], $2::bigint[]) AS w (chain_id, agent_id)
 WHERE d.chain_id = w.chain_id AND d.agent_id = w.agent_id
   AND (d.chain_id, d.agent_id, d.host)
       NOT IN (SELECT * FROM unnest($3::bigint[], $4::bigint[], $5::text[]))
"""
CLAIM: LiteralString = """
INSERT INTO agent_domain AS d (chain_id, agent_id, host, state, by_uri, uri_id)
SELECT w.chain_id, w.agent_id, w.host, 'pending', w.by_uri, u.uri_id
  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::boolean[])
       AS w (chain_id, agent_id, host, url, by_uri)
  JOIN uri u ON u.hash = sha256(convert_to(w.url, 'UTF8'))
    ON CONFLICT (chain_id, agent_id, host) DO UPDATE
   SET by_uri = excluded.by_uri, uri_id = excluded.uri_id
 WHERE (d.by_uri, d.uri_id) IS DISTINCT FROM (excluded.by_uri, excluded.uri_id)
"""
HEARD: LiteralString = """
SELECT d.chain_id, d.agent_id, d.host, d.by_uri, d.uri_id, coalesce(u.attempts, 0), u.outcome,
       u.status, u.attempted_at,
       (SELECT r.final_url FROM resolution r
         WHERE r.uri_id = u.uri_id AND r.attempted_at = u.attempted_at),
       CASE WHEN jsonb_array_length(coalesce(f.registration -> 'claims', '[]')) > 0
            THEN f.registration -> 'claims' @> jsonb_build_array(jsonb_build_object(
                 'chain_id', d.chain_id, 'registry', '0x' || encode(c.identity, 'hex'),
                 'agent_id', d.agent_id)) END
  FROM unnest($1::bigint[], $2::bigint[]) AS w (chain_id, agent_id)
  JOIN agent_domain d USING (chain_id, agent_id)
  JOIN chain c USING (chain_id)
  LEFT JOIN uri u USING (uri_id)
  LEFT JOIN document f ON f.document_id = u.document_id
 ORDER BY d.chain_id, d.agent_id, d.host
"""
JUDGE: LiteralString = """
UPDATE agent_domain d SET state = w.state, alone = w.alone, checked_at = w.checked_at
  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::boolean[], $6::timestamptz[])
       AS w (chain_id, agent_id, host, state, alone, checked_at)
 WHERE (d.chain_id, d.agent_id, d.host) = (w.chain_id, w.agent_id, w.host)
   AND (d.state, d.alone, d.checked_at) IS DISTINCT FROM (w.state, w.alone, w.checked_at)
"""
CROWDED: LiteralString = """
SELECT h.host FROM unnest($1::text[]) AS h (host)
 WHERE (SELECT count(DISTINCT a.owner) FROM agent_domain d JOIN agent a USING (chain_id, agent_id)
         WHERE d.host = h.host AND d.by_uri) > $2
"""
# Those that had been confirmed while the host was not crowded yet.
DOUBT: LiteralString = """
INSERT INTO profile_due (chain_id, agent_id)
SELECT chain_id, agent_id FROM agent_domain
 WHERE host = any($1::text[]) AND alone
   AND (chain_id, agent_id) NOT IN (SELECT * FROM unnest($2::bigint[], $3::bigint[]))
    ON CONFLICT DO NOTHING
"""


async def claim(tx: Tx, places: Sequence[Place], wanted: Sequence[Wanted]) -> None:
    """Let exactly `wanted` be the hosts of the agents at `places`; new files become due."""
    kept = [(w.chain_id, w.agent_id, w.host) for w in wanted]
    await tx.execute(FORGET, *columns(places), *columns(kept, 3))
    if wanted:
        await tx.execute(LEARN, [w.url for w in wanted], [w.host for w in wanted])
        await tx.execute(
            CLAIM,
            *columns(kept, 3),
            [w.url for w in wanted],
            [w.by_uri for w in wanted],
        )


async def heard(conn: Conn, places: Sequence[Place]) -> list[Heard]:
    """What is known of the hosts of these agents, by agent and host."""
    return [Heard(*row) for row in await conn.fetch(HEARD, *columns(places))]


async def crowded(tx: Tx, hosts: Sequence[str], places: Sequence[Place]) -> set[str]:
    """Those of `hosts` that serve the files of more than `MOST_OWNERS` owners. Other agents than
    those at `places` that rest on one of them alone are to be looked at again."""
    found = {row[0] for row in await tx.fetch(CROWDED, sorted(set(hosts)), MOST_OWNERS)}
    if found:
        await tx.execute(DOUBT, sorted(found), *columns(places))
    return found


async def judge(
    tx: Tx, verdicts: Sequence[tuple[int, int, str, str, bool, datetime | None]]
) -> None:
    """Keep verdicts as (chain, agent, host, state, by its URI alone, time of the check)."""
    if verdicts:
        await tx.execute(JUDGE, *columns(verdicts, 6))
