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


class Notes(list[Finding]):
    """Collects findings of one file; ready-made ones can be appended."""

    __slots__ = ()

    def add(self, code: str, path: str = "", detail: str = "") -> None:
        """Note `code` at `path`, made by `step`. Foreign text in `detail` is cleaned and cut."""
        self.append(Finding(code, path, _clean(detail) if detail else ""))

    def sorted(self) -> tuple[Finding, ...]:
        """What was noted, in order, each once; of codes met too often, how often."""
        if len(self) <= 1:
            return tuple(self)
        found = set(self)
        if len(found) > MOST_PER_CODE:
            found = self._bounded()
        return tuple(sorted(found))

    def _bounded(self) -> set[Finding]:
        counts: Counter[str] = Counter()
        kept = set()
        for found in dict.fromkeys(self):
            counts[found.code] += 1
            if counts[found.code] <= MOST_PER_CODE:
                kept.add(found)
        for code, count in counts.items():
            if count > MOST_PER_CODE:
                kept.add(Finding(code, "", f"{count} times in all"))
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
