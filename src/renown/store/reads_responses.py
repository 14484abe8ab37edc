"""Responses to one feedback, as appended."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.reads import HEAD, HEAD_COLUMNS, NOW, Head, KeyArgs


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
SELECT {HEAD}, a.agent_id, s.version,
       EXISTS (SELECT FROM feedback_given f
                WHERE f.chain_id = a.chain_id AND f.agent_id = a.agent_id AND f.client = $4
                  AND f.feedback_index = $5::bigint AND f.block_number <= $6),
       p.*
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN agent a
    ON a.chain_id = c.chain_id
   AND a.agent_id = coalesce($2::bigint, (SELECT agent_id FROM agent WHERE uuid = $3::uuid))
   AND a.created_block <= $6
  LEFT JOIN agent_stats s ON s.chain_id = a.chain_id AND s.agent_id = a.agent_id
  LEFT JOIN LATERAL (
       SELECT r.block_number, r.log_index, b.time, r.tx_hash, r.responder, substring(r.uri FOR $10),
              octet_length(r.uri), r.content_hash, f.block_number AS to_block,
              f.log_index AS to_log_index
         FROM response_appended r
         LEFT JOIN block b ON b.chain_id = r.chain_id AND b.number = r.block_number
         LEFT JOIN LATERAL (
              SELECT f.block_number, f.log_index FROM feedback_given f
               WHERE f.chain_id = r.chain_id AND f.agent_id = r.agent_id AND f.client = r.client
                 AND f.feedback_index = r.feedback_index
                 AND (f.block_number, f.log_index) < (r.block_number, r.log_index)
               ORDER BY f.block_number DESC, f.log_index DESC LIMIT 1) f ON true
        WHERE r.chain_id = a.chain_id AND r.agent_id = a.agent_id AND r.client = $4
          AND r.feedback_index = $5 AND r.block_number <= $6
          AND (r.block_number, r.log_index) > ($7::bigint, $8::integer)
        ORDER BY r.block_number, r.log_index LIMIT $9) p ON true
 WHERE c.chain_id = coalesce($1::bigint, (SELECT chain_id FROM agent WHERE uuid = $3::uuid))
 ORDER BY p.block_number, p.log_index
"""


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
        RESPONSES,
        *(key.chain_id, key.agent_id, key.uuid, client, feedback_index, upto_block),
        *(after.block_number, after.log_index, limit, uri_cut_bytes),
    )
    if not rows:
        return None
    first, at = rows[0], HEAD_COLUMNS
    found = [ResponseRow(*r[at + 3 :]) for r in rows if r[at + 3] is not None]
    return Responses(Head(*first[:at]), first[at], first[at + 1] or 0, first[at + 2], found)
