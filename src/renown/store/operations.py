"""Operations: made, looked up, and given what their owner has: signatures, calldata, another try.

What the watcher finds out about them is written by `operation_watching`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from renown.derive.operation import (
    APPLIED,
    MOVING,
    AnyTemplate,
    Kind,
    Mode,
    PlannedStep,
    State,
    Template,
)
from renown.errors import BadBody, OperationConflict, TransactionRefused
from renown.spec.transactions import SignedTransaction, UnsignedTransaction
from renown.store.operation_changes import (
    due_now,
    locked,
    move,
    step_of,
    write_event,
)
from renown.store.operation_nonces import lock_sender, require_not_taken
from renown.store.operation_rows import (
    BRIEF,
    OPERATION,
    EventRow,
    OperationRow,
    SignedRow,
    StepRow,
    operation_row,
)
from renown.store.pool import Conn, Tx
from renown.types import MAX_BIGINT

__all__ = [
    "EventRow",
    "NewOperation",
    "OperationRow",
    "SignedRow",
    "StepRow",
    "add_signed",
    "create",
    "fill_step",
    "load",
    "page",
    "prepare_again",
]

MOST_SIGNED = 20
"""Signed transactions that are taken for one step, replacements and all."""
MOST_NONCE = MAX_BIGINT
MOST_PREPARED = 1_000
"""Operations of an account that wait to be signed. What is asked for at once may exceed it."""


class NewOperation(msgspec.Struct, frozen=True, kw_only=True):
    """A write as it was asked for. `request` is JSON, for people and for preparing it again."""

    account_id: int
    chain_id: int
    kind: Kind
    mode: Mode
    sender: bytes
    agent_id: int | None
    request: dict[str, Any]


CREATE: LiteralString = """
INSERT INTO operation (account_id, chain_id, kind, mode, sender, agent_id, request, state, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, 'prepared',
        CASE $4 WHEN 'managed' THEN now() END)
RETURNING operation_id
"""
CREATE_STEP: LiteralString = """
INSERT INTO operation_step (operation_id, step, function, contract, calldata, template, summary,
                            nonce, gas, max_fee_wei, priority_fee_wei)
VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8, $9, $10, $11)
"""


PREPARED: LiteralString = """
SELECT count(*) FROM (
    SELECT FROM operation WHERE account_id = $1 AND state = 'prepared' LIMIT $2) waiting
"""


async def create(
    tx: Tx,
    new: NewOperation,
    steps: Sequence[PlannedStep],
    prepared: Sequence[UnsignedTransaction | None],
) -> UUID:
    """Store an operation whose steps are all `prepared`, and return its id.

    A managed one is due at once: the watcher signs it. `prepared` stands beside `steps`: nonce, gas
    and fees of each, None where they are not known yet.

    Raises:
        BadBody: a registration file that is to be completed holds a NUL character.
        OperationConflict: the account has `MOST_PREPARED` already.
    """
    if await tx.fetchval(PREPARED, new.account_id, MOST_PREPARED) >= MOST_PREPARED:
        raise OperationConflict(
            f"{MOST_PREPARED} operations of this account wait to be signed: sign some; what nobody"
            " signs is dropped after 7 days",
            most=MOST_PREPARED,
        )
    if not steps or len(steps) != len(prepared):
        raise ValueError("an operation has steps, and each is prepared or None")
    operation_id: UUID = await tx.fetchval(
        CREATE,
        *(new.account_id, new.chain_id, new.kind, new.mode, new.sender, new.agent_id),
        msgspec.json.encode(_without_nul(new.request)).decode(),
    )
    operation_id = UUID(bytes=operation_id.bytes)
    for number, (step, unsigned) in enumerate(zip(steps, prepared, strict=True), 1):
        await tx.execute(
            CREATE_STEP,
            *(operation_id, number, step.function, step.contract, step.calldata),
            *(_template(step.template), step.summary.replace("\0", "\ufffd")),
            *numbers_of(unsigned),
        )
        await write_event(tx, operation_id, number, "prepared")
    if new.mode == "managed":
        await due_now(tx, operation_id)
    return operation_id


LOAD: LiteralString = (
    OPERATION + " WHERE o.operation_id = $1 AND ($2::bigint IS NULL OR o.account_id = $2)"
)


async def load(conn: Conn, operation_id: UUID, account_id: int | None) -> OperationRow | None:
    """An operation of this account, or of any for None. None where it has no such operation."""
    row = await conn.fetchrow(LOAD, operation_id, account_id)
    return None if row is None else operation_row(row)


PAGE: LiteralString = (
    BRIEF
    + """
 WHERE o.account_id = $1
   AND ($2::text IS NULL OR o.state = $2)
   AND ($3::timestamptz IS NULL OR (o.created_at, o.operation_id) < ($3, $4::uuid))
 ORDER BY o.created_at DESC, o.operation_id DESC
 LIMIT $5
