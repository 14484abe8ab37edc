"""Hostile bytes as a JSON value that every store and reader can hold. Pure, and never raises.

Most files are plain: for those one parse and a few searches show that nothing has to be done. All
others are read by a slow and patient parser, and then cleaned value by value.

Limits (each with a finding): 32 levels, 2,000 keys, 5,000 list entries, 16,384 characters a text;
whole numbers beyond 2^53 and numbers beyond a double become texts of their digits.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from typing import Any, Literal

import msgspec

from renown.spec.documents.notes import Notes, step
from renown.spec.text import REPLACEMENT, is_hidden, shown

MOST_DEPTH = 32
MOST_KEYS = 2_000
MOST_ENTRIES = 5_000
LONGEST_TEXT = 16_384
LONGEST_KEY = 256
MOST_NESTED = 100
"""Deeper text is not parsed at all: parsers recurse, and Python's stack is ours."""
LARGE_BYTES = 256 * 1024
MOST_BYTES = 2 * 1024 * 1024

Problem = Literal["oversized", "empty-document", "html-page", "not-json"]

_PLAIN_BYTES = LONGEST_TEXT
"""Plain files are no longer than this, so none of their texts is too long."""
_EXACT = 2**53
_SURELY_EXACT = 16
"""Whole numbers of fewer characters are below it."""
_DIGITS_ONLY = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_SIXTEEN = b"0" * 16
_ORDINARY = bytes(byte for byte in range(127) if byte not in b"[]{}\\")
"""What tells nothing about depth, escapes or hidden characters."""
_LONG_NUMBER = re.compile(rb"(?:\A|[\s:,\[])-?[0-9.]{16}")
_HTML = re.compile(
    r"\s*<(?:!doctype|!--|html|head|body|script|\?xml|svg|pre|div|p>|h1|title)", re.IGNORECASE
)
_TEXTS = re.compile(r'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
# Every alternative matches to the end of the text at worst, so that nothing is looked at twice.
_CROOKED = re.compile(
    r'("(?:[^"\\]++|\\.?)*+"?)|//[^\n]*|/\*(?:[^*]++|\*(?!/))*+(?:\*/)?|,(?=\s*+[}\]])', re.DOTALL
)
_SURROGATE = re.compile("[\ud800-\udfff]")

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Parsed(msgspec.Struct, frozen=True):
    """The value, with the limits kept, and its JSON text; or why there is none.

    No text in it holds anything hidden, so those who read it further need not look again.
    """

    value: Any
    content: bytes | None
    problem: Problem | None = None


def parse(raw: bytes, notes: Notes) -> Parsed:
    """Read `raw` as JSON, noting every allowance that it took."""
    if (plain := _parse_plain(raw)) is not None:
        return plain
    if len(raw) > MOST_BYTES:
        return _failed("oversized", notes)
    if len(raw) > LARGE_BYTES:
        notes.add("large", detail=f"{len(raw)} bytes")
    text = _text_of(raw, notes)
    if not text or text.isspace():
        return _failed("empty-document", notes)
    found, value = _parse_patiently(text, notes)
    if not found:
        return _failed("html-page" if _HTML.match(text) else "not-json", notes)
    value = _Cleaning(notes).clean(value, "", 0)
    return Parsed(value, _encode(value))


def _failed(problem: Problem, notes: Notes) -> Parsed:
    notes.add(problem)
    return Parsed(None, None, problem)


def _parse_plain(raw: bytes) -> Parsed | None:
    """The fast way; None if anything about `raw` needs a closer look."""
    if len(raw) > _PLAIN_BYTES:
        return None
    odd = raw.translate(None, _ORDINARY)
    if len(odd) > MOST_DEPTH and _may_be_deep(odd):
        return None
    try:
        value = _decode(raw)
        if odd.strip(b"[]{}") and _is_hiding(raw, odd):
            return None
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    content = _encode(value)
    if (
        # Of a key that stands twice, one is lost in `content`, and its quotes with it.
        (content != raw and raw.count(b'"') != content.count(b'"'))
        or (raw.translate(_DIGITS_ONLY).find(_SIXTEEN) >= 0 and _LONG_NUMBER.search(raw))
        or (len(raw) > MOST_ENTRIES and (raw.count(b":") > MOST_KEYS or raw.count(b",") > 4_000))
    ):
        return None
    return Parsed(value, content)


def _is_hiding(raw: bytes, odd: bytes) -> bool:
    """Whether a text may hold what is not seen; escapes can say anything."""
    return (
        b"\x7f" in odd
        or (b"\\" in odd and (b"\\u" in raw or b"\\b" in raw or b"\\f" in raw))
        or (not odd.isascii() and is_hidden(odd.decode()))
    )


def _may_be_deep(brackets: bytes) -> bool:
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1 if bracket in b"]}" else 0
        if depth >= MOST_DEPTH:
            return True
    return False


# The patient way ---------------------------------------------------------------------------------


_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as that of UTF-16 does, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def _text_of(raw: bytes, notes: Notes) -> str:
    coding = "utf-8"
    marked = next((pair for pair in _MARKS if raw.startswith(pair[0])), None)
    if marked is not None:
        mark, coding = marked
        raw = raw[len(mark) :]
        notes.add("byte-order-mark", detail=coding)
    elif raw[1:2] == b"\0" and raw[:1] in b"{[":
        coding = "utf-16-le"
        notes.add("byte-order-mark", detail="UTF-16 without a mark")
    try:
        return raw.decode(coding)
    except UnicodeDecodeError as error:
        notes.add("invalid-utf8", detail=f"at byte {error.start}")
        return raw.decode(coding, "replace")


def _parse_patiently(text: str, notes: Notes) -> tuple[bool, Any]:
    if _is_nested_too_deep(text):
        notes.add("too-deep", detail=f"more than {MOST_NESTED} levels; nothing is read")
        return False, None
    reading = _Reading()
    found, value = reading.read(text)
    if not found:
        if len(text) > LARGE_BYTES:
            return False, None
        straight = _CROOKED.sub(lambda match: match[1] or "", text)
        if straight == text:
            return False, None
        reading = _Reading()
        found, value = reading.read(straight)
        if not found:
            return False, None
        notes.add("lenient-json", detail="comments or commas before a closing bracket")
    if reading.rest:
        notes.add("lenient-json", detail="text after the end of the JSON")
    if reading.raw_controls:
        notes.add("lenient-json", detail="control characters that are not escaped")
    return found, value


def _is_nested_too_deep(text: str) -> bool:
    """Whether brackets, those in texts left out, go deeper than `MOST_NESTED`."""
    if text.count("[") + text.count("{") <= MOST_NESTED:
        return False
    bare = _TEXTS.sub("", text).encode("ascii", "ignore")
    pairs = bare.translate(_AS_SQUARE, _NOT_BRACKETS)
    for _ in range(MOST_NESTED):
        fewer = pairs.replace(b"[]", b"")
        if len(fewer) == len(pairs):
            return pairs.count(b"[") > MOST_NESTED
        pairs = fewer
    return b"[" in pairs


class _Twice(dict[str, Any]):
    """An object with a key that stands more than once."""

    twice: str


class _Reading:
    """One run of Python's own parser, with numbers kept exact and doubled keys seen."""

    def __init__(self) -> None:
        self.rest = False
        self.raw_controls = False

    def read(self, text: str) -> tuple[bool, Any]:
        start = len(text) - len(text.lstrip(" \t\r\n\ufeff\0"))
        for strict in (True, False):
            decoder = json.JSONDecoder(
                object_pairs_hook=_object,
                parse_int=_whole,
                parse_float=_fraction,
                parse_constant=_Digits,
                strict=strict,
            )
            try:
                value, end = decoder.raw_decode(text, start)
            except json.JSONDecodeError as error:
                if strict and error.msg.startswith("Invalid control character"):
                    continue
                return False, None
            except (ValueError, RecursionError):
                return False, None
            self.raw_controls = not strict
            self.rest = bool(text[end:].strip(" \t\r\n\ufeff\0"))
            # `12 monkeys` begins with a number, but that is no reason to call it JSON.
            return not self.rest or isinstance(value, dict | list), value
        return False, None


class _Digits(str):
    """A number that is kept as its text."""

    __slots__ = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = _Twice(found)
    seen: set[str] = set()
    doubled.twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return doubled


def _whole(digits: str) -> int | _Digits:
    if len(digits) < _SURELY_EXACT:
        return int(digits)
    return _Digits(digits) if len(digits) > 17 or abs(int(digits)) > _EXACT else int(digits)


def _fraction(digits: str) -> float | _Digits:
    value = float(digits)
    return value if math.isfinite(value) else _Digits(digits)


# Cleaning ----------------------------------------------------------------------------------------


class _Cleaning:
    """One walk over a value that keeps the limits."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._keys = 0
        self._entries = 0

    def clean(self, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, str):
            return self._text(value, path, LONGEST_TEXT)
        if isinstance(value, dict):
            if depth >= MOST_DEPTH:
                self._notes.add("too-deep", path)
                return None
            return self._object(value, path, depth)
        if isinstance(value, list):
            if depth >= MOST_DEPTH:
                self._notes.add("too-deep", path)
                return None
            return self._list(value, path, depth)
        return value

    def _object(self, value: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        if isinstance(value, _Twice):
            self._notes.add("duplicate-key", step(path, value.twice))
        found: dict[str, Any] = {}
        for key, inner in value.items():
            if self._keys >= MOST_KEYS:
                self._notes.add("too-many-values", path, f"more than {MOST_KEYS} keys")
                break
            self._keys += 1
            found[self._text(key, path, LONGEST_KEY)] = self.clean(
                inner, step(path, key), depth + 1
            )
        return found

    def _list(self, value: list[Any], path: str, depth: int) -> list[Any]:
        room = MOST_ENTRIES - self._entries
        if len(value) > room:
            self._notes.add("too-many-values", path, f"more than {MOST_ENTRIES} list entries")
            value = value[: max(0, room)]
        self._entries += len(value)
        return [self.clean(inner, f"{path}/{n}", depth + 1) for n, inner in enumerate(value)]

    def _text(self, text: str, path: str, longest: int) -> str:
        if isinstance(text, _Digits):
            self._notes.add("huge-number", path, text[:40])
        if len(text) > longest:
            self._notes.add("long-text", path, f"{len(text)} characters")
            text = text[:longest]
        if text.isascii() and text.isprintable():
            return str(text)
        if "\0" in text:
            self._notes.add("nul-character", path)
            text = text.replace("\0", REPLACEMENT)
        if _SURROGATE.search(text):
            self._notes.add("lone-surrogate", path)
            text = _SURROGATE.sub(REPLACEMENT, text)
        if is_hidden(text):
            self._notes.add("hidden-characters", path)
            text = shown(text)
        return str(text)
