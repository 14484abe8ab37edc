"""Numbers, words, names and addresses of a world: each a function of the seed and its place. Pure.

Nothing is taken from real agents. Words are made of syllables, and come as texts have them: the
frequency of a word falls with its rank (Zipf).
"""

from __future__ import annotations

import math
from functools import lru_cache
from hashlib import blake2b
from random import Random

WORDS = 50_000
_MASK = 2**64 - 1
_LN_WORDS = math.log(WORDS)
_LETTERS = str.maketrans("0123456789abcdef", "aeioubdfgklmnprt")


def mixed(seed: int, kind: int, number: int) -> int:
    """64 bits that look drawn: splitmix64 of the place. Equal places give equal bits."""
    z = (number * 0x9E3779B97F4A7C15 + (seed << 8 | kind) * 0xD1B54A32D192ED03 + 1) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def shares(seed: int, kind: int, number: int) -> tuple[float, float, float]:
    """Three numbers from 0 up to 1, of a place."""
    drawn = mixed(seed, kind, number)
    return (drawn >> 43) / 2**21, (drawn >> 21 & 0x3FFFFF) / 2**22, (drawn & 0x1FFFFF) / 2**21


def share(seed: int, kind: int, number: int) -> float:
    """From 0 up to 1, of a place."""
    return mixed(seed, kind, number) / 2**64


def place_random(seed: int, *place: int | str) -> Random:
    """A source of draws of its own for one place."""
    return Random(f"{seed}/{'/'.join(map(str, place))}")


@lru_cache(maxsize=50_000)
def address(seed: int, kind: str, number: int) -> bytes:
    """20 bytes; no two kinds or numbers have the same."""
    return blake2b(f"{kind}/{number}".encode(), digest_size=20, salt=seed.to_bytes(8)).digest()


def digest(seed: int, kind: bytes, first: int, second: int = 0) -> bytes:
    """32 bytes of a place. `kind` is of 8 bytes at most."""
    return blake2b(
        first.to_bytes(8) + second.to_bytes(8), digest_size=32, salt=seed.to_bytes(8), person=kind
    ).digest()


def word(rank: int) -> str:
    """The word of that rank: the most frequent is of rank 1; no two alike."""
    return f"{rank * 7919 % 65536:x}".translate(_LETTERS) + "o"


def zipf(rng: Random, most: int = WORDS) -> int:
    """A rank from 1 to `most` whose frequency falls with its reciprocal."""
    return int(math.exp(rng.random() * math.log(most)))


def words(rng: Random, count: int) -> str:
    """So many words, with spaces between them."""
    exp, random = math.exp, rng.random
    return " ".join([_WORD[int(exp(random() * _LN_WORDS))] for _ in range(count)])


_WORD = [word(rank) for rank in range(WORDS + 1)]
