"""Decide how a new head fits the chain we hold. Pure; the caller does the I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from renown.errors import NodeInconsistent
from renown.types import BlockRef


@dataclass(frozen=True, slots=True)
class Extend:
    """`block` is the child of the newest held block."""

    block: BlockRef


@dataclass(frozen=True, slots=True)
class Reorg:
    """Every held block at or above `drop_from` is orphaned."""

    drop_from: int


@dataclass(frozen=True, slots=True)
class Gap:
    """The blocks `first..last`, both included, are needed before the head can be judged."""

    first: int
    last: int


Step: TypeAlias = Extend | Reorg | Gap | None


def next_step(held: Sequence[BlockRef], head: BlockRef) -> Step:
    """One step that brings `held` nearer to `head`; None when there is nothing to do.

    Args:
        held: the newest finalized block, then every unfinalized one, each the parent of the
            next.
        head: the block the node now calls latest, or one of its ancestors.

    Raises:
        NodeInconsistent: following `head` would drop the finalized block.
    """
    finalized, tip = held[0], held[-1]
    if head.number < finalized.number:
        return None  # a lagging node behind a load balancer, not a reorg
    place = head.number - finalized.number
    if place < len(held) and held[place].hash == head.hash:
        return None
    if head.number > tip.number + 1:
        return Gap(tip.number + 1, head.number - 1)
    if head.number == tip.number + 1 and head.parent_hash == tip.hash:
        return Extend(head)
    # The head's parent is not the tip: the tip goes, or, for a lower head, all at its height.
    drop_from = min(head.number, tip.number)
    if drop_from == finalized.number:
        raise NodeInconsistent("head contradicts a finalized block", number=head.number)
    return Reorg(drop_from)
