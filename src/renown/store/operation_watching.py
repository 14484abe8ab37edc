"""What a watcher finds out about operations, written down. Each function is one true statement.

They take the operation as the watcher holds it (`operation_claims.held`), so that one that slept
through its lease changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

from renown.derive.operation import MOVING, StepState
from renown.spec.transactions import Receipt, UnsignedTransaction
from renown.store import operations
from renown.store.operation_changes import clean, move, write_event
from renown.store.operation_rows import OperationRow, SignedRow, StepRow
from renown.store.pool import Conn, Tx

# What was kept, and what the index has ------------------------------------------------------------

RAW: LiteralString = "SELECT raw FROM operation_transaction WHERE chain_id = $1 AND tx_hash = $2"


async def raw_of(conn: Conn, chain_id: int, tx_hash: bytes) -> bytes:
    """The signed bytes, as they were stored before anybody was offered them."""
    raw: bytes = await conn.fetchval(RAW, chain_id, tx_hash)
    return raw


FINALITY: LiteralString = "SELECT final_block, head_block FROM checkpoint WHERE chain_id = $1"
INDEXED: LiteralString = """
SELECT number, hash FROM block WHERE chain_id = $1 AND number = ANY($2::bigint[])
"""


async def finality(conn: Conn, chain_id: int) -> tuple[int, int]:
    """The blocks up to which the index holds a chain for final, and that it saw as its head; -1
    for none, or where the index has no such chain."""
    row = await conn.fetchrow(FINALITY, chain_id)
    return (-1, -1) if row is None else (row[0], row[1])


async def indexed_hashes(conn: Conn, chain_id: int, numbers: Sequence[int]) -> dict[int, bytes]:
    """Hashes of those of these blocks that the index holds."""
    rows = await conn.fetch(INDEXED, chain_id, numbers)
    return {row[0]: row[1] for row in rows}


TOLD_IN: tuple[LiteralString, ...] = (
    *("agent_registered", "uri_updated", "metadata_set"),
    *("feedback_given", "feedback_revoked", "response_appended"),
    *("validation_requested", "validation_responded"),
    "quarantine",
)
"""Where an event of any call that an operation makes is kept."""
CALLED: LiteralString = f"""
WITH since AS (
    SELECT coalesce(max(number), 0) AS block FROM (
        SELECT number FROM block WHERE chain_id = $1 AND time <= $3::timestamptz - interval '1 day'
         ORDER BY time DESC, number DESC LIMIT 1) last)
SELECT {
    " OR ".join(
        f"EXISTS (SELECT FROM {table}"
        " WHERE chain_id = $1 AND block_number >= block AND tx_hash = ANY($2))"
        for table in TOLD_IN
    )
}
  FROM since
"""


async def is_indexed(conn: Conn, operation: OperationRow, ones: Sequence[SignedRow]) -> bool:
    """Whether one of these transactions made an event of a registry, which every successful call
    does.

    Looked for from a day before the first was handed in: no index serves this, which is asked of
    the few transactions whose nonce is used and that no node shows.
    """
    hashes = [one.tx_hash for one in ones]
    since = min(one.signed_at for one in ones)
    found: bool = await conn.fetchval(CALLED, operation.chain_id, hashes, since)
    return found


# What nodes said ----------------------------------------------------------------------------------

OFFERED: LiteralString = """
UPDATE operation_transaction
   SET send_count = send_count + 1, error = $3,
       sent_at = CASE WHEN $4 THEN coalesce(sent_at, clock_timestamp()) ELSE sent_at END,
       fate = CASE WHEN $5 AND fate = 'live' THEN 'refused' ELSE fate END
 WHERE chain_id = $1 AND tx_hash = $2
"""


async def offered(
    conn: Conn,
    chain_id: int,
    tx_hash: bytes,
    *,
    is_taken: bool,
    is_refused: bool = False,
    error: str | None = None,
) -> None:
    """The bytes were offered to a node, which took them, or refused them for good, or neither."""
    await conn.execute(OFFERED, chain_id, tx_hash, clean(error), is_taken, is_refused)


PROBLEM: LiteralString = """
UPDATE operation_step SET problem = $3, updated_at = now()
 WHERE operation_id = $1 AND step = $2 AND problem IS DISTINCT FROM $3
"""


async def problem(conn: Conn, operation_id: UUID, step: int, text: str | None) -> None:
    """What holds a step up; None: nothing any more."""
    await conn.execute(PROBLEM, operation_id, step, clean(text))


# What became of them ------------------------------------------------------------------------------

SIGNED_FATES: LiteralString = """
UPDATE operation_transaction
   SET fate = CASE WHEN tx_hash = $4 THEN 'included'
                   WHEN fate IN ('live', 'included') THEN 'superseded' ELSE fate END,
       used_block = $3,
       sent_at = CASE WHEN tx_hash = $4 THEN coalesce(sent_at, clock_timestamp()) ELSE sent_at END
 WHERE operation_id = $1 AND step = $2 AND NOT settled
