"""Where in a file a JSON pointer leads, for people who have the file open. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from renown.spec.documents.notes import step

_TOKENS = re.compile(r'"(?:[^"\\]++|\\.?)*+"?|[\[\]{},]', re.DOTALL)


def lines_of(raw: bytes, pointers: Iterable[str]) -> dict[str, int]:
    """The line, from 1, at which each pointer's key or list entry begins.

    What is not in the file, such as a missing field, gets the line of the object that lacks it; a
    file that is no JSON, its first line. Never raises.
    """
    wanted = list(pointers)
    found = _Walk(raw.decode("utf-8", "replace"), _with_heads(wanted)).found if wanted else {}
    return {pointer: _nearest(pointer, found) for pointer in wanted}


def _with_heads(pointers: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for pointer in pointers:
        while pointer not in found:
            found.add(pointer)
            pointer = pointer.rpartition("/")[0]  # noqa: PLW2901 - climbs
    return found


def _nearest(pointer: str, found: dict[str, int]) -> int:
    while pointer and pointer not in found:
        pointer = pointer.rpartition("/")[0]
    return found.get(pointer, 1)


class _Walk:
    """One pass over the brackets, commas and texts of a file; it may be broken JSON."""

    def __init__(self, text: str, wanted: set[str]) -> None:
        self.found: dict[str, int] = {}
        self._text = text
        self._wanted = wanted
        self._line, self._counted_to = 1, 0
        self._open: list[str] = [""]  # pointers of the containers that are open
        self._at: list[int | str | None] = [None]  # in each: the entry's number, or its key
        self._key_next = False
        for match in _TOKENS.finditer(text):
            self._take(match[0], match.start(), match.end())

    def _take(self, token: str, start: int, end: int) -> None:
        if token in ("{", "["):
            self._note(start)
            self._open.append(self._here())
            self._at.append(0 if token == "[" else None)  # noqa: S105 - no secret
            self._key_next = token == "{"  # noqa: S105
            self._note_entry(end)
        elif token in ("}", "]"):
            if len(self._open) > 1:
                self._open.pop()
                self._at.pop()
            self._key_next = False
        elif token == ",":  # noqa: S105
            number = self._at[-1]
            self._key_next = not isinstance(number, int)
            if isinstance(number, int):
                self._at[-1] = number + 1
                self._note_entry(end)
        elif self._key_next:
            self._at[-1], self._key_next = _key(token), False
            self._note(start)

    def _here(self) -> str:
        at = self._at[-1]
        return self._open[-1] if at is None else step(self._open[-1], at)

    def _note(self, start: int) -> None:
        pointer = self._here()
        if pointer in self._wanted and pointer not in self.found:
            self._line += self._text.count("\n", self._counted_to, start)
            self._counted_to = start
            self.found[pointer] = self._line

    def _note_entry(self, end: int) -> None:
        """A list's next entry begins behind the white space that follows."""
        if isinstance(self._at[-1], int):
            rest = self._text[end : end + 1_000]
            self._note(end + len(rest) - len(rest.lstrip()))


def _key(token: str) -> str:
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token.strip('"')
