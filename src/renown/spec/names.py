"""Names compared: as people type them, and as eyes mistake them (UTS #39). Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib import resources

LONGEST_NAME = 200
"""Characters of a name that count; what follows is no longer a name."""

_GAPS = re.compile(r"\s+")


def name_key(name: str) -> str:
    """How names are compared, and searched when misspelt: equal for names that read the same.

    Compatibility forms, case and spaces do not count, nor do characters that are not seen. At most
    `LONGEST_NAME` characters; empty for a name of nothing visible.
    """
    folded = _without_ignorable(unicodedata.normalize("NFKC", name[:LONGEST_NAME])).casefold()
    return _GAPS.sub(" ", unicodedata.normalize("NFKC", folded)).strip()[:LONGEST_NAME]


def skeleton(name: str) -> str:
    """What `name` looks like: equal for names that eyes confuse (UTS #39, section 4).

    The standard's skeleton, with compatibility forms, case and spaces folded away, since a name in
    capitals is no other name; `i` is one with `l`, because their capitals and small letters cross.
    Never to be shown: it is no spelling of anything.
    """
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", name[:LONGEST_NAME]))
    looks = _without_ignorable(text).translate(_prototypes())
    # Folding case can make a character that looks like another one: once more, then.
    looks = unicodedata.normalize("NFD", looks).casefold().translate(_prototypes())
    looks = unicodedata.normalize("NFD", looks).casefold().replace("i", "l")
    return _GAPS.sub(" ", looks).strip()[: 2 * LONGEST_NAME]


def _without_ignorable(text: str) -> str:
    return text if text.isascii() else text.translate(_ignorable())


@cache
def _prototypes() -> dict[int, str]:
    return _tables()[0]


@cache
def _ignorable() -> dict[int, None]:
    return _tables()[1]


@cache
def _tables() -> tuple[dict[int, str], dict[int, None]]:
    prototypes: dict[int, str] = {}
    ignorable: dict[int, None] = {}
    text = resources.files("renown.spec").joinpath("confusables.txt").read_text("utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("- "):
            for ends in line[2:].split():
                first, _, last = ends.partition("..")
                ignorable |= dict.fromkeys(range(int(first, 16), int(last or first, 16) + 1))
            continue
        prototype, _, alike = line.partition(" < ")
        looks = "".join(chr(int(code, 16)) for code in prototype.split())
        prototypes |= dict.fromkeys((int(code, 16) for code in alike.split()), looks)
    return prototypes, ignorable
