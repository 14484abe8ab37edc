"""Files that feedback, responses and validations name, found by the facts that name them.

Read beside a page of facts, and only where one of them has a URI: few do, and their page costs no
join then. A fact that a reorg put in the place of another has none of its files: the URI's hash
and the transaction must match.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, LiteralString

import msgspec

from renown.store.pool import Conn

Place = tuple[int, int, int]
"""Chain, block and log index of a fact."""


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
_ATTACHED: LiteralString = """JOIN attachment x
    ON x.chain_id = f.chain_id AND x.block_number = f.block_number AND x.log_index = f.log_index
  JOIN uri u ON u.uri_id = x.uri_id AND u.hash = sha256(f.uri)
  LEFT JOIN document d ON d.document_id = x.document_id"""
_BY_PLACE: LiteralString = f"""
SELECT f.chain_id, f.block_number, f.log_index, {_FILE}
  FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bytea[])
    AS w (chain_id, block_number, log_index, tx_hash)
  JOIN {{table}} f USING (chain_id, block_number, log_index, tx_hash)
  {_ATTACHED}
"""
OF_FEEDBACK: LiteralString = _BY_PLACE.format(table="feedback_given")
OF_RESPONSES: LiteralString = _BY_PLACE.format(table="response_appended")
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


async def by_place(
    conn: Conn,
    facts: Literal["feedback", "responses"],
    wanted: Iterable[tuple[int, int, int, bytes]],
) -> dict[Place, AttachmentRow]:
    """The files of facts given as (chain, block, log index, transaction), by place."""
    columns = [list(column) for column in zip(*wanted, strict=True)]
    if not columns:
        return {}
    statement = OF_FEEDBACK if facts == "feedback" else OF_RESPONSES
    rows = await conn.fetch(statement, *columns)
    return {(r[0], r[1], r[2]): AttachmentRow(*tuple(r)[3:]) for r in rows}


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
