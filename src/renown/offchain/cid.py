"""Content identifiers: reading one, and whether bytes are what it names. Pure.

Source: the CID, multibase, multicodec and multihash specifications.
"""

from __future__ import annotations

import base64
import hashlib

import msgspec

RAW, DAG_PB, DAG_CBOR, LIBP2P_KEY, DAG_JSON, JSON = 0x55, 0x70, 0x71, 0x72, 0x0129, 0x0200
AS_THEY_ARE = frozenset((RAW, JSON, DAG_JSON))
"""Codecs whose block is the content, byte by byte."""

LONGEST_TEXT = 256

_IDENTITY = 0x00
_HASHES = {
    0x12: lambda data: hashlib.sha256(data).digest(),
    0x13: lambda data: hashlib.sha512(data).digest(),
    0xB220: lambda data: hashlib.blake2b(data, digest_size=32).digest(),
}
_BASE_58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE_36 = "0123456789abcdefghijklmnopqrstuvwxyz"


class Cid(msgspec.Struct, frozen=True):
    """One content identifier. `hash_code` and `digest` are the multihash."""

    codec: int
    hash_code: int
    digest: bytes

    @property
    def inline(self) -> bytes | None:
        """The content, where the identifier itself carries it (identity hash)."""
        return self.digest if self.hash_code == _IDENTITY else None

    def names(self, block: bytes) -> bool | None:
        """Whether `block` is the one this identifies; None for hashes we do not compute."""
        if self.hash_code == _IDENTITY:
            return block == self.digest
        compute = _HASHES.get(self.hash_code)
        return None if compute is None else compute(block) == self.digest


def read_cid(text: str) -> Cid | None:
    """Read version 0 (`Qm…`) or 1 in base 16, 32, 36, 58 or 64 (RFC 4648, for URLs); else None."""
    if not text or len(text) > LONGEST_TEXT or not text.isascii():
        return None
    if len(text) == 46 and text.startswith("Qm"):
        return _version_0(_from_base(text, _BASE_58))
    try:
        data = _from_multibase(text[0], text[1:])
    except ValueError:
        return None
    return cid_of(data) if data is not None and data[:1] == b"\x01" else None


def cid_of(data: bytes) -> Cid | None:
    """Read the binary form, as links between blocks have it; None if it is none."""
    if len(data) == 34 and data[:2] == b"\x12\x20":
        return _version_0(data)
    version, data = _varint(data)
    codec, data = _varint(data)
    hash_code, data = _varint(data)
    size, digest = _varint(data)
    if version != 1 or codec is None or hash_code is None or size != len(digest):
        return None
    return Cid(codec, hash_code, digest)


def _version_0(data: bytes | None) -> Cid | None:
    if data is None or len(data) != 34 or data[:2] != b"\x12\x20":
        return None
    return Cid(DAG_PB, 0x12, data[2:])


def _from_multibase(prefix: str, text: str) -> bytes | None:
    if prefix in "fF":
        return bytes.fromhex(text) if text.isalnum() else None
    if prefix in "bB":
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    if prefix == "z":
        return _from_base(text, _BASE_58)
    if prefix in "kK":
        return _from_base(text.lower(), _BASE_36)
    if prefix == "u":
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    return None


def _from_base(text: str, alphabet: str) -> bytes | None:
    number = 0
    for character in text:
        digit = alphabet.find(character)
        if digit < 0:
            return None
        number = number * len(alphabet) + digit
    zeros = len(text) - len(text.lstrip(alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)


def _varint(data: bytes) -> tuple[int | None, bytes]:
    """An unsigned varint of at most 9 bytes, and what follows it; (None, b"") if there is none."""
    number = 0
    for index, byte in enumerate(data[:9]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, data[index + 1 :]
    return None, b""
