"""Strangers' text made ready for full text search, and queries made ready in the same way. Pure.

PostgreSQL's parser knows English, markup, URLs and paths, and takes a run of Chinese for one word.
So it is given plain words only: lower case, compatibility forms folded (NFKC), everything that is
neither letter, digit nor mark a space. `getWeather`, `get_weather` and `get/weather` are the words
`get weather`, and `getweather` besides; scripts without spaces become pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from renown.spec.documents.model import Registration, Service

MOST_QUERY_WORDS = 32
"""Words of a query that count; those behind them are left out."""

_NAME_CHARS, _OFFERS_CHARS, _TAGS_CHARS, _DESCRIPTION_CHARS = 300, 8_000, 2_000, 8_000
_MOST_SERVICES, _MOST_LISTED = 64, 200
_LONGEST_WORD = 80


class Texts(msgspec.Struct, frozen=True):
    """What full text search looks at, by weight, prepared: only words and single spaces."""

    name: str = ""
    offers: str = ""
    """Services, skills, tools."""
    tags: str = ""
    description: str = ""


def texts_of(registration: Registration, offers: Iterable[str] = ()) -> Texts:
    """The texts of one agent: its file, and names of tools and skills its endpoints answered with.

    Each is bounded; nothing in a file can make it fail.
    """
    services = registration.services[:_MOST_SERVICES]
    described = [registration.description or "", *(one.description or "" for one in services)]
    return Texts(
        name=prepared(registration.name or "", _NAME_CHARS),
        offers=prepared(
            _joined((*islice(offers, _MOST_LISTED), *_offers(services)), _OFFERS_CHARS),
            _OFFERS_CHARS,
        ),
        tags=prepared(_joined(registration.tags[:_MOST_LISTED], _TAGS_CHARS), _TAGS_CHARS),
        description=prepared(_joined(described, _DESCRIPTION_CHARS), _DESCRIPTION_CHARS),
    )


def prepared(text: str, most_chars: int) -> str:
    """The words of the first `most_chars` characters, in order; behind them the joined forms.

    `Get_weather 天气预报` gives `get weather 天气 气预 预报 getweather 天 气 预 报`: the parts keep
    their places, so that phrases are found, and what was written as one word is found as one.
    Several times `most_chars` long at most.
    """
    words: list[str] = []
    joined: dict[str, None] = {}
    for chunk in _folded(text, most_chars).split():
        if chunk.isalnum() and chunk.islower() and chunk.isascii():  # as most are
            words.append(chunk[:_LONGEST_WORD])
            continue
        parts = [chunk] if chunk.isalnum() else _PART.findall(chunk)
        wholes = [chunk] if len(parts) > 1 else []
        if not chunk.islower():
            cut = [_CAMEL.split(part) for part in parts]
            wholes += ["".join(words) for words in cut if len(words) > 1]
            parts = [word for words in cut for word in words]
        for whole in wholes:
            plain = "".join(_PART.findall(whole)).casefold()
            if len(plain) <= _LONGEST_WORD:
                joined[plain] = None
        for part in parts:
            if part.isascii():
                words.append(part.lower()[:_LONGEST_WORD])
                continue
            for word, unspaced in _runs(part.casefold()):
                words += _pairs(word) if unspaced else [word[:_LONGEST_WORD]]
                if unspaced and len(word) > 1:
                    joined.update(dict.fromkeys(word))
    return " ".join([*words, *joined])


def query_text(query: str) -> str:
    """`query` in the syntax of `websearch_to_tsquery`, its words prepared like those looked at.

    Kept are "phrases in quotes", OR, and -not before a word or phrase. A word with punctuation in
    it (`get-weather`) becomes a phrase. Empty where no word is left.
    """
    said: list[str] = []
    count = 0
    for match in _ASKED.finditer(_folded_query(query)):
        negated, phrase, word = match["not"], match["phrase"], match["word"]
        if phrase is None and word.casefold() == "or" and not negated:
            if said and said[-1] != "or":
                said.append("or")
            continue
        words = _query_words(word if phrase is None else phrase)
        words = words[: MOST_QUERY_WORDS - count]
        if not words:
            continue
        count += len(words)
        one = words[0] if len(words) == 1 and words[0] != "or" else f'"{" ".join(words)}"'
        said.append(f"-{one}" if negated else one)
    if said and said[-1] == "or":
        said.pop()
    if (
        len(said) == 1
        and said[0].isalnum()
        and '"' not in query
        and (parts := _CAMEL.split(query.strip()))
        and len(parts) > 1
    ):
        # `getWeather` alone may be meant as written, or as its parts; among others, as written.
        words = [word for part in parts for word in _query_words(_folded_query(part))]
        said += ["or", f'"{" ".join(words[:MOST_QUERY_WORDS])}"']
    return " ".join(said)


# Pieces ---------------------------------------------------------------------------------------

_PART = re.compile(r"[^\s_./\\:@#+~|'’-]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""Thai, Lao, Burmese, Khmer, kana, Han; and Hangul, whose particles cling to the words."""
_ASKED = re.compile(r'(?P<not>-)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
_HOST = re.compile(r"^[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?([^/:?#]+)", re.IGNORECASE)
_JOINERS = frozenset("_./\\:@#+~|'’-")


def _offers(services: Iterable[Service]) -> Iterator[str]:
    for one in services:
        yield one.name
        yield one.kind
        yield from one.skills[:_MOST_LISTED]
        yield from one.tools[:_MOST_LISTED]
        yield from one.domains[:_MOST_LISTED]
        yield from one.prompts[:_MOST_LISTED]
        yield from one.resources[:_MOST_LISTED]
        if one.endpoint is not None:
            host = _HOST.match(one.endpoint[:400])
            if host is not None:
                yield host[1]
            elif len(one.endpoint) <= 100:  # an ENS name, a DID, an address
                yield one.endpoint


def _joined(texts: Iterable[str], most_chars: int) -> str:
    """The texts with spaces between them, not many more characters than `most_chars`."""
    kept: list[str] = []
    length = 0
    for text in texts:
        kept.append(text[:most_chars])
        length += len(kept[-1]) + 1
        if length > most_chars:
            break
    return " ".join(kept)


def _query_words(text: str) -> list[str]:
    """The words that a word or phrase of a query must be found by: one, or several in a row.

    A row is cut like the texts, where capitals begin words, too; one word is looked for whole.
    """
    whole = [word for part in _PART.findall(text) for word in _cut(part)]
    if len(whole) == 1:
        return whole
    parts = [one for part in _PART.findall(text) for one in _CAMEL.split(part)]
    return [word for part in parts for word in _cut(part)]


def _cut(part: str) -> list[str]:
    words: list[str] = []
    for run, unspaced in _runs(part.casefold()):
        words += _pairs(run) if unspaced else [run[:_LONGEST_WORD]]
    return words


def _runs(word: str) -> Iterator[tuple[str, bool]]:
    """`word` cut where scripts with and without spaces meet, and which of them each piece is."""
    start = 0
    for match in UNSPACED.finditer(word):
        if match.start() > start:
            yield word[start : match.start()], False
        yield match[0], True
        start = match.end()
    if start < len(word):
        yield word[start:], False


def _pairs(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]


def _folded(text: str, most_chars: int) -> str:
    """NFKC; letters, digits, marks and what joins words stay, other characters become spaces."""
    text = text[:most_chars]
    if not text.isascii():
        # One compatibility character may stand for eighteen.
        text = unicodedata.normalize("NFKC", text)[: 2 * most_chars]
    return text.translate(_kept)


def _folded_query(query: str) -> str:
    if not query.isascii():
        query = unicodedata.normalize("NFKC", query)[: 2 * len(query)]
    return query.translate(_kept_in_queries)


class _Kept(dict[int, str]):
    """A table for `str.translate` that finds its entries when they are asked for."""

    def __init__(self, joiners: Iterable[str]) -> None:
        super().__init__((ord(one), one) for one in joiners)

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if category[0] in "LNM":
            found = char
        elif category == "Cf":  # invisible: hides within words, so it vanishes
            found = ""
        else:
            found = " "
        if code < 0x3000:  # bounded: strangers choose what is looked up
            self[code] = found
        return found


_kept = _Kept(_JOINERS)
_kept_in_queries = _Kept({*_JOINERS, '"'} | {"“", "”", "„"})
for _quote in "“”„":
    _kept_in_queries[ord(_quote)] = '"'
