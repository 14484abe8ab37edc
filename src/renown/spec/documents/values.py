"""Single values of a registration file, taken as they are meant. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

MOST_ITEMS = 200
LONGEST_ITEM = 200

_TRUE = frozenset({"true", "yes", "1", "enabled", "on", "active"})
_FALSE = frozenset({"false", "no", "0", "disabled", "off", "inactive", "none", ""})
_DIGITS = re.compile(r"[0-9]{1,78}")
_NAMING_KEYS = ("name", "id", "title", "type", "model", "slug", "value")
_LATEST_SECONDS = 253_402_300_799
"""End of the year 9999."""


def text(value: Any, longest: int) -> str | None:
    """A text, trimmed and cut; None for what is none or empty. `parse` has cleaned it."""
    if type(value) is not str:
        return None
    value = value.strip()
    return (value if len(value) <= longest else value[:longest].rstrip()) or None


def items(value: Any) -> tuple[str, ...]:
    """A list of texts: from texts, numbers, or objects by their name. Each once, in order."""
    if type(value) is not list:
        value = _listed(value)
    elif len(value) <= MOST_ITEMS and are_tidy(value):
        return tuple(dict.fromkeys(value))
    found = dict.fromkeys([_named(item) for item in value[: 5 * MOST_ITEMS]])
    return tuple([name for name in found if name is not None][:MOST_ITEMS])


def are_tidy(value: list[Any]) -> bool:
    """Whether all are texts that need not be trimmed or cut."""
    for item in value:
        if type(item) is not str or not item or len(item) > LONGEST_ITEM or item != item.strip():
            return False
    return True


def are_texts(value: Any) -> bool:
    """Whether `value` is the list of texts that the standard wants."""
    return type(value) is list and {str}.issuperset(map(type, value))


def flag(value: Any) -> bool | None:
    """Truth in any of the forms that people write; None where there is none to see."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, dict):
        return flag(
            next((value[k] for k in ("enabled", "supported", "active") if k in value), None)
        )
    if isinstance(value, int | float):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def whole(value: Any) -> int | None:
    """A whole number of at most 256 bits, also from digits in a text, or `0x…`; None otherwise."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        word = value.strip()
        if _DIGITS.fullmatch(word):
            value = int(word)
        elif re.fullmatch(r"0x[0-9a-fA-F]{1,64}", word):
            value = int(word, 16)
    return value if isinstance(value, int) and 0 <= value < 2**256 else None


def moment(value: Any) -> int | None:
    """Unix seconds, from seconds, milliseconds or ISO 8601; None otherwise."""
    number = whole(value)
    if number is not None:
        seconds = number // 1_000 if number > 100_000_000_000 else number
        return seconds if seconds <= _LATEST_SECONDS else None
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        when = datetime.fromisoformat(value.strip())
        seconds = int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
    return max(0, seconds)


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [value] if any(key in value for key in _NAMING_KEYS) else list(value)
    return []


def _named(item: Any) -> str | None:
    if type(item) is str:
        return text(item, LONGEST_ITEM)
    if isinstance(item, dict):
        return _named(next((item[key] for key in _NAMING_KEYS if type(item.get(key)) is str), None))
    if isinstance(item, int | float) and not isinstance(item, bool):
        return str(item)[:LONGEST_ITEM]
    return None
