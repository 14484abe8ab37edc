"""Feedback as given, with what has happened to it since.

A read up to a past block sees only marks made at or below it: revocations, superseding records,
responses. Feedback on an agent counts from the agent's mint on; earlier is unattached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

import msgspec
from asyncpg import Record

from renown.store.pool import Conn
from renown.store.reads import HEAD, HEAD_COLUMNS, NOW, Head, KeyArgs
from renown.types import MAX_BIGINT

LABEL_CUT_BYTES = 1_024
"""How much of a tag or an endpoint a page shows."""


class FeedbackRow(msgspec.Struct, frozen=True, gc=False):
    """One feedback at a block. Strings are cut; `*_bytes` are full lengths.

    `revoked_block` and `superseded_block` are None unless that happened at or before the block.
    """

    chain_id: int
    agent_id: int
    block_number: int
    log_index: int
    time: datetime | None
    tx_hash: bytes
    client: bytes
    feedback_index: int
    value: int
    decimals: int
    tag1: bytes
    tag1_bytes: int
    tag2: bytes
    tag2_bytes: int
    endpoint: bytes
    endpoint_bytes: int
    uri: bytes
    uri_bytes: int
    content_hash: bytes
    revoked_block: int | None
    superseded_block: int | None
    response_count: int


class After(msgspec.Struct, frozen=True, gc=False):
    """Keyset position: the last record of the page before."""

    block_number: int = MAX_BIGINT
    log_index: int = 0
    chain_id: int = MAX_BIGINT


class Filter(msgspec.Struct, frozen=True, gc=False):
    """Which feedback to show. Tags are compared by exact bytes; None lets all pass."""

    client: bytes | None = None
    tag1: bytes | None = None
    tag2: bytes | None = None
    revoked: bool = False
    superseded: bool = False
    paid: bool = False
    """Only with proof of a payment that stands now; of one agent's feedback alone."""


NEWEST = After()
EVERYTHING = Filter()


class Page(msgspec.Struct, frozen=True, gc=False):
    """A page of one agent's feedback. `agent_id` is None where there is no such agent."""

    head: Head
    agent_id: int | None
    version: int
    rows: list[FeedbackRow]


# Fragments of the statements below, which all have: $1 chain or null, $2 and $3 how much of labels
# and URIs to show, $4 the block to read at, $5 to $8 the filter; `w.upto_block` is it per chain.

# A response belongs to the record that was newest when it came; a registry that restarted its
# indexes has several under one key. At present the count is kept with the record's marks.
_RESPONSES: LiteralString = f"""
       CASE WHEN m.chain_id IS NULL OR m.response_count = 0 THEN 0
            WHEN w.upto_block = {NOW} THEN m.response_count
            ELSE (SELECT count(*) FROM response_appended r
                   WHERE r.chain_id = f.chain_id AND r.agent_id = f.agent_id
                     AND r.client = f.client AND r.feedback_index = f.feedback_index
                     AND r.block_number <= w.upto_block
                     AND (r.block_number, r.log_index) > (f.block_number, f.log_index)
                     AND (m.superseded_block IS NULL OR
                          (r.block_number, r.log_index)
                          < (m.superseded_block, m.superseded_log_index)))
       END"""
_ROW: LiteralString = f"""f.chain_id, f.agent_id, f.block_number, f.log_index, b.time, f.tx_hash,
       f.client, f.feedback_index, f.value, f.decimals,
       substring(f.tag1 FOR $2), octet_length(f.tag1),
       substring(f.tag2 FOR $2), octet_length(f.tag2),
       substring(f.endpoint FOR $2), octet_length(f.endpoint),
       substring(f.uri FOR $3), octet_length(f.uri), f.content_hash,
       CASE WHEN m.revoked_block <= w.upto_block THEN m.revoked_block END,
       CASE WHEN m.superseded_block <= w.upto_block THEN m.superseded_block END,
       {_RESPONSES}"""
_BESIDE: LiteralString = """LEFT JOIN feedback_mark m
           ON m.chain_id = f.chain_id AND m.block_number = f.block_number
          AND m.log_index = f.log_index
         LEFT JOIN block b ON b.chain_id = f.chain_id AND b.number = f.block_number"""
_SHOWN: LiteralString = """f.block_number <= w.upto_block
          AND ($5 OR m.revoked_block IS NULL OR m.revoked_block > w.upto_block)
          AND ($6 OR m.superseded_block IS NULL OR m.superseded_block > w.upto_block)
          AND ($7::bytea IS NULL OR f.tag1 = $7) AND ($8::bytea IS NULL OR f.tag2 = $8)"""
