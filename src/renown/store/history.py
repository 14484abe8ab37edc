"""Every fact of one agent, all kinds merged in chain order."""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString

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


class Cut(msgspec.Struct, frozen=True, gc=False):
    """The beginning of a foreign string, and its full length."""

    raw: bytes
    length_bytes: int


class HistoryRow(msgspec.Struct, frozen=True, gc=False):
    """One fact. `detail` holds the fields that `DETAILS[kind]` names.

    `unattached` is the reason why a good fact was not folded, None otherwise.
    """

    kind: str
    block_number: int
    log_index: int
    time: datetime | None
    tx_hash: bytes
    unattached: str | None
    detail: dict[str, Any]


DETAILS: dict[str, tuple[str, ...]] = {
    "agent_registered": ("owner", "uri+"),
    "uri_updated": ("updated_by", "uri+"),
    "metadata_set": ("key+", "value+"),
    "agent_transferred": ("from_address", "to_address"),
    "agent_approved": ("owner", "approved"),
    "metadata_refreshed": ("first_agent_id", "last_agent_id"),
    "feedback_given": (
        *("client", "feedback_index", "value", "decimals", "tag1+", "tag2+", "endpoint+", "uri+"),
        "content_hash",
    ),
    "feedback_revoked": ("client", "feedback_index"),
    "response_appended": ("client", "feedback_index", "responder", "uri+", "content_hash"),
    "validation_requested": ("contract", "validator", "request_hash", "uri+"),
    "validation_responded": (
        *("contract", "validator", "request_hash", "response", "uri+", "content_hash", "tag+"),
    ),
    "legacy_event": ("contract", "event", "client", "topics+", "payload+"),
}
"""The fields of each kind's detail, in order. A plus marks a string that is cut: it takes two
columns of the row, and is a `Cut` in `HistoryRow.detail`, whose names have no plus."""


class After(msgspec.Struct, frozen=True, gc=False):
    """Keyset position: the last fact of the page before."""

    block_number: int
    log_index: int


FIRST = After(-1, -1)
LAST = After(MAX_BIGINT, 0)


class Page(msgspec.Struct, frozen=True, gc=False):
    """A page of one agent's history. `known` is false where facts name an agent never minted."""

    head: Head
    agent_id: int | None
    known: bool
    rows: list[HistoryRow]


