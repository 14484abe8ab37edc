"""What changed between two JSON values: a JSON Patch (RFC 6902) that shows the old too. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import islice
from typing import Any, Literal

import msgspec

Op = Literal["add", "remove", "replace"]

MOST_CHANGES = 200
LONGEST_VALUE = 1_000
"""Of a value in a cut change: characters of its JSON."""
_LONGEST_POINTER = 500
_DEEPEST = 40
"""Deeper than any document we keep; below, values are replaced whole."""
_MOST_MATCHED = 200
"""Items of two lists that are matched with each other, which costs the square of it."""


class Change(msgspec.Struct, frozen=True):
    """One step from a value to the next.

    Attributes:
        pointer: RFC 6901, into the value as the steps before have left it.
        before: what stood there; None for `add`.
        after: what stands there; None for `remove`.
        cut: pointer, `before` or `after` is only the beginning: a value is then its JSON as text.
    """

    op: Op
    pointer: str
    before: Any = None
    after: Any = None
    cut: bool = False


class Diff(msgspec.Struct, frozen=True):
    """The steps, in order. `more`: there are others behind them."""

    changes: tuple[Change, ...] = ()
    more: bool = False


def diff(before: Any, after: Any, *, most: int = MOST_CHANGES) -> Diff:
    """What changed from `before` to `after`, for people: at most `most` steps, values cut."""
    found = list(islice(changes(before, after), most + 1))
    return Diff(tuple(_shown(change) for change in found[:most]), len(found) > most)


def changes(before: Any, after: Any) -> Iterator[Change]:
    """The steps that make `after` of `before`, whole: applied in order they are a JSON Patch.

    Members are taken by key. Items of lists are matched, so that one put in front is one `add`;
    what a list gains and loses comes from its end on, so that the steps to come keep their
    indexes. Numbers are the same where they are written the same: 1 and 1.0 differ, as do 1 and
    true.
    """
    return _walk("", before, after, 0)


def _walk(pointer: str, before: Any, after: Any, depth: int) -> Iterator[Change]:
    if _same(before, after):
        return
    if depth < _DEEPEST and isinstance(before, dict) and isinstance(after, dict):
        yield from _members(pointer, before, after, depth)
    elif depth < _DEEPEST and isinstance(before, list) and isinstance(after, list):
        yield from _items(pointer, before, after, depth)
    else:
        yield Change("replace", pointer, before, after)


def _members(
    pointer: str, before: dict[str, Any], after: dict[str, Any], depth: int
) -> Iterator[Change]:
    for key in sorted(before.keys() | after.keys()):
        at = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
        if key not in after:
            yield Change("remove", at, before[key])
        elif key not in before:
            yield Change("add", at, after=after[key])
        else:
            yield from _walk(at, before[key], after[key], depth + 1)


def _items(pointer: str, before: list[Any], after: list[Any], depth: int) -> Iterator[Change]:
    for i1, i2, j1, j2 in _differing(before, after):
        paired = min(i2 - i1, j2 - j1)
        for index in range(i2 - 1, i1 + paired - 1, -1):
            yield Change("remove", f"{pointer}/{index}", before[index])
        for index in range(j2 - 1, j1 + paired - 1, -1):
            yield Change("add", f"{pointer}/{i1 + paired}", after=after[index])
        for k in range(paired):
            yield from _walk(f"{pointer}/{i1 + k}", before[i1 + k], after[j1 + k], depth + 1)


def _differing(before: list[Any], after: list[Any]) -> Iterator[tuple[int, int, int, int]]:
    """Stretches that differ, the last first."""
    start, shortest = 0, min(len(before), len(after))
    while start < shortest and _same(before[start], after[start]):
        start += 1
    end = 0
    while end < shortest - start and _same(before[-1 - end], after[-1 - end]):
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    if max(len(old), len(new)) > _MOST_MATCHED:
        yield start, start + len(old), start, start + len(new)
        return
    matcher = SequenceMatcher(None, _canonical(old), _canonical(new), autojunk=False)
    for tag, i1, i2, j1, j2 in reversed(matcher.get_opcodes()):
        if tag != "equal":
            yield start + i1, start + i2, start + j1, start + j2


def _canonical(items: list[Any]) -> list[bytes]:
    return [msgspec.json.encode(item, order="sorted") for item in items]


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON. Python holds 1, 1.0 and True for equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _shown(change: Change) -> Change:
    pointer, long = change.pointer, len(change.pointer) > _LONGEST_POINTER
    if long:
        pointer = pointer[:_LONGEST_POINTER] + "…"
    before, cut_before = _beginning(change.before)
    after, cut_after = _beginning(change.after)
    return Change(change.op, pointer, before, after, long or cut_before or cut_after)


def _beginning(value: Any) -> tuple[Any, bool]:
    text = msgspec.json.encode(value).decode()
    if len(text) <= LONGEST_VALUE:
        return value, False
    return text[:LONGEST_VALUE] + "…", True
