"""Files and folders in IPFS blocks (dag-pb with UnixFS inside), as far as one block holds. Pure.

Source: the DAG-PB and UnixFS specifications. Both are protocol buffers of a few fields; a hostile
block can at most be no block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from renown.offchain.cid import Cid, cid_of

MOST_LINKS = 10_000

_RAW, _DIRECTORY, _FILE, _SHARDED = 0, 1, 2, 5
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


class Node(msgspec.Struct, frozen=True):
    """One block of UnixFS.

    Attributes:
        kind: "part" is a file whose content lies in further blocks, "other" what we cannot walk
            (sharded folders, links of the file system).
        content: of a file in this one block; else b"".
        links: of a folder, by name; first of equal names.
    """

    kind: Literal["file", "part", "folder", "other"]
    content: bytes = b""
    links: dict[str, Cid] = {}


def read_node(block: bytes) -> Node | None:
    """Read a dag-pb block; None for bytes that are none, or hold no UnixFS."""
    try:
        fields = list(_fields(block))
        data = next((value for number, value in fields if number == 1), None)
        links = [value for number, value in fields if number == 2]
        if not isinstance(data, bytes) or len(links) > MOST_LINKS:
            return None
        inner = dict(reversed(list(_fields(data))))  # the first of equal ones
    except ValueError:
        return None
    kind, content = inner.get(1), inner.get(2, b"")
    if not isinstance(content, bytes):
        return None
    if kind in (_RAW, _FILE):
        return Node("part") if links else Node("file", content)
    if kind == _DIRECTORY:
        return Node("folder", links=_named(links))
    return Node("other")


def file_block(content: bytes) -> bytes:
    """The block that the usual programs make of a small file: what its CID is the hash of."""
    inner = _tagged(1, _FILE) + _tagged(2, content) + _tagged(3, len(content))
    if not content:
        inner = _tagged(1, _FILE) + _tagged(3, 0)
    return _tagged(1, inner)


def _named(links: list[bytes | int]) -> dict[str, Cid]:
    found: dict[str, Cid] = {}
    for link in links:
        if not isinstance(link, bytes):
            continue
        fields = dict(reversed(list(_fields(link))))
        target, name = fields.get(1), fields.get(2, b"")
        if isinstance(target, bytes) and isinstance(name, bytes) and (cid := cid_of(target)):
            found.setdefault(name.decode("utf-8", "replace"), cid)
    return found


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol buffer. Raises ValueError where it breaks."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, at = _varint(data, at)
        elif wire_type in (_FIXED_64, _FIXED_32):
            size = 8 if wire_type == _FIXED_64 else 4
        else:
            raise ValueError("a group, which nobody uses")
        if at + size > len(data):
            raise ValueError("cut short")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise ValueError("cut short")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("a varint beyond 64 bits")


def _tagged(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _as_varint(number << 3 | _VARINT) + _as_varint(value)
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(value)) + value


def _as_varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
