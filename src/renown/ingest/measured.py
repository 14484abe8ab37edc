"""What the workers tell the metrics. The labels are bounded: chains, hosts, kinds, reasons."""

from __future__ import annotations

import time

from renown.obs import metrics
from renown.spec.events import KINDS
from renown.store.writer import Prepared

_FAILED = frozenset({"limited", "refused", "failed", "inconsistent"})


class NodeMeter:
    """Counts questions to nodes; the observer of a `ChainSource`. `chain` is its slug."""

    def __init__(self, chain: str) -> None:
        self._chain = chain

    def node_asked(self, chain_id: int, host: str, what: str, outcome: str, seconds: float) -> None:
        """See `chain.member.NodeObserver`."""
        metrics.RPC_REQUESTS.labels(self._chain, host, what).inc()
        metrics.RPC_SECONDS.labels(self._chain, host).observe(seconds)
        if outcome in _FAILED:
            metrics.RPC_ERRORS.labels(self._chain, host, outcome).inc()


def stored(chain: str, ready: Prepared, commit_seconds: float) -> None:
    """A stretch was committed."""
    for kind, rows in ready.fact_rows.items():
        metrics.EVENTS_STORED.labels(chain, KINDS[kind]).inc(len(rows))
    for log in ready.extension.quarantined:
        metrics.LOGS_QUARANTINED.labels(chain, log.reason).inc()
    metrics.COMMIT_SECONDS.labels(chain).observe(commit_seconds)
    metrics.HEIGHT.labels(chain).set(ready.extension.last.number)
    metrics.LAST_COMMIT.labels(chain).set(time.time())


def seen(chain: str, head_block: int, block_number: int) -> None:
    """The head was asked for."""
    metrics.HEAD.labels(chain).set(head_block)
    metrics.LAG_BLOCKS.labels(chain).set(max(0, head_block - block_number))


def undone(chain: str, depth_blocks: int) -> None:
    """A reorg was undone."""
    metrics.REORGS.labels(chain).inc()
    metrics.REORG_DEPTH.labels(chain).observe(depth_blocks)