"""
)


async def page(
    conn: Conn,
    account_id: int,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
    state: State | None = None,
) -> list[OperationRow]:
    """Up to `limit` operations of an account, newest first, without what can be large, see `BRIEF`.

    Args:
        after: `created_at` and `operation_id` of the last one of the page before.
    """
    created_at, operation_id = after or (None, None)
    rows = await conn.fetch(PAGE, account_id, state, created_at, operation_id, limit)
    return [operation_row(row) for row in rows]


# Signatures ---------------------------------------------------------------------------------------

HOLDER: LiteralString = """
SELECT operation_id, step, fate, settled FROM operation_transaction
 WHERE chain_id = $1 AND tx_hash = $2
"""
STORE: LiteralString = """
INSERT INTO operation_transaction (chain_id, tx_hash, operation_id, step, sender, nonce,
                                   max_fee_wei, priority_fee_wei, raw, gas, signed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::numeric, $8::text::numeric, $9, $10, clock_timestamp())
"""
REVIVE: LiteralString = """
UPDATE operation_transaction SET fate = 'live', error = NULL WHERE chain_id = $1 AND tx_hash = $2
"""


async def add_signed(
    tx: Tx,
    operation_id: UUID,
    step: int,
    signed: SignedTransaction,
    *,
    by_signer: bool = False,
    detail: str | None = None,
) -> None:
    """Keep a signed transaction of a step, which is `submitted` then; the watcher sends it.

    The same bytes again change nothing, unless the nodes had refused them and the step was prepared
    again: then they are offered once more. Another transaction at the same nonce is a replacement;
    one at another nonce is taken only when nothing signed before can get into a block any more, for
    else both could.

    Args:
        by_signer: the server's signer made it; nobody else signs for a managed operation.

    Raises:
        OperationNotFound
        OperationConflict: not now; the detail says why.
        TransactionRefused: it is not the call that was prepared.
    """
    await lock_sender(tx, signed.chain_id, signed.sender)
    operation = await locked(tx, operation_id)
    row = step_of(operation, step)
    require_the_call(operation, row, signed)
    if (operation.mode == "managed") is not by_signer:
        raise OperationConflict("the server's signer signs this operation, nobody else does")
    holder = await tx.fetchrow(HOLDER, operation.chain_id, signed.tx_hash)
    if holder is not None:
        if (UUID(bytes=holder[0].bytes), holder[1]) != (operation_id, step):
            raise OperationConflict("this transaction belongs to another operation or step")
        if row.state != "prepared":
            return
        if holder[2] not in ("live", "refused") or holder[3]:
            raise OperationConflict(
                "this transaction cannot take effect any more: sign one with a new nonce"
            )
    require_room_for(operation, row, signed.nonce)
    place = (operation.chain_id, operation.sender, signed.nonce)
    await require_not_taken(tx, *place, operation_id, step)
    if holder is not None:
        await tx.execute(REVIVE, operation.chain_id, signed.tx_hash)
    else:
        await tx.execute(
            STORE,
            *(operation.chain_id, signed.tx_hash, operation_id, step, signed.sender),
            *(signed.nonce, str(signed.max_fee_wei), str(signed.priority_fee_wei), signed.raw),
            min(signed.gas, MAX_BIGINT),
        )
    replaces = row.state != "prepared"
    await move(
        *(tx, operation_id, step, (row.state, "submitted")),
        detail=detail or ("replaced at the same nonce" if replaces else None),
        tx_hash=signed.tx_hash,
    )
    if not by_signer:  # who is at it already
        await due_now(tx, operation_id)


def require_the_call(operation: OperationRow, step: StepRow, signed: SignedTransaction) -> None:
    """Raises TransactionRefused unless these bytes do what the step says, and nothing else."""
    if step.calldata is None:
        raise OperationConflict(f"the call of transaction {step.step} is not known yet")
    for is_so, what in (
        (signed.chain_id == operation.chain_id, f"it is for chain {signed.chain_id}"),
        (signed.sender == operation.sender, f"it is signed by 0x{signed.sender.hex()}"),
        (signed.to == step.contract, "it calls another contract"),
        (signed.calldata == step.calldata, "it makes another call"),
        (signed.value_wei == 0, "it sends value along"),
        (signed.nonce <= MOST_NONCE, "its nonce is absurd"),
    ):
        if not is_so:
            raise TransactionRefused(
                f"the signed transaction is not transaction {step.step} of the operation: {what}"
            )


def require_room_for(operation: OperationRow, step: StepRow, nonce: int) -> None:
    """Raises OperationConflict where one more signed transaction, at `nonce`, could take effect
    beside an earlier one, or its step does not wait for one.

    What was signed once may land as long as its nonce is free; once the nonce is used, it may still
    land after a reorganisation, until the block that used it is final.
    """
    if step.state not in {"prepared", *MOVING}:
        hint = "resume it first" if step.state not in APPLIED else "it is in a block"
        raise OperationConflict(f"transaction {step.step} is {step.state}: {hint}")
    if (block := undone_below(step)) is not None:
        why = "" if step.problem is None else f" (now: {step.problem})"
        raise OperationConflict(
            f"what was signed for transaction {step.step} before could take effect after all if the"
            f" chain undid block {block}: sign it again when block {block} is final{why}",
            block=block,
        )
    for other in step.signed:
        if not other.settled and other.nonce != nonce:
            raise OperationConflict(
                f"0x{other.tx_hash.hex()} was signed before and can still take effect: sign with"
                f" its nonce, {other.nonce}, so that only one of them can",
                nonce=other.nonce,
            )
    if len(step.signed) >= MOST_SIGNED:
        raise OperationConflict(f"{MOST_SIGNED} transactions were signed for this step already")
    for sibling in operation.steps:
        if sibling.step != step.step and any(
            held.nonce == nonce and not held.settled for held in sibling.signed
        ):
            raise OperationConflict(
                f"transaction {sibling.step} of the operation has the nonce {nonce} already",
                nonce=nonce,
            )


def undone_below(step: StepRow) -> int | None:
    """The block that has to be final before a new nonce may be used for the step: one at or below
    it used the nonce of what was signed before. None: no such thing is waited for."""
    used = [one.used_block for one in step.signed if not one.settled]
    return max((block for block in used if block is not None), default=None)


# Filling in and trying again ----------------------------------------------------------------------

FILL: LiteralString = """
UPDATE operation_step
   SET calldata = $3, nonce = $4, gas = $5, max_fee_wei = $6, priority_fee_wei = $7,
       problem = NULL, updated_at = now()
 WHERE operation_id = $1 AND step = $2
