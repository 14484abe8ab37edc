"""Recursive Length Prefix, strictly: each value has one encoding, and nothing follows it.

Source: Ethereum Yellow Paper, appendix B.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Item: TypeAlias = "bytes | list[Item]"

MAX_DEPTH = 4
"""Transactions nest three deep: the fields, their access list, one entry's keys, its values."""


def decode(data: bytes) -> Item:
    """The one item that `data` is.

    Raises:
        ValueError: cut short, followed by something, not the shortest encoding, or too deep.
    """
    item, end = _item(data, 0, len(data), 0)
    if end != len(data):
        raise ValueError("bytes behind its end")
    return item


def encode(item: bytes | int | Sequence[object]) -> bytes:
    """The encoding of bytes, of a number (big-endian, without leading zeros), or of a list."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8)
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _prefix(len(item), 0x80) + item
    body = b"".join(encode(part) for part in item)  # type: ignore[arg-type]
    return _prefix(len(body), 0xC0) + body


def _prefix(length: int, base: int) -> bytes:
    if length < 56:
        return bytes([base + length])
    size = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([base + 55 + len(size)]) + size


def _item(data: bytes, at: int, stop: int, depth: int) -> tuple[Item, int]:
    if at >= stop:
        raise ValueError("cut short")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    is_list = first >= 0xC0
    start, end = _span(data, at, stop, first - (0xC0 if is_list else 0x80))
    if is_list:
        return _list(data, start, end, depth + 1), end
    if end - start == 1 and data[start] < 0x80:
        raise ValueError("not the shortest encoding")
    return data[start:end], end


def _list(data: bytes, at: int, stop: int, depth: int) -> list[Item]:
    if depth > MAX_DEPTH:
        raise ValueError("too deep")
    items: list[Item] = []
    while at < stop:
        item, at = _item(data, at, stop, depth)
        items.append(item)
    return items


def _span(data: bytes, at: int, stop: int, length: int) -> tuple[int, int]:
    """Where the content begins and ends; `length` is the first byte's share of the prefix."""
    start = at + 1
    if length > 55:
        size = length - 55
        if start + size > stop:
            raise ValueError("cut short")
        length = int.from_bytes(data[start : start + size])
        if data[start] == 0 or length < 56:
            raise ValueError("not the shortest encoding")
        start += size
    if start + length > stop:
        raise ValueError("cut short")
    return start, start + length
