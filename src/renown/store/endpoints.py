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
_Link: TypeAlias = tuple[int, int, int, str]
"""(chain_id, agent_id, position, protocol): the key of `agent_endpoint`."""


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
    links: dict[_Link, tuple[bytes, Declared]] = {
        (*key, one.position, one.protocol): (_hash(one), one)
        for key, several in wanted.items()
        for one in several
    }
    # Compared here: a join of two lists is quadratic on connections that join by key only.
    chains, agents = [key[0] for key in wanted], [key[1] for key in wanted]
    held: dict[_Link, bytes | None] = {
        (chain_id, agent_id, position, protocol): hash_
        for chain_id, agent_id, position, protocol, hash_ in await conn.fetch(HELD, chains, agents)
    }
    gone = [link for link, hash_ in held.items() if links.get(link, (b"",))[0] != hash_]
    new = [(link, *what) for link, what in links.items() if held.get(link) != what[0]]
    removed = [row[0] for row in await conn.fetch(UNLINK, *_columns(gone))] if gone else []
    if new:
        hashes, declared = [hash_ for _, hash_, _ in new], [one for *_, one in new]
        await conn.execute(
            ADD,
            hashes,
            [one.protocol for one in declared],
            [one.url for one in declared],
            [one.host for one in declared],
        )
        rows = await conn.fetch(LINK, *_columns([link for link, *_ in new]), hashes)
        await conn.execute(WAKE, sorted({row[0] for row in rows}))
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


def _columns(links: Sequence[_Link]) -> tuple[list[int], list[int], list[int], list[str]]:
    return (
        [link[0] for link in links],
        [link[1] for link in links],
        [link[2] for link in links],
        [link[3] for link in links],
    )


HELD: LiteralString = """
SELECT l.chain_id, l.agent_id, l.position, l.protocol, e.hash
  FROM unnest($1::bigint[], $2::bigint[]) AS a (chain_id, agent_id)
  JOIN agent_endpoint l USING (chain_id, agent_id)
  LEFT JOIN endpoint e USING (endpoint_id)
"""
ADD: LiteralString = """
INSERT INTO endpoint (hash, protocol, url, host)
SELECT DISTINCT ON (hash) hash, protocol, url, host
  FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[]) AS w (hash, protocol, url, host)
 ORDER BY hash
    ON CONFLICT (hash) DO NOTHING
"""
UNLINK: LiteralString = """
DELETE FROM agent_endpoint l
 USING unnest($1::bigint[], $2::bigint[], $3::int[], $4::text[])
    AS g (chain_id, agent_id, position, protocol)
 WHERE l.chain_id = g.chain_id AND l.agent_id = g.agent_id AND l.position = g.position
   AND l.protocol = g.protocol
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
