"""A mapping that never holds more than so many bytes: what was not asked for longest goes first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")

OVERHEAD_BYTES = 1_000
"""What an entry takes beside its value, roughly: its key twice, its place, the object itself."""


class Bounded(Generic[V]):
    """Values by text, each put in with the bytes it takes."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._held: OrderedDict[str, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def get(self, key: str) -> V | None:
        """The value, which is now the last to go."""
        found = self._held.get(key)
        if found is None:
            return None
        self._held.move_to_end(key)
        return found[0]

    def put(self, key: str, value: V, size_bytes: int) -> list[tuple[str, V]]:
        """Hold `value`. Returns what had to go for it, the oldest first; itself if it is too big
        to be worth the others."""
        self.pop(key)
        cost = size_bytes + len(key) + OVERHEAD_BYTES
        if cost > self.most_bytes // 8:
            return [(key, value)]
        self._held[key] = (value, cost)
        self.bytes += cost
        gone = []
        while self.bytes > self.most_bytes:
            oldest, (dropped, freed) = self._held.popitem(last=False)
            self.bytes -= freed
            gone.append((oldest, dropped))
        return gone

    def pop(self, key: str) -> V | None:
        """Take one out; None if it is not held."""
        found = self._held.pop(key, None)
        if found is None:
            return None
        self.bytes -= found[1]
        return found[0]

    def clear(self) -> None:
        """Take all out."""
        self._held.clear()
        self.bytes = 0
