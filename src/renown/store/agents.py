"""Agents as folded: one by its key, and pages of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec
from asyncpg import Record

from renown.store.marks import HIDDEN, OF_AGENT
from renown.store.pool import Conn
from renown.store.reads import (
    AGENT_ID,
    CHAIN,
    HEAD,
    HEAD_COLUMNS,
    HEAD_TEXT,
    NEVER,
    UNCUT,
    Head,
    KeyArgs,
    by_uuid,
    head_of,
)
from renown.types import MAX_BIGINT


class AgentRow(msgspec.Struct, frozen=True, gc=False):
    """One row of `agent`. `uri` is cut, `uri_bytes` its full length; both None if never said.
    `marks` are this installation's own, of today, by the alphabet."""

    chain_id: int
    registry: bytes
    agent_id: int
    uuid: UUID
    owner: bytes
    registrant: bytes | None
    uri: bytes | None
    uri_bytes: int | None
    uri_block: int | None
    wallet: bytes | None
    wallet_state: str
    approved: bytes | None
    created_block: int
    created_log_index: int
    created_tx: bytes
    created_at: datetime
    transfer_count: int
    marks: list[str]


class CountsRow(msgspec.Struct, frozen=True, gc=False):
    """What was said about an agent. Superseded feedback is in no count, revoked is in the first."""

    feedback_count: int = 0
    revoked_count: int = 0
    client_count: int = 0
    response_count: int = 0
    validation_count: int = 0
    validation_responded_count: int = 0


class ProfileRow(msgspec.Struct, frozen=True, gc=False):
    """What an agent's file says, in brief. `name` and `description` are cut to 401 characters;
    `image` is None if longer than 2,000; `terms` as `derive.terms` makes them."""

    state: str
    name: str | None
    description: str | None
    image: str | None
    x402: bool | None
    active: bool | None
    alive: bool | None
    domains: list[str]
    terms: list[str]
    quality: int
    leads: bool
    revision: int


AGENT_COLUMNS = len(AgentRow.__struct_fields__)
COUNTS_COLUMNS = len(CountsRow.__struct_fields__)
PROFILE_COLUMNS = len(ProfileRow.__struct_fields__)

AGENT: LiteralString = f"""a.chain_id, c.identity, a.agent_id, a.uuid, a.owner, a.registrant,
       substring(a.uri FOR $1), octet_length(a.uri), a.uri_block, a.wallet, a.wallet_state,
       a.approved, a.created_block, a.created_log_index, a.created_tx, a.created_at,
       a.transfer_count,
       {OF_AGENT}"""
# The same of one agent: its registry stands in the chain's head.
_MARKS_OF_KEY: LiteralString = OF_AGENT.replace(
    "m.chain_id = a.chain_id", f"m.chain_id = {CHAIN}"
).replace("m.agent_id = a.agent_id", f"m.agent_id = {AGENT_ID}")
_OF_KEY: LiteralString = (
    AGENT.replace("$1", "$3")
    .replace("c.identity", "NULL::bytea AS identity")
    .replace(OF_AGENT, _MARKS_OF_KEY)
)
COUNTS: LiteralString = """s.feedback_count, s.revoked_count, s.client_count, s.response_count,
       s.validation_count, s.validation_responded_count"""
PROFILE: LiteralString = """pr.state, left(pr.name, 401), left(pr.description, 401),
       CASE WHEN length(pr.image) <= 2000 THEN pr.image END AS image, pr.x402, pr.active, pr.alive,
       pr.domains, pr.terms, pr.quality, pr.leads, pr.revision"""
_JOIN_PROFILE: LiteralString = """LEFT JOIN agent_profile pr
    ON pr.chain_id = a.chain_id AND pr.agent_id = a.agent_id"""


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
  FROM checkpoint k
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN agent_profile pr ON pr.chain_id = {CHAIN} AND pr.agent_id = {AGENT_ID}
 WHERE k.chain_id = {CHAIN}
"""
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
  FROM checkpoint k
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN agent_profile pr ON pr.chain_id = {CHAIN} AND pr.agent_id = {AGENT_ID}
 WHERE k.chain_id = {CHAIN}
"""
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


Listed = tuple[AgentRow, CountsRow, ProfileRow | None]
"""An agent, what was said of it, and what it says of itself."""


