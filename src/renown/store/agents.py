"""Agents as folded: one by its key, and pages of them.

What rows of an agent are made of stands in `store.agent_rows`; the names can be had here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import LiteralString
from uuid import UUID

import msgspec
from asyncpg import Record

from renown.store.agent_rows import (
    AGENT,
    AGENT_COLUMNS,
    COUNTS,
    COUNTS_COLUMNS,
    PROFILE,
    PROFILE_COLUMNS,
    AgentRow,
    CountsRow,
    Listed,
    ProfileRow,
    listed_row,
)
from renown.store.marks import HIDDEN, OF_AGENT
from renown.store.pool import Conn
from renown.store.reads import (
    AGENT_ID,
    CHAIN,
    HEAD_TEXT,
    NEVER,
    UNCUT,
    Head,
    KeyArgs,
    by_uuid,
    head_of,
)
from renown.types import MAX_BIGINT

__all__ = [
    "AGENT",
    "COUNTS",
    "COUNTS_COLUMNS",
    "FROM_NEWEST",
    "PROFILE",
    "After",
    "AgentRow",
    "CountsRow",
    "EntryRow",
    "Found",
    "Listed",
    "Metadata",
    "Page",
    "ProfileRow",
    "Version",
    "batch",
    "listed_row",
    "metadata",
    "newest",
    "of_chain",
    "of_owner",
    "one",
    "owned_at",
    "version",
]

_MARKS_OF_KEY: LiteralString = OF_AGENT.replace(
    "m.chain_id = a.chain_id", f"m.chain_id = {CHAIN}"
).replace("m.agent_id = a.agent_id", f"m.agent_id = {AGENT_ID}")
_OF_KEY: LiteralString = AGENT.partition("CASE")[0].replace("$1", "$3") + _MARKS_OF_KEY
_FROM_KEY: LiteralString = f"""
  FROM checkpoint k
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN agent_profile pr ON pr.chain_id = {CHAIN} AND pr.agent_id = {AGENT_ID}
 WHERE k.chain_id = {CHAIN}
"""


class Found(msgspec.Struct, frozen=True, gc=False):
    """An agent as it is now. `version` rises with every change of what is said of it on chain, as
    its profile's revision does off chain; `profile` is None before its URI was looked at."""

    head: Head
    agent: AgentRow | None
    counts: CountsRow
    profile: ProfileRow | None
    version: int


ONE: LiteralString = f"""
SELECT {HEAD_TEXT}, {_OF_KEY}, {COUNTS}, {PROFILE}, s.version
{_FROM_KEY}"""
ONE_BY_UUID: LiteralString = by_uuid(ONE)


async def one(conn: Conn, key: KeyArgs, *, uri_cut_bytes: int = UNCUT) -> Found | None:
    """The agent of `key`; None where its chain (or UUID) is unknown."""
    row = await conn.fetchrow(*key.asks(ONE, ONE_BY_UUID), uri_cut_bytes)
    if row is None:
        return None
    head = head_of(row[0])
    listed = listed_row(row, 1, head.registry)
    if listed is None:
        return Found(head, None, CountsRow(), None, 0)
    return Found(head, *listed, row[-1] or 0)


class Version(msgspec.Struct, frozen=True, gc=False):
    """What tells whether an agent is as it was: see `Found`; `revision` is its profile's, 0 where
    there is none, and `marks` are as in `AgentRow`."""

    head: Head
    agent_id: int
    version: int
    revision: int
    marks: list[str]


VERSION: LiteralString = f"""
SELECT {HEAD_TEXT}, a.agent_id, s.version, pr.revision, {_MARKS_OF_KEY}
{_FROM_KEY}"""
VERSION_BY_UUID: LiteralString = by_uuid(VERSION)


async def version(conn: Conn, key: KeyArgs) -> Version | None:
    """What `one` would be a version of; None where there is no such agent."""
    row = await conn.fetchrow(*key.asks(VERSION, VERSION_BY_UUID))
    if row is None or row[1] is None:
        return None
    head, agent_id, number, revision, marks = row
    return Version(head_of(head), agent_id, number or 0, revision or 0, sorted(marks))


# Pages ---------------------------------------------------------------------------------------


class After(msgspec.Struct, frozen=True, gc=False):
    """Keyset position: the last agent of the page before. Pages of one chain or owner leave
    `created_at` alone."""

    created_at: datetime = NEVER
    chain_id: int = MAX_BIGINT
    agent_id: int = MAX_BIGINT


FROM_NEWEST = After()


class Page(msgspec.Struct, frozen=True, gc=False):
    """Agents, and the heads of the chains that were looked at, by chain id. `versions` are those
    of the agents, as in `Found`."""

    heads: list[Head]
    rows: list[Listed]
    versions: list[int]