"""
SET_AGENT: LiteralString = "UPDATE operation SET agent_id = $2 WHERE operation_id = $1"


async def in_block(
    tx: Tx,
    operation: OperationRow,
    step: StepRow,
    receipt: Receipt,
    *,
    reason: str | None = None,
    agent_id: int | None = None,
) -> None:
    """A transaction of the step is in a block: `included`, or `failed` for `reason`.

    Args:
        agent_id: the agent that it registered.
    """
    after: StepState = "included" if reason is None else "failed"
    held = next((one for one in step.signed if one.tx_hash == receipt.tx_hash), None)
    other = held is not None and any(
        one.tx_hash != receipt.tx_hash and not one.settled for one in step.signed
    )
    detail = "the one of its transactions that was mined" if other and reason is None else None
    await tx.execute(
        SIGNED_FATES, operation.operation_id, step.step, receipt.block_number, receipt.tx_hash
    )
    if agent_id is not None:
        await tx.execute(SET_AGENT, operation.operation_id, agent_id)
    await move(
        *(tx, operation.operation_id, step.step, (step.state, after)),
        detail=detail,
        tx_hash=receipt.tx_hash,
        block=(receipt.block_number, receipt.block_hash),
        gas_used=receipt.gas_used,
        reason=clean(reason),
    )


LIVE_AGAIN: LiteralString = """
UPDATE operation_transaction
   SET fate = CASE WHEN fate = 'refused' THEN fate ELSE 'live' END, used_block = NULL
 WHERE operation_id = $1 AND step = $2 AND NOT settled
"""


async def thrown_back(tx: Tx, operation: OperationRow, step: StepRow) -> None:
    """The block that the step was in is not of the chain any more: `orphaned`."""
    await tx.execute(LIVE_AGAIN, operation.operation_id, step.step)
    if operation.kind == "register" and step.step == 1:
        await tx.execute(SET_AGENT, operation.operation_id, None)
    await move(
        *(tx, operation.operation_id, step.step, (step.state, "orphaned")),
        detail=f"block {step.block_number} is not of the chain any more",
        tx_hash=step.tx_hash,
    )


SETTLE: LiteralString = """
UPDATE operation_transaction SET settled = true
 WHERE operation_id = $1 AND step = $2 AND NOT settled
"""


async def settled(tx: Tx, operation: OperationRow, step: StepRow) -> None:
    """Nothing signed for the step so far can take effect any more, or again."""
    await tx.execute(SETTLE, operation.operation_id, step.step)


async def final(tx: Tx, operation: OperationRow, step: StepRow) -> None:
    """The block that the step is in is final, and so is the step."""
    await settled(tx, operation, step)
    assert step.block_number is not None
    assert step.block_hash is not None
    await move(
        *(tx, operation.operation_id, step.step, (step.state, "final")),
        tx_hash=step.tx_hash,
        block=(step.block_number, step.block_hash),
        gas_used=step.gas_used,
    )


USED: LiteralString = """
UPDATE operation_transaction
   SET used_block = $3,
       fate = CASE WHEN $3::bigint IS NOT NULL AND fate IN ('live', 'included') THEN 'superseded'
                   WHEN $3::bigint IS NULL AND fate = 'superseded' THEN 'live' ELSE fate END
 WHERE operation_id = $1 AND step = $2 AND NOT settled
"""


async def nonce_used(
    tx: Tx, operation: OperationRow, step: StepRow, block: int | None, reason: str | None
) -> None:
    """By `block` another transaction used the nonce; None: it turned out that none did.

    A step on its way is `dropped` by that for `reason`, and one that was dropped is on its way
    again.
    """
    await tx.execute(USED, operation.operation_id, step.step, block)
    identity = (tx, operation.operation_id, step.step)
    if block is not None and step.state in MOVING:
        await move(*identity, (step.state, "dropped"), tx_hash=step.tx_hash, reason=reason)
    elif block is None and step.state == "dropped":
        back = "the transaction that had used its nonce was thrown back"
        await move(*identity, ("dropped", "submitted"), detail=back, tx_hash=step.tx_hash)


async def failed(tx: Tx, operation: OperationRow, step: StepRow, reason: str) -> None:
    """The step cannot get into a block as things stand: `failed`, though in no block."""
    await move(
        *(tx, operation.operation_id, step.step, (step.state, "failed")), reason=clean(reason)
    )


RECALL: LiteralString = """
UPDATE operation_step
   SET calldata = $3, nonce = $4, gas = $5, max_fee_wei = $6, priority_fee_wei = $7
 WHERE operation_id = $1 AND step = $2
"""


async def call_changed(
    tx: Tx,
    operation: OperationRow,
    step: StepRow,
    calldata: bytes,
    prepared: UnsignedTransaction | None,
) -> None:
    """What a step has to call is another thing now: the agent's id changed in a reorganisation.

    If it is on its way it is `prepared` again, to be signed anew at the same nonce.
    """
    numbers = operations.numbers_of(prepared)
    await tx.execute(RECALL, operation.operation_id, step.step, calldata, *numbers)
    detail = "its call names the agent's new id"
    if step.state in MOVING:
        await move(tx, operation.operation_id, step.step, (step.state, "prepared"), detail=detail)
    else:
        await write_event(tx, operation.operation_id, step.step, step.state, detail=detail)