class Page(msgspec.Struct, frozen=True, gc=False):
    """Agents, and the heads of the chains that were looked at."""

    heads: list[Head]
    rows: list[Listed]


# The heads stand beside the page: a full join on false puts nulls where the other side is.
_BESIDE_HEADS: LiteralString = f"""
SELECT h.*, p.*
  FROM (SELECT {HEAD} FROM chain c JOIN checkpoint k USING (chain_id)
         WHERE $2::bigint IS NULL OR c.chain_id = $2) h
  FULL JOIN page p ON false
"""

NEWEST: LiteralString = f"""
WITH page AS (
SELECT {AGENT}, {COUNTS}, {PROFILE}
  FROM agent a
  JOIN chain c USING (chain_id)
  LEFT JOIN agent_stats s USING (chain_id, agent_id)
  {_JOIN_PROFILE}
 WHERE ($2::bigint IS NULL OR a.chain_id = $2)
   AND (a.created_at, a.chain_id, a.agent_id) < ($3::timestamptz, $4::bigint, $5::bigint)
   AND ($7::boolean OR (a.chain_id, a.agent_id) NOT IN {HIDDEN})
 ORDER BY a.created_at DESC, a.chain_id DESC, a.agent_id DESC
 LIMIT $6
)
{_BESIDE_HEADS}
 ORDER BY h.chain_id, p.created_at DESC, p.chain_id DESC, p.agent_id DESC
"""


async def newest(
    conn: Conn,
    *,
    chain_id: int | None = None,
    upto: datetime = NEVER,
    after: After = FROM_NEWEST,
    limit: int,
    uri_cut_bytes: int,
    hidden_too: bool = False,
) -> Page:
    """Agents created at or before `upto`, of one chain or all, newest first; of those that this
    installation hides only with `hidden_too`."""
    # One bound and not two: beside `<= upto` the index would be walked from there to the page.
    start = min(after, After(created_at=upto), key=_moment)
    rows = await conn.fetch(
        NEWEST,
        *(uri_cut_bytes, chain_id),
        *(start.created_at, start.chain_id, start.agent_id, limit, hidden_too),
    )
    return _page(rows)


# Ids of a registry rise with time, so the primary key gives the order.
OF_CHAIN: LiteralString = f"""
WITH page AS (
SELECT {AGENT}, {COUNTS}, {PROFILE}
  FROM agent a
  JOIN chain c USING (chain_id)
  LEFT JOIN agent_stats s USING (chain_id, agent_id)
  {_JOIN_PROFILE}
 WHERE a.chain_id = $2::bigint AND a.agent_id < $3::bigint
   AND ($5::boolean OR (a.chain_id, a.agent_id) NOT IN {HIDDEN})
 ORDER BY a.agent_id DESC
 LIMIT $4
)
{_BESIDE_HEADS}
 ORDER BY h.chain_id, p.agent_id DESC
"""


async def of_chain(
    conn: Conn,
    chain_id: int,
    *,
    after: After = FROM_NEWEST,
    limit: int,
    uri_cut_bytes: int,
    hidden_too: bool = False,
) -> Page:
    """The agents of one chain, newest first."""
    args = (uri_cut_bytes, chain_id, after.agent_id, limit, hidden_too)
    return _page(await conn.fetch(OF_CHAIN, *args))


OF_OWNER: LiteralString = f"""
WITH page AS (
SELECT {AGENT}, {COUNTS}, {PROFILE}
  FROM agent a
  JOIN chain c USING (chain_id)
  LEFT JOIN agent_stats s USING (chain_id, agent_id)
  {_JOIN_PROFILE}
 WHERE a.owner = $3 AND (a.chain_id, a.agent_id) < ($4::bigint, $5::bigint)
   AND a.chain_id >= coalesce($2, 0)
   AND ($7::boolean OR (a.chain_id, a.agent_id) NOT IN {HIDDEN})
 ORDER BY a.chain_id DESC, a.agent_id DESC
 LIMIT $6
)
{_BESIDE_HEADS}
 ORDER BY h.chain_id, p.chain_id DESC, p.agent_id DESC
"""


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


