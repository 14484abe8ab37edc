"""Which parts of a text a search found it by. Pure.

The answer is made of pieces of the text as it stands, never of markup: whoever shows it decides how
a hit looks, and nothing that a stranger wrote becomes part of a page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import pairwise

import msgspec

from renown.spec.words import UNSPACED


class Fragment(msgspec.Struct, frozen=True):
    """A piece of a text. The pieces of one text put together are that text."""

    text: str
    hit: bool


def lexemes_of(query: str) -> frozenset[str]:
    """The lexemes that a query looks for, of its text as PostgreSQL writes it; negated ones not."""
    found: set[str] = set()
    depth, negated_from = 0, None
    negated = False
    for piece in _PIECE.findall(query):
        if piece == "!":
            negated = True
        elif piece == "(":
            depth += 1
            if negated and negated_from is None:
                negated_from = depth
            negated = False
        elif piece == ")":
            if negated_from == depth:
                negated_from = None
            depth -= 1
        else:
            if not negated and negated_from is None:
                found.add(piece[1:-1].replace("''", "'").replace("\\\\", "\\"))
            negated = False
    return frozenset(found)


def fragments(text: str, lexemes: Collection[str]) -> list[Fragment] | None:
    """`text` in pieces, hits and what is between them; None where there is no hit.

    Lexemes are stems. What else makes a word of a stem is known here by the endings of English,
    so that a rare word may be marked that was not looked for, or not be marked.
    """
    found: list[Fragment] = []
    start = 0
    for first, last in _joined(_hits(text, lexemes)):
        if first > start:
            found.append(Fragment(text[start:first], False))
        found.append(Fragment(text[first:last], True))
        start = last
    if not found:
        return None
    if start < len(text):
        found.append(Fragment(text[start:], False))
    return found


_PIECE = re.compile(r"'(?:[^'\\]|''|\\.)*'|[!()]")
_WORD = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ENDINGS = re.compile(
    r"(?:s|es|e|ed|ing|ings|er|ers|or|ors|ly|y|al|able|ive|ic|ion|ions|ation|ations|ment|ments|ity"
    r"|ities|ness|ies|ied|ance|ence)?"
)


def _hits(text: str, lexemes: Collection[str]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for match in _candidates(text, lexemes):
        first, last = match.span()
        word = match[0]
        if not word.isascii() and UNSPACED.search(word):
            found += [(first + a, first + b) for a, b in _unspaced_hits(word, lexemes)]
            continue
        if _is_hit(word, lexemes):
            found.append((first, last))
            continue
        cuts = [0, *(cut.start() for cut in _CAMEL.finditer(word)), len(word)]
        found += [
            (first + a, first + b)
            for a, b in pairwise(cuts)
            if len(cuts) > 2 and _is_hit(word[a:b], lexemes)
        ]
    return found


def _candidates(text: str, lexemes: Collection[str]) -> Iterator[re.Match[str]]:
    """The words of `text` that may be hits, in order: most are none, and to look into each of them
    would take a search longer than to find its agents."""
    low = text.lower()
    if len(low) != len(text):  # a place in one is not the same in the other
        yield from _WORD.finditer(text)
        return
    end = 0
    for place in _looked_for(frozenset(lexemes)).finditer(low):
        first = place.start()
        if first < end or not _is_of_word(text[first]):
            continue
        while first > end and _is_of_word(text[first - 1]):
            first -= 1
        word = _WORD.match(text, first)
        assert word is not None
        end = word.end()
        yield word


@lru_cache(maxsize=256)
def _looked_for(lexemes: frozenset[str]) -> re.Pattern[str]:
    """What every word holds that may be a hit, in lower case: the stem of a lexeme, or a letter
    beyond ASCII, which may be another spelling. Lexemes that are no words have no hits."""
    stems = {one.removesuffix("i") if len(one) > 2 else one for one in lexemes}
    words = sorted(re.escape(stem) for stem in stems if _WORD.fullmatch(stem))
    return re.compile("|".join([r"[^\x00-\x7f]", *words]))


def _is_of_word(letter: str) -> bool:
    return letter.isalnum() or "\u0300" <= letter <= "\u036f"


def _unspaced_hits(word: str, lexemes: Collection[str]) -> list[tuple[int, int]]:
    folded = word.casefold()
    if len(folded) != len(word):
        return []
    pairs = [(i, i + 2) for i in range(len(word) - 1) if folded[i : i + 2] in lexemes]
    return sorted([*pairs, *((i, i + 1) for i, one in enumerate(folded) if one in lexemes)])


def _is_hit(word: str, lexemes: Collection[str]) -> bool:
    plain = _plain(word)
    if plain in lexemes:
        return True
    for lexeme in lexemes:
        if len(lexeme) < 3 or plain[:2] != lexeme[:2] or len(plain) - len(lexeme) > 7:
            continue
        stem = lexeme.removesuffix("i")
        rest = plain[len(stem) :].removeprefix(stem[-1]) if plain.startswith(stem) else None
        if rest is not None and _ENDINGS.fullmatch(rest):
            return True
    return False


def _plain(word: str) -> str:
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that touch or overlap as one; in order."""
    found: list[tuple[int, int]] = []
    for first, last in spans:
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found