_AGENT: LiteralString = f"""
SELECT {HEAD}, a.agent_id, s.version, p.*
  FROM chain c
  JOIN checkpoint k USING (chain_id)
 CROSS JOIN (VALUES ($4::bigint)) AS w (upto_block)
  LEFT JOIN agent a
    ON a.chain_id = c.chain_id
   AND a.agent_id = coalesce($9::bigint, (SELECT agent_id FROM agent WHERE uuid = $10::uuid))
   AND a.created_block <= w.upto_block
  LEFT JOIN agent_stats s ON s.chain_id = a.chain_id AND s.agent_id = a.agent_id
"""
_OF_KEY: LiteralString = """
 WHERE c.chain_id = coalesce($1::bigint, (SELECT chain_id FROM agent WHERE uuid = $10::uuid))
 ORDER BY p.block_number DESC, p.log_index DESC
"""
_SINCE_MINT: LiteralString = """f.chain_id = a.chain_id AND f.agent_id = a.agent_id
          AND (f.block_number, f.log_index) > (a.created_block, a.created_log_index)"""

OF_AGENT: LiteralString = f"""
{_AGENT}
  LEFT JOIN LATERAL (
       SELECT {_ROW}
         FROM feedback_given f
         {_BESIDE}
        WHERE {_SINCE_MINT}
          AND (f.block_number, f.log_index) < ($11::bigint, $12::integer)
          AND {_SHOWN}
        ORDER BY f.block_number DESC, f.log_index DESC LIMIT $13) p ON true
{_OF_KEY}
"""
# The same for one client. The offset keeps its records apart from the order and the limit, which
# would else tempt the planner to walk all of the agent's feedback for a client that gave little.
OF_AGENT_BY_CLIENT: LiteralString = f"""
{_AGENT}
  LEFT JOIN LATERAL (
       SELECT {_ROW}
         FROM (SELECT * FROM feedback_given g
                WHERE g.chain_id = a.chain_id AND g.agent_id = a.agent_id AND g.client = $14
               OFFSET 0) f
         {_BESIDE}
        WHERE (f.block_number, f.log_index) > (a.created_block, a.created_log_index)
          AND (f.block_number, f.log_index) < ($11::bigint, $12::integer)
          AND {_SHOWN}
        ORDER BY f.block_number DESC, f.log_index DESC LIMIT $13) p ON true
{_OF_KEY}
"""
# And for what was paid: few feedbacks name a payment, so those that do are looked up.
OF_AGENT_PAID: LiteralString = f"""
{_AGENT}
  LEFT JOIN LATERAL (
       SELECT {_ROW}
         FROM (SELECT g.* FROM payment_claim y
                 JOIN feedback_given g
                   ON g.chain_id = y.chain_id AND g.block_number = y.feedback_block
                  AND g.log_index = y.feedback_log_index AND g.client = y.client
                  AND g.feedback_index = y.feedback_index AND g.agent_id = y.agent_id
                WHERE y.chain_id = a.chain_id AND y.agent_id = a.agent_id
                  AND y.feedback_block IS NOT NULL AND y.state IN ('included', 'confirmed')
                  AND ($14::bytea IS NULL OR g.client = $14)
               OFFSET 0) f
         {_BESIDE}
        WHERE (f.block_number, f.log_index) > (a.created_block, a.created_log_index)
          AND (f.block_number, f.log_index) < ($11::bigint, $12::integer)
          AND {_SHOWN}
        ORDER BY f.block_number DESC, f.log_index DESC LIMIT $13) p ON true
{_OF_KEY}
"""


async def of_agent(
    conn: Conn,
    key: KeyArgs,
    wanted: Filter = EVERYTHING,
    *,
    upto_block: int = NOW,
    after: After = NEWEST,
    limit: int,
    uri_cut_bytes: int,
) -> Page | None:
    """Up to `limit` of an agent's feedback as of `upto_block`, newest first, after `after`.

    None where the chain (or UUID) is unknown.
    """
    args: list[Any] = [
        *(key.chain_id, LABEL_CUT_BYTES, uri_cut_bytes, upto_block),
        *(wanted.revoked, wanted.superseded, wanted.tag1, wanted.tag2),
        *(key.agent_id, key.uuid, after.block_number, after.log_index, limit),
    ]
    if wanted.paid:
        return _page(await conn.fetch(OF_AGENT_PAID, *args, wanted.client))
    if wanted.client is None:
        return _page(await conn.fetch(OF_AGENT, *args))
    return _page(await conn.fetch(OF_AGENT_BY_CLIENT, *args, wanted.client))


RECORD: LiteralString = f"""
{_AGENT}
  LEFT JOIN LATERAL (
       SELECT {_ROW}
         FROM feedback_given f
         {_BESIDE}
        WHERE {_SINCE_MINT} AND f.client = $11 AND f.feedback_index = $12::bigint
          AND {_SHOWN}) p ON true
{_OF_KEY}
"""


