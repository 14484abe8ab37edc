"""What feedback says: tags, values, endpoints, in the shares of the network. Pure.

Scaled values are mostly whole and from 0 to 100, some have decimals, a few are negative; one tag in
eight is empty, and a long tail of tags is hardly ever used.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import NamedTuple

from renown.ingest.world.draws import place_random, word


class Saying(NamedTuple):
    """One feedback's content: `value / 10**decimals` under two tags."""

    value: int
    decimals: int
    tag1: bytes
    tag2: bytes


# Of a thousand: tag1, tag2, and how its values lie.
_TAGS: tuple[tuple[int, str, str, str], ...] = (
    (230, "trust", "", "percent"),
    (40, "trust", "identity", "percent"),
    (137, "liveness", "", "flag"),
    (90, "quality", "", "percent"),
    (41, "quality", "response", "percent"),
    (122, "", "", "percent"),
    (84, "reachable", "", "flag"),
    (65, "starred", "", "percent"),
    (59, "responseTime", "", "milliseconds"),
    (16, "helpful", "", "stars"),
    (7, "review", "", "stars"),
    (5, "Helpful", "", "stars"),
    (4, "\N{SPARKLES}", "", "stars"),
    (4, "uptime", "30d", "hundredths"),
    (3, "tradingYield", "month", "yield"),
    (3, "revenues", "USD", "wei"),
)
_LONG_TAIL = 90  # of a thousand, over so many tags:
_RARE_TAGS = 400
SAYINGS = 20_000
_FORMS = ("percent", "stars", "hundredths", "flag")

_ALL = _TAGS + tuple(
    (1, word(3 * n + 2), word(n + 1) if n % 5 == 0 else "", _FORMS[n % 4])
    for n in range(_RARE_TAGS)
)
_WEIGHTS = [float(one[0]) for one in _TAGS] + [_LONG_TAIL / _RARE_TAGS] * _RARE_TAGS
_BOUNDS = list(accumulate(_WEIGHTS))
_TOTAL = _BOUNDS[-1]


@lru_cache(maxsize=2)
def sayings(seed: int) -> tuple[Saying, ...]:
    """What feedback of a world says: each is as likely as the others to be said next."""
    rng = place_random(seed, "sayings")
    return tuple(_drawn(rng) for _ in range(SAYINGS))


def _drawn(rng: Random) -> Saying:
    random = rng.random
    _, tag1, tag2, form = _ALL[bisect_right(_BOUNDS, random() * _TOTAL)]
    lot = random()
    if form == "percent":
        value, decimals = int(100 * lot**0.35), 0
    elif form == "flag":
        value, decimals = (100 if lot < 0.7 else 1 if lot < 0.85 else 0), 0
    elif form == "stars":
        value, decimals = 1 + int(5 * lot**0.4), 0
    elif form == "milliseconds":
        value, decimals = 40 + int(2_000 * lot**4), 0
    elif form == "hundredths":
        value, decimals = 8_000 + int(2_001 * lot), 2
    elif form == "yield":
        value, decimals = int(4_000 * (lot - 0.4)), 2
    else:
        value, decimals = int(5_000 * lot**3) * 10**15, 18
    if lot > 0.998:
        value = -value
    return Saying(value, decimals, tag1.encode(), tag2.encode())


TAG_PAIRS: tuple[tuple[bytes, bytes], ...] = tuple(
    dict.fromkeys((tag1.encode(), tag2.encode()) for _, tag1, tag2, _ in _ALL)
)
"""Every pair of tags that feedback of a world has."""
