"""Reads of single agents, for many who ask at the same time: one statement instead of one each.

Each answers what its namesake for one agent does (`agents.one`, `agents.version`,
`reads_reputation.kept`), all from the same snapshot. Keys are a chain and an agent id.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import LiteralString

from asyncpg import Record

from renown.store.agents import (
    AGENT,
    COUNTS,
    COUNTS_COLUMNS,
    PROFILE,
    CountsRow,
    Found,
    Version,
    listed_row,
)
from renown.store.marks import OF_AGENT
from renown.store.pool import Conn
from renown.store.reads import HEAD_TEXT, head_of
from renown.store.reads_reputation import Kept, TagsRow

Key = tuple[int, int]
"""A chain and an agent id."""

# By subqueries, for the planner not to know how many keys there are: it would plan anew for few.
_WANTED: LiteralString = """
  FROM unnest((SELECT $1::bigint[]), (SELECT $2::bigint[]))
       WITH ORDINALITY AS w (chain_id, agent_id, n)
  JOIN checkpoint k ON k.chain_id = w.chain_id
  LEFT JOIN agent a ON a.chain_id = w.chain_id AND a.agent_id = w.agent_id
  LEFT JOIN agent_stats s ON s.chain_id = w.chain_id AND s.agent_id = w.agent_id
"""
_JOIN_PROFILE: LiteralString = """
  LEFT JOIN agent_profile pr ON pr.chain_id = w.chain_id AND pr.agent_id = w.agent_id
"""
_AGENT: LiteralString = AGENT.replace("$1", "$3")

AGENTS: LiteralString = f"""
SELECT w.n, {HEAD_TEXT}, {_AGENT}, {COUNTS}, {PROFILE}, s.version
{_WANTED}{_JOIN_PROFILE}"""


async def agents(conn: Conn, keys: Sequence[Key], *, uri_cut_bytes: int) -> list[Found | None]:
    """What `agents.one` gives for each key, in the order of `keys`."""
    found: list[Found | None] = [None] * len(keys)
    for row in await conn.fetch(AGENTS, *_columns(keys), uri_cut_bytes):
        head = head_of(row[1])
        listed = listed_row(row, 2, head.registry)
        found[row[0] - 1] = (
            Found(head, None, CountsRow(), None, 0)
            if listed is None
            else Found(head, *listed, row[-1] or 0)
        )
    return found


VERSIONS: LiteralString = f"""
SELECT w.n, {HEAD_TEXT}, a.agent_id, s.version, pr.revision, {OF_AGENT}
{_WANTED}{_JOIN_PROFILE}"""


async def versions(conn: Conn, keys: Sequence[Key]) -> list[Version | None]:
    """What `agents.version` gives for each key, in the order of `keys`."""
    found: list[Version | None] = [None] * len(keys)
    for n, head, agent_id, version, revision, marks in await conn.fetch(VERSIONS, *_columns(keys)):
        if agent_id is not None:
            found[n - 1] = Version(
                head_of(head), agent_id, version or 0, revision or 0, sorted(marks)
            )
    return found


REPUTATIONS: LiteralString = f"""
SELECT w.n, {HEAD_TEXT}, a.agent_id, s.version, s.feedback_count, s.revoked_count, s.client_count,
       s.response_count, s.validation_count, s.validation_responded_count, t.*
{_WANTED}
  LEFT JOIN LATERAL (
       SELECT x.tags_hash, substring(x.tag1 FOR $4), octet_length(x.tag1),
              substring(x.tag2 FOR $4), octet_length(x.tag2), x.given_count, x.live_count,
              x.live_sum
         FROM agent_tag_stats x
        WHERE x.chain_id = w.chain_id AND x.agent_id = w.agent_id AND x.given_count > 0
        ORDER BY x.tags_hash LIMIT (SELECT $3::bigint)) t ON true
"""


async def reputations(
    conn: Conn, keys: Sequence[Key], *, limit: int, cut_bytes: int
) -> list[Kept | None]:
    """What `reads_reputation.kept` gives for the first page of each key, in the order of `keys`."""
    rows: list[list[Record]] = [[] for _ in keys]
    for row in await conn.fetch(REPUTATIONS, *_columns(keys), limit, cut_bytes):
        rows[row[0] - 1].append(row)
    return [_kept(of_one) if of_one else None for of_one in rows]


def _kept(rows: Sequence[Record]) -> Kept:
    first = rows[0]
    tags = 4 + COUNTS_COLUMNS
    return Kept(
        head_of(first[1]),
        first[2],
        first[3] or 0,
        CountsRow(*first[4:tags]) if first[3] is not None else CountsRow(),
        sorted([TagsRow(*r[tags:]) for r in rows if r[tags] is not None], key=_by_hash),
    )


_by_hash = attrgetter("tags_hash")


def _columns(keys: Sequence[Key]) -> tuple[list[int], list[int]]:
    return [chain_id for chain_id, _ in keys], [agent_id for _, agent_id in keys]
