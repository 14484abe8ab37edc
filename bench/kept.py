"""Logs and blooms of a world's original branch, rendered once and kept in memory.

About 1.4 kB an event. A range of logs is then one slice, so that the node takes a tenth of the
CPU time it would take to render it: on a machine of two cores that time is the indexer's.
"""

from __future__ import annotations

from array import array

from bench.branches import Branches
from bench.wire import Wire

BLOOM_DIGITS = 512


class Kept:
    """What `wire` would render for each block as long as no reorg moved it."""

    def __init__(self, wire: Wire, original: Branches) -> None:
        world = wire.world
        self._text = bytearray()
        self._starts = array("Q", [0])
        self._blooms = bytearray()
        for place, number in enumerate(world.blocks):
            logs = wire.logs(place, number, original.hash(number), (0, 1, 2))
            self._text += b"".join(logs)
            self._starts.append(len(self._text))
            self._blooms += wire.bloom(place)

    def logs(self, first_place: int, end_place: int) -> memoryview:
        """All logs of a run of blocks, each beginning with a comma."""
        starts = self._starts
        return memoryview(self._text)[starts[first_place] : starts[end_place]]

    def bloom(self, place: int) -> bytes:
        """Bloom of a block, in hex. Reorgs leave it as it is."""
        return bytes(self._blooms[place * BLOOM_DIGITS : (place + 1) * BLOOM_DIGITS])
