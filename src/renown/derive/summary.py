"""The reputation registry's `getSummary`, bit for bit. Pure.

Source: ReputationRegistry `getSummary`, ERC-8004 contracts 2.0.0; vectors in the tests.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

MAX_DECIMALS = 18


class Group(msgspec.Struct, frozen=True, gc=False):
    """The matched feedback of one precision: how many, and the exact sum of their values, each
    scaled by `10**decimals`. A client named twice counts twice in both."""

    decimals: int
    count: int
    total: int


class Summary(msgspec.Struct, frozen=True, gc=False):
    """What the contract answers, and whether its last, unchecked cast changed the number.

    Read as `value / 10**decimals`. `wrapped` is true when the mean does not fit int128: the
    contract then returns its low 128 bits, and so do we, but say so.
    """

    count: int
    value: int
    decimals: int
    wrapped: bool


def summarize(groups: Iterable[Group]) -> Summary:
    """The mean of all values, as the contract computes it.

    Shown at the most frequent precision, the smaller on a tie. Both divisions truncate toward
    zero, as Solidity's do; Python's `//` would floor. Groups of one precision may come in parts.
    Nothing matched gives (0, 0, 0).
    """
    counts = [0] * (MAX_DECIMALS + 1)
    total = 0  # at 18 decimals
    for group in groups:
        counts[group.decimals] += group.count
        total += group.total * 10 ** (MAX_DECIMALS - group.decimals)
    count = sum(counts)
    if count == 0:
        return Summary(0, 0, 0, False)
    decimals = counts.index(max(counts))
    mean = _truncated(_truncated(total, count), 10 ** (MAX_DECIMALS - decimals))
    value = (mean + 2**127) % 2**128 - 2**127
    return Summary(count, value, decimals, value != mean)


def _truncated(number: int, divisor: int) -> int:
    quotient = abs(number) // divisor
    return quotient if number >= 0 else -quotient
