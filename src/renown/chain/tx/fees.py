"""What a transaction should offer per unit of gas, from what recent blocks took. Pure.

Source: EIP-1559; `eth_feeHistory` of execution-apis.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low

import msgspec

from renown.errors import NodeInconsistent

HISTORY_BLOCKS = 20
PERCENTILES = (25, 50)

BASE_FEE_FACTOR = 2
"""The base fee can grow by an eighth a block: twice it is good for six full blocks."""

LEAST_PRIORITY_WEI = 1
MOST_SANE_WEI = 10**15
"""A million gwei. What exceeds it was not read from a chain that somebody wants to use."""


class Fees(msgspec.Struct, frozen=True, kw_only=True):
    """Wei per unit of gas.

    max_fee_wei       most that is paid in all; below `base_fee_wei` where a cap asked for that:
                      the transaction then waits until the chain is cheaper
    priority_fee_wei  what of it goes to the block's maker
    base_fee_wei      of the next block; 0 where the chain has none
    """

    max_fee_wei: int
    priority_fee_wei: int
    base_fee_wei: int


class FeeHistory(msgspec.Struct, frozen=True):
    """Recent blocks, oldest first.

    base_fees_wei  one more than blocks: the last is the next block's
    tips_wei       per block, at `PERCENTILES` of its gas
    fullness       per block, share of its gas limit
    """

    base_fees_wei: tuple[int, ...]
    tips_wei: tuple[tuple[int, ...], ...]
    fullness: tuple[float, ...]


def from_history(history: FeeHistory, *, usual_tip_wei: int) -> Fees:
    """Twice the next base fee and the middle tip of the blocks that were not empty.

    The tip is the median of the blocks' medians, but at least that of their lower quarters; where
    all were empty, `usual_tip_wei`.
    """
    base = history.base_fees_wei[-1] if history.base_fees_wei else 0
    used = [
        tips
        for tips, full in zip(history.tips_wei, history.fullness, strict=False)
        if full > 0 and tips
    ]
    tip = max(_middle(used, 0), _middle(used, -1)) if used else usual_tip_wei
    return _sane(base, max(tip, LEAST_PRIORITY_WEI))


def from_gas_price(gas_price_wei: int) -> Fees:
    """For chains without a fee market: everything goes to the block's maker."""
    _check(gas_price_wei)
    return Fees(max_fee_wei=gas_price_wei, priority_fee_wei=gas_price_wei, base_fee_wei=0)


def capped(fees: Fees, cap_wei: int | None) -> Fees:
    """The same, offering no more than `cap_wei`."""
    if cap_wei is None or fees.max_fee_wei <= cap_wei:
        return fees
    return Fees(
        max_fee_wei=cap_wei,
        priority_fee_wei=min(fees.priority_fee_wei, cap_wei),
        base_fee_wei=fees.base_fee_wei,
    )


def _sane(base: int, tip: int) -> Fees:
    _check(base)
    _check(tip)
    return Fees(max_fee_wei=BASE_FEE_FACTOR * base + tip, priority_fee_wei=tip, base_fee_wei=base)


def _check(wei: int) -> None:
    if not 0 <= wei <= MOST_SANE_WEI:
        raise NodeInconsistent(f"a fee of {wei} wei per gas is none", wei=str(wei)[:80])


def _middle(blocks: Sequence[tuple[int, ...]], place: int) -> int:
    return median_low([tips[place] for tips in blocks])
