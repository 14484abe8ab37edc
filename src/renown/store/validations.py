"""Validation requests and their answers. Experimental in the standard; keyed by contract."""

from __future__ import annotations

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
    down_from,
    head_of,
)
from renown.types import MAX_BIGINT


class ValidationRow(msgspec.Struct, frozen=True, gc=False):
    """One request and its latest answer at a block. All answer fields are None while pending,
    which is not an answer of 0. Strings are cut; `*_bytes` are full lengths."""

    contract: bytes
    request_hash: bytes
    validator: bytes
    request_uri: bytes
    request_uri_bytes: int
    requested_block: int
    requested_log_index: int
    requested_at: datetime | None
    response: int | None
    response_uri: bytes | None
    response_uri_bytes: int | None
    response_hash: bytes | None
    tag: bytes | None
    tag_bytes: int | None
    responded_block: int | None
    response_count: int


class After(msgspec.Struct, frozen=True, gc=False):
    """Keyset position: the last request of the page before."""

    block_number: int = MAX_BIGINT
    log_index: int = 0


NEWEST = After()


class Page(msgspec.Struct, frozen=True, gc=False):
    """A page of one agent's validations. `agent_id` is None where there is no such agent."""

    head: Head
    agent_id: int | None
    version: int
    rows: list[ValidationRow]


# The past reads answers from facts: the latest of the named validator at or below the block.
OF_AGENT: LiteralString = f"""
SELECT {HEAD_TEXT}, a.agent_id, s.version, p.*
  FROM checkpoint k
  LEFT JOIN agent a ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID}
        AND a.created_block <= $3
  LEFT JOIN agent_stats s ON s.chain_id = {CHAIN} AND s.agent_id = {AGENT_ID}
  LEFT JOIN LATERAL (
       SELECT v.contract, v.request_hash, v.validator, substring(v.request_uri FOR $7),
              octet_length(v.request_uri), v.requested_block, v.requested_log_index, b.time,
              r.response, substring(r.uri FOR $7), octet_length(r.uri), r.content_hash,
              substring(r.tag FOR $7), octet_length(r.tag), r.block_number AS responded_block,
              coalesce(r.nth, 0)
         FROM validation v
         LEFT JOIN block b ON b.chain_id = {CHAIN} AND b.number = v.requested_block
         LEFT JOIN LATERAL (
              SELECT v.response, v.response_uri AS uri, v.response_hash AS content_hash, v.tag,
                     v.responded_block AS block_number, v.response_count::bigint AS nth
               WHERE $3::bigint = {NOW} AND v.response IS NOT NULL
              UNION ALL
             (SELECT x.response, x.uri, x.content_hash, x.tag, x.block_number,
                     row_number() OVER (ORDER BY x.block_number, x.log_index) AS nth
                FROM validation_responded x
               WHERE $3 < {NOW} AND x.chain_id = {CHAIN} AND x.agent_id = {AGENT_ID}
                 AND x.contract = v.contract AND x.request_hash = v.request_hash
                 AND x.validator = v.validator AND x.block_number <= $3
                 AND (x.block_number, x.log_index) > (v.requested_block, v.requested_log_index)
               ORDER BY x.block_number DESC, x.log_index DESC LIMIT 1)) r ON true
        WHERE v.chain_id = {CHAIN} AND v.agent_id = {AGENT_ID} AND a.agent_id IS NOT NULL
          AND (v.requested_block, v.requested_log_index) < ($4::bigint, $5::integer)
        ORDER BY v.requested_block DESC, v.requested_log_index DESC LIMIT $6) p ON true
 WHERE k.chain_id = {CHAIN}
 ORDER BY p.requested_block DESC, p.requested_log_index DESC
"""
OF_AGENT_BY_UUID: LiteralString = by_uuid(OF_AGENT)


async def of_agent(
    conn: Conn,
    key: KeyArgs,
    *,
    upto_block: int = NOW,
    after: After = NEWEST,
    limit: int,
    cut_bytes: int,
) -> Page | None:
    """Up to `limit` of an agent's validation requests as of `upto_block`, newest first.

    None where the chain (or UUID) is unknown.
    """
    rows = await conn.fetch(
        *key.asks(OF_AGENT, OF_AGENT_BY_UUID),
        *(upto_block, *down_from(upto_block, after.block_number, after.log_index)),
        *(limit, cut_bytes),
    )
    if not rows:
        return None
    first = rows[0]
    found = [ValidationRow(*r[3:]) for r in rows if r[3] is not None]
    return Page(head_of(first[0]), first[1], first[2] or 0, found)
