"""Operations as the database holds them, read with their steps and what happened to each."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, LiteralString
from uuid import UUID

import msgspec
from asyncpg import Record

from renown.derive.operation import AnyTemplate, Kind, Mode, State, StepState

Fate = Literal["live", "refused", "included", "superseded"]
"""What became of a signed transaction.

live        it may get into a block
refused     the nodes do not take it; whoever holds a copy might still have it mined
included    it is in a block, successful or not
superseded  another transaction used its nonce
"""


class SignedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A signed transaction of a step. Its bytes are not here: see `operation_watching.raw_of`.

    Attributes:
        sent_at: when a node first took it; None: none has said so.
        send_count: how often it was offered to nodes.
        error: what a node said last.
        used_block: its nonce was used in this block or below; None: it was not, as far as known.
        settled: that block is final, so nothing can become of it any more.
    """

    step: int
    tx_hash: bytes
    nonce: int
    max_fee_wei: int
    priority_fee_wei: int
    signed_at: datetime
    sent_at: datetime | None
    send_count: int
    fate: Fate
    error: str | None
    used_block: int | None
    settled: bool


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a step. `number` counts from 1 within the operation."""

    number: int
    step: int
    state: StepState
    tx_hash: bytes | None
    block_number: int | None
    block_hash: bytes | None
    detail: str | None
    at: datetime


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction of an operation, see table `operation_step`.

    Attributes:
        template: stays when `calldata` was filled in from it.
        signed: every signed transaction of it that we ever held, oldest first.
    """

    step: int
    function: str
    contract: bytes
    calldata: bytes | None
    template: AnyTemplate | None
    summary: str
    state: StepState
    nonce: int | None
    gas: int | None
    max_fee_wei: int | None
    priority_fee_wei: int | None
    tx_hash: bytes | None
    block_number: int | None
    block_hash: bytes | None
    gas_used: int | None
    reason: str | None
    problem: str | None
    updated_at: datetime
    signed: list[SignedRow] = []


class OperationRow(msgspec.Struct, frozen=True, kw_only=True):
    """An operation with its steps in order and its events, oldest first, of one snapshot."""

    operation_id: UUID
    account_id: int
    chain_id: int
    kind: Kind
    mode: Mode
    sender: bytes
    agent_id: int | None
    request: dict[str, Any]
    state: State
    created_at: datetime
    updated_at: datetime
    steps: list[StepRow]
    events: list[EventRow] = []


# Bytes travel as base64 within JSON, which is how one statement returns rows of four tables.
def _operation(
    request: LiteralString, calldata: LiteralString, template: LiteralString, events: LiteralString
) -> LiteralString:
    return f"""
SELECT o.operation_id, o.account_id, o.chain_id, o.kind, o.mode, o.sender, o.agent_id,
       {request}, o.state, o.created_at, o.updated_at,
       (SELECT json_agg(json_build_object(
                   'step', s.step, 'function', s.function,
                   'contract', encode(s.contract, 'base64'),
                   'calldata', {calldata},
                   'template', {template}, 'summary', s.summary, 'state', s.state,
                   'nonce', s.nonce, 'gas', s.gas, 'max_fee_wei', s.max_fee_wei,
                   'priority_fee_wei', s.priority_fee_wei,
                   'tx_hash', encode(s.tx_hash, 'base64'),
                   'block_number', s.block_number,
                   'block_hash', encode(s.block_hash, 'base64'), 'gas_used', s.gas_used,
                   'reason', s.reason, 'problem', s.problem, 'updated_at', s.updated_at,
                   'signed', coalesce((
                       SELECT json_agg(json_build_object(
                                  'step', t.step, 'tx_hash', encode(t.tx_hash, 'base64'),
                                  'nonce', t.nonce, 'max_fee_wei', t.max_fee_wei,
                                  'priority_fee_wei', t.priority_fee_wei,
                                  'signed_at', t.signed_at, 'sent_at', t.sent_at,
                                  'send_count', t.send_count, 'fate', t.fate, 'error', t.error,
                                  'used_block', t.used_block, 'settled', t.settled)
                              ORDER BY t.signed_at, t.tx_hash)
                         FROM operation_transaction t
                        WHERE t.operation_id = s.operation_id AND t.step = s.step), '[]'))
               ORDER BY s.step)::text
          FROM operation_step s WHERE s.operation_id = o.operation_id),
       {events}
  FROM operation o
"""


OPERATION: LiteralString = _operation(
    request="o.request::text",
    calldata="translate(encode(s.calldata, 'base64'), E'\\n', '')",
    template="s.template",
    events="""coalesce((SELECT json_agg(json_build_object(
                   'number', e.number, 'step', e.step, 'state', e.state,
                   'tx_hash', encode(e.tx_hash, 'base64'), 'block_number', e.block_number,
                   'block_hash', encode(e.block_hash, 'base64'), 'detail', e.detail, 'at', e.at)
               ORDER BY e.number)
          FROM operation_event e WHERE e.operation_id = o.operation_id), '[]')::text""",
)
BRIEF: LiteralString = _operation(
    request="'{}'",
    calldata="CASE WHEN s.calldata IS NOT NULL THEN '' END",
    template="""s.template - 'file' || '{"file": {}}'::jsonb""",
    events="'[]'",
)
"""The same without what can be large: no request, no events, empty calldata, and templates without
their file."""

_request = msgspec.json.Decoder(dict[str, Any])
_steps = msgspec.json.Decoder(list[StepRow])
_events = msgspec.json.Decoder(list[EventRow])


def operation_row(row: Record) -> OperationRow:
    """A row of `OPERATION` or `BRIEF`."""
    return OperationRow(
        operation_id=UUID(bytes=row[0].bytes),
        account_id=row[1],
        chain_id=row[2],
        kind=row[3],
        mode=row[4],
        sender=row[5],
        agent_id=row[6],
        request=_request.decode(row[7]),
        state=row[8],
        created_at=row[9],
        updated_at=row[10],
        steps=_steps.decode(row[11]),
        events=_events.decode(row[12]),
    )
