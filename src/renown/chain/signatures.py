"""ECDSA over secp256k1 as Ethereum uses it: who signed a digest, and signing one."""

from __future__ import annotations

import coincurve
from eth_hash.auto import keccak

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
LOWER_HALF = CURVE_ORDER // 2
"""The highest `s` that counts: of the two that a signature can have, the lower (EIP-2)."""


def recover(digest: bytes, r: int, s: int, y_parity: int) -> bytes | None:
    """The address whose key signed `digest`; None where this is no signature, or one of high `s`.

    Any 32 bytes are signed by somebody for almost any `r`: an address is only worth something
    beside the one that was expected.
    """
    if not (0 < r < CURVE_ORDER and 0 < s <= LOWER_HALF and y_parity in (0, 1)):
        return None
    signature = r.to_bytes(32) + s.to_bytes(32) + bytes([y_parity])
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # noqa: BLE001 - what the library raises where no point has this `r`
        return None
    return address_of(key)


def address_of(key: coincurve.PublicKey) -> bytes:
    """The 20 bytes of a public key's account."""
    return keccak(key.format(compressed=False)[1:])[12:]


def recover_signature(digest: bytes, signature: bytes, *, strict: bool = False) -> bytes | None:
    """The address behind a signature of 65 bytes (`r`, `s`, `v`) or 64 (EIP-2098); None if none.

    Args:
        strict: only what OpenZeppelin's ECDSA takes: 65 bytes with `v` 27 or 28. Otherwise `v` may
            be 0 or 1 as well.
    """
    if len(signature) == 65:
        parity = signature[64]
        if parity >= 27:
            parity -= 27
        elif strict:
            return None
        s = int.from_bytes(signature[32:64])
    elif len(signature) == 64 and not strict:
        packed = int.from_bytes(signature[32:])
        parity, s = packed >> 255, packed & ((1 << 255) - 1)
    else:
        return None
    return recover(digest, int.from_bytes(signature[:32]), s, parity)


def personal_digest(message: bytes) -> bytes:
    """What `personal_sign` signs of a message (EIP-191, version 0x45)."""
    return keccak(b"\x19Ethereum Signed Message:\n%d" % len(message) + message)


def sign_digest(key: coincurve.PrivateKey, digest: bytes) -> tuple[int, int, int]:
    """`(r, s, y_parity)`, deterministic (RFC 6979) and of low `s`."""
    signature = key.sign_recoverable(digest, hasher=None)
    return int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), signature[64]


def signature_of(key: coincurve.PrivateKey, digest: bytes) -> bytes:
    """The 65 bytes `r`, `s`, `v` (27 or 28) that contracts take."""
    r, s, parity = sign_digest(key, digest)
    return r.to_bytes(32) + s.to_bytes(32) + bytes([27 + parity])