# $2 is of the heads: null, all chains. $3 places, $4 chains, $5 agents, $6 registries, $7 UUIDs.
BATCH: LiteralString = f"""
WITH wanted AS (
SELECT n, registry, coalesce(w.chain_id, u.chain_id) AS chain_id,
       coalesce(w.agent_id, u.agent_id) AS agent_id
  FROM unnest($3::int[], $4::bigint[], $5::bigint[], $6::bytea[], $7::uuid[])
       AS w (n, chain_id, agent_id, registry, uuid)
  LEFT JOIN agent u ON u.uuid = w.uuid
), page AS (
SELECT {AGENT}, {COUNTS}, {PROFILE}, w.n
  FROM wanted w
  JOIN agent a USING (chain_id, agent_id)
  JOIN chain c USING (chain_id)
  LEFT JOIN agent_stats s USING (chain_id, agent_id)
  {_JOIN_PROFILE}
 WHERE w.registry IS NULL OR w.registry = c.identity
)
{_BESIDE_HEADS}
 ORDER BY h.chain_id, p.n
"""


async def batch(
    conn: Conn, keys: Sequence[tuple[int, KeyArgs, bytes | None]], *, uri_cut_bytes: int
) -> tuple[list[Head], dict[int, Listed]]:
    """Many agents, by the numbers that their keys are given with; those not found are left out.

    Beside a key stands the registry that it names, if it names one.
    """
    columns = [
        *([n for n, _, _ in keys], [k.chain_id for _, k, _ in keys]),
        *([k.agent_id for _, k, _ in keys], [registry for _, _, registry in keys]),
        [k.uuid for _, k, _ in keys],
    ]
    rows = await conn.fetch(BATCH, uri_cut_bytes, None, *columns)
    heads = [Head(*r[:HEAD_COLUMNS]) for r in rows if r[0] is not None]
    found = ((row[-1], listed_row(row, HEAD_COLUMNS)) for row in rows)
    return heads, {n: listed for n, listed in found if listed is not None}


# An interval that opens and closes within one block is the owner's at no block's end.
OWNED_AT: LiteralString = f"""
WITH page AS (
SELECT {AGENT}, {COUNTS}
  FROM agent_ownership o
  JOIN unnest($6::bigint[], $7::bigint[]) AS m (chain_id, upto_block) ON m.chain_id = o.chain_id
  JOIN agent a ON a.chain_id = o.chain_id AND a.agent_id = o.agent_id
  JOIN chain c ON c.chain_id = o.chain_id
  LEFT JOIN agent_stats s ON s.chain_id = o.chain_id AND s.agent_id = o.agent_id
 WHERE o.owner = $3 AND (o.chain_id, o.agent_id) < ($4::bigint, $5::bigint)
   AND o.from_block <= m.upto_block AND (o.to_block IS NULL OR o.to_block > m.upto_block)
 ORDER BY o.chain_id DESC, o.agent_id DESC
 LIMIT $8
)
{_BESIDE_HEADS}
 ORDER BY h.chain_id, p.chain_id DESC, p.agent_id DESC
"""


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


def _page(records: Sequence[Record]) -> Page:
    heads = [Head(*r[:HEAD_COLUMNS]) for r in records if r[0] is not None]
    rows = [listed_row(record, HEAD_COLUMNS) for record in records]
    return Page(heads, [row for row in rows if row is not None])


def listed_row(record: Record, start: int, registry: bytes | None = None) -> Listed | None:
    """An agent out of the columns AGENT, COUNTS and, where the statement has them, PROFILE.

    `registry` is the agent's where the statement did not ask for it.
    """
    values: Sequence[Any] = record[start:]
    if values[2] is None:
        return None
    values[AGENT_COLUMNS - 1].sort()
    agent = AgentRow(values[0], registry or values[1], *values[2:AGENT_COLUMNS])
    counts = values[AGENT_COLUMNS : AGENT_COLUMNS + COUNTS_COLUMNS]
    said = values[AGENT_COLUMNS + COUNTS_COLUMNS :][:PROFILE_COLUMNS]
    return (
        agent,
        CountsRow(*counts) if counts[0] is not None else CountsRow(),
        ProfileRow(*said) if len(said) == PROFILE_COLUMNS and said[0] is not None else None,
    )


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
