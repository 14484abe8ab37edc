"""When an operation is looked at again. Pure; seconds throughout.

Blocks set the pace: often while a transaction may be in the next one, ever more rarely the longer
nothing happens. Somebody who adds something does not wait for that: it is due at once then.
"""

from __future__ import annotations

from collections.abc import Sequence

from renown.derive.operation import MOVING, AwaitsAgentId
from renown.ingest.operations.judging import open_ones
from renown.store.operations import OperationRow, StepRow

SOONEST_SECONDS, LONGEST_SECONDS = 0.25, 60.0
RAREST_SECONDS = 6 * 3600.0
GIVEN_UP_SECONDS = 7 * 86_400.0
"""What was refused and never seen is not looked for any longer."""


def due_in(
    operation: OperationRow, ages: Sequence[float], block_seconds: float, *, signs: bool = True
) -> float | None:
    """Seconds until the next look; None: there is nothing to wait for.

    Args:
        ages: seconds since each step last changed.
        signs: whoever looks signs for the wallet, if the server does at all.
    """
    waits = [
        wait
        for step, age in zip(operation.steps, ages, strict=True)
        if (wait := _of_step(step, age, block_seconds)) is not None
    ]
    if operation.mode == "managed" and (turn := next_to_sign(operation)) is not None:
        held_up = turn.problem is not None or not signs
        waits.append(backing_off(ages[turn.step - 1]) if held_up else SOONEST_SECONDS)
    if is_to_be_completed(operation) and ages[0] < GIVEN_UP_SECONDS:
        waits.append(backing_off(ages[0]))  # since the registration was in a block, or final
    return min(waits, default=None)


def _of_step(step: StepRow, age: float, block_seconds: float) -> float | None:
    waiting = open_ones(step)
    if not waiting:
        return None
    if step.state in MOVING:
        newest = waiting[-1]
        if newest.sent_at is None:
            return min(LONGEST_SECONDS, SOONEST_SECONDS * (1 << min(newest.send_count, 10)))
        return _between(block_seconds / 2, age / 8, LONGEST_SECONDS)
    if step.block_hash is not None or any(one.used_block is not None for one in waiting):
        return _between(block_seconds, age / 8, min(30.0, 4 * block_seconds))
    # Refused and in no block: whoever has a copy might still have it mined.
    return None if age > GIVEN_UP_SECONDS else _between(5.0, age / 4, RAREST_SECONDS)


def backing_off(age: float) -> float:
    """For what fails again and again: a part of how long it has done so."""
    return _between(2 * SOONEST_SECONDS, age / 2, LONGEST_SECONDS)


def next_to_sign(operation: OperationRow) -> StepRow | None:
    """The step whose turn it is to be signed by the server: all before it are in blocks."""
    for step in operation.steps:
        if step.state in ("included", "final"):
            continue
        return step if step.state == "prepared" and step.calldata is not None else None
    return None


def is_to_be_completed(operation: OperationRow) -> bool:
    """Whether a caller waits to be told what to sign, which the registration has made known."""
    return (
        operation.mode == "client"
        and operation.agent_id is not None
        and any(
            isinstance(step.template, AwaitsAgentId)
            and step.state == "prepared"
            and (step.calldata is None or step.gas is None)
            for step in operation.steps
        )
    )


def _between(least: float, wait: float, most: float) -> float:
    return max(SOONEST_SECONDS, least, min(wait, most))
