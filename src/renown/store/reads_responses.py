"""Responses to one feedback, as appended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

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

Place = tuple[int, int]
"""Block and log index of a fact on a chain."""


class After(msgspec.Struct, frozen=True, gc=False):
    """Keyset position: the last response of the page before."""

    block_number: int = -1
    log_index: int = -1


OLDEST = After()


class ResponseRow(msgspec.Struct, frozen=True, gc=False):
    """One response. `to_block` and `to_log_index` place the record it answers; both None where
    there was none."""

    block_number: int
    log_index: int
    time: datetime | None
    tx_hash: bytes
    responder: bytes
    uri: bytes
    uri_bytes: int
    content_hash: bytes
    to_block: int | None
    to_log_index: int | None


class Responses(msgspec.Struct, frozen=True, gc=False):
    """A page of responses. `given` says whether the feedback exists."""

    head: Head
    agent_id: int | None
    version: int
    given: bool
    rows: list[ResponseRow]


RESPONSES: LiteralString = f"""
SELECT {HEAD_TEXT}, a.agent_id, s.version,
       a.agent_id IS NOT NULL AND EXISTS (
               SELECT FROM feedback_given f
                WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID} AND f.client = $3
                  AND f.feedback_index = $4::bigint AND f.block_number <= $5),
       p.*
  FROM checkpoint k
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
        AND a.created_block <= $5
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN LATERAL (
       SELECT r.block_number, r.log_index, b.time, r.tx_hash, r.responder, substring(r.uri FOR $9),
              octet_length(r.uri), r.content_hash, f.block_number AS to_block,
              f.log_index AS to_log_index
         FROM response_appended r
         LEFT JOIN block b ON b.chain_id = {CHAIN} AND b.number = r.block_number
         LEFT JOIN LATERAL (
              SELECT f.block_number, f.log_index FROM feedback_given f
               WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID} AND f.client = r.client
                 AND f.feedback_index = r.feedback_index
                 AND (f.block_number, f.log_index) < (r.block_number, r.log_index)
               ORDER BY f.block_number DESC, f.log_index DESC LIMIT 1) f ON true
        WHERE r.chain_id = {CHAIN} AND r.agent_id = {AGENT_ID} AND a.agent_id IS NOT NULL
          AND r.client = $3
          AND r.feedback_index = $4 AND r.block_number <= $5
          AND (r.block_number, r.log_index) > ($6::bigint, $7::integer)
        ORDER BY r.block_number, r.log_index LIMIT $8) p ON true
 WHERE k.chain_id = {CHAIN}
 ORDER BY p.block_number, p.log_index
"""
RESPONSES_BY_UUID: LiteralString = by_uuid(RESPONSES)


async def responses(
    conn: Conn,
    key: KeyArgs,
    client: bytes,
    feedback_index: int,
    *,
    upto_block: int = NOW,
    after: After = OLDEST,
    limit: int,
    uri_cut_bytes: int,
) -> Responses | None:
    """The responses under one (agent, client, index), oldest first, after `after`.

    None where the chain (or UUID) is unknown.
    """
    rows = await conn.fetch(
        *key.asks(RESPONSES, RESPONSES_BY_UUID),
        *(client, feedback_index, upto_block),
        *(after.block_number, after.log_index, limit, uri_cut_bytes),
    )
    if not rows:
        return None
    first = rows[0]
    found = [ResponseRow(*r[4:]) for r in rows if r[4] is not None]
    return Responses(head_of(first[0]), first[1], first[2] or 0, first[3], found)


# A response belongs to the record that was newest when it came; a registry that restarted its
# indexes has several under one key. At present the count is kept with the record's marks, so a
# record without marks, or of which they count none, need not be asked about.
COUNTS_THEN: LiteralString = f"""
SELECT w.block_number, w.log_index, count(*)
  FROM unnest((SELECT $2::bigint[]), (SELECT $3::integer[])) AS w (block_number, log_index)
  JOIN feedback_mark m
    ON m.chain_id = {CHAIN} AND m.block_number = w.block_number AND m.log_index = w.log_index
  JOIN response_appended r
    ON r.chain_id = (SELECT {CHAIN}) AND r.agent_id = m.agent_id AND r.client = m.client
   AND r.feedback_index = m.feedback_index AND r.block_number <= $4::bigint
   AND (r.block_number, r.log_index) > (m.block_number, m.log_index)
   AND (m.superseded_block IS NULL
        OR (r.block_number, r.log_index) < (m.superseded_block, m.superseded_log_index))
 GROUP BY w.block_number, w.log_index
"""


async def counts_then(
    conn: Conn, chain_id: int, places: Sequence[Place], *, upto_block: int
) -> dict[Place, int]:
    """How many responses the records of feedback at `places` had at a block; none are left out."""
    blocks, logs = [place[0] for place in places], [place[1] for place in places]
    rows = await conn.fetch(COUNTS_THEN, chain_id, blocks, logs, upto_block)
    return {(row[0], row[1]): row[2] for row in rows}
