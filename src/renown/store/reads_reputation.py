"""What an agent's feedback adds up to: kept counts, counts of the past, the contract's groups."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import LiteralString

import msgspec

from renown.store.agents import COUNTS_COLUMNS, CountsRow
from renown.store.pool import Conn
from renown.store.reads import (
    AGENT_ID,
    CHAIN,
    HEAD_TEXT,
    NOW,
    Head,
    KeyArgs,
    by_uuid,
    head_of,
)


class TagsRow(msgspec.Struct, frozen=True, gc=False):
    """Counts and exact sum under one pair of tags. Strings are cut; `*_bytes` are full lengths.

    `live_sum` is the sum of `value * 10**(18 - decimals)` over feedback neither revoked nor
    superseded.
    """

    tags_hash: bytes
    tag1: bytes
    tag1_bytes: int
    tag2: bytes
    tag2_bytes: int
    given_count: int
    live_count: int
    live_sum: int


_by_hash = attrgetter("tags_hash")


class Kept(msgspec.Struct, frozen=True, gc=False):
    """An agent's kept counts and a page of its tags. `agent_id` is None where there is none."""

    head: Head
    agent_id: int | None
    version: int
    counts: CountsRow
    tags: list[TagsRow]


KEPT: LiteralString = f"""
SELECT {HEAD_TEXT}, a.agent_id, s.version, s.feedback_count, s.revoked_count, s.client_count,
       s.response_count, s.validation_count, s.validation_responded_count, t.*
  FROM checkpoint k
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN LATERAL (
       SELECT x.tags_hash, substring(x.tag1 FOR $5), octet_length(x.tag1),
              substring(x.tag2 FOR $5), octet_length(x.tag2), x.given_count, x.live_count,
              x.live_sum
         FROM agent_tag_stats x
        WHERE x.chain_id = {CHAIN} AND x.agent_id = {AGENT_ID} AND x.tags_hash > $3
          AND x.given_count > 0
        ORDER BY x.tags_hash LIMIT $4) t ON true
 WHERE k.chain_id = {CHAIN}
"""
KEPT_BY_UUID: LiteralString = by_uuid(KEPT)


async def kept(
    conn: Conn, key: KeyArgs, *, after: bytes = b"", limit: int, cut_bytes: int
) -> Kept | None:
    """The kept counts and up to `limit` tags, in the order of their hashes, after `after`.

    None where the chain (or UUID) is unknown.
    """
    rows = await conn.fetch(*key.asks(KEPT, KEPT_BY_UUID), after, limit, cut_bytes)
    if not rows:
        return None
    first = rows[0]
    tags = 3 + COUNTS_COLUMNS
    # The statement leaves its order to us: a sort of few rows costs it more to begin than to do.
    found = sorted([TagsRow(*r[tags:]) for r in rows if r[tags] is not None], key=_by_hash)
    return Kept(
        head_of(first[0]),
        first[1],
        first[2] or 0,
        CountsRow(*first[3:tags]) if first[2] is not None else CountsRow(),
        found,
    )


# The past ------------------------------------------------------------------------------------

# The same rules as the fold's: feedback counts from the agent's mint on, unless superseded; a
# client has one record of index 1; a response counts for the record that is live; an answer counts
# if the named validator gave it.
COUNTS_AT: LiteralString = """
SELECT a.agent_id, f.*, r.*, v.*
  FROM agent a
 CROSS JOIN LATERAL (
       SELECT count(*), count(*) FILTER (WHERE m.revoked_block <= $3),
              count(*) FILTER (WHERE f.feedback_index = 1)
         FROM feedback_given f
         LEFT JOIN feedback_mark m USING (chain_id, block_number, log_index)
        WHERE f.chain_id = a.chain_id AND f.agent_id = a.agent_id AND f.block_number <= $3
          AND (f.block_number, f.log_index) > (a.created_block, a.created_log_index)
          AND (m.superseded_block IS NULL OR m.superseded_block > $3)) f
 CROSS JOIN LATERAL (
       SELECT count(*)
         FROM response_appended r
         JOIN feedback_given f
           ON f.chain_id = r.chain_id AND f.agent_id = r.agent_id AND f.client = r.client
          AND f.feedback_index = r.feedback_index
          AND (f.block_number, f.log_index) < (r.block_number, r.log_index)
         LEFT JOIN feedback_mark m
           ON m.chain_id = f.chain_id AND m.block_number = f.block_number
          AND m.log_index = f.log_index
        WHERE r.chain_id = a.chain_id AND r.agent_id = a.agent_id AND r.block_number <= $3
          AND (f.block_number, f.log_index) > (a.created_block, a.created_log_index)
          AND (m.superseded_block IS NULL OR m.superseded_block > $3)) r
 CROSS JOIN LATERAL (
       SELECT count(*), count(*) FILTER (WHERE EXISTS (
              SELECT FROM validation_responded x
               WHERE x.chain_id = v.chain_id AND x.agent_id = v.agent_id AND x.contract = v.contract
                 AND x.request_hash = v.request_hash AND x.validator = v.validator
                 AND x.block_number <= $3
                 AND (x.block_number, x.log_index) > (v.requested_block, v.requested_log_index)))
         FROM validation v
        WHERE v.chain_id = a.chain_id AND v.agent_id = a.agent_id AND v.requested_block <= $3) v
 WHERE a.chain_id = $1 AND a.agent_id = ANY($2::bigint[]) AND a.created_block <= $3
"""


