"""What the crawler tells the metrics. Outcomes come from a fixed list, chains are those held."""

from __future__ import annotations

from collections import Counter

from renown.obs import metrics


def trailed(chain: str, lag_blocks: int) -> None:
    """A chain's facts were read up to so many blocks behind the index."""
    metrics.TRAIL_LAG.labels(chain).set(max(0, lag_blocks))


def attempted(outcomes: list[str], new_documents: int) -> None:
    """Attempts were settled."""
    for outcome, count in Counter(outcomes).items():
        metrics.CRAWL_ATTEMPTS.labels(outcome).inc(count)
    metrics.DOCUMENTS_STORED.inc(new_documents)
