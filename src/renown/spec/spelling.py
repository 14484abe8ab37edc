"""How far words are from each other, and what was meant by a misspelt text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MOST_WORDS = 6
"""Words of a text that count."""
LONGEST_WORD = 40

_WORD = re.compile("[^ !\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~’0-9]+")


def words_of(name_key: str) -> list[str]:
    """The distinct words of a name, in their order: what the function `name_words` of the database
    keeps of it (letters between spaces, digits and punctuation), `MOST_WORDS` at most."""
    found = dict.fromkeys(word[:LONGEST_WORD] for word in _WORD.findall(name_key))
    return list(found)[:MOST_WORDS]


def mistakes_forgiven(word: str) -> int:
    """How many mistakes a word may have: none up to two letters, 1 up to five, then 2."""
    return 0 if len(word) < 3 else 1 if len(word) < 6 else 2


def mistakes(said: str, meant: str, most: int = 2) -> int:
    """The fewest mistakes that make one of the other; `most` + 1 for all that is more.

    A mistake is a letter too many, one missing, another one, or two that changed places (optimal
    string alignment: no letter is part of two mistakes).
    """
    if abs(len(said) - len(meant)) > most:
        return most + 1
    start = 0
    while start < min(len(said), len(meant)) and said[start] == meant[start]:
        start += 1
    said, meant = said[start:], meant[start:]
    while said and meant and said[-1] == meant[-1]:
        said, meant = said[:-1], meant[:-1]
    if min(len(said), len(meant)) == 0 or max(len(said), len(meant)) == 1:
        return min(max(len(said), len(meant)), most + 1)
    before: list[int] = []
    last = list(range(len(meant) + 1))
    for i, letter in enumerate(said, 1):
        row = [i]
        for j, other in enumerate(meant, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == meant[j - 2] and said[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most and min(last) > most:
            return most + 1
        before, last = last, row
    return min(last[-1], most + 1)


def cuts_and_joins(words: Sequence[str]) -> list[tuple[str, ...]]:
    """What `words` may be if a space is too many or missing: each way with its words.

    `weatheroracle` may be `weather oracle`, and `lang chain` may be `langchain`. Both parts of
    a cut have three letters at least.
    """
    cut = [
        (*words[:n], word[:at], word[at:], *words[n + 1 :])
        for n, word in enumerate(words)
        for at in range(3, len(word) - 2)
    ]
    joined = [(*words[:n], words[n] + words[n + 1], *words[n + 2 :]) for n in range(len(words) - 1)]
    return [*joined, *cut]


def meant_by(word: str, known: Iterable[tuple[str, int]], most: int) -> list[str]:
    """The words that may be meant by `word`, the likest first, then those of most names.

    Args:
        known: words with how many names have them; those too far from `word` are left out.
    """
    forgiven = mistakes_forgiven(word)
    near = [
        (by, -names, other)
        for other, names in known
        if (by := mistakes(word, other, forgiven)) <= forgiven
    ]
    return [other for _, _, other in sorted(near)[:most]]
