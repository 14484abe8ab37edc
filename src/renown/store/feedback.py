"""Feedback as given, with what has happened to it since.

A read up to a past block sees only marks made at or below it: revocations, superseding records,
responses. Feedback on an agent counts from the agent's mint on; earlier is unattached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, LiteralString

import msgspec
from asyncpg import Record

from renown.store.pool import Conn
from renown.store.reads import (
    AGENT_ID,
    CHAIN,
    HEAD,
    HEAD_COLUMNS,
    HEAD_TEXT,
    NOW,
    Head,
    KeyArgs,
    by_uuid,
    down_from,
    head_of,
)
from renown.store.reads_responses import counts_then
from renown.types import MAX_BIGINT

LABEL_CUT_BYTES = 1_024
"""How much of a tag or an endpoint a page shows."""


class FeedbackRow(msgspec.Struct, frozen=True, gc=False):
    """One feedback at a block. Its value is an exact integer in decimal; strings are cut.

    `lengths` are the full ones of `tag1`, `tag2`, `endpoint` and `uri` in bytes; None where all
    four are whole. `revoked_block` and `superseded_block` are None unless that happened at or
    before the block.
    """

    block_number: int
    log_index: int
    time: datetime | None
    tx_hash: bytes
    client: bytes
    feedback_index: int
    value: str
    decimals: int
    tag1: bytes
    tag2: bytes
    endpoint: bytes
    uri: bytes
    lengths: Sequence[int] | None
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


# Fragments of the statements below, which all have: $1 the chain, $3 and $4 how much of labels and
# URIs to show, $5 to $8 the filter, $9 the block to read at. Those of one agent have it as $2. No
# page has a bound at $9 itself: where it starts is at or below that block (see `down_from`).


# Columns are what a page costs most after the looking up: what is nearly always the same, or
# nothing, is one column (`lengths`), not said in every row (chain and agent), or asked for apart
# (responses in the past: see `_as_counted_then`).
def _row(upto: LiteralString) -> LiteralString:
    return f"""f.block_number, f.log_index, b.time, f.tx_hash, f.client, f.feedback_index,
       f.value::text, f.decimals, substring(f.tag1 FOR $3), substring(f.tag2 FOR $3),
       substring(f.endpoint FOR $3), substring(f.uri FOR $4),
       CASE WHEN octet_length(f.tag1) > $3 OR octet_length(f.tag2) > $3
              OR octet_length(f.endpoint) > $3 OR octet_length(f.uri) > $4
            THEN ARRAY[octet_length(f.tag1), octet_length(f.tag2), octet_length(f.endpoint),
                       octet_length(f.uri)]
       END, f.content_hash,
       CASE WHEN m.revoked_block <= {upto} THEN m.revoked_block END,
       CASE WHEN m.superseded_block <= {upto} THEN m.superseded_block END,
       coalesce(m.response_count, 0)"""


def _beside(chain: LiteralString, mark: LiteralString = "f.log_index") -> LiteralString:
    return f"""LEFT JOIN feedback_mark m
           ON m.chain_id = {chain} AND m.block_number = f.block_number
          AND m.log_index = {mark}
         LEFT JOIN block b ON b.chain_id = {chain} AND b.number = f.block_number"""


def _shown(upto: LiteralString) -> LiteralString:
    return f"""($5 OR m.revoked_block IS NULL OR m.revoked_block > {upto})
          AND ($6 OR m.superseded_block IS NULL OR m.superseded_block > {upto})
          AND ($7::bytea IS NULL OR f.tag1 = $7) AND ($8::bytea IS NULL OR f.tag2 = $8)"""


_UPTO: LiteralString = "$9::bigint"
_ROW: LiteralString = _row(_UPTO)
# Most agents' feedback has no marks. That is seen once for the page; with null for a key nothing is
# looked up then, where each row would cost three pages of an index to find nothing.
_BESIDE: LiteralString = _beside(
    CHAIN,
    f"""CASE WHEN EXISTS (SELECT FROM feedback_mark g
                                             WHERE g.chain_id = {CHAIN} AND g.agent_id = {AGENT_ID})
                                THEN f.log_index END""",
)
_SHOWN: LiteralString = _shown(_UPTO)
_AGENT: LiteralString = f"""
SELECT {HEAD_TEXT}, a.agent_id, s.version, p.*
  FROM checkpoint k
  LEFT JOIN agent a
    ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID} AND a.created_block <= {_UPTO}
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
"""
_NEWEST_FIRST: LiteralString = f"""
 WHERE k.chain_id = {CHAIN}
 ORDER BY p.block_number DESC, p.log_index DESC
