"""Asking the endpoints that agents declare whether there is something behind them."""

from renown.ingest.prober.prober import Prober
from renown.ingest.prober.rounds import Tally

__all__ = ["Prober", "Tally"]
