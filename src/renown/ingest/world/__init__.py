"""Worlds for benches: a population of the network's shape, drawn from a seed, in a database."""

from renown.ingest.world.load import Estimate, Loaded, Progress, estimate, load, refuse_others
from renown.ingest.world.size import WorldSize

__all__ = ["Estimate", "Loaded", "Progress", "WorldSize", "estimate", "load", "refuse_others"]
