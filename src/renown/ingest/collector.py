"""Python's cycle collector, set for a process that makes millions of short-lived tuples."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 200_000
"""Allocations between collections. With the default of 700 the batch in hand is walked over and
over for cycles it cannot hold, which was a seventh of the indexer's CPU time."""


def calm_collector() -> None:
    """Collect seldom, and never again what is loaded by now. For the start of an indexer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 100)
