"""Is it well, and if not, where to look."""

from __future__ import annotations

from tools.dashboards.panels import Dashboard, Panel, Query, Row, stat

UP = ((0, "down", "red"), (1, "up", "green"))

OVERVIEW = Dashboard(
    uid="renown-overview",
    title="Overview",
    says="Is it well, and if not, where to look.",
    by_instance=False,
    rows=[
        Row(
            "Now",
            [
                stat(
                    "Database",
                    "min(renown_db_up)",
                    "Whether every process reaches the database.",
                    words=UP,
                    bad=1,
                    low_is_bad=True,
                    runbook="database-down",
                ),
                stat(
                    "Redis",
                    "min(renown_redis_up)",
                    "Whether every API process reaches Redis; empty where none is configured.",
                    words=UP,
                    bad=1,
                    low_is_bad=True,
                    runbook="redis-down",
                ),
                stat(
                    "Errors",
                    '(sum(rate(renown_http_requests_total{status=~"5.."}[5m])) or vector(0))'
                    " / sum(rate(renown_http_requests_total[5m]))",
                    "Share of requests answered with 5xx, over five minutes.",
                    unit="percentunit",
                    warn=0.01,
                    bad=0.05,
                    runbook="error-rate-high",
                ),
                stat(
                    "P95",
                    "histogram_quantile(0.95, sum by (le) (rate(renown_http_seconds_bucket[5m])))",
                    "Time within which 95 of 100 requests are answered.",
                    unit="s",
                    warn=0.5,
                    bad=2,
                    runbook="latency-high",
                ),
                stat(
                    "Behind the head",
                    "max(renown_indexer_lag_seconds)",
                    "Age of the newest stored block, of the chain furthest behind; 0 at the head.",
                    unit="s",
                    warn=300,
                    bad=600,
                    runbook="indexer-stalled",
                ),
                stat(
                    "Audit log",
                    "max(renown_audit_broken)",
                    "Whether the notary found that the log contradicts its past.",
                    words=((0, "whole", "green"), (1, "broken", "red")),
                    bad=1,
                    runbook="audit-chain-broken",
                ),
            ],
        ),
        Row(
            "Requests",
            [
                Panel(
                    "Requests",
                    [
                        Query(
                            "sum by (status) (rate(renown_http_requests_total[$__rate_interval]))",
                            "{{status}}",
                        )
                    ],
                    "Requests answered, by status.",
                    unit="reqps",
                    stacked=True,
                    runbook="traffic-high",
                ),
                Panel(
                    "Latency",
                    [
                        Query(
                            f"histogram_quantile({share}, sum by (le)"
                            " (rate(renown_http_seconds_bucket[$__rate_interval])))",
                            name,
                        )
                        for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
                    ],
                    "Time to answer, to the last byte.",
                    unit="s",
                    bad=2,
                    runbook="latency-high",
                ),
                Panel(
                    "Errors",
                    [
                        Query(
                            '(sum(rate(renown_http_requests_total{status=~"5.."}'
                            "[$__rate_interval])) or vector(0))"
                            " / sum(rate(renown_http_requests_total[$__rate_interval]))",
                            "5xx",
                        ),
                        Query(
                            '(sum(rate(renown_http_requests_total{status="429"}'
                            "[$__rate_interval])) or vector(0))"
                            " / sum(rate(renown_http_requests_total[$__rate_interval]))",
                            "429",
                        ),
                    ],
                    "Share of requests answered with an error of ours, and of those over a limit.",
                    unit="percentunit",
                    bad=0.05,
                    runbook="error-rate-high",
                ),
            ],
        ),
        Row(
            "What stands behind them",
            [
                Panel(
                    "Behind the head",
                    [Query("max by (chain) (renown_indexer_lag_seconds)", "{{chain}}")],
                    "Age of the newest stored block, 0 while at the head.",
                    unit="s",
                    warn=300,
                    bad=600,
                    runbook="indexer-stalled",
                ),
                Panel(
                    "Pools in use",
                    [
                        Query(
                            'sum by (pool) (renown_db_pool_connections{state="busy"})'
                            " / sum by (pool) (renown_db_pool_limit)",
                            "{{pool}}",
                        )
                    ],
                    "Share of the API's connections that answer a request just now.",
                    unit="percentunit",
                    warn=0.8,
                    bad=0.95,
                    most=1,
                    runbook="pool-nearly-full",
                ),
                Panel(
                    "Disk free",
                    [
                        Query(
                            "min by (place) (renown_disk_free_bytes / renown_disk_size_bytes)",
                            "{{place}}",
                        )
                    ],
                    "Room left on the disks that we write to.",
                    unit="percentunit",
                    warn=0.15,
                    bad=0.05,
                    low_is_bad=True,
                    most=1,
                    runbook="disk-filling",
                ),
                Panel(
                    "What is told of the chains",
                    [
                        Query(
                            "sum by (kind) (rate(renown_followed_facts_total[$__rate_interval]))",
                            "{{kind}}",
                        )
                    ],
                    "Facts of blocks at most ten minutes old: what happens on the chains now.",
                    unit="ops",
                    stacked=True,
                ),
                Panel(
                    "Waiting",
                    [
                        Query("max(renown_crawl_oldest_due_seconds)", "oldest URI"),
                        Query("max(renown_operations_oldest_due_seconds)", "oldest operation"),
                        Query("max(renown_payment_claims_oldest_seconds)", "oldest payment claim"),
                        Query("max(renown_audit_pending_oldest_seconds)", "oldest audit entry"),
                    ],
                    "How long the oldest piece of work of each kind has waited.",
                    unit="s",
                ),
                Panel(
                    "Processes",
                    [Query("count by (version) (renown_build_info)", "{{version}}")],
                    "Processes that are scraped, by version: two during an upgrade, one after.",
                ),
            ],
        ),
        Row(
            "Alerts",
            [
                Panel(
                    "Firing",
                    [
                        Query(
                            "sum by (alertname, severity, chain, instance)"
                            ' (ALERTS{alertname=~"Renown.+", alertstate="firing"})'
                        )
                    ],
                    "Alerts that fire now; each has its page in docs/operations/alerts.",
                    kind="table",
                    width=24,
                ),
            ],
        ),
    ],
)
