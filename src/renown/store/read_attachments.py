"""Files that feedback, responses and validations name, found by the facts that name them.

Read beside a page of facts, and only where one of them has a URI: few do, and their page costs no
join then. A fact that a reorg put in the place of another has none of its files: the URI's hash
and the transaction must match.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.read_payments import FeedbackClaim

Place = tuple[int, int]
"""Block and log index of a fact on a chain."""
Fact = tuple[int, int, bytes]
"""Its place, and the transaction of its log."""


class AttachmentRow(msgspec.Struct, frozen=True, gc=False):
    """One file. `document_*` are None where none was read; `findings` is JSON text."""

    verdict: str
    outcome: str | None
    checked_at: datetime | None
    findings: str
    sha256: bytes | None
    size_bytes: int | None
    document_class: str | None


class Answered(msgspec.Struct, frozen=True, gc=False):
    """Which answer to a validation request: the last of its block."""

    block_number: int
    contract: bytes
    request_hash: bytes


_FILE: LiteralString = """x.verdict, u.outcome, x.checked_at, x.findings::text, d.sha256,
       d.size_bytes, d.class"""
_CLAIM = 3 + len(AttachmentRow.__struct_fields__)
_ATTACHED: LiteralString = """JOIN attachment x
    ON x.chain_id = f.chain_id AND x.block_number = f.block_number AND x.log_index = f.log_index
  JOIN uri u ON u.uri_id = x.uri_id AND u.hash = sha256(f.uri)
  LEFT JOIN document d ON d.document_id = x.document_id"""
# Of feedback, the claim that the file makes stands beside it: who shows one shows the other. What
# is asked for comes as sub-selects: else the planner sees how short the arrays are and which
# partition it is, and plans each page anew, which takes longer than to read it. URIs are found by
# their ids, which lie together; their hashes lie anywhere.
OF_FEEDBACK: LiteralString = f"""
SELECT f.block_number, f.log_index, u.uri_id, {_FILE},
       m.claim_id, m.pay_chain_id, m.tx_hash, m.state, m.reason, m.detail
  FROM unnest((SELECT $2::bigint[]), (SELECT $3::integer[]), (SELECT $4::bytea[]))
    AS w (block_number, log_index, tx_hash)
  JOIN feedback_given f
    ON f.chain_id = (SELECT $1::bigint) AND f.block_number = w.block_number
   AND f.log_index = w.log_index AND f.tx_hash = w.tx_hash
  LEFT JOIN attachment x
    ON x.chain_id = $1 AND x.block_number = w.block_number AND x.log_index = w.log_index
  LEFT JOIN uri u ON u.uri_id = x.uri_id AND (u.hash = sha256(f.uri)) IS TRUE
  LEFT JOIN document d ON d.document_id = x.document_id
  LEFT JOIN payment_claim m
    ON m.chain_id = $1 AND m.feedback_block = w.block_number AND m.feedback_log_index = w.log_index
   AND ((m.agent_id, m.client, m.feedback_index)
        = (f.agent_id, f.client, f.feedback_index)) IS TRUE
"""
OF_RESPONSES: LiteralString = f"""
SELECT f.block_number, f.log_index, {_FILE}
  FROM unnest((SELECT $2::bigint[]), (SELECT $3::integer[]), (SELECT $4::bytea[]))
    AS w (block_number, log_index, tx_hash)
  JOIN response_appended f
    ON f.chain_id = (SELECT $1::bigint) AND f.block_number = w.block_number
   AND f.log_index = w.log_index AND f.tx_hash = w.tx_hash
  {_ATTACHED}
"""
OF_REQUESTS: LiteralString = f"""
SELECT f.request_hash, f.contract, {_FILE}
  FROM unnest($1::bytea[], $2::bytea[]) AS w (contract, request_hash)
  JOIN validation_requested f
    ON f.chain_id = $3 AND f.agent_id = $4 AND f.contract = w.contract
   AND f.request_hash = w.request_hash
  {_ATTACHED}
 ORDER BY f.block_number DESC, f.log_index DESC
"""
OF_ANSWERS: LiteralString = f"""
SELECT f.request_hash, f.contract, {_FILE}
  FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS w (block_number, contract, request_hash)
 CROSS JOIN LATERAL (
       SELECT r.* FROM validation_responded r
        WHERE r.chain_id = $4 AND r.agent_id = $5 AND r.block_number = w.block_number
          AND r.contract = w.contract AND r.request_hash = w.request_hash
        ORDER BY r.log_index DESC LIMIT 1) f
  {_ATTACHED}
"""


async def of_feedback(
    conn: Conn, chain_id: int, wanted: Sequence[Fact]
) -> dict[Place, tuple[AttachmentRow | None, FeedbackClaim | None]]:
    """The files of feedback on one chain, and the claims that they make, by place. Places with
    neither may be there or not."""
    if not wanted:
        return {}
    rows = await conn.fetch(OF_FEEDBACK, chain_id, *_columns(wanted))
    return {
        (r[0], r[1]): (
            None if r[2] is None else AttachmentRow(*r[3:_CLAIM]),
            None if r[_CLAIM] is None else FeedbackClaim(*r[_CLAIM:]),
        )
        for r in rows
    }


async def of_responses(
    conn: Conn, chain_id: int, wanted: Sequence[Fact]
) -> dict[Place, AttachmentRow]:
    """The files of responses on one chain, by place."""
    if not wanted:
        return {}
    rows = await conn.fetch(OF_RESPONSES, chain_id, *_columns(wanted))
    return {(r[0], r[1]): AttachmentRow(*r[2:]) for r in rows}


def _columns(wanted: Sequence[Fact]) -> tuple[list[int], list[int], list[bytes]]:
    return [one[0] for one in wanted], [one[1] for one in wanted], [one[2] for one in wanted]


async def of_requests(
    conn: Conn, chain_id: int, agent_id: int, wanted: Sequence[tuple[bytes, bytes]]
) -> dict[tuple[bytes, bytes], AttachmentRow]:
    """The files of validation requests given, and found, by (contract, request hash)."""
    if not wanted:
        return {}
    columns: Any = zip(*wanted, strict=True)
    rows = await conn.fetch(OF_REQUESTS, *(list(c) for c in columns), chain_id, agent_id)
    # Of two events of one request the first made it; rows come last first.
    return {(r[1], r[0]): AttachmentRow(*tuple(r)[2:]) for r in rows}


async def of_answers(
    conn: Conn, chain_id: int, agent_id: int, wanted: Sequence[Answered]
) -> dict[tuple[bytes, bytes], AttachmentRow]:
    """The files of answers to validation requests, by (contract, request hash)."""
    if not wanted:
        return {}
    columns = zip(*(msgspec.structs.astuple(one) for one in wanted), strict=True)
    rows = await conn.fetch(OF_ANSWERS, *(list(c) for c in columns), chain_id, agent_id)
    return {(r[1], r[0]): AttachmentRow(*tuple(r)[2:]) for r in rows}
