"""What the payment worker tells the metrics. States and reasons come from fixed lists."""

from __future__ import annotations

from renown.obs import metrics
from renown.store.payments import Settled


def settled(found: Settled) -> None:
    """The claims about a transaction were settled."""
    for (state, reason), count in found.changed.items():
        metrics.PAYMENT_CLAIMS.labels(state, reason or "").inc(count)
