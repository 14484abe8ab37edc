"""Content addresses: CIDs of raw blocks, of files and of folders. Pure.

Sources: multiformats CIDv0 and CIDv1, IPLD dag-pb, UnixFS. One block each: what the devnet serves
is small.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import msgspec

_RAW, _DAG_PB = 0x55, 0x70
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Block(msgspec.Struct, frozen=True):
    """A block and the address that its bytes give it."""

    cid: str
    data: bytes


def raw_block(content: bytes) -> Block:
    """`content` as it is, under a CIDv1 in base32."""
    return Block(_base32(_RAW, content), content)


def file_block(content: bytes) -> Block:
    """`content` wrapped as a UnixFS file, under a CIDv0: what `ipfs add` makes of a small file."""
    size = _varint(len(content))
    unixfs = b"\x08\x02" + _field(2, content) + b"\x18" + size
    node = _field(1, unixfs)
    return Block(_base58(b"\x12\x20" + hashlib.sha256(node).digest()), node)


def folder_block(files: Mapping[str, bytes]) -> Block:
    """A UnixFS folder of raw blocks, under a CIDv1. Links go by name, before the data."""
    links = b"".join(
        _field(
            2,
            _field(1, b"\x01\x55\x12\x20" + hashlib.sha256(content).digest())
            + _field(2, name.encode())
            + b"\x18"
            + _varint(len(content)),
        )
        for name, content in sorted(files.items())
    )
    node = links + _field(1, b"\x08\x01")
    return Block(_base32(_DAG_PB, node), node)


def _base32(codec: int, data: bytes) -> str:
    multihash = b"\x12\x20" + hashlib.sha256(data).digest()
    text = base64.b32encode(bytes((1, codec)) + multihash)
    return "b" + text.decode().lower().rstrip("=")


def _base58(data: bytes) -> str:
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return text  # a multihash has no leading zero bytes, which would need leading ones


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field of protocol buffers."""
    return bytes((number << 3 | 2,)) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
