"""Foreign bytes as text: exactly for machines, harmlessly for people. Pure.

A contract may put any bytes into a string. Machines get the text if the bytes are clean UTF-8, and
the bytes in hexadecimal otherwise; people get text that cannot reorder, hide or break what
stands around it.
"""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"

_UNSAFE_TO_SHOW = re.compile(
    "["
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # C0 and C1 controls, but tab, line feed, return
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls (UAX 9)
    "\u200b\u2028\u2029\u2060-\u2064\ufeff"  # invisible, or line breaks in disguise
    "\ufff9-\ufffb\U000e0000-\U000e007f"  # annotations, tag characters
    "\ud800-\udfff"  # lone surrogates: no UTF-8 can be made of them
    "]"
)


def is_clean(raw: bytes) -> bool:
    """Whether `raw` is UTF-8 without NUL, so that its text says all that its bytes do."""
    if 0 in raw:
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def clean_text(raw: bytes) -> str:
    """`raw` as text; NUL and what is not UTF-8 (surrogates too) become U+FFFD."""
    return raw.decode("utf-8", "replace").replace("\0", REPLACEMENT)


def whole_characters(prefix: bytes) -> bytes:
    """`prefix` of a longer string, less the character that the cut went through, if any."""
    for length in range(1, min(4, len(prefix) + 1)):
        lead = prefix[-length]
        if lead >= 0xC0:
            need = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return prefix[:-length] if length < need else prefix
        if lead < 0x80:
            break
    return prefix


def shown(text: str) -> str:
    """`text` for people: controls, bidirectional marks and invisible characters become U+FFFD.

    They are seen, then, and do nothing. Joiners of scripts and emoji stay.
    """
    return _UNSAFE_TO_SHOW.sub(REPLACEMENT, text)


def is_hidden(text: str) -> bool:
    """Whether `text` holds what `shown` would replace."""
    return _UNSAFE_TO_SHOW.search(text) is not None
