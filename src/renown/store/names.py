"""Names that look like what was typed, for searches that were misspelt.

A misspelt name is found by its words. What is left of a word without one or two of its letters is
kept as keys of it (`word_keys` in the database), so the words that somebody may have meant are
found by equality, however many there are; then the names that have one of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import LiteralString

from renown.errors import StoreError
from renown.spec.spelling import MOST_WORDS, cuts_and_joins, meant_by, words_of
from renown.store.pool import Conn, Tx, transaction

SHORTEST = 3
"""Characters from which on likeness means something."""
LONGEST = 80
TIMEOUT_MS = 250

_MOST_NEAR = 20
"""Words that may be meant by one."""
_MOST_LOOKED_AT = 300
"""Words, and names, whose likeness is reckoned."""
_MOST_SPELLINGS = 32
_LEAST_ALIKE = 0.4
"""Likeness of whole names (shared runs of three letters) that one word alone does not tell."""

_LIMIT: LiteralString = f"SET LOCAL statement_timeout = {TIMEOUT_MS}"

# $1 words as typed, $2 others that are only looked up.
NEAR: LiteralString = f"""
SELECT t.word, k.word, k.name_count
  FROM unnest($1::text[]) AS t (word)
 CROSS JOIN LATERAL (
       SELECT word, name_count FROM agent_name_word
        WHERE word_keys(word) && word_keys(t.word)
          AND length(word) BETWEEN length(t.word) - 2 AND length(t.word) + 2
        ORDER BY abs(length(word) - length(t.word)), name_count DESC LIMIT {_MOST_LOOKED_AT}) k
 UNION ALL
SELECT NULL, word, name_count FROM agent_name_word WHERE word = any($2)
"""

# $1 the name as typed, $2 how many, $3 names to look at anyway, $4 the least likeness; $5 and more:
# of each of these sets of words a name has one.
_SETS: tuple[LiteralString, ...] = ("$5", "$6", "$7", "$8", "$9", "$10", "$11")
_ALIKE: LiteralString = """
SELECT name_key FROM (
       (SELECT name_key, agent_count FROM agent_name WHERE {having} LIMIT {most})
        UNION
       SELECT name_key, agent_count FROM agent_name WHERE name_key = any($3)) n
 WHERE name_key <> $1 AND (similarity(name_key, $1) >= $4 OR name_key = any($3))
 ORDER BY similarity(name_key, $1) DESC, agent_count DESC, name_key LIMIT $2
"""


def alike_statement(sets: int) -> LiteralString:
    """The statement that finds names with a word of each of so many sets, the likest first."""
    having: LiteralString = " AND ".join(
        f"name_words(name_key) && {parameter}::text[]" for parameter in _SETS[:sets]
    )
    return _ALIKE.replace("{having}", having).replace("{most}", f"{_MOST_LOOKED_AT}")


async def alike(conn: Conn, name_key: str, *, limit: int) -> list[str] | None:
    """Names of agents that are spelt much like `name_key`, the likest first; none of a short one.

    Each word may have one or two mistakes, by its length, and a space may be too many or missing.
    Where no name has all the words, those that lack one are given.
    None if that took too long to find out.
    """
    if len(name_key) < SHORTEST or len(name_key) > LONGEST or not words_of(name_key):
        return []
    try:
        async with transaction(conn) as tx:
            await tx.execute(_LIMIT)
            return await _alike(tx, name_key, limit)
    except StoreError as exc:
        if getattr(exc.__cause__, "sqlstate", None) == "57014":
            return None
        raise


async def _alike(tx: Tx, name_key: str, limit: int) -> list[str]:
    typed = words_of(name_key)
    others = cuts_and_joins(typed)
    rows = await tx.fetch(NEAR, typed, sorted({word for words in others for word in words}))
    near: dict[str, list[tuple[str, int]]] = {}
    names: dict[str, int] = {}
    for word, found, count in rows:
        names[found] = count
        if word is not None:
            near.setdefault(word, []).append((found, count))
    meant = {word: meant_by(word, near.get(word, ()), _MOST_NEAR) for word in typed}
    sets = [meant[word] for word in typed if meant[word]]
    tried: list[str] = []
    if len(sets) == len(typed):
        tried = await _names(tx, name_key, limit, sets, _spellings(name_key, meant))
    for words in others:
        if len(tried) < limit and all(word in names for word in words):
            more = await _names(tx, name_key, limit, [[word] for word in words[: len(_SETS)]], [])
            tried += [name for name in more if name not in tried]
    for fewer in _without_one(sets, names) if len(sets) == len(typed) else [sets]:
        if tried or not fewer:
            break
        least = 0.0 if len(fewer) > 1 else _LEAST_ALIKE
        tried = await _names(tx, name_key, limit, fewer, [], least=least)
    return tried[:limit]


def _without_one(sets: Sequence[list[str]], names: Mapping[str, int]) -> Iterator[list[list[str]]]:
    """The sets without one of them, the commonest left out first."""
    for left_out in sorted(sets, key=lambda words: -sum(names[word] for word in words)):
        yield [words for words in sets if words is not left_out]


async def _names(
    tx: Tx,
    name_key: str,
    limit: int,
    sets: Sequence[Sequence[str]],
    spellings: Sequence[str],
    *,
    least: float = 0.0,
) -> list[str]:
    rows = await tx.fetch(alike_statement(len(sets)), name_key, limit, spellings, least, *sets)
    return [row[0] for row in rows]


def _spellings(name_key: str, meant: dict[str, list[str]]) -> list[str]:
    """The name as it may have been meant: the first two choices of each word, most likely first."""
    words = list(meant)
    found = []
    for choice in islice(product(*(meant[word][:2] for word in words)), _MOST_SPELLINGS):
        text, at = "", 0
        for word, other in zip(words, choice, strict=True):
            start = name_key.index(word, at)
            text += name_key[at:start] + other
            at = start + len(word)
        found.append(text + name_key[at:])
    return found


assert len(_SETS) > MOST_WORDS  # one more where a space is missing
