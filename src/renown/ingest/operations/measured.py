"""What the watcher tells the metrics. Chains go by their slugs; states and verdicts are fixed."""

from __future__ import annotations

from renown.derive.operation import StepState
from renown.obs import metrics
from renown.spec.transactions import Sent


def moved(chain: str, state: StepState) -> None:
    """A transaction of an operation came into a state."""
    metrics.OPERATION_MOVES.labels(chain, state).inc()


def offered(chain: str, sent: Sent) -> None:
    """Signed bytes were offered to the nodes."""
    metrics.BROADCASTS.labels(chain, sent.verdict).inc()


def unseen(chain: str) -> None:
    """No node of the chain could be asked."""
    metrics.OPERATION_BLIND.labels(chain).inc()
