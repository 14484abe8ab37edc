"""Arrow columns as text: cells that no spreadsheet runs, and JSON. A whole column at a time."""

from __future__ import annotations

import binascii
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from renown.store.exporting_tables import Kind

_RUNS = "^[=+\\-@\t\r\n'＝＋－＠]"
"""How a cell begins that a spreadsheet may take for a formula; and with our own mark."""
_NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?$"
_SHORT = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}
_STRANGE: frozenset[Kind] = frozenset({"text", "words"})


def csv_cells(array: Any, kind: Kind) -> Any:
    """`array` as CSV has it: numbers and flags as they are, everything else as text.

    Text of strangers that a spreadsheet would run as a formula gets an apostrophe in front, unless
    it is a number; so does text that begins with an apostrophe, so that taking one away, where
    there is one, gives the text back.
    """
    if kind in _STRANGE:
        return _guarded(array)
    if kind == "list":
        return _json_lists(array)
    return _plain(array, kind)


def json_values(array: Any, kind: Kind) -> Any:
    """`array` as JSON texts; null stays null. Integers that may exceed 2^53 are strings."""
    if kind in ("number", "flag"):
        return array.cast(pa.string())
    if kind == "json":
        return array
    if kind == "list":
        return _json_lists(array)
    if kind in _STRANGE:
        return json_strings(array)
    return pc.binary_join_element_wise('"', _plain(array, kind).cast(pa.string()), '"', "")


def json_strings(array: Any) -> Any:
    """Texts as JSON strings (RFC 8259); null stays null."""
    text = pc.replace_substring(array, "\\", "\\\\")
    text = pc.replace_substring(text, '"', '\\"')
    raw = text.buffers()[2]
    used = b"" if raw is None else raw.to_pybytes()
    for code in range(32):
        if code in used:
            text = pc.replace_substring(text, chr(code), _SHORT.get(code, f"\\u{code:04x}"))
    return pc.binary_join_element_wise('"', text, '"', "")


def _guarded(array: Any) -> Any:
    runs = pc.match_substring_regex(array, _RUNS)
    if not pc.any(runs).as_py():
        return array
    marked = pc.and_(runs, pc.invert(pc.match_substring_regex(array, _NUMBER)))
    return pc.if_else(marked, pc.binary_join_element_wise("'", array, ""), array)


def _plain(array: Any, kind: Kind) -> Any:
    if kind == "time":
        # Cast without a time zone: with one, Arrow asks the system's time zone tables, which lean
        # machines lack.
        local = array.view(pa.timestamp("us")).cast(pa.string())
        return pc.binary_join_element_wise(pc.binary_replace_slice(local, 10, 11, "T"), "Z", "")
    if kind == "bytes":
        encoded = [_base64(value) for value in array]
        return pa.array(encoded, pa.string())
    return array


def _base64(value: Any) -> str | None:
    raw = value.as_py()
    return None if raw is None else binascii.b2a_base64(raw, newline=False).decode()


def _json_lists(array: Any) -> Any:
    quoted = pa.ListArray.from_arrays(
        array.offsets,
        json_strings(array.values),
        mask=array.is_null() if array.null_count else None,
    )
    return pc.binary_join_element_wise("[", pc.binary_join(quoted, ","), "]", "")