"""
_SINCE_MINT: LiteralString = (
    "(f.block_number, f.log_index) > (a.created_block, a.created_log_index)"
)

OF_AGENT: LiteralString = f"""
{_AGENT}
  LEFT JOIN LATERAL (
       SELECT {_ROW}
         FROM feedback_given f
         {_BESIDE}
        WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID} AND {_SINCE_MINT}
          AND (f.block_number, f.log_index) < ($10::bigint, $11::integer)
          AND {_SHOWN}
        ORDER BY f.block_number DESC, f.log_index DESC LIMIT $12) p ON true
{_NEWEST_FIRST}"""
OF_AGENT_BY_UUID: LiteralString = by_uuid(OF_AGENT)
# The same for one client. Who gave little has it looked up and sorted; the offset keeps it apart
# from the order and the limit, which would else tempt the planner to walk all of the agent's
# feedback. Who gave much is met again and again on that very walk, which then ends soon; the
# planner, which expects little of any client, must not see that there is another way. Only one of
# the two runs.
_GAVE: LiteralString = f"""coalesce((
               SELECT g.feedback_index FROM feedback_given g
                WHERE g.chain_id = {CHAIN} AND g.agent_id = {AGENT_ID} AND g.client = $13
                ORDER BY g.feedback_index DESC LIMIT 1), 0)"""
_MUCH = 500
_OF_CLIENT: LiteralString = f"""{_SINCE_MINT}
          AND (f.block_number, f.log_index) < ($10::bigint, $11::integer)
          AND {_SHOWN}
        ORDER BY f.block_number DESC, f.log_index DESC LIMIT $12"""
OF_AGENT_BY_CLIENT: LiteralString = f"""
{_AGENT}
  LEFT JOIN LATERAL (
      (SELECT {_ROW}
         FROM (SELECT * FROM feedback_given g
                WHERE g.chain_id = {CHAIN} AND g.agent_id = {AGENT_ID} AND g.client = $13
                  AND {_GAVE} <= {_MUCH}
               OFFSET 0) f
         {_BESIDE}
        WHERE {_OF_CLIENT})
       UNION ALL
      (SELECT {_ROW}
         FROM feedback_given f
         {_BESIDE}
        WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID} AND (f.client = $13) IS TRUE
          AND {_GAVE} > {_MUCH} AND {_OF_CLIENT})) p ON true
{_NEWEST_FIRST}"""
OF_AGENT_BY_CLIENT_BY_UUID: LiteralString = by_uuid(OF_AGENT_BY_CLIENT)
# And for what was paid, by the claims that proved true: an index has them in the order of feedback.
OF_AGENT_PAID: LiteralString = f"""
{_AGENT}
  LEFT JOIN LATERAL (
       SELECT {_ROW}
         FROM payment_claim y
         JOIN feedback_given f
           ON f.chain_id = {CHAIN} AND f.block_number = y.feedback_block
          AND f.log_index = y.feedback_log_index
          AND (f.agent_id, f.client, f.feedback_index) = (y.agent_id, y.client, y.feedback_index)
         {_BESIDE}
        WHERE y.chain_id = {CHAIN} AND y.agent_id = {AGENT_ID} AND {_SINCE_MINT}
          AND y.feedback_block IS NOT NULL AND y.state IN ('included', 'confirmed')
          AND (y.feedback_block, y.feedback_log_index) < ($10::bigint, $11::integer)
          AND ($13::bytea IS NULL OR y.client = $13)
          AND {_SHOWN}
        ORDER BY y.feedback_block DESC, y.feedback_log_index DESC LIMIT $12) p ON true
{_NEWEST_FIRST}"""
OF_AGENT_PAID_BY_UUID: LiteralString = by_uuid(OF_AGENT_PAID)


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

    None where the chain (or UUID) is unknown. The past may take two statements: read it in one
    snapshot.
    """
    args: list[Any] = [
        *(LABEL_CUT_BYTES, uri_cut_bytes),
        *(wanted.revoked, wanted.superseded, wanted.tag1, wanted.tag2, upto_block),
        *(*down_from(upto_block, after.block_number, after.log_index), limit),
    ]
    if wanted.paid:
        asked = key.asks(OF_AGENT_PAID, OF_AGENT_PAID_BY_UUID)
        args.append(wanted.client)
    elif wanted.client is None:
        asked = key.asks(OF_AGENT, OF_AGENT_BY_UUID)
    else:
        asked = key.asks(OF_AGENT_BY_CLIENT, OF_AGENT_BY_CLIENT_BY_UUID)
        args.append(wanted.client)
    return await _page(conn, await conn.fetch(*asked, *args), upto_block)


