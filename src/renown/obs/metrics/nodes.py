"""Nodes of the chains."""

from __future__ import annotations

from renown.obs.metrics.registry import (
    CHAIN,
    NODE,
    SECONDS,
    Domain,
    counter,
    gauge,
    histogram,
    one_of,
)

RPC_REQUESTS = counter(
    "renown_rpc_requests_total",
    "Requests sent to a node.",
    {
        "chain": CHAIN,
        "host": NODE,
        "method": Domain("what was asked, in words of the code (`the head`, `logs`, …)", 24),
    },
)
RPC_ERRORS = counter(
    "renown_rpc_errors_total",
    "Requests to a node that failed, by what went wrong.",
    {
        "chain": CHAIN,
        "host": NODE,
        "kind": one_of("limited", "refused", "failed", "inconsistent"),
    },
)
RPC_SECONDS = histogram(
    "renown_rpc_seconds",
    "Time from sending a request to its whole answer.",
    {"chain": CHAIN, "host": NODE},
    buckets=(*SECONDS, 60),
)
NODE_UP = gauge(
    "renown_node_up",
    "1 while a node is used, 0 while it is set aside: by its last answer.",
    {"chain": CHAIN, "host": NODE},
)
NODE_HEAD = gauge(
    "renown_node_head_block",
    "Newest block a node has named.",
    {"chain": CHAIN, "host": NODE},
)
