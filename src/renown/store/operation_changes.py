"""What every change of an operation goes through: its row locked, an event written, its state made.

Nothing else writes `operation.state`, `operation_step.state` or `operation_event`.
"""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID

from renown.derive.operation import TRANSITIONS, State, StepState, operation_state
from renown.errors import OperationConflict, OperationNotFound
from renown.store.changes import OPERATION_CHANNEL, announce
from renown.store.operation_rows import OPERATION, OperationRow, StepRow, operation_row
from renown.store.pool import Tx

LOCK: LiteralString = "SELECT account_id FROM operation WHERE operation_id = $1 FOR UPDATE"
LOCKED: LiteralString = OPERATION + " WHERE o.operation_id = $1"


async def locked(tx: Tx, operation_id: UUID) -> OperationRow:
    """The operation as it is now, its row locked until the transaction ends.

    Raises:
        OperationNotFound
    """
    # Two statements: the second sees what was committed while the first waited.
    if await tx.fetchval(LOCK, operation_id) is None:
        raise OperationNotFound("there is no such operation", operation=str(operation_id))
    row = await tx.fetchrow(LOCKED, operation_id)
    assert row is not None
    return operation_row(row)


def step_of(operation: OperationRow, step: int) -> StepRow:
    """One step by its number. Raises OperationConflict where there is none."""
    if not 1 <= step <= len(operation.steps):
        raise OperationConflict(
            f"the operation has {len(operation.steps)} transactions, and none is number {step}",
            operation=str(operation.operation_id),
        )
    return operation.steps[step - 1]


MOVE: LiteralString = """
UPDATE operation_step
   SET state = $4, tx_hash = coalesce($5, tx_hash), block_number = $6, block_hash = $7,
       gas_used = $8, reason = $9, problem = $10, updated_at = now()
 WHERE operation_id = $1 AND step = $2 AND state = $3
RETURNING step
"""
WRITE_EVENT: LiteralString = """
INSERT INTO operation_event (operation_id, number, step, state, tx_hash, block_number, block_hash,
                             detail)
SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7
  FROM operation_event WHERE operation_id = $1
"""
STATES: LiteralString = """
SELECT o.mode, s.state FROM operation o JOIN operation_step s USING (operation_id)
 WHERE o.operation_id = $1 ORDER BY s.step
"""
SET_STATE: LiteralString = """
UPDATE operation SET state = $2, updated_at = now() WHERE operation_id = $1
"""


async def move(
    tx: Tx,
    operation_id: UUID,
    step: int,
    states: tuple[StepState, StepState],
    *,
    detail: str | None = None,
    tx_hash: bytes | None = None,
    block: tuple[int, bytes] | None = None,
    gas_used: int | None = None,
    reason: str | None = None,
    problem: str | None = None,
) -> State:
    """Bring a step from the first to the second of `states`, write that down, and return what
    state the operation is in then.

    Args:
        detail: for the event alone; `reason` is there too where it is left out.
        tx_hash: None keeps the one that stands there.
        block: number and hash of the block that the transaction is in; None: in none.

    Raises:
        OperationConflict: the step is in another state by now, or the second cannot follow.
    """
    before, after = states
    if after != before and after not in TRANSITIONS[before]:
        raise OperationConflict(f"a transaction that is {before} cannot become {after}")
    number, block_hash = block or (None, None)
    outcome = (tx_hash, number, block_hash, gas_used, reason, problem)
    if await tx.fetchval(MOVE, operation_id, step, before, after, *outcome) is None:
        raise OperationConflict(
            f"transaction {step} of the operation is not {before} any more",
            operation=str(operation_id),
        )
    await write_event(
        tx, operation_id, step, after, detail=detail or reason, tx_hash=tx_hash, block=block
    )
    return await settle_state(tx, operation_id)


async def write_event(
    tx: Tx,
    operation_id: UUID,
    step: int,
    state: StepState,
    *,
    detail: str | None = None,
    tx_hash: bytes | None = None,
    block: tuple[int, bytes] | None = None,
) -> None:
    """Write down what happened to a step; the row of the operation is locked."""
    number, block_hash = block or (None, None)
    await tx.execute(
        WRITE_EVENT, operation_id, step, state, tx_hash, number, block_hash, clean(detail)
    )


async def settle_state(tx: Tx, operation_id: UUID) -> State:
    """Set the operation's state by those of its steps."""
    rows = await tx.fetch(STATES, operation_id)
    state = operation_state(rows[0][0], [row[1] for row in rows])
    await tx.execute(SET_STATE, operation_id, state)
    return state


DUE_NOW: LiteralString = "UPDATE operation SET due_at = now() WHERE operation_id = $1"


async def due_now(tx: Tx, operation_id: UUID) -> None:
    """Have a watcher look at the operation as soon as this is committed."""
    await tx.execute(DUE_NOW, operation_id)
    await announce(tx, OPERATION_CHANNEL, str(operation_id))


def clean(text: str | None, most: int = 1_000) -> str | None:
    """Strangers' words (a node's, a contract's) as the database and people can take them."""
    return None if text is None else text.replace("\0", "\ufffd")[:most]