# Each kind gives up to a page of its own, in order, from its index by agent; the merge keeps one
# page. A row constructor carries what differs between kinds. A notice about a range of agents
# (BatchMetadataUpdate) is found by its own index, apart from those about one.
OLDEST_FIRST: LiteralString = f"""
SELECT {HEAD_TEXT}, {AGENT_ID}, a.agent_id IS NOT NULL,
       p.kind, p.block_number, p.log_index, b.time, p.tx_hash, u.reason, p.detail
  FROM checkpoint k
  LEFT JOIN agent a
    ON a.chain_id = {CHAIN} AND a.agent_id = {AGENT_ID} AND a.created_block <= $5::bigint
  LEFT JOIN LATERAL (
       SELECT * FROM (
(SELECT 'agent_registered' AS kind, f.block_number, f.log_index, f.tx_hash,
        ROW(f.owner, substring(f.uri FOR $7), octet_length(f.uri)) AS detail
   FROM agent_registered f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'uri_updated', f.block_number, f.log_index, f.tx_hash,
        ROW(f.updated_by, substring(f.uri FOR $7), octet_length(f.uri))
   FROM uri_updated f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'metadata_set', f.block_number, f.log_index, f.tx_hash,
        ROW(substring(f.key FOR $7), octet_length(f.key),
            substring(f.value FOR $7), octet_length(f.value))
   FROM metadata_set f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'agent_transferred', f.block_number, f.log_index, f.tx_hash,
        ROW(f.from_address, f.to_address)
   FROM agent_transferred f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'agent_approved', f.block_number, f.log_index, f.tx_hash, ROW(f.owner, f.approved)
   FROM agent_approved f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'metadata_refreshed', f.block_number, f.log_index, f.tx_hash,
        ROW(f.agent_id, f.last_agent_id)
   FROM metadata_refreshed f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'metadata_refreshed', f.block_number, f.log_index, f.tx_hash,
        ROW(f.agent_id, f.last_agent_id)
   FROM metadata_refreshed f
  WHERE f.chain_id = {CHAIN} AND f.last_agent_id > f.agent_id
    AND f.agent_id < {AGENT_ID} AND f.last_agent_id >= {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'feedback_given', f.block_number, f.log_index, f.tx_hash,
        ROW(f.client, f.feedback_index, f.value::text, f.decimals,
            substring(f.tag1 FOR $7), octet_length(f.tag1),
            substring(f.tag2 FOR $7), octet_length(f.tag2),
            substring(f.endpoint FOR $7), octet_length(f.endpoint),
            substring(f.uri FOR $7), octet_length(f.uri), f.content_hash)
   FROM feedback_given f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'feedback_revoked', f.block_number, f.log_index, f.tx_hash, ROW(f.client, f.feedback_index)
   FROM feedback_revoked f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'response_appended', f.block_number, f.log_index, f.tx_hash,
        ROW(f.client, f.feedback_index, f.responder,
            substring(f.uri FOR $7), octet_length(f.uri), f.content_hash)
   FROM response_appended f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'validation_requested', f.block_number, f.log_index, f.tx_hash,
        ROW(f.contract, f.validator, f.request_hash, substring(f.uri FOR $7), octet_length(f.uri))
   FROM validation_requested f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'validation_responded', f.block_number, f.log_index, f.tx_hash,
        ROW(f.contract, f.validator, f.request_hash, f.response,
            substring(f.uri FOR $7), octet_length(f.uri), f.content_hash,
            substring(f.tag FOR $7), octet_length(f.tag))
   FROM validation_responded f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
UNION ALL
(SELECT 'legacy_event', f.block_number, f.log_index, f.tx_hash,
        ROW(f.contract, f.event, f.client, substring(f.topics FOR $7), octet_length(f.topics),
            substring(f.payload FOR $7), octet_length(f.payload))
   FROM legacy_event f
  WHERE f.chain_id = {CHAIN} AND f.agent_id = {AGENT_ID}
    AND (f.block_number, f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5
  ORDER BY f.block_number, f.log_index LIMIT $6)
       ) all_kinds
       ORDER BY block_number, log_index LIMIT $6) p ON true
  LEFT JOIN block b ON b.chain_id = {CHAIN} AND b.number = p.block_number
  LEFT JOIN unattached u
    ON u.chain_id = {CHAIN} AND u.block_number = p.block_number AND u.log_index = p.log_index
 WHERE k.chain_id = {CHAIN}
 ORDER BY p.block_number, p.log_index
"""
NEWEST_FIRST: LiteralString = (
    OLDEST_FIRST.replace(
        "f.log_index) > ($3::bigint, $4::integer) AND f.block_number <= $5",
        "f.log_index) < ($3::bigint, $4::integer)",
    )
    .replace(
        "ORDER BY f.block_number, f.log_index", "ORDER BY f.block_number DESC, f.log_index DESC"
    )
    .replace("ORDER BY block_number, log_index", "ORDER BY block_number DESC, log_index DESC")
    .replace(
        "ORDER BY p.block_number, p.log_index", "ORDER BY p.block_number DESC, p.log_index DESC"
    )
)
OLDEST_FIRST_BY_UUID: LiteralString = by_uuid(OLDEST_FIRST)
NEWEST_FIRST_BY_UUID: LiteralString = by_uuid(NEWEST_FIRST)


async def of_agent(
    conn: Conn,
    key: KeyArgs,
    *,
    newest_first: bool = False,
    upto_block: int = NOW,
    after: After | None = None,
    limit: int,
    cut_bytes: int,
) -> Page | None:
    """Up to `limit` facts about an agent up to `upto_block`, after `after`.

    Facts about an id that no agent has are found too. Operator approvals belong to an owner and
    are not among them. None where the chain (or UUID) is unknown.
    """
    start = after or (LAST if newest_first else FIRST)
    place = start.block_number, start.log_index
    if newest_first:
        asked = key.asks(NEWEST_FIRST, NEWEST_FIRST_BY_UUID)
        place = down_from(upto_block, *place)
    else:
        asked = key.asks(OLDEST_FIRST, OLDEST_FIRST_BY_UUID)
    rows = await conn.fetch(*asked, *place, upto_block, limit, cut_bytes)
    if not rows:
        return None
    first = rows[0]
    found = [HistoryRow(*(*r[3:9], _detail(r[3], tuple(r[9])))) for r in rows if r[3] is not None]
    return Page(head_of(first[0]), first[1], first[2], found)


def _detail(kind: str, values: tuple[Any, ...]) -> dict[str, Any]:
    detail: dict[str, Any] = {}
    rest = iter(values)
    for name in DETAILS[kind]:
        if name.endswith("+"):
            detail[name[:-1]] = Cut(next(rest), next(rest))
        else:
            detail[name] = next(rest)
    return detail