# What a page is made of, behind the agents that are on it. PostgreSQL plans a statement anew for
# each call as long as it takes that plan for the cheaper one, which with a limit that it knows it
# always does; and to plan these takes longer than to run them. So it is not told before it runs:
# parameters that say where and how far are read by subqueries, and the plan is made once.
# The rest of a chain's agents is found by all of their ids in one walk through an index, and kept
# before it is joined, as the plan may be one for fewer agents. Rows come in no order. The heads
# stand before them, one a row.
_LISTED: LiteralString = f""", wanted AS MATERIALIZED (
SELECT chain_id, array_agg(agent_id) AS agent_ids FROM page GROUP BY chain_id
), s AS MATERIALIZED (
SELECT s.*
  FROM wanted w
 CROSS JOIN LATERAL (SELECT * FROM agent_stats s
                      WHERE s.chain_id = w.chain_id AND s.agent_id = ANY (w.agent_ids)
                     OFFSET 0) s
), pr AS MATERIALIZED (
SELECT pr.*
  FROM wanted w
 CROSS JOIN LATERAL (SELECT pr.chain_id, pr.agent_id, {PROFILE} FROM agent_profile pr
                      WHERE pr.chain_id = w.chain_id AND pr.agent_id = ANY (w.agent_ids)
                     OFFSET 0) pr
)
SELECT {HEAD_TEXT}{", NULL" * (AGENT_COLUMNS + COUNTS_COLUMNS + PROFILE_COLUMNS + 1)}
  FROM checkpoint k
 WHERE (SELECT $2::bigint) IS NULL OR k.chain_id = (SELECT $2::bigint)
 UNION ALL
SELECT NULL, a.*, {COUNTS},
       pr.state, pr.name, pr.description, pr.image, pr.x402, pr.active, pr.alive,
       pr.domains, pr.terms, pr.quality, pr.leads, pr.revision, s.version
  FROM page a
  LEFT JOIN s ON s.chain_id = a.chain_id AND s.agent_id = a.agent_id
  LEFT JOIN pr ON pr.chain_id = a.chain_id AND pr.agent_id = a.agent_id
"""

NEWEST: LiteralString = f"""
WITH page AS MATERIALIZED (
SELECT {AGENT}
  FROM agent a
 WHERE (a.created_at, a.chain_id, a.agent_id)
       < ((SELECT $3::timestamptz), (SELECT $4::bigint), (SELECT $5::bigint))
   AND ((SELECT $7::boolean) OR (a.chain_id, a.agent_id) NOT IN {HIDDEN})
 ORDER BY a.created_at DESC, a.chain_id DESC, a.agent_id DESC
 LIMIT (SELECT $6::bigint)
){_LISTED}"""


async def newest(
    conn: Conn,
    *,
    upto: datetime = NEVER,
    after: After = FROM_NEWEST,
    limit: int,
    uri_cut_bytes: int,
    hidden_too: bool = False,
) -> Page:
    """Agents of all chains created at or before `upto`, newest first; of those that this
    installation hides only with `hidden_too`."""
    # One bound and not two: beside `<= upto` the index would be walked from there to the page.
    start = min(after, After(created_at=upto), key=_moment)
    rows = await conn.fetch(
        NEWEST,
        *(uri_cut_bytes, None),
        *(start.created_at, start.chain_id, start.agent_id, limit, hidden_too),
    )
    return _page(rows, by_age=True)


# Ids of a registry rise with time, so the primary key gives the order.
OF_CHAIN: LiteralString = f"""
WITH page AS MATERIALIZED (
SELECT {AGENT}
  FROM agent a
 WHERE a.chain_id = (SELECT $2::bigint) AND a.agent_id < (SELECT $3::bigint)
   AND ((SELECT $5::boolean) OR (a.chain_id, a.agent_id) NOT IN {HIDDEN})
 ORDER BY a.agent_id DESC
 LIMIT (SELECT $4::bigint)
){_LISTED}"""


