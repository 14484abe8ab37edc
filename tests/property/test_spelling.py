"""Distances between words, against the definition written out."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from renown.spec.spelling import mistakes

words = st.text("abc", max_size=8)


def defined(a: str, b: str) -> int:
    @cache
    def of(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        best = min(of(i - 1, j) + 1, of(i, j - 1) + 1, of(i - 1, j - 1) + (a[i - 1] != b[j - 1]))
        if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
            best = min(best, of(i - 2, j - 2) + 1)
        return best

    return of(len(a), len(b))


@given(words, words, st.integers(0, 3))
def test_mistakes__any_two_words__are_as_defined_up_to_the_most(a, b, most) -> None:
    assert mistakes(a, b, most) == min(defined(a, b), most + 1)
