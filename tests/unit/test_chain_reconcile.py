from __future__ import annotations

import pytest

from renown.chain.reconcile import Extend, Gap, Reorg, next_step
from renown.errors import NodeInconsistent
from renown.types import BlockRef


def ref(number: int, fork: str = "a", parent_fork: str | None = None) -> BlockRef:
    return BlockRef(
        number,
        f"{fork}{number}".encode().ljust(32, b"."),
        f"{parent_fork or fork}{number - 1}".encode().ljust(32, b"."),
        number,
    )


HELD = [ref(n) for n in range(10, 15)]


def test_next_step__child_of_the_tip__extends():
    assert next_step(HELD, ref(15)) == Extend(ref(15))


def test_next_step__the_tip_again__is_nothing():
    assert next_step(HELD, ref(14)) is None


@pytest.mark.parametrize("number", [3, 9, 10, 12])
def test_next_step__a_lagging_node__is_no_reorg(number):
    assert next_step(HELD, ref(number)) is None


def test_next_step__far_ahead__asks_for_what_lies_between():
    assert next_step(HELD, ref(20, "b")) == Gap(15, 19)


def test_next_step__same_height_other_hash__drops_the_tip():
    assert next_step(HELD, ref(14, "b", "a")) == Reorg(14)


def test_next_step__child_of_an_unknown_block__drops_the_tip():
    assert next_step(HELD, ref(15, "b")) == Reorg(14)


def test_next_step__lower_head_of_another_branch__drops_from_there():
    assert next_step(HELD, ref(12, "b", "a")) == Reorg(12)


def test_next_step__only_the_finalized_block_held__extends_or_refuses():
    assert next_step(HELD[:1], ref(11)) == Extend(ref(11))
    with pytest.raises(NodeInconsistent):
        next_step(HELD[:1], ref(11, "b"))


def test_next_step__another_finalized_block__is_refused():
    with pytest.raises(NodeInconsistent):
        next_step(HELD, ref(10, "b"))
