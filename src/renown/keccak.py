"""Keccak-256 of short messages, with what the library spends around each left out.

`eth_hash` makes an object of pycryptodome for each message, which takes four times as long as the
permutation; a page of answers spells a hundred addresses, each by a hash. Here each thread keeps
one sponge of the same library and squeezes it anew. Its functions are promised to nobody, and one
with other parameters would read beyond what it is given. So only versions whose functions are known
are called; of any other, or one that does not answer as it should, `keccak` is that of `eth_hash`.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from importlib.util import find_spec

import Crypto
from eth_hash.auto import keccak as _of_library

_KNOWN_FROM, _KNOWN_BEFORE = (3, 20), (3, 25)
"""Versions of pycryptodome whose functions are as called here. A later one: see what
`Crypto/Hash/keccak.py` declares."""

_CAPACITY_BYTES, _ROUNDS, _PADDING = 64, 24, 0x01
_SIZE_BYTES = 32


class _Sponge(threading.local):
    """One for each thread: the library gives up the interpreter's lock while it works."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.held = _Held(library)
        self.state = self.held.state
        self.digest = ctypes.create_string_buffer(_SIZE_BYTES)


class _Held:
    """A state of the library, given back with the thread that it was made for."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.state = ctypes.c_void_p()
        self._destroy = library.keccak_destroy
        if library.keccak_init(ctypes.byref(self.state), _CAPACITY_BYTES, _ROUNDS):
            raise OSError("the library gave no state")

    def __del__(self) -> None:
        self._destroy(self.state)


def _found() -> Callable[[bytes], bytes]:
    if not _KNOWN_FROM <= Crypto.version_info[:2] < _KNOWN_BEFORE:
        raise OSError("not a version that is known")
    spec = find_spec("Crypto.Hash._keccak")
    if spec is None or spec.origin is None:
        raise OSError("no such library")
    library = ctypes.CDLL(spec.origin)
    pointer, size, byte = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_ubyte
    library.keccak_init.argtypes = [ctypes.POINTER(pointer), size, byte]
    library.keccak_reset.argtypes = library.keccak_destroy.argtypes = [pointer]
    library.keccak_absorb.argtypes = [pointer, ctypes.c_char_p, size]
    library.keccak_digest.argtypes = [pointer, ctypes.c_char_p, size, byte]
    reset, absorb = library.keccak_reset, library.keccak_absorb
    squeeze = library.keccak_digest
    sponge = _Sponge(library)

    def keccak(message: bytes) -> bytes:
        state, digest = sponge.state, sponge.digest
        if (
            reset(state)
            or absorb(state, message, len(message))
            or squeeze(state, digest, _SIZE_BYTES, _PADDING)
        ):
            raise OSError("the library could not hash")
        return digest.raw

    if any(keccak(bytes(length)) != _of_library(bytes(length)) for length in (0, 40, 136, 300)):
        raise OSError("the library hashes otherwise")
    return keccak


keccak: Callable[[bytes], bytes]
"""Keccak-256 of a message: 32 bytes."""
try:
    keccak = _found()
except (OSError, AttributeError, ImportError):
    keccak = _of_library
