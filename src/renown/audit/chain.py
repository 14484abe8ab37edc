"""The hash chain over the same leaves as the tree: cheap to check from any point on.

The link of an entry is the SHA-256 of 0x00, the link before, and the leaf's hash. It is made of
hashes only, so that it can be checked after retention took the entries.
"""

from __future__ import annotations

from hashlib import sha256

FIRST_LINK = bytes(32)
"""The link before the first entry."""


def link_hash(before: bytes, leaf: bytes) -> bytes:
    """The link of the entry whose leaf hash is `leaf`."""
    return sha256(b"\x00" + before + leaf).digest()