# The last agent that there was at a moment is found by halving the ids that it can have: up to
# `low` all are of then, above `high` none, and those that nobody has are of either. Each step looks
# at one agent. An index by age knows the moment, but the agents of other chains stand between.
OF_CHAIN_AT: LiteralString = f"""
WITH RECURSIVE halved AS (
SELECT -1::bigint AS low, (SELECT max(agent_id) FROM agent
                            WHERE chain_id = (SELECT $2::bigint)
                              AND agent_id < (SELECT $3::bigint)) AS high
 UNION ALL
SELECT CASE WHEN m.agent_id IS NULL OR m.is_of_then THEN h.middle ELSE h.low END,
       CASE WHEN m.agent_id IS NULL OR m.is_of_then THEN h.high ELSE m.agent_id - 1 END
  FROM (SELECT low, high, high - (high - low) / 2 AS middle FROM halved WHERE low < high) h
  LEFT JOIN LATERAL (
       SELECT a.agent_id, a.created_at <= (SELECT $6::timestamptz) AS is_of_then
         FROM agent a
        WHERE a.chain_id = (SELECT $2::bigint) AND a.agent_id <= h.middle AND a.agent_id > h.low
        ORDER BY a.agent_id DESC LIMIT 1) m ON true
), page AS MATERIALIZED (
SELECT {AGENT}
  FROM agent a
 WHERE a.chain_id = (SELECT $2::bigint)
   AND a.agent_id <= (SELECT low FROM halved WHERE low = high)
   AND ((SELECT $5::boolean) OR (a.chain_id, a.agent_id) NOT IN {HIDDEN})
 ORDER BY a.agent_id DESC
 LIMIT (SELECT $4::bigint)
){_LISTED}"""


async def of_chain(
    conn: Conn,
    chain_id: int,
    *,
    upto: datetime = NEVER,
    after: After = FROM_NEWEST,
    limit: int,
    uri_cut_bytes: int,
    hidden_too: bool = False,
) -> Page:
    """The agents of one chain created at or before `upto`, newest first."""
    args = (uri_cut_bytes, chain_id, after.agent_id, limit, hidden_too)
    if upto < NEVER:
        return _page(await conn.fetch(OF_CHAIN_AT, *args, upto))
    return _page(await conn.fetch(OF_CHAIN, *args))


OF_OWNER: LiteralString = f"""
WITH page AS MATERIALIZED (
SELECT {AGENT}
  FROM agent a
 WHERE a.owner = (SELECT $3::bytea)
   AND (a.chain_id, a.agent_id) < ((SELECT $4::bigint), (SELECT $5::bigint))
   AND a.chain_id >= coalesce((SELECT $2::bigint), 0)
   AND ((SELECT $7::boolean) OR (a.chain_id, a.agent_id) NOT IN {HIDDEN})
 ORDER BY a.chain_id DESC, a.agent_id DESC
 LIMIT (SELECT $6::bigint)
){_LISTED}"""


async def of_owner(
    conn: Conn,
    owner: bytes,
    *,
    chain_id: int | None = None,
    after: After = FROM_NEWEST,
    limit: int,
    uri_cut_bytes: int,
    hidden_too: bool = False,
) -> Page:
    """The agents that `owner` owns: by chain, highest id first, then newest first."""
    last = min(after, After(chain_id=chain_id or MAX_BIGINT), key=_place)
    rows = await conn.fetch(
        OF_OWNER, uri_cut_bytes, chain_id, owner, last.chain_id, last.agent_id, limit, hidden_too
    )
    return _page(rows)


# $2 is of the heads: null, all chains. $3 chains, $4 agents, $5 UUIDs.
BATCH: LiteralString = f"""
WITH page AS MATERIALIZED (
SELECT {AGENT}
  FROM (SELECT * FROM unnest($3::bigint[], $4::bigint[]) AS w (chain_id, agent_id)
         UNION SELECT chain_id, agent_id FROM agent WHERE uuid = ANY ($5::uuid[])) w
  JOIN agent a USING (chain_id, agent_id)
){_LISTED}"""


async def batch(
    conn: Conn, keys: Sequence[tuple[int, KeyArgs, bytes | None]], *, uri_cut_bytes: int
) -> tuple[list[Head], dict[int, Listed]]:
    """Many agents, by the numbers that their keys are given with; those not found are left out.

    Beside a key stands the registry that it names, if it names one.
    """
    by_id = [key for _, key, _ in keys if key.uuid is None]
    page = _page(
        await conn.fetch(
            BATCH,
            *(uri_cut_bytes, None, [key.chain_id for key in by_id], [k.agent_id for k in by_id]),
            [key.uuid for _, key, _ in keys if key.uuid is not None],
        )
    )
    # The key of an agent in the two forms that a key has.
    by_key: dict[UUID | tuple[int | None, int | None], Listed] = {}
    for row in page.rows:
        by_key[row[0].chain_id, row[0].agent_id] = by_key[row[0].uuid] = row
    found = {}
    for number, key, registry in keys:
        listed = by_key.get(key.uuid or (key.chain_id, key.agent_id))
        if listed is not None and registry in (None, listed[0].registry):
            found[number] = listed
    return page.heads, found


