"""Following `next_step` until it has nothing to say ends on the chain the node shows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renown.chain.reconcile import Extend, Gap, Reorg, next_step
from renown.errors import NodeInconsistent
from renown.types import BlockRef


def chain_of(forks: list[int]) -> list[BlockRef]:
    """A chain whose block n belongs to branch `forks[n]`; equal prefixes give equal blocks."""
    blocks: list[BlockRef] = []
    path = b""
    parent = bytes(32)
    for number, fork in enumerate(forks):
        path += bytes([fork])
        block_hash = path[-31:].rjust(31, b"\0") + bytes([number % 256])
        blocks.append(BlockRef(number, block_hash, parent, number))
        parent = block_hash
    return blocks


branches = st.lists(st.integers(0, 2), min_size=1, max_size=20)


def follow(held: list[BlockRef], node: list[BlockRef]) -> list[BlockRef]:
    """Reconcile with a node until nothing is left to do. The node's chain does not move."""
    held = list(held)
    target = node[-1]
    waiting = [target]
    for _ in range(500):
        if not waiting:
            return held
        step = next_step(held, waiting[-1])
        match step:
            case None:
                waiting.pop()
            case Extend(block=block):
                held.append(block)
            case Reorg(drop_from=number):
                assert number > held[0].number
                held = [ref for ref in held if ref.number < number]
            case Gap(first=first, last=last):
                assert held[-1].number + 1 == first <= last < target.number
                waiting.append(node[first])
    raise AssertionError("does not end")


@given(held=branches, node=branches, common=st.integers(1, 20))
def test_next_step__followed__ends_on_the_nodes_chain(held, node, common):
    ours = chain_of([0] * common + held)
    theirs = chain_of([0] * common + node)

    end = follow(ours, theirs)

    if len(theirs) >= len(ours) or ours[: len(theirs)] != theirs:
        assert end[: len(theirs)] == theirs
    else:
        assert end == ours  # the node lags
    for parent, child in itertools.pairwise(end):
        assert child.parent_hash == parent.hash


@given(held=branches, node=branches, final=st.integers(1, 19))
def test_next_step__another_finalized_block__is_never_followed(held, node, final):
    ours = chain_of([0] * final + [1, *held])[final:]
    theirs = chain_of([0] * final + [2, *node])

    if len(theirs) - 1 < ours[0].number:
        return
    with pytest.raises(NodeInconsistent):
        follow(ours, theirs)


@given(held=branches, cut=st.integers(0, 20))
def test_next_step__a_lagging_node__changes_nothing(held, cut):
    ours = chain_of(held)

    assert next_step(ours, ours[min(cut, len(ours) - 1)]) is None
