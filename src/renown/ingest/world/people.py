"""Who owns agents, and which agents are spoken of. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import gcd

from renown.ingest.world.draws import address, shares

_OWNER = 20
_RATED_SHARE = 0.35
_SKEW = 1.9
_TRIES = 12


@lru_cache(maxsize=50_000)
def owner_and_wallet(seed: int, agents: int, ordinal: int) -> tuple[bytes, bytes | None]:
    """Who registered an agent of a world of `agents`, and the wallet that it proved afterwards;
    most proved none.

    One owner has every hundredth agent, no other as many; platforms have a fifth together.
    """
    lot, other, third = shares(seed, _OWNER, ordinal)
    wallet = address(seed, "wallet", ordinal) if third < 0.12 else None
    if lot < 0.01:
        return address(seed, "whale", 0), wallet
    if lot < 0.2:
        return address(seed, "platform", int(500 * other**2)), wallet
    return address(seed, "owner", int(agents * 0.5 * other**1.3)), wallet


class Popular:
    """Which agent of a chain is spoken of next: few again and again, two of three never.

    Ranks are strewn over the ids, so that those often named do not lie side by side.
    """

    def __init__(self, agents: int) -> None:
        self._agents = agents
        self._rated = max(1, int(agents * _RATED_SHARE))
        self._stride = max(1, int(agents * 0.6180339887)) | 1
        while gcd(self._stride, agents) != 1:
            self._stride += 2
        self._offset = agents // 3  # the first of all are not the most spoken of

    def agent(self, random: Callable[[], float], minted: int) -> int:
        """The next one among the first `minted`."""
        rated, stride, agents = self._rated, self._stride, self._agents
        found = 0
        for _ in range(_TRIES):
            found = (int(rated * random() ** _SKEW) * stride + self._offset) % agents
            if found < minted:
                return found
        return found % minted

    def near(self, lot: float, minted: int, number: int, of: int) -> int | None:
        """The agent that `lot` falls to among those whose rank is `number` modulo `of`; None where
        it is not among the first `minted`."""
        rank = int(self._rated * lot**_SKEW)
        rank += number - rank % of
        found = (rank * self._stride + self._offset) % self._agents
        return found if rank < self._rated and found < minted else None
