"""What the notary tells the metrics."""

from __future__ import annotations

import time

from renown.obs import metrics
from renown.store.audit_leaves import Backlog


def sequenced(leaves: int) -> None:
    """The log has so many leaves now."""
    metrics.AUDIT_LEAVES.set(leaves)


def waiting(found: Backlog) -> None:
    """The backlog was counted."""
    metrics.AUDIT_PENDING.set(found.entries)
    metrics.AUDIT_PENDING_OLDEST.set(found.oldest_seconds)


def signed(size: int) -> None:
    """The newest checkpoint covers so many leaves, and was signed, or found to be the newest
    still."""
    metrics.AUDIT_CHECKPOINT.set(time.time())
    metrics.AUDIT_CHECKPOINT_SIZE.set(size)


def broken(is_broken: bool) -> None:
    """Whether the log was found to contradict its past."""
    metrics.AUDIT_BROKEN.set(int(is_broken))