async def record(
    conn: Conn,
    key: KeyArgs,
    client: bytes,
    feedback_index: int,
    *,
    upto_block: int = NOW,
    cut_bytes: int,
) -> Page | None:
    """The records under one (agent, client, index), newest first: more than one only where a
    registry restarted its indexes. None where the chain (or UUID) is unknown."""
    return _page(
        await conn.fetch(
            RECORD,
            *(key.chain_id, cut_bytes, cut_bytes, upto_block, True, True, None, None),
            *(key.agent_id, key.uuid, client, feedback_index),
        )
    )


def _page(rows: Sequence[Record]) -> Page | None:
    if not rows:
        return None
    first, at = rows[0], HEAD_COLUMNS
    found = [FeedbackRow(*r[at + 2 :]) for r in rows if r[at + 2] is not None]
    return Page(Head(*first[:at]), first[at], first[at + 1] or 0, found)


# Across agents -------------------------------------------------------------------------------


class AcrossRow(msgspec.Struct, frozen=True, gc=False):
    """Feedback beside the identity registry of its chain. `attached` is false where the agent was
    not known when it was given."""

    registry: bytes
    attached: bool
    feedback: FeedbackRow


class Across(msgspec.Struct, frozen=True, gc=False):
    """Feedback of many agents, and the heads of the chains that were looked at."""

    heads: list[Head]
    rows: list[AcrossRow]


_PAGE_OF_CHAINS: LiteralString = f"""
WITH page AS (
SELECT c.identity, p.*
  FROM chain c
 CROSS JOIN LATERAL (
       SELECT coalesce((SELECT u.upto_block
                          FROM unnest($9::bigint[], $10::bigint[]) AS u (chain_id, upto_block)
                         WHERE u.chain_id = c.chain_id), $4::bigint)) AS w (upto_block)
 CROSS JOIN LATERAL (
       SELECT a.agent_id IS NOT NULL
              AND (f.block_number, f.log_index) > (a.created_block, a.created_log_index), {_ROW}
         FROM feedback_given f
         {_BESIDE}
         LEFT JOIN agent a ON a.chain_id = f.chain_id AND a.agent_id = f.agent_id
        WHERE f.chain_id = c.chain_id
          AND (f.block_number, f.log_index)
              < (CASE WHEN c.chain_id = $11 THEN $12 ELSE {MAX_BIGINT} END, $13::integer)
          AND {_SHOWN}
"""
_END_OF_PAGE: LiteralString = f"""
        ORDER BY f.block_number DESC, f.log_index DESC LIMIT $14) p
 WHERE ($1::bigint IS NULL OR c.chain_id = $1) AND c.chain_id <= $11
 ORDER BY p.chain_id DESC, p.block_number DESC, p.log_index DESC
 LIMIT $14
)
SELECT h.*, p.*
  FROM (SELECT {HEAD} FROM chain c JOIN checkpoint k USING (chain_id)
         WHERE $1::bigint IS NULL OR c.chain_id = $1) h
  FULL JOIN page p ON false
 ORDER BY h.chain_id, p.chain_id DESC, p.block_number DESC, p.log_index DESC
"""

ACROSS_BY_CLIENT: LiteralString = f"""
{_PAGE_OF_CHAINS} AND f.client = $15
{_END_OF_PAGE}
"""
ACROSS_BY_TAG: LiteralString = f"""
{_PAGE_OF_CHAINS} AND substring(f.tag1 FOR 32) = substring($7 FOR 32)
{_END_OF_PAGE}
"""
ACROSS: LiteralString = f"""
{_PAGE_OF_CHAINS}
{_END_OF_PAGE}
"""


async def across(
    conn: Conn,
    wanted: Filter,
    *,
    chain_id: int | None = None,
    upto_blocks: Mapping[int, int] | None = None,
    after: After = NEWEST,
    limit: int,
    uri_cut_bytes: int,
) -> Across:
    """Feedback of any agents, of one chain or all: by chain, highest id first; newest first.

    Args:
        upto_blocks: by chain id, the block to read at; None for the present.
    """
    upto = upto_blocks or {}
    args: list[Any] = [
        *(chain_id, LABEL_CUT_BYTES, uri_cut_bytes, NOW),
        *(wanted.revoked, wanted.superseded, wanted.tag1, wanted.tag2),
        *(list(upto), list(upto.values())),
        *(after.chain_id, after.block_number, after.log_index, limit),
    ]
    if wanted.client is not None:
        rows = await conn.fetch(ACROSS_BY_CLIENT, *args, wanted.client)
    elif wanted.tag1 is not None:
        rows = await conn.fetch(ACROSS_BY_TAG, *args)
    else:
        rows = await conn.fetch(ACROSS, *args)
    heads = [Head(*r[:HEAD_COLUMNS]) for r in rows if r[0] is not None]
    found = [
        AcrossRow(r[HEAD_COLUMNS], r[HEAD_COLUMNS + 1], FeedbackRow(*r[HEAD_COLUMNS + 2 :]))
        for r in rows
        if r[0] is None
    ]
    return Across(heads, found)
