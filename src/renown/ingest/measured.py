"""What the workers tell the metrics. The labels are bounded: chains, hosts, kinds, reasons."""

from __future__ import annotations

import time

from renown.obs import metrics
from renown.spec.deployments import DEPLOYMENTS
from renown.spec.events import KINDS
from renown.store.writer import Extension, Prepared

RECENT_SECONDS = 600
"""Facts whose block is older did not happen now."""

_FAILED = frozenset({"limited", "refused", "failed", "inconsistent"})
_SET_ASIDE = frozenset({"limited", "failed", "inconsistent"})


class NodeMeter:
    """Counts questions to the nodes of any chain; the observer of a `ChainSource`."""

    def node_asked(self, chain_id: int, host: str, what: str, outcome: str, seconds: float) -> None:
        """See `chain.member.NodeObserver`."""
        chain = DEPLOYMENTS[chain_id].slug if chain_id in DEPLOYMENTS else str(chain_id)
        metrics.RPC_REQUESTS.labels(chain, host, what).inc()
        metrics.RPC_SECONDS.labels(chain, host).observe(seconds)
        if outcome in _FAILED:
            metrics.RPC_ERRORS.labels(chain, host, outcome).inc()
        metrics.NODE_UP.labels(chain, host).set(outcome not in _SET_ASIDE)


def stored(chain: str, ready: Prepared, commit_seconds: float, *, following: bool) -> None:
    """A stretch was committed; while `following`, in the window behind the head."""
    for kind, rows in ready.fact_rows.items():
        metrics.EVENTS_STORED.labels(chain, KINDS[kind]).inc(len(rows))
    for log in ready.extension.quarantined:
        metrics.LOGS_QUARANTINED.labels(chain, log.reason).inc()
    metrics.COMMIT_SECONDS.labels(chain).observe(commit_seconds)
    metrics.HEIGHT.labels(chain).set(ready.extension.last.number)
    metrics.LAST_COMMIT.labels(chain).set(time.time())
    if following:
        _followed(chain, ready.extension)


def _followed(chain: str, stretch: Extension) -> None:
    since = time.time() - RECENT_SECONDS
    if stretch.last.time_seconds < since:
        return
    recent = {block.number for block in stretch.blocks if block.time_seconds >= since}
    for fact in stretch.facts:
        if fact.block_number in recent:
            metrics.FOLLOWED_FACTS.labels(chain, KINDS[type(fact)]).inc()


def seen(chain: str, head_block: int, host: str, block_number: int) -> None:
    """The head was asked for, and `host` named it."""
    metrics.HEAD.labels(chain).set(head_block)
    metrics.NODE_HEAD.labels(chain, host).set(head_block)
    metrics.LAG_BLOCKS.labels(chain).set(max(0, head_block - block_number))


def undone(chain: str, depth_blocks: int) -> None:
    """A reorg was undone."""
    metrics.REORGS.labels(chain).inc()
    metrics.REORG_DEPTH.labels(chain).observe(depth_blocks)
