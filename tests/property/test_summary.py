"""`summarize` against the contract's vectors, an independent definition, and algebra."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import trunc
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renown.derive.summary import Group, Summary, summarize

Rating = tuple[int, int]
ratings = st.tuples(st.integers(-(10**38), 10**38), st.integers(0, 18))
small = st.tuples(st.integers(-1000, 1000), st.integers(0, 3))


def one_by_one(given_ratings: list[Rating]) -> list[Group]:
    return [Group(decimals, 1, value) for value, decimals in given_ratings]


@pytest.mark.parametrize(
    ("given_ratings", "expected"),
    [  # ERC-8004 reference, section 15.1: each was run against the contract
        ([(80, 0), (90, 0), (100, 0)], (3, 90, 0, False)),
        ([(9977, 2), (50, 0)], (2, 74, 0, False)),
        ([(9977, 2), (50, 0), (1, 2)], (3, 4992, 2, False)),
        ([(-1, 0), (0, 0)], (2, 0, 0, False)),
        ([(-32, 1), (-33, 1)], (2, -32, 1, False)),
        ([(1, 0), (1, 0), (5 * 10**17, 18)], (3, 0, 0, False)),
        ([(10**38, 0), (1, 18), (1, 18)], (3, -886533759346574857640019685980940970, 18, True)),
        ([(80, 0), (80, 0)], (2, 80, 0, False)),
        ([], (0, 0, 0, False)),
    ],
)
def test_summarize__vectors_of_the_contract__agree(
    given_ratings: list[Rating], expected: tuple[int, int, int, bool]
) -> None:
    assert summarize(one_by_one(given_ratings)) == Summary(*expected)


@given(st.lists(ratings | small, min_size=1))
def test_summarize__any_ratings__is_the_exact_mean_truncated_twice(
    given_ratings: list[Rating],
) -> None:
    counts = Counter(decimals for _, decimals in given_ratings)
    mode = min(counts, key=lambda d: (-counts[d], d))
    mean = sum(Fraction(v, 10**d) for v, d in given_ratings) / len(given_ratings)
    exact = trunc(Fraction(trunc(mean * 10**18), 10 ** (18 - mode)))

    got = summarize(one_by_one(given_ratings))

    assert (got.count, got.decimals) == (len(given_ratings), mode)
    assert -(2**127) <= got.value < 2**127
    assert (got.value - exact) % 2**128 == 0
    assert got.wrapped == (got.value != exact)


@given(st.lists(ratings, min_size=1), st.randoms(use_true_random=False))
def test_summarize__grouped_and_shuffled__is_the_same(
    given_ratings: list[Rating], random: Random
) -> None:
    totals: dict[int, list[int]] = {}
    for value, decimals in given_ratings:
        totals.setdefault(decimals, []).append(value)
    groups = [Group(d, len(values), sum(values)) for d, values in totals.items()]
    random.shuffle(groups)

    assert summarize(groups) == summarize(one_by_one(given_ratings))


@given(st.lists(ratings, min_size=1), st.integers(2, 5))
def test_summarize__every_client_repeated__keeps_the_value(
    given_ratings: list[Rating], times: int
) -> None:
    once, again = summarize(one_by_one(given_ratings)), summarize(one_by_one(given_ratings) * times)

    assert again.count == once.count * times
    assert (again.value, again.decimals, again.wrapped) == (once.value, once.decimals, once.wrapped)