RECORD: LiteralString = f"""
{_AGENT}
  LEFT JOIN LATERAL (
       SELECT {_ROW}
         FROM feedback_given f
         {_BESIDE}
        WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID} AND {_SINCE_MINT}
          AND f.client = $10 AND f.feedback_index = $11::bigint AND f.block_number <= {_UPTO}
          AND {_SHOWN}) p ON true
{_NEWEST_FIRST}"""
RECORD_BY_UUID: LiteralString = by_uuid(RECORD)


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
    registry restarted its indexes. None where the chain (or UUID) is unknown. As for the past, see
    `of_agent`."""
    rows = await conn.fetch(
        *key.asks(RECORD, RECORD_BY_UUID),
        *(cut_bytes, cut_bytes, True, True, None, None, upto_block),
        *(client, feedback_index),
    )
    return await _page(conn, rows, upto_block)


async def _page(conn: Conn, rows: Sequence[Record], upto_block: int) -> Page | None:
    if not rows:
        return None
    first = rows[0]
    head = head_of(first[0])
    found = [FeedbackRow(*r[3:]) for r in rows if r[3] is not None]
    if upto_block < NOW:
        found = await _as_counted_then(conn, head.chain_id, found, upto_block)
    return Page(head, first[1], first[2] or 0, found)


async def _as_counted_then(
    conn: Conn, chain_id: int, rows: Sequence[FeedbackRow], upto_block: int
) -> list[FeedbackRow]:
    """`rows` of one chain with the responses that they had at a block."""
    answered = [row for row in rows if row.response_count]
    if not answered:
        return list(rows)
    places = [(row.block_number, row.log_index) for row in answered]
    counts = await counts_then(conn, chain_id, places, upto_block=upto_block)
    return [
        msgspec.structs.replace(
            row, response_count=counts.get((row.block_number, row.log_index), 0)
        )
        if row.response_count
        else row
        for row in rows
    ]


# Across agents -------------------------------------------------------------------------------


class AcrossRow(msgspec.Struct, frozen=True, gc=False):
    """Feedback beside the agent that it is about, and the identity registry of its chain.
    `attached` is false where the agent was not known when it was given."""

    registry: bytes
    attached: bool
    chain_id: int
    agent_id: int
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
                         WHERE u.chain_id = c.chain_id), $2::bigint) AS upto_block OFFSET 0) w
 CROSS JOIN LATERAL (
       SELECT c.chain_id = $11 AND $12::bigint <= w.upto_block AS is_after OFFSET 0) s
 CROSS JOIN LATERAL (
       SELECT a.agent_id IS NOT NULL
              AND (f.block_number, f.log_index) > (a.created_block, a.created_log_index),
              f.chain_id, f.agent_id, {_row("w.upto_block")}
         FROM feedback_given f
         {_beside("f.chain_id")}
         LEFT JOIN agent a ON a.chain_id = f.chain_id AND a.agent_id = f.agent_id
        WHERE f.chain_id = c.chain_id
          AND (f.block_number, f.log_index)
              < (CASE WHEN s.is_after THEN $12 ELSE least(w.upto_block, {MAX_BIGINT} - 1) + 1 END,
                 CASE WHEN s.is_after THEN $13::integer ELSE 0 END)
          AND {_shown("w.upto_block")}
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
        upto_blocks: by chain id, the block to read at; None for the present. As for the past, see
            `of_agent`.
    """
    upto = upto_blocks or {}
    args: list[Any] = [
        *(chain_id, NOW, LABEL_CUT_BYTES, uri_cut_bytes),
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
        AcrossRow(r[_AT], r[_AT + 1], r[_AT + 2], r[_AT + 3], FeedbackRow(*r[_AT + 4 :]))
        for r in rows
        if r[0] is None
    ]
    if upto:
        found = await _each_counted_then(conn, found, upto)
    return Across(heads, found)


_AT = HEAD_COLUMNS


async def _each_counted_then(
    conn: Conn, rows: Sequence[AcrossRow], upto: Mapping[int, int]
) -> list[AcrossRow]:
    found: list[AcrossRow] = []
    for chain_id, of_chain in groupby(rows, attrgetter("chain_id")):
        given = list(of_chain)
        then = [row.feedback for row in given]
        if chain_id in upto:
            then = await _as_counted_then(conn, chain_id, then, upto[chain_id])
        found += map(lambda row, one: msgspec.structs.replace(row, feedback=one), given, then)
    return found
