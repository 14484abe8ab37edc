"""Files and folders in IPFS blocks (dag-pb with UnixFS inside), as far as one block holds. Pure.

Source: the DAG-PB and UnixFS specifications. Both are protocol buffers of a few fields; a hostile
block can at most be no block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from renown.offchain.cid import Cid, cid_of

MOST_BLOCK_BYTES = 2 * 1024 * 1024
"""Larger ones no program exchanges (Bitswap specification)."""
ONE_BLOCK_BYTES = 256 * 1024
"""Of a file; the usual programs cut longer ones into several blocks."""
MOST_FIELDS = 40_000
"""Of one block, links and their names included: twice what the usual programs let into one."""

_RAW, _DIRECTORY, _FILE, _SHARDED = 0, 1, 2, 5
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


class Node(msgspec.Struct, frozen=True):
    """One block of UnixFS.

    Attributes:
        kind: "part" is a file whose content lies in further blocks, "other" what we cannot walk
            (sharded folders, links of the file system).
        content: of a file in this one block; else b"".
        size: in bytes, of the whole file that a part belongs to; None where it is not said.
        links: of a folder, by name; first of equal names.
    """

    kind: Literal["file", "part", "folder", "other"]
    content: bytes = b""
    links: dict[str, Cid] = {}
    size: int | None = None


def read_node(block: bytes) -> Node | None:
    """Read a dag-pb block; None for bytes that are none, hold no UnixFS, or have too many fields.

    Takes a tenth of a second at most, whatever `block` is.
    """
    if len(block) > MOST_BLOCK_BYTES:
        return None
    try:
        return _node(block, _Fields())
    except ValueError:
        return None


def file_block(content: bytes) -> bytes:
    """The block that the usual programs make of a small file: what its CID is the hash of."""
    inner = _tagged(1, _FILE) + _tagged(2, content) + _tagged(3, len(content))
    if not content:
        inner = _tagged(1, _FILE) + _tagged(3, 0)
    return _tagged(1, inner)


def _node(block: bytes, fields: _Fields) -> Node | None:
    data: bytes | None = None
    links: list[bytes] = []
    for number, value in fields.of(block):
        if not isinstance(value, bytes):
            continue
        if number == 1 and data is None:
            data = value
        elif number == 2:
            links.append(value)
    if data is None:
        return None
    inner = fields.first(data)
    kind, content, size = inner.get(1), inner.get(2, b""), inner.get(3)
    if not isinstance(content, bytes):
        return None
    if kind in (_RAW, _FILE):
        if links:
            return Node("part", size=size if isinstance(size, int) else None)
        return Node("file", content)
    if kind == _DIRECTORY:
        return Node("folder", links=_named(links, fields))
    return Node("other")


def _named(links: list[bytes], fields: _Fields) -> dict[str, Cid]:
    found: dict[str, Cid] = {}
    for link in links:
        of_link = fields.first(link)
        target, name = of_link.get(1), of_link.get(2, b"")
        if isinstance(target, bytes) and isinstance(name, bytes) and (cid := cid_of(target)):
            found.setdefault(name.decode("utf-8", "replace"), cid)
    return found


class _Fields:
    """Reads protocol buffers; MOST_FIELDS fields in all."""

    def __init__(self) -> None:
        self._left = MOST_FIELDS

    def first(self, data: bytes) -> dict[int, int | bytes]:
        """The fields of a message by number, the first of equal ones."""
        found: dict[int, int | bytes] = {}
        for number, value in self.of(data):
            found.setdefault(number, value)
        return found

    def of(self, data: bytes) -> Iterator[tuple[int, int | bytes]]:
        """Number and value of each field. Raises ValueError where `data` breaks, or goes on."""
        at = 0
        while at < len(data):
            self._left -= 1
            if self._left < 0:
                raise ValueError("too many fields")
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