async def counts_at(
    conn: Conn, chain_id: int, agent_ids: Sequence[int], upto_block: int
) -> dict[int, CountsRow]:
    """What the kept counts were at the end of a block, by agent id; agents of later are absent."""
    rows = await conn.fetch(COUNTS_AT, chain_id, agent_ids, upto_block)
    return {row[0]: CountsRow(*row[1:]) for row in rows}


class TagsGroup(msgspec.Struct, frozen=True, gc=False):
    """Feedback of one pair of tags and one precision. `live_total` sums values at `decimals`."""

    tag1: bytes
    tag2: bytes
    decimals: int
    given_count: int
    live_count: int
    live_total: int


TAGS_AT: LiteralString = """
SELECT f.tag1, f.tag2, f.decimals, count(*),
       count(*) FILTER (WHERE m.revoked_block IS NULL OR m.revoked_block > $3),
       coalesce(sum(f.value) FILTER (WHERE m.revoked_block IS NULL OR m.revoked_block > $3), 0)
  FROM agent a
  JOIN feedback_given f
    ON f.chain_id = a.chain_id AND f.agent_id = a.agent_id
   AND (f.block_number, f.log_index) > (a.created_block, a.created_log_index)
  LEFT JOIN feedback_mark m
    ON m.chain_id = f.chain_id AND m.block_number = f.block_number AND m.log_index = f.log_index
 WHERE a.chain_id = $1 AND a.agent_id = $2 AND f.block_number <= $3
   AND (m.superseded_block IS NULL OR m.superseded_block > $3)
 GROUP BY f.tag1, f.tag2, f.decimals
"""


async def tags_at(conn: Conn, chain_id: int, agent_id: int, upto_block: int) -> list[TagsGroup]:
    """What the kept tags add up from, at the end of a block; in no order."""
    rows = await conn.fetch(TAGS_AT, chain_id, agent_id, upto_block)
    return [TagsGroup(*row) for row in rows]


# The contract's summary ------------------------------------------------------------------------


class Matched(msgspec.Struct, frozen=True, gc=False):
    """The feedback of one precision that `getSummary` sees: how many, and their values' sum."""

    decimals: int
    count: int
    total: int


# A client named n times counts n times. A registry that restarted its indexes knows the records of
# a client up to the index it gave last; those above it are of before. Each client's records are
# added up on their own, which holds the planner to the index by client however many are named.
MATCHED: LiteralString = """
SELECT f.decimals, sum(q.times * f.count)::bigint, sum(q.times * f.total)
  FROM agent a
 CROSS JOIN (
       SELECT client, count(*) AS times FROM unnest($3::bytea[]) AS n (client) GROUP BY client) q
 CROSS JOIN LATERAL (
       SELECT n.feedback_index FROM feedback_given n
        WHERE n.chain_id = $1 AND n.agent_id = $2 AND n.client = q.client
          AND n.block_number <= $4::bigint
        ORDER BY n.block_number DESC, n.log_index DESC LIMIT 1) AS last (feedback_index)
 CROSS JOIN LATERAL (
       SELECT g.decimals, count(*), sum(g.value) AS total
         FROM feedback_given g
         LEFT JOIN feedback_mark m
           ON m.chain_id = g.chain_id AND m.block_number = g.block_number
          AND m.log_index = g.log_index
        WHERE g.chain_id = $1 AND g.agent_id = $2 AND g.client = q.client
          AND g.feedback_index <= last.feedback_index
          AND (g.block_number, g.log_index) > (a.created_block, a.created_log_index)
          AND g.block_number <= $4
          AND (m.revoked_block IS NULL OR m.revoked_block > $4)
          AND (m.superseded_block IS NULL OR m.superseded_block > $4)
          AND ($5::bytea IS NULL OR g.tag1 = $5) AND ($6::bytea IS NULL OR g.tag2 = $6)
        GROUP BY g.decimals) f
 WHERE a.chain_id = $1 AND a.agent_id = $2
 GROUP BY f.decimals
"""


async def matched(
    conn: Conn,
    chain_id: int,
    agent_id: int,
    clients: Sequence[bytes],
    *,
    tag1: bytes | None,
    tag2: bytes | None,
    upto_block: int = NOW,
) -> list[Matched]:
    """What the contract's `getSummary` adds up for `clients`, by precision; in no order."""
    rows = await conn.fetch(MATCHED, chain_id, agent_id, clients, upto_block, tag1, tag2)
    return [Matched(row[0], row[1], int(row[2])) for row in rows]
