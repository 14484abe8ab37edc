"""JSON written anew, as those do who hash it: RFC 8785, and the two agent0 SDKs. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from typing import Any

MOST_DEPTH = 100
"""Deeper values are not written: nobody hashes them, and Python's stack is ours."""

_ESCAPED = re.compile(r'[\x00-\x1f"\\]')
_ESCAPES = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_EXPONENT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?e([+-][0-9]+)")


class NotCanonical(ValueError):
    """The value has no such form: no double, half a surrogate pair, or nested too deep."""


def jcs(value: Any) -> bytes:
    """`value` in the JSON Canonicalization Scheme (RFC 8785).

    Whole numbers beyond a double's precision are written as JavaScript would, rounded.

    Raises:
        NotCanonical: it has none.
    """
    return _utf8(_written(value, None, 0))


def agent0_py(value: Any) -> bytes:
    """As Python's `json.dumps(value, sort_keys=True)`, which agent0's Python SDK hashes.

    Raises:
        NotCanonical: nested too deep.
    """
    _measure(value, 0)
    return json.dumps(value, sort_keys=True).encode()


def agent0_ts(value: dict[str, Any]) -> bytes:
    """As JavaScript's `JSON.stringify(value, Object.keys(value).sort())`.

    So agent0's TypeScript SDK has it. The list of outermost keys filters every level: a nested key
    that is none of them is left out, and nothing vouches for it.

    Raises:
        NotCanonical: it has none.
    """
    return _utf8(_written(value, sorted(value, key=_utf16), 0))


def es6_number(value: float) -> str:
    """A number as JavaScript writes it (ECMAScript, Number::toString), which RFC 8785 demands.

    Raises:
        NotCanonical: not finite as a double.
    """
    try:
        double = float(value)
    except OverflowError:
        raise NotCanonical("no double") from None
    if not math.isfinite(double):
        raise NotCanonical("not finite")
    if double == 0:
        return "0"
    return _plain(repr(double))


def _plain(shortest: str) -> str:
    """Python's shortest digits in JavaScript's notation: plain between 1e-7 and 1e21."""
    match = _EXPONENT.fullmatch(shortest)
    if match is None:
        return shortest.removesuffix(".0")
    sign, whole, fraction, power = match[1], match[2], match[3] or "", int(match[4])
    digits, point = whole + fraction, len(whole) + power
    if 0 < point <= 21:
        if len(digits) <= point:
            return sign + digits.ljust(point, "0")
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"


def _written(value: Any, only: Collection[str] | None, depth: int) -> str:
    if depth > MOST_DEPTH:
        raise NotCanonical("too deep")
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int | float):
        return es6_number(value)
    if isinstance(value, list):
        return f"[{','.join(_written(item, only, depth + 1) for item in value)}]"
    keys = sorted(value, key=_utf16) if only is None else [key for key in only if key in value]
    members = (f"{_quoted(key)}:{_written(value[key], only, depth + 1)}" for key in keys)
    return f"{{{','.join(members)}}}"


def _quoted(text: str) -> str:
    def escape(match: re.Match[str]) -> str:
        code = ord(match[0])
        return _ESCAPES.get(code) or f"\\u{code:04x}"

    return f'"{_ESCAPED.sub(escape, text)}"'


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise NotCanonical("half a surrogate pair") from None


def _measure(value: Any, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise NotCanonical("too deep")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _measure(inner, depth + 1)
