"""PostgreSQL as the processes meet it: pools, statements, transactions, room."""

from __future__ import annotations

from tools.dashboards.panels import Dashboard, Panel, Query, Row, stat

ME = 'instance=~"$instance"'
RATE = "[$__rate_interval]"

DATABASE = Dashboard(
    uid="renown-database",
    title="Database",
    says="PostgreSQL as the processes meet it: pools, statements, transactions, room.",
    rows=[
        Row(
            "Now",
            [
                stat(
                    "Reached",
                    f"min(renown_db_up{{{ME}}})",
                    "Whether every process reaches it.",
                    words=((0, "down", "red"), (1, "up", "green")),
                    bad=1,
                    low_is_bad=True,
                    runbook="database-down",
                ),
                stat(
                    "Connections",
                    "sum(max by (state) (renown_db_connections))"
                    " / max(renown_db_connections_limit)",
                    "Share of the server's connections that are taken, by whomever.",
                    unit="percentunit",
                    warn=0.8,
                    bad=0.9,
                    runbook="connections-nearly-all",
                ),
                stat(
                    "Rolled back",
                    '(sum(rate(renown_db_transactions_total{outcome="rolled_back"}[5m]))'
                    " or vector(0))"
                    ' / sum(rate(renown_db_transactions_total{outcome!="refused"}[5m]))',
                    "Share of transactions that were rolled back, over five minutes.",
                    unit="percentunit",
                    warn=0.05,
                    bad=0.1,
                    runbook="rollback-rate-high",
                ),
                stat(
                    "Replica behind",
                    "max(renown_replica_lag_seconds)",
                    "How far the read replica is behind; empty without one.",
                    unit="s",
                    warn=5,
                    bad=30,
                    runbook="replica-lag",
                ),
                stat(
                    "Oldest view",
                    "max(renown_view_age_seconds)",
                    "Age of the view that was refreshed longest ago.",
                    unit="s",
                    warn=600,
                    bad=3600,
                    runbook="view-stale",
                ),
                stat("Size", "max(renown_db_size_bytes)", "Size on disk.", unit="bytes"),
            ],
        ),
        Row(
            "Pools of the API",
            [
                Panel(
                    "Connections",
                    [
                        Query(
                            f"sum by (pool, state) (renown_db_pool_connections{{{ME}}})",
                            "{{pool}} {{state}}",
                        ),
                        Query(f"sum by (pool) (renown_db_pool_limit{{{ME}}})", "{{pool}} limit"),
                    ],
                    "Busy ones answer a request; more than the limit there are never.",
                    runbook="pool-nearly-full",
                ),
                Panel(
                    "Waiting",
                    [Query(f"sum by (pool) (renown_db_pool_waiters{{{ME}}})", "{{pool}}")],
                    "Requests that wait for a connection.",
                    runbook="pool-waiters",
                ),
                Panel(
                    "Time to get one, P95",
                    [
                        Query(
                            "histogram_quantile(0.95, sum by (le, pool)"
                            f" (rate(renown_db_pool_wait_seconds_bucket{{{ME}}}{RATE})))",
                            "{{pool}}",
                        )
                    ],
                    "From asking for a connection to having it.",
                    unit="s",
                    warn=0.1,
                    bad=1,
                ),
                Panel(
                    "Got none",
                    [
                        Query(
                            f"sum by (pool) (rate(renown_db_pool_timeouts_total{{{ME}}}{RATE}))",
                            "{{pool}}",
                        )
                    ],
                    "Requests that got no connection within DB_TIMEOUT.",
                    unit="ops",
                    runbook="pool-waiters",
                ),
                Panel(
                    "Opened and replaced",
                    [
                        Query(
                            f"sum by (pool) (rate(renown_db_pool_opened_total{{{ME}}}{RATE}))",
                            "{{pool}} opened",
                        ),
                        Query(
                            f"sum by (pool) (rate(renown_db_pool_recycled_total{{{ME}}}{RATE}))",
                            "{{pool}} replaced",
                        ),
                    ],
                    "Many opened without load mean that something closes them.",
                    unit="ops",
                ),
                Panel(
                    "Server's connections",
                    [
                        Query("max by (state) (renown_db_connections)", "{{state}}"),
                        Query("max(renown_db_connections_limit)", "limit"),
                    ],
                    "All that the server has, of whomever.",
                    runbook="connections-nearly-all",
                ),
            ],
        ),
        Row(
            "Statements",
            [
                Panel(
                    "By name",
                    [
                        Query(
                            "topk(12, sum by (query)"
                            f" (rate(renown_db_query_seconds_count{{{ME}}}{RATE})))",
                            "{{query}}",
                        )
                    ],
                    "The most frequent statements.",
                    unit="ops",
                    stacked=True,
                ),
                Panel(
                    "P95 by name",
                    [
                        Query(
                            "topk(12, histogram_quantile(0.95, sum by (le, query)"
                            f" (rate(renown_db_query_seconds_bucket{{{ME}}}{RATE}))))",
                            "{{query}}",
                        )
                    ],
                    "The slowest statements.",
                    unit="s",
                ),
                Panel(
                    "Time by name",
                    [
                        Query(
                            "topk(12, sum by (query)"
                            f" (rate(renown_db_query_seconds_sum{{{ME}}}{RATE})))",
                            "{{query}}",
                        )
                    ],
                    "Seconds of the database in each second: where making faster pays.",
                    stacked=True,
                ),
                Panel(
                    "Failed",
                    [
                        Query(
                            "sum by (query, kind)"
                            f" (rate(renown_db_query_errors_total{{{ME}}}{RATE}))",
                            "{{query}}: {{kind}}",
                        )
                    ],
                    "Statements that failed, and how.",
                    unit="ops",
                    runbook="statements-time-out",
                ),
                Panel(
                    "Transactions",
                    [
                        Query(
                            f"sum by (outcome) (rate(renown_db_transactions_total{{{ME}}}{RATE}))",
                            "{{outcome}}",
                        )
                    ],
                    "Those of all processes, by how they ended.",
                    unit="ops",
                    stacked=True,
                    runbook="rollback-rate-high",
                ),
                Panel(
                    "Storing a batch, P95",
                    [
                        Query(
                            "histogram_quantile(0.95, sum by (le, chain)"
                            f" (rate(renown_commit_seconds_bucket{RATE})))",
                            "{{chain}}",
                        )
                    ],
                    "The indexer's transactions, from the first statement to the commit.",
                    unit="s",
                ),
            ],
        ),
        Row(
            "Room, age",
            [
                Panel(
                    "Disk free",
                    [
                        Query(
                            f"min by (place) (renown_disk_free_bytes{{{ME}}}"
                            f" / renown_disk_size_bytes{{{ME}}})",
                            "{{place}}",
                        )
                    ],
                    "Room left, as the processes see it: PostgreSQL's own disk only where it is"
                    " one of theirs.",
                    unit="percentunit",
                    warn=0.15,
                    bad=0.05,
                    low_is_bad=True,
                    most=1,
                    runbook="disk-filling",
                ),
                Panel(
                    "Size",
                    [Query("max(renown_db_size_bytes)", "database")],
                    "Size of the database on disk.",
                    unit="bytes",
                ),
                Panel(
                    "Views",
                    [Query("max by (view) (renown_view_age_seconds)", "{{view}}")],
                    "How long ago each view was refreshed.",
                    unit="s",
                    bad=3600,
                    runbook="view-stale",
                ),
            ],
        ),
    ],
)