"""


async def fill_step(
    tx: Tx,
    operation_id: UUID,
    step: int,
    calldata: bytes,
    prepared: UnsignedTransaction | None = None,
) -> None:
    """Give a step the calldata that its template was waiting for.

    Raises:
        OperationNotFound
        OperationConflict: the step waits for none.
    """
    operation = await locked(tx, operation_id)
    row = step_of(operation, step)
    if row.state != "prepared" or row.template is None:
        raise OperationConflict(f"transaction {step} of the operation waits for nothing")
    if row.calldata == calldata and prepared is None:
        return
    await tx.execute(FILL, operation_id, step, calldata, *numbers_of(prepared))
    if row.calldata != calldata:
        await write_event(tx, operation_id, step, "prepared", detail="its call is known now")
    if operation.mode == "managed":
        await due_now(tx, operation_id)


AGAIN: LiteralString = """
UPDATE operation_step
   SET calldata = CASE WHEN $4::text IS NOT NULL THEN $3 ELSE coalesce($3, calldata) END,
       template = coalesce($4::text::jsonb, template),
       nonce = $5, gas = $6, max_fee_wei = $7, priority_fee_wei = $8
 WHERE operation_id = $1 AND step = $2
"""


async def prepare_again(
    tx: Tx,
    operation_id: UUID,
    prepared: Mapping[int, UnsignedTransaction | None],
    templates: Mapping[int, AnyTemplate] | None = None,
) -> None:
    """Have steps tried again that failed, were dropped, or wait: they are `prepared` then.

    What was signed for them before is watched on: if it gets into a block after all, it counts.

    Args:
        prepared: by step: nonce, gas, fees and calldata; None: not known yet, calldata stays.
        templates: by step: what its calldata follows from now. What it was is forgotten.

    Raises:
        OperationNotFound
        OperationConflict: one of them is in a block, or on its way.
    """
    operation = await locked(tx, operation_id)
    renewed = templates or {}
    for number in sorted({*prepared, *renewed}):
        row = step_of(operation, number)
        if row.state in APPLIED or row.state in MOVING:
            raise OperationConflict(f"transaction {number} of the operation is {row.state}")
        unsigned = prepared.get(number)
        template = _template(renewed.get(number))
        calldata = unsigned.calldata if unsigned is not None else None
        await tx.execute(AGAIN, operation_id, number, calldata, template, *numbers_of(unsigned))
        if row.state != "prepared":
            detail = "to be tried again"
            await move(tx, operation_id, number, (row.state, "prepared"), detail=detail)
    if operation.mode == "managed":
        await due_now(tx, operation_id)


def numbers_of(
    unsigned: UnsignedTransaction | None,
) -> tuple[int | None, int | None, int | None, int | None]:
    """Nonce, gas, and the two fees, as columns."""
    if unsigned is None:
        return None, None, None, None
    return unsigned.nonce, unsigned.gas, unsigned.max_fee_wei, unsigned.priority_fee_wei


def _template(template: Template | None) -> str | None:
    if template is None:
        return None
    if _has_nul(msgspec.to_builtins(template)):
        raise BadBody("the registration file holds a NUL character, which cannot be kept")
    return msgspec.json.encode(template).decode()


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, list | tuple) and any(map(_has_nul, value))


def _without_nul(value: Any) -> Any:
    """PostgreSQL's jsonb holds no NUL characters; a request is kept for people, calls elsewhere."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(item) for item in value]
    return value
