"""What the sight of a chain means for one step. Pure: rows and receipts in, one verdict out.

Nodes lag behind each other, so one that lacks a receipt or a block proves nothing: what would undo
something is doubted at the first look and believed at a second one, some time later. A verdict that
was wrong all the same does no harm: whatever turns up in a block counts at every later look, and
nothing is signed anew before the old nonce is used for good (`store.operations.require_room_for`).

That a nonce was used is no proof that another transaction used it: nodes lose receipts. So nothing
is given up while a node knows the transaction, or our index holds what it did; and for good only
when the index, which follows all that our calls can do, is final beyond it and holds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from renown.derive.operation import MOVING
from renown.spec.transactions import Receipt
from renown.store.operations import SignedRow, StepRow

LOST_BLOCK = "the nodes do not show its block any more"
USED_NONCE = "its nonce is used, but no node shows it in a block"
STILL_KNOWN = (
    "its nonce is used and it is known to a node or to the index, but no node shows its receipt"
)
FREED_NONCE = "the nodes do not show any more that its nonce is used"
DOUBTS = (LOST_BLOCK, USED_NONCE, STILL_KNOWN, FREED_NONCE)


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain shows of one step.

    Attributes:
        receipts: those there are, by transaction.
        count: transactions of the sender in blocks; asked for before the receipts.
        head: the highest block that was seen, no lower than the one `count` is of.
        block_hash: of the block that the step is said to be in, as it is now; None: none is there.
        final_block: blocks at or below it are final, as our own index has it.
        indexed_hash: of the block that the step is said to be in, where our index holds it.
        is_indexed: our index holds an event that a transaction of the step made. Looked up where
            one is about to be given up.
        is_known: so, or a node has one of them, in a pool or in a block. Asked where none has a
            receipt, though the nonce is used, and one is about to be given up.
    """

    receipts: Mapping[bytes, Receipt]
    count: int
    head: int
    block_hash: bytes | None = None
    final_block: int = -1
    indexed_hash: bytes | None = None
    is_indexed: bool = False
    is_known: bool = False


class InBlock(msgspec.Struct, frozen=True):
    """A transaction of the step is in this block, in which it was not known to be."""

    receipt: Receipt


class ThrownBack(msgspec.Struct, frozen=True):
    """The block that it was in is gone."""


class NowFinal(msgspec.Struct, frozen=True):
    """The block that it is in is final. Of a failed one too: it stays failed."""


class NonceUsed(msgspec.Struct, frozen=True):
    """By this block its nonce was used, and not by what the step is waiting for."""

    block: int


class NonceFree(msgspec.Struct, frozen=True):
    """The nonce that was used is free again."""


class Doubt(msgspec.Struct, frozen=True):
    """Something is odd; None: not any more."""

    problem: str | None


Verdict: TypeAlias = InBlock | ThrownBack | NowFinal | NonceUsed | NonceFree | Doubt | None


def open_ones(step: StepRow) -> list[SignedRow]:
    """The signed transactions of which not everything is known for good, oldest first."""
    return [one for one in step.signed if not one.settled]


def judge(step: StepRow, sight: Sight, *, patient_seconds: float, age_seconds: float) -> Verdict:
    """What the sight means; None where it is no news.

    At most one thing is said at a time: whoever acts on it judges again, with what it changed.

    Args:
        patient_seconds: for how long a doubt stands before it is believed.
        age_seconds: since the step last changed, doubts included.
    """
    waiting = open_ones(step)
    if not waiting or step.state == "final":
        return None
    patience_over = age_seconds >= patient_seconds
    found = next(
        (sight.receipts[one.tx_hash] for one in waiting if one.tx_hash in sight.receipts), None
    )
    if found is not None:
        return _of_receipt(step, found, sight)
    if step.block_hash is not None:
        return _of_missing_block(step, sight, patience_over)
    used = max((one.used_block for one in waiting if one.used_block is not None), default=None)
    if not is_nonce_used(step, sight.count):
        return _of_free_nonce(step, used, patience_over)
    if sight.is_known:
        return None if step.problem == STILL_KNOWN else Doubt(STILL_KNOWN)
    if step.state in MOVING:
        if step.problem != USED_NONCE:
            return Doubt(USED_NONCE)
        return NonceUsed(sight.head) if patience_over else None
    if step.problem in DOUBTS:
        return Doubt(None)
    if used is None:
        return NonceUsed(sight.head)
    return NowFinal() if used <= sight.final_block else None


def is_nonce_used(step: StepRow, count: int) -> bool:
    """Whether the nonce of what is not settled of a step is used, by a sender's count. All of it
    has the same nonce."""
    return any(one.nonce < count for one in open_ones(step))


def _of_free_nonce(step: StepRow, used: int | None, patience_over: bool) -> Verdict:
    if used is None:
        return Doubt(None) if step.problem in DOUBTS else None
    if step.problem != FREED_NONCE:
        return Doubt(FREED_NONCE)
    return NonceFree() if patience_over else None


def _of_receipt(step: StepRow, found: Receipt, sight: Sight) -> Verdict:
    if step.state == "prepared" and not found.succeeded:
        # It failed before and is to be tried again: as soon as that failure is final.
        known = next(one.used_block for one in step.signed if one.tx_hash == found.tx_hash)
        if known != found.block_number:
            return NonceUsed(found.block_number)
        return NowFinal() if _is_final(found, sight) else None
    if step.block_hash is None:
        return InBlock(found)
    if (step.block_hash, step.tx_hash) != (found.block_hash, found.tx_hash):
        return ThrownBack()  # and in another block: said next
    if _is_final(found, sight):
        return NowFinal()
    return Doubt(None) if step.problem in DOUBTS else None


def _is_final(found: Receipt, sight: Sight) -> bool:
    """Whether a receipt is of the chain that our index holds for final. The node that has it may
    be on another branch: what succeeded left a fact in its block, what failed left none."""
    if found.block_number > sight.final_block:
        return False
    if found.succeeded:
        return sight.indexed_hash == found.block_hash
    return not sight.is_indexed and sight.indexed_hash in (None, found.block_hash)


def _of_missing_block(step: StepRow, sight: Sight, patience_over: bool) -> Verdict:
    if sight.block_hash == step.block_hash:
        return None  # the node that was asked for the receipt lags
    if sight.block_hash is not None:
        return ThrownBack()
    if step.problem != LOST_BLOCK:
        return Doubt(LOST_BLOCK)
    return ThrownBack() if patience_over else None
