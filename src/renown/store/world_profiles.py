"""Rows for lists and search of a bench world: what they are made of, and how they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Tx
from renown.store.profile_material import PROMINENT_CLIENTS
from renown.store.profiles import WORDS


class AgentNow(msgspec.Struct, frozen=True, gc=False):
    """An agent as it is folded. `owner_since_block` is None where it never changed hands."""

    agent_id: int
    owner: bytes
    wallet: bytes | None
    wallet_state: str
    uri: bytes | None
    uri_block: int | None
    created_at: datetime
    owner_since_block: int | None
    newest_block: int
    feedback_count: int
    client_count: int


class Known(msgspec.Struct, frozen=True, gc=False):
    """An agent that others are compared with."""

    created_at: datetime
    chain_id: int
    agent_id: int
    owner: bytes


AGENTS: LiteralString = """
SELECT a.agent_id, a.owner, a.wallet, a.wallet_state, a.uri, a.uri_block, a.created_at,
       CASE WHEN a.transfer_count > 0 THEN
            (SELECT o.from_block FROM agent_ownership o
              WHERE o.chain_id = a.chain_id AND o.agent_id = a.agent_id AND o.to_block IS NULL)
       END,
       n.block_number, s.feedback_count - s.revoked_count, s.client_count
  FROM agent a
  JOIN agent_stats s USING (chain_id, agent_id)
  JOIN bench.newest n USING (chain_id, agent_id)
 WHERE a.chain_id = $1 AND a.agent_id >= $2 AND a.agent_id < $3
 ORDER BY a.agent_id
"""
KEY_NEWEST: LiteralString = """
CREATE UNIQUE INDEX IF NOT EXISTS newest_key ON bench.newest (chain_id, agent_id)
"""
ANALYZE_STATS: LiteralString = "ANALYZE agent_stats, bench.newest, bench.holder"
HOLDERS: LiteralString = """
SELECT source, number, created_at, chain_id, agent_id, owner
  FROM (SELECT *, row_number() OVER (PARTITION BY source, number
                                     ORDER BY created_at, chain_id, agent_id) AS age
          FROM bench.holder) h
 WHERE age <= 2
 ORDER BY source, number, age
"""
# A shared file is called by its number.
GUARD: LiteralString = f"""
INSERT INTO bench.guarded (number, created_at, chain_id, agent_id, owner)
SELECT number, created_at, chain_id, agent_id, owner
  FROM (SELECT substring(convert_from(a.uri, 'UTF8') FROM '/agents/([0-9]+)[.]json$')::bigint
                   AS number, a.created_at, a.chain_id, a.agent_id, a.owner,
               row_number() OVER (PARTITION BY a.uri
                                  ORDER BY a.created_at, a.chain_id, a.agent_id) AS age
          FROM agent a
          JOIN agent_stats s USING (chain_id, agent_id)
         WHERE s.client_count >= {PROMINENT_CLIENTS}
           AND substring(a.uri FOR 8) = 'https://'::bytea
           AND position('/agents/'::bytea IN a.uri) > 0) g
 WHERE age <= 2
"""
GUARDED: LiteralString = """
SELECT number, created_at, chain_id, agent_id, owner FROM bench.guarded
 ORDER BY number, created_at, chain_id, agent_id
"""
MADE: LiteralString = """
CREATE TEMP TABLE made (
    agent_id bigint, uri_id bigint, document_id bigint, state text, name text, description text,
    image text, name_key text, skeleton text, x402 boolean, active boolean, alive boolean,
    findings jsonb, domains text[], terms text[], name_text text, offers text, tags text,
    about text, template bytea, leads boolean, quality smallint, owner bytea, wallet bytea,
    feedback_count bigint, client_count bigint, created_at timestamptz, active_at timestamptz,
    revision bigint
) ON COMMIT DROP
"""
MADE_COLUMNS = (
    *("agent_id", "uri_id", "document_id", "state", "name", "description", "image", "name_key"),
    *("skeleton", "x402", "active", "alive", "findings", "domains", "terms", "name_text"),
    *("offers", "tags", "about", "template", "leads", "quality", "owner", "wallet"),
    *("feedback_count", "client_count", "created_at", "active_at", "revision"),
)
KEEP: LiteralString = f"""
INSERT INTO agent_profile (chain_id, agent_id, uri_id, document_id, state, name, description, image,
       name_key, skeleton, x402, active, alive, findings, domains, terms, words, template, leads,
       quality, owner, wallet, feedback_count, client_count, created_at, active_at, revision,
       changed_at)
SELECT $1, r.agent_id, r.uri_id, r.document_id, r.state, r.name, r.description, r.image,
       r.name_key, r.skeleton, r.x402, r.active, r.alive, r.findings, r.domains, r.terms,
       {WORDS},
       r.template, r.leads, r.quality, r.owner, r.wallet, r.feedback_count, r.client_count,
       r.created_at, r.active_at, r.revision, $2
  FROM pg_temp.made r
 ORDER BY r.agent_id
"""


async def agents(tx: Tx, chain_id: int, first: int, behind: int) -> list[AgentNow]:
    """The agents of a chain with ids from `first` up to but not including `behind`."""
    return [AgentNow(*row) for row in await tx.fetch(AGENTS, chain_id, first, behind)]


async def holders(tx: Tx) -> dict[tuple[str, int], list[Known]]:
    """The two oldest agents of each shared file and mint, by (source, number)."""
    found: dict[tuple[str, int], list[Known]] = {}
    for source, number, *rest in await tx.fetch(HOLDERS):
        found.setdefault((source, number), []).append(Known(*rest))
    return found


async def guard(tx: Tx) -> None:
    """Note whose names are worth guarding among those that share a file."""
    await tx.execute(KEY_NEWEST)
    await tx.execute(ANALYZE_STATS)
    await tx.execute(GUARD)


async def guarded(tx: Tx) -> dict[int, list[Known]]:
    """Of each shared file the two oldest agents whose names are worth guarding."""
    found: dict[int, list[Known]] = {}
    for number, *rest in await tx.fetch(GUARDED):
        found.setdefault(number, []).append(Known(*rest))
    return found


async def keep(
    tx: Tx, chain_id: int, rows: Sequence[tuple[object, ...]], *, changed_at: datetime
) -> None:
    """Keep rows of one chain's agents, as MADE_COLUMNS; none of them is held already."""
    await tx.execute(MADE)
    await tx.copy_records_to_table("made", records=rows, columns=MADE_COLUMNS)
    await tx.execute(KEEP, chain_id, changed_at)