# An interval that opens and closes within one block is the owner's at no block's end.
# Each chain is walked by itself, so that none is walked through to come to another, and what began
# later is passed over within the index.
OWNED_AT: LiteralString = f"""
WITH held AS MATERIALIZED (
SELECT chain_id, array_agg(agent_id) AS agent_ids
  FROM (SELECT o.chain_id, o.agent_id
          FROM unnest($6::bigint[], $7::bigint[]) AS m (chain_id, upto_block)
         CROSS JOIN LATERAL (
               SELECT o.chain_id, o.agent_id FROM agent_ownership o
                WHERE o.owner = $3 AND o.chain_id = m.chain_id
                  AND (o.chain_id, o.agent_id) < ((SELECT $4::bigint), (SELECT $5::bigint))
                  AND o.from_block <= m.upto_block
                  AND (o.to_block IS NULL OR o.to_block > m.upto_block)
                ORDER BY o.agent_id DESC LIMIT (SELECT $8::bigint)) o
         ORDER BY o.chain_id DESC, o.agent_id DESC LIMIT (SELECT $8::bigint)) o
 GROUP BY chain_id
), page AS MATERIALIZED (
SELECT {AGENT}
  FROM held h
 CROSS JOIN LATERAL (SELECT * FROM agent a
                      WHERE a.chain_id = h.chain_id AND a.agent_id = ANY (h.agent_ids)
                     OFFSET 0) a
){_LISTED}"""


async def owned_at(
    conn: Conn,
    owner: bytes,
    upto_blocks: dict[int, int],
    *,
    after: After = FROM_NEWEST,
    limit: int,
    uri_cut_bytes: int,
) -> Page:
    """The agents that `owner` owned at the end of a block of each chain, in the same order.

    `upto_blocks` are by chain id.

    The rows say who the agents are; all that can change about them is of today.
    """
    only = next(iter(upto_blocks)) if len(upto_blocks) == 1 else None
    rows = await conn.fetch(
        OWNED_AT,
        *(uri_cut_bytes, only, owner, after.chain_id, after.agent_id),
        *(list(upto_blocks), list(upto_blocks.values()), limit),
    )
    return _page(rows)


def _page(records: Sequence[Record], *, by_age: bool = False) -> Page:
    """A page of a statement's rows: newest first by age, else by chain, highest id first."""
    heads = [head_of(text) for row in records if (text := row[0]) is not None]
    heads.sort(key=_chain)
    registries = {head.chain_id: head.registry for head in heads}
    found = [row for row in records if row[0] is None]
    found.sort(key=_BY_AGE if by_age else _BY_ID, reverse=True)
    rows, versions = [], []
    for row in found:
        listed = listed_row(row, 1, registries.get(row[1]))
        if listed is not None:
            rows.append(listed)
            versions.append(row[-1] or 0)
    return Page(heads, rows, versions)


_chain = attrgetter("chain_id")
_BY_ID = itemgetter(1, 2)
_BY_AGE = itemgetter(1 + AgentRow.__struct_fields__.index("created_at") - 1, 1, 2)


def _place(after: After) -> tuple[int, int]:
    return after.chain_id, after.agent_id


def _moment(after: After) -> tuple[datetime, int, int]:
    return after.created_at, after.chain_id, after.agent_id


# Metadata --------------------------------------------------------------------------------------


class EntryRow(msgspec.Struct, frozen=True, gc=False):
    """One metadata entry that is set. Key and value are cut; their full lengths stand beside."""

    key_hash: bytes
    key: bytes
    key_bytes: int
    value: bytes
    value_bytes: int
    block_number: int
    log_index: int


METADATA: LiteralString = f"""
SELECT {HEAD_TEXT}, a.agent_id, s.version, m.*
  FROM checkpoint k
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN LATERAL (
       SELECT e.key_hash, substring(e.key FOR $5), octet_length(e.key),
              substring(e.value FOR $5), octet_length(e.value), e.block_number, e.log_index
         FROM agent_metadata e
        WHERE e.chain_id = {CHAIN} AND e.agent_id = {AGENT_ID} AND a.agent_id IS NOT NULL
          AND e.key_hash > $3
        ORDER BY e.key_hash LIMIT $4) m ON true
 WHERE k.chain_id = {CHAIN}
 ORDER BY m.key_hash
"""
METADATA_BY_UUID: LiteralString = by_uuid(METADATA)


class Metadata(msgspec.Struct, frozen=True, gc=False):
    """A page of an agent's metadata. `agent_id` is None where there is no such agent."""

    head: Head
    agent_id: int | None
    version: int
    rows: list[EntryRow]


async def metadata(
    conn: Conn, key: KeyArgs, *, after: bytes = b"", limit: int, cut_bytes: int
) -> Metadata | None:
    """Entries in the order of their keys' hashes, after the hash `after`; None as for `one`."""
    asked = key.asks(METADATA, METADATA_BY_UUID)
    rows = await conn.fetch(*asked, after, limit, cut_bytes)
    if not rows:
        return None
    first = rows[0]
    entries = [EntryRow(*r[3:]) for r in rows if r[3] is not None]
    return Metadata(head_of(first[0]), first[1], first[2] or 0, entries)
