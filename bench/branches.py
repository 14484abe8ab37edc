"""Which block of a mock world stands at which number of the chain, on its present branch. Pure.

A reorg does not write new events, which would break gapless ids and indexes: it gives the blocks
from some number on new hashes, and may put everything from there on later by some blocks. So
orphaned events come back, unchanged or at another place, as most do on real chains.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from bench.world import World


@dataclass(frozen=True, slots=True)
class _Piece:
    """From block `first` on: branch number, and the world's blocks shown `shift` later, of
    which `opens` is the first that is not yet shown below."""

    first: int
    branch: int
    shift: int
    opens: int

    def shown_up_to(self, number: int) -> int:
        """The last of the world's blocks shown at or below `number`, if that is in this piece."""
        return max(number - self.shift, self.opens - 1)


@dataclass(frozen=True, slots=True)
class Span:
    """The world's blocks `first_place` up to `end_place`, shown `shift` later than they were
    made; `original` if they have their first hashes still."""

    first_place: int
    end_place: int
    shift: int
    original: bool


class Branches:
    """The chain's present branch. Blocks before the last reorg's first keep their hash."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pieces = [_Piece(0, 0, 0, 0)]
        self._reorgs = 0

    def reorg(self, first: int, *, shift: int = 0) -> None:
        """Give the blocks from `first` on new hashes, and put their events `shift` blocks later."""
        before = self._piece(first)
        self._pieces = [piece for piece in self._pieces if piece.first < first]
        self._reorgs += 1
        opens = before.shown_up_to(first - 1) + 1
        self._pieces.append(_Piece(first, self._reorgs, before.shift + shift, opens))

    def hash(self, number: int) -> bytes:
        """Hash of the block at `number`, as 0x and hex digits; the last eight are the number."""
        branch = self._piece(number).branch
        plain = b"%d/%d/%d" % (self._world.seed, branch, number)
        return b"0x%b%08x" % (hashlib.sha256(plain).hexdigest()[:56].encode(), number)

    def place(self, number: int) -> int | None:
        """Index in `world.blocks` of the block shown at `number`; None if it has no events."""
        piece, blocks = self._piece(number), self._world.blocks
        content = number - piece.shift
        if content < piece.opens:
            return None
        place = bisect_right(blocks, content) - 1
        return place if place >= 0 and blocks[place] == content else None

    def spans(self, first: int, last: int) -> Iterator[Span]:
        """Runs of blocks with events in `first..last`, ascending."""
        blocks = self._world.blocks
        ends = [piece.first - 1 for piece in self._pieces[1:]] + [last]
        for piece, end in zip(self._pieces, ends, strict=True):
            low = max(piece.opens, max(first, piece.first) - piece.shift)
            high = min(last, end) - piece.shift
            first_place, end_place = bisect_right(blocks, low - 1), bisect_right(blocks, high)
            if first_place < end_place:
                yield Span(first_place, end_place, piece.shift, piece.branch == 0)

    def shown_up_to(self, number: int) -> int:
        """The last of the world's blocks shown at or below `number`."""
        return self._piece(number).shown_up_to(number)

    def _piece(self, number: int) -> _Piece:
        for piece in reversed(self._pieces):
            if piece.first <= number:
                return piece
        return self._pieces[0]
