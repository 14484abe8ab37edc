"""Findings while they are collected: no two alike, bounded however odd a file is."""

from __future__ import annotations

from collections import Counter

from renown.spec.documents.model import Finding
from renown.spec.text import shown

MOST_PER_CODE = 20
"""Of one code so many are kept, the first in the file; one more says how many there were."""
LONGEST_DETAIL = 300
LONGEST_PATH = 300
_LONGEST_KEY = 80


class Notes:
    """Collects findings of one file."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: list[Finding] = []

    def add(self, code: str, path: str = "", detail: str = "") -> None:
        """Note `code` at `path`, made by `step`. Foreign text in `detail` is cleaned and cut."""
        self._found.append(Finding(code, path, _clean(detail) if detail else ""))

    def keep(self, finding: Finding) -> None:
        """Note what is ready-made."""
        self._found.append(finding)

    def __contains__(self, code: str) -> bool:
        return any(found.code == code for found in self._found)

    def sorted(self) -> tuple[Finding, ...]:
        """What was noted, in order, each once; of codes met too often, how often."""
        found = self._found
        if len(found) > MOST_PER_CODE:
            found = self._bounded()
        return tuple(sorted(set(found))) if len(found) > 1 else tuple(found)

    def _bounded(self) -> list[Finding]:
        counts: Counter[str] = Counter()
        kept = []
        for found in dict.fromkeys(self._found):
            counts[found.code] += 1
            if counts[found.code] <= MOST_PER_CODE:
                kept.append(found)
        for code, count in counts.items():
            if count > MOST_PER_CODE:
                kept.append(Finding(code, "", f"{count} times in all"))
        return kept


def step(path: str, key: str | int) -> str:
    """The JSON pointer one step further (RFC 6901); cleaned, and no longer than a finding bears."""
    if isinstance(key, str):
        key = _clean(key[:_LONGEST_KEY]).replace("~", "~0").replace("/", "~1")
    further = f"{path}/{key}"
    return further if len(further) <= LONGEST_PATH else path


def _clean(text: str) -> str:
    if len(text) > LONGEST_DETAIL:
        text = text[:LONGEST_DETAIL]
    return text if text.isascii() and text.isprintable() else shown(text)
