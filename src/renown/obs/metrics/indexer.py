"""What is read from chains, and how far behind them the index is."""

from __future__ import annotations

from renown.obs.metrics.registry import (
    CHAIN,
    SECONDS,
    counter,
    gauge,
    histogram,
    one_of,
)
from renown.spec.events import KINDS

KIND = one_of(*KINDS.values())
REASON = one_of(
    *("unknown-topic", "topic-count", "bad-hex", "truncated-data", "bad-offset", "bad-length"),
    *("dirty-padding", "topic-mismatch", "id-too-large", "index-out-of-range"),
    *("value-out-of-range", "decimals-out-of-range", "response-out-of-range"),
    *("version-out-of-range", "oversized", "unexpected-contract", "bad-place"),
)

EVENTS_STORED = counter(
    "renown_events_stored_total", "Facts stored, by kind of event.", {"chain": CHAIN, "kind": KIND}
)
FOLLOWED_FACTS = counter(
    "renown_followed_facts_total",
    "Facts stored while following the head, whose block is at most ten minutes old: what happens on"
    " the chain now. Never backfill, replay or rebuild.",
    {"chain": CHAIN, "kind": KIND},
)
LOGS_QUARANTINED = counter(
    "renown_logs_quarantined_total",
    "Logs that could not become facts, by reason.",
    {"chain": CHAIN, "reason": REASON},
)
QUARANTINED_LOGS = gauge(
    "renown_quarantined_logs", "Logs held that could not become facts.", {"chain": CHAIN}
)
REORGS = counter("renown_reorgs_total", "Reorganisations followed.", {"chain": CHAIN})
REORG_DEPTH = histogram(
    "renown_reorg_depth_blocks",
    "Blocks that a reorganisation dropped.",
    {"chain": CHAIN},
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
HEIGHT = gauge("renown_indexer_height_block", "Newest block stored.", {"chain": CHAIN})
HEAD = gauge("renown_chain_head_block", "Newest block of the chain.", {"chain": CHAIN})
LAG_BLOCKS = gauge(
    "renown_indexer_lag_blocks", "Blocks between what is stored and the head.", {"chain": CHAIN}
)
LAG_SECONDS = gauge(
    "renown_indexer_lag_seconds",
    "How long the head has been ahead of what is stored: 0 at the head, else the age of the newest"
    " block stored. Grows on while no node answers or nothing indexes.",
    {"chain": CHAIN},
)
FOLLOWING = gauge(
    "renown_indexer_following",
    "1 while the chain is followed at its head, 0 while it is caught up with or stands still.",
    {"chain": CHAIN},
)
HEAD_SEEN = gauge(
    "renown_chain_head_seen_timestamp_seconds",
    "When a node last named the chain's head, Unix time.",
    {"chain": CHAIN},
)
COMMIT_SECONDS = histogram(
    "renown_commit_seconds",
    "Time to store one batch, from the first statement to the commit.",
    {"chain": CHAIN},
    buckets=(*SECONDS, 60, 120),
)
LAST_COMMIT = gauge(
    "renown_last_commit_timestamp_seconds",
    "When a batch of the chain was last stored, Unix time.",
    {"chain": CHAIN},
)
COVERAGE = gauge(
    "renown_coverage",
    "1 for the state that the last check of completeness found the chain in.",
    {"chain": CHAIN, "state": one_of("proven", "single-source", "gap", "unknown")},
)
