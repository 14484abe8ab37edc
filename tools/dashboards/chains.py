"""Following the chains: where the index stands, what it stores, how the nodes answer."""

from __future__ import annotations

from tools.dashboards.panels import Dashboard, Panel, Query, Row

OF = 'chain=~"$chain"'
RATE = "[$__rate_interval]"

CHAINS = Dashboard(
    uid="renown-chains",
    title="Chains",
    says="Where the index stands, what it stores, and how the nodes answer.",
    by_chain=True,
    by_instance=False,
    rows=[
        Row(
            "Where it stands",
            [
                Panel(
                    "Behind the head",
                    [Query(f"max by (chain) (renown_indexer_lag_seconds{{{OF}}})", "{{chain}}")],
                    "Age of the newest stored block, 0 while at the head.",
                    unit="s",
                    warn=300,
                    bad=600,
                    runbook="indexer-stalled",
                ),
                Panel(
                    "Blocks behind",
                    [Query(f"max by (chain) (renown_indexer_lag_blocks{{{OF}}})", "{{chain}}")],
                    "Blocks between what is stored and the head.",
                    runbook="indexer-lag",
                ),
                Panel(
                    "Last batch",
                    [
                        Query(
                            "time() - max by (chain)"
                            f" (renown_last_commit_timestamp_seconds{{{OF}}})",
                            "{{chain}}",
                        ),
                        Query(
                            "time() - max by (chain)"
                            f" (renown_chain_head_seen_timestamp_seconds{{{OF}}})",
                            "{{chain}}: head last seen",
                        ),
                    ],
                    "How long ago something was stored, and a node last said where the head is.",
                    unit="s",
                ),
                Panel(
                    "At the head",
                    [Query(f"max by (chain) (renown_indexer_following{{{OF}}})", "{{chain}}")],
                    "1 while the chain is followed at its head.",
                    unit="none",
                    most=1,
                ),
                Panel(
                    "Stored",
                    [
                        Query(
                            "sum by (chain, kind)"
                            f" (rate(renown_events_stored_total{{{OF}}}{RATE}))",
                            "{{chain}} {{kind}}",
                        )
                    ],
                    "Facts stored, backfill included.",
                    unit="ops",
                    stacked=True,
                ),
                Panel(
                    "Happening now",
                    [
                        Query(
                            "sum by (chain, kind)"
                            f" (rate(renown_followed_facts_total{{{OF}}}{RATE}))",
                            "{{chain}} {{kind}}",
                        )
                    ],
                    "Facts of blocks at most ten minutes old.",
                    unit="ops",
                    stacked=True,
                    runbook="feedback-flood",
                ),
            ],
        ),
        Row(
            "Reorganisations, what was refused",
            [
                Panel(
                    "Reorganisations",
                    [
                        Query(
                            f"sum by (chain) (increase(renown_reorgs_total{{{OF}}}[1h]))",
                            "{{chain}}",
                        )
                    ],
                    "Followed within the last hour.",
                ),
                Panel(
                    "Depth, P99 of an hour",
                    [
                        Query(
                            "histogram_quantile(0.99, sum by (le, chain)"
                            f" (rate(renown_reorg_depth_blocks_bucket{{{OF}}}[1h])))",
                            "{{chain}}",
                        )
                    ],
                    "Blocks that reorganisations dropped.",
                    warn=16,
                    bad=64,
                    runbook="deep-reorg",
                ),
                Panel(
                    "Quarantine",
                    [
                        Query(f"max by (chain) (renown_quarantined_logs{{{OF}}})", "{{chain}}"),
                        Query(
                            "sum by (chain, reason)"
                            f" (increase(renown_logs_quarantined_total{{{OF}}}[1h])) > 0",
                            "{{chain}} {{reason}}, last hour",
                        ),
                    ],
                    "Logs held that could not become facts, and why they could not.",
                    runbook="quarantine-growing",
                ),
            ],
        ),
        Row(
            "Nodes",
            [
                Panel(
                    "In use",
                    [Query(f"min by (chain, host) (renown_node_up{{{OF}}})", "{{chain}} {{host}}")],
                    "1 while a node is used, 0 while it is set aside.",
                    unit="none",
                    most=1,
                    runbook="chain-nodes-failing",
                ),
                Panel(
                    "Errors",
                    [
                        Query(
                            "sum by (chain, host, kind)"
                            f" (rate(renown_rpc_errors_total{{{OF}}}{RATE}))",
                            "{{chain}} {{host}} {{kind}}",
                        )
                    ],
                    "Requests to nodes that failed, and how.",
                    unit="reqps",
                    runbook="node-errors",
                ),
                Panel(
                    "P95",
                    [
                        Query(
                            "histogram_quantile(0.95, sum by (le, chain, host)"
                            f" (rate(renown_rpc_seconds_bucket{{{OF}}}{RATE})))",
                            "{{chain}} {{host}}",
                        )
                    ],
                    "Time to a node's whole answer.",
                    unit="s",
                ),
                Panel(
                    "Requests",
                    [
                        Query(
                            f"sum by (chain, host) (rate(renown_rpc_requests_total{{{OF}}}{RATE}))",
                            "{{chain}} {{host}}",
                        )
                    ],
                    "What nodes are asked: what they bill.",
                    unit="reqps",
                    stacked=True,
                ),
                Panel(
                    "Behind the best",
                    [
                        Query(
                            f"max by (chain) (renown_node_head_block{{{OF}}})"
                            " - on (chain) group_right ()"
                            f" max by (chain, host) (renown_node_head_block{{{OF}}})",
                            "{{chain}} {{host}}",
                        )
                    ],
                    "Blocks between the head that a node names and the newest that any names.",
                ),
                Panel(
                    "Sent",
                    [
                        Query(
                            "sum by (chain, verdict)"
                            f" (rate(renown_broadcasts_total{{{OF}}}{RATE}))",
                            "{{chain}} {{verdict}}",
                        ),
                        Query(
                            f"sum by (chain) (rate(renown_operation_blind_total{{{OF}}}{RATE}))",
                            "{{chain}} nobody answers",
                        ),
                    ],
                    "Signed transactions offered to nodes, and what came of it.",
                    unit="ops",
                ),
            ],
        ),
    ],
)
