"""Endpoints that agents declare, who declares them, and how they were found.

Rows are made by the builder of profiles (`link_many`), asked and judged by the prober
(`store.probes`). Both take rows of `profile_due` before those of `endpoint`, so that they wait for
each other instead of deadlocking.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import LiteralString, TypeAlias

from renown.spec.documents.model import Registration
from renown.spec.protocols.capabilities import capabilities_from
from renown.spec.protocols.declared import Declared
from renown.spec.protocols.offers import Checked, Offers
from renown.spec.protocols.offers import offers as _offers
from renown.store.pool import Conn

Key: TypeAlias = tuple[int, int]
"""(chain_id, agent_id)"""


async def link(conn: Conn, chain_id: int, agent_id: int, wanted: Sequence[Declared]) -> None:
    """Make `wanted` the endpoints of one agent; see `link_many`."""
    await link_many(conn, {(chain_id, agent_id): wanted})


async def link_many(conn: Conn, wanted: Mapping[Key, Sequence[Declared]]) -> None:
    """Make these the endpoints of these agents, and of no others what they had besides.

    New endpoints are due at once; those nobody declares any longer are not probed any more, but
    keep their history. To be called within the transaction that writes the agents' profiles.
    """
    if not wanted:
        return
    keys = list(wanted)
    chains, agents = [key[0] for key in keys], [key[1] for key in keys]
    rows = [(*key, one) for key, several in wanted.items() for one in _distinct(several)]
    links = (
        [chain_id for chain_id, _, _ in rows],
        [agent_id for _, agent_id, _ in rows],
        [one.position for _, _, one in rows],
        [one.protocol for _, _, one in rows],
        [_hash(one) for _, _, one in rows],
    )
    if rows:
        await conn.execute(
            ADD, links[4], links[3], [one.url for *_, one in rows], [one.host for *_, one in rows]
        )
    removed = [row[0] for row in await conn.fetch(UNLINK, chains, agents, *links)]
    if rows:
        added = [row[0] for row in await conn.fetch(LINK, *links)]
        await conn.execute(WAKE, sorted({*added}))
    if removed:
        await conn.execute(LET_REST, sorted({*removed}))


async def offers(conn: Conn, agents: Mapping[Key, Registration | None]) -> dict[Key, Offers]:
    """What the endpoints linked to these agents gave, compared with what their files say.

    Every key of `agents` is in the answer. Link first, where the file changed.
    """
    found: dict[Key, list[Checked]] = {key: [] for key in agents}
    rows = await conn.fetch(CHECKED, [key[0] for key in agents], [key[1] for key in agents])
    for chain_id, agent_id, position, protocol, verdict, capabilities in rows:
        known = None if capabilities is None else capabilities_from(capabilities)
        found[chain_id, agent_id].append(Checked(position, protocol, verdict, known))
    return {key: _offers(agents[key], checked) for key, checked in found.items()}


def _hash(one: Declared) -> bytes:
    return hashlib.sha256(f"{one.protocol}\0{one.url}".encode()).digest()


def _distinct(several: Sequence[Declared]) -> list[Declared]:
    return list({(one.position, one.protocol): one for one in several}.values())


ADD: LiteralString = """
INSERT INTO endpoint (hash, protocol, url, host)
SELECT DISTINCT ON (hash) hash, protocol, url, host
  FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[]) AS w (hash, protocol, url, host)
 ORDER BY hash
    ON CONFLICT (hash) DO NOTHING
"""
UNLINK: LiteralString = """
DELETE FROM agent_endpoint l
 USING unnest($1::bigint[], $2::bigint[]) AS a (chain_id, agent_id)
 WHERE l.chain_id = a.chain_id AND l.agent_id = a.agent_id
   AND NOT EXISTS (
       SELECT FROM unnest($3::bigint[], $4::bigint[], $5::int[], $6::text[], $7::bytea[])
                AS w (chain_id, agent_id, position, protocol, hash)
         JOIN endpoint e USING (hash)
        WHERE w.chain_id = l.chain_id AND w.agent_id = l.agent_id AND w.position = l.position
          AND w.protocol = l.protocol AND e.endpoint_id = l.endpoint_id)
RETURNING l.endpoint_id
"""
LINK: LiteralString = """
INSERT INTO agent_endpoint (chain_id, agent_id, position, protocol, endpoint_id)
SELECT w.chain_id, w.agent_id, w.position, w.protocol, e.endpoint_id
  FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::text[], $5::bytea[])
    AS w (chain_id, agent_id, position, protocol, hash)
  JOIN endpoint e USING (hash)
 ORDER BY 1, 2, 3, 4
    ON CONFLICT (chain_id, agent_id, position, protocol) DO NOTHING
RETURNING endpoint_id
"""
# Rows are locked in order of id, by all who change several: two that meet wait, not deadlock.
WAKE: LiteralString = """
UPDATE endpoint SET due_at = now()
 WHERE endpoint_id IN (SELECT endpoint_id FROM endpoint
                        WHERE endpoint_id = ANY($1::bigint[]) AND due_at IS NULL
                        ORDER BY endpoint_id FOR UPDATE)
"""
LET_REST: LiteralString = """
UPDATE endpoint SET due_at = NULL
 WHERE endpoint_id IN (SELECT e.endpoint_id FROM endpoint e
                        WHERE e.endpoint_id = ANY($1::bigint[]) AND e.due_at IS NOT NULL
                          AND NOT EXISTS (SELECT FROM agent_endpoint l
                                           WHERE l.endpoint_id = e.endpoint_id)
                        ORDER BY e.endpoint_id FOR UPDATE OF e)
"""
CHECKED: LiteralString = """
SELECT l.chain_id, l.agent_id, l.position, l.protocol, e.verdict, e.capabilities
  FROM unnest($1::bigint[], $2::bigint[]) AS a (chain_id, agent_id)
  JOIN agent_endpoint l USING (chain_id, agent_id)
  JOIN endpoint e USING (endpoint_id)
 ORDER BY l.chain_id, l.agent_id, l.position, l.protocol
"""
