"""What is left of a file without the parts that a mint fills in. Pure."""

from __future__ import annotations

import hashlib

import msgspec

_HEX_DIGITS = b"0123456789abcdefABCDEF"
_SHORTEST_NAME = 3

_encode = msgspec.json.Encoder().encode


def template_of(content: bytes, name: str | None, image: str | None) -> bytes:
    """The same 16 bytes for files that differ only in what a mint fills in.

    That is numbers, addresses, hashes, UUIDs, and wherever they stand the agent's own name and
    picture. Hexadecimal digits are left out everywhere, also inside words: it is quick, and files
    that differ in nothing but such letters are no two texts either.

    Args:
        content: the file as compact JSON.
        name: of the agent; shorter ones than three letters stay, they would be found everywhere.
    """
    rest = content
    if name is not None and len(name) >= _SHORTEST_NAME:
        rest = rest.replace(_encode(name)[1:-1], b"")
    if image is not None:
        rest = rest.replace(_encode(image)[1:-1], b"")
    return hashlib.sha256(rest.translate(None, _HEX_DIGITS)).digest()[:16]
