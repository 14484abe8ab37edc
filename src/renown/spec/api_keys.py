"""API keys: how they are written, read, and hashed. Pure: randomness comes from the caller.

`ak_{env}_{id}_{secret}_{crc32}`: the id (8 characters) finds the key, the secret (160 bits) proves
it, and the checksum tells a typing mistake from a wrong key without asking anybody. Id and secret
use Crockford's base 32 in lower case, in which no two characters look alike.

Only an HMAC-SHA-256 of the secret is stored, under a pepper that is not in the database. A fast
hash is right here: nobody guesses 160 bits, and slow ones would only make each request dear.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from collections.abc import Mapping
from typing import Literal

import msgspec

Env = Literal["live", "dev"]
"""`dev` are keys of a devnet, so that nobody mistakes one for a key that matters."""

RANDOM_BYTES = 25
"""What `new_key` is given: 5 for the id, 20 for the secret."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_KEY = re.compile(r"ak_(live|dev)_([0-9a-z]{8})_([0-9a-z]{32})_([0-9a-f]{8})", re.ASCII)
_LEAST_PEPPER = 16
_LONGEST_VERSION = 16
_VERSIONED = re.compile(r"([A-Za-z0-9._-]{1,16}):(.+)", re.ASCII | re.DOTALL)


class NewKey(msgspec.Struct, frozen=True):
    """A key just made. `text` is what its holder keeps; it cannot be had again."""

    key_id: str
    secret: str
    text: str

    def __repr__(self) -> str:
        return f"NewKey({self.key_id})"


def new_key(env: Env, random_bytes: bytes) -> NewKey:
    """A key out of `RANDOM_BYTES` bytes of randomness."""
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"{RANDOM_BYTES} bytes are needed")
    key_id, secret = _base32(random_bytes[:5]), _base32(random_bytes[5:])
    body = f"ak_{env}_{key_id}_{secret}"
    return NewKey(key_id, secret, f"{body}_{_checksum(body)}")


def read_key(text: str) -> tuple[str, str] | None:
    """The id and the secret of a key; None if it cannot be one."""
    match = _KEY.fullmatch(text)
    if match is None or not hmac.compare_digest(_checksum(text[:-9]), match[4]):
        return None
    return match[2], match[3]


def hash_secret(pepper: bytes, secret: str) -> bytes:
    """What is stored of a key's secret."""
    return hmac.digest(pepper, secret.encode(), hashlib.sha256)


class Peppers:
    """Secrets that keys are hashed under, the newest first; older ones still open older keys.

    A pepper without a version of its own goes by a fingerprint, so that one that was swapped for
    another by mistake is noticed; one with a version is found by its fingerprint, too.
    """

    def __init__(self, by_version: Mapping[str, bytes]) -> None:
        self.newest, self._newest = next(iter(by_version.items()))
        self._by_version = {fingerprint(pepper): pepper for pepper in by_version.values()}
        self._by_version.update(by_version)

    @classmethod
    def from_setting(cls, text: str) -> Peppers:
        """Read one secret, or several as `version:secret` with commas between, newest first.

        Raises:
            ValueError: one is shorter than 16 characters, or a version is given twice.
        """
        parts = [part.strip() for part in text.split(",") if part.strip()]
        found: dict[str, bytes] = {}
        for part in parts:
            match = _VERSIONED.fullmatch(part)
            secret = (match[2] if match else part).encode()
            if len(secret) < _LEAST_PEPPER:
                raise ValueError(f"each secret needs {_LEAST_PEPPER} characters")
            version = match[1] if match else fingerprint(secret)
            if version in found:
                raise ValueError("each version must be given once")
            found[version] = secret
        if not found:
            raise ValueError("a secret is needed")
        return cls(found)

    def hash_new(self, secret: str) -> bytes:
        """The hash of a new key's secret, under the newest pepper."""
        return hash_secret(self._newest, secret)

    def opens(self, version: str, secret: str, stored: bytes) -> bool:
        """Whether `secret` is the one whose hash under that version is `stored`.

        Takes as long whether the version is known or not.
        """
        pepper = self._by_version.get(version)
        made = hash_secret(self._newest if pepper is None else pepper, secret)
        return hmac.compare_digest(made, stored) and pepper is not None

    def knows(self, version: str) -> bool:
        """Whether keys of that version can be opened here."""
        return version in self._by_version

    def __repr__(self) -> str:
        return f"Peppers({self.newest})"


def fingerprint(pepper: bytes) -> str:
    """A name for a pepper that tells nothing of it."""
    return hmac.digest(pepper, b"renown pepper", hashlib.sha256).hex()[:_LONGEST_VERSION]


def _base32(raw: bytes) -> str:
    bits = int.from_bytes(raw)
    return "".join(_ALPHABET[bits >> shift & 31] for shift in range(len(raw) * 8 - 5, -1, -5))


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
