from __future__ import annotations

import pytest

from renown.chain.tx.fees import (
    MOST_SANE_WEI,
    FeeHistory,
    Fees,
    capped,
    from_gas_price,
    from_history,
)
from renown.errors import NodeInconsistent

GWEI = 10**9


def history(base: int, *tips: tuple[int, ...], full: tuple[float, ...] | None = None) -> FeeHistory:
    fullness = full or (0.5,) * len(tips)
    return FeeHistory((base,) * (len(tips) + 1), tips, fullness)


def test_fees__usual_blocks__twice_the_base_fee_and_the_middle_tip():
    found = from_history(history(30 * GWEI, (1, 2), (3, 4), (5, 6)), usual_tip_wei=99)

    assert found == Fees(max_fee_wei=60 * GWEI + 4, priority_fee_wei=4, base_fee_wei=30 * GWEI)


def test_fees__empty_blocks__do_not_say_what_a_tip_is():
    some = history(10, (0, 0), (7, 8), (0, 0), full=(0.0, 0.1, 0.0))
    none = history(10, (0, 0), (0, 0), full=(0.0, 0.0))

    assert from_history(some, usual_tip_wei=99).priority_fee_wei == 8
    assert from_history(none, usual_tip_wei=99).priority_fee_wei == 99


def test_fees__everybody_tips_nothing__one_wei_is_offered():
    assert from_history(history(10, (0, 0)), usual_tip_wei=99).priority_fee_wei == 1


def test_capped__dear_chain__offers_the_cap_and_never_a_tip_above_it():
    dear = Fees(max_fee_wei=100, priority_fee_wei=60, base_fee_wei=20)

    assert capped(dear, 50) == Fees(max_fee_wei=50, priority_fee_wei=50, base_fee_wei=20)
    assert capped(dear, 100) == dear
    assert capped(dear, None) == dear


@pytest.mark.parametrize("wei", [MOST_SANE_WEI + 1, 2**255])
def test_fees__no_sane_number__is_the_nodes_fault(wei):
    with pytest.raises(NodeInconsistent):
        from_gas_price(wei)
    with pytest.raises(NodeInconsistent):
        from_history(history(wei, (1, 1)), usual_tip_wei=1)
    with pytest.raises(NodeInconsistent):
        from_history(history(1, (wei, wei)), usual_tip_wei=1)


def test_fees__no_fee_market__the_gas_price_is_both():
    assert from_gas_price(5) == Fees(max_fee_wei=5, priority_fee_wei=5, base_fee_wei=0)
