"""The API: who asks what, how fast it is answered, and what is turned away."""

from __future__ import annotations

from tools.dashboards.panels import Dashboard, Panel, Query, Row

ME = 'instance=~"$instance"'
RATE = "[$__rate_interval]"

API = Dashboard(
    uid="renown-api",
    title="API",
    says="Who asks what, how fast it is answered, and what is turned away.",
    rows=[
        Row(
            "Requests",
            [
                Panel(
                    "By route",
                    [
                        Query(
                            "topk(12, sum by (route)"
                            f" (rate(renown_http_requests_total{{{ME}}}{RATE})))",
                            "{{route}}",
                        )
                    ],
                    "The busiest routes.",
                    unit="reqps",
                    stacked=True,
                    runbook="traffic-high",
                ),
                Panel(
                    "P95 by route",
                    [
                        Query(
                            "topk(12, histogram_quantile(0.95, sum by (le, route)"
                            f" (rate(renown_http_seconds_bucket{{{ME}}}{RATE}))))",
                            "{{route}}",
                        )
                    ],
                    "The slowest routes.",
                    unit="s",
                    warn=0.5,
                    bad=2,
                    runbook="search-slow",
                ),
                Panel(
                    "Errors by route",
                    [
                        Query(
                            "sum by (route, status)"
                            f' (rate(renown_http_requests_total{{{ME}, status=~"5.."}}{RATE}))',
                            "{{route}} {{status}}",
                        )
                    ],
                    "Answers with 5xx.",
                    unit="reqps",
                    stacked=True,
                    runbook="error-rate-high",
                ),
                Panel(
                    "In flight",
                    [Query(f"renown_http_in_flight{{{ME}}}", "{{instance}}")],
                    "Requests being answered in each process, open streams among them.",
                ),
                Panel(
                    "Shed",
                    [
                        Query(
                            f"sum by (cause) (rate(renown_http_shed_total{{{ME}}}{RATE}))",
                            "{{cause}}",
                        )
                    ],
                    "Refused with 503, because the pool of connections was used up.",
                    unit="reqps",
                    stacked=True,
                    runbook="requests-shed",
                ),
                Panel(
                    "By process",
                    [
                        Query(
                            f"sum by (instance) (rate(renown_http_requests_total{{{ME}}}{RATE}))",
                            "{{instance}}",
                        )
                    ],
                    "Whether the balancer spreads them.",
                    unit="reqps",
                ),
            ],
        ),
        Row(
            "Turned away",
            [
                Panel(
                    "For who they are",
                    [
                        Query(
                            f"sum by (reason) (rate(renown_auth_failures_total{{{ME}}}{RATE}))",
                            "{{reason}}",
                        )
                    ],
                    "Keys missing, malformed, refused or not enough; signatures that fail.",
                    unit="reqps",
                    stacked=True,
                    bad=5,
                    runbook="auth-failures",
                ),
                Panel(
                    "For a limit",
                    [
                        Query(
                            f"sum by (class) (rate(renown_limits_refused_total{{{ME}}}{RATE}))",
                            "{{class}}",
                        )
                    ],
                    "Requests over a rate limit, by class.",
                    unit="reqps",
                    stacked=True,
                    bad=10,
                    runbook="limit-hits",
                ),
                Panel(
                    "Redis",
                    [
                        Query(f"min(renown_redis_up{{{ME}}})", "up"),
                        Query(f"max(renown_limits_fallback{{{ME}}})", "each limits for itself"),
                    ],
                    "While it is away, each process counts for itself.",
                    unit="none",
                    most=1,
                    runbook="redis-down",
                ),
            ],
        ),
        Row(
            "Caches",
            [
                Panel(
                    "Hits",
                    [
                        Query(
                            "sum by (cache) (rate(renown_cache_reads_total{"
                            f'{ME}, outcome=~"hit|shared|joined"}}{RATE}))'
                            " / sum by (cache) (rate(renown_cache_reads_total{"
                            f'{ME}, outcome!="unkept"}}{RATE}))',
                            "{{cache}}",
                        )
                    ],
                    "Share of the reads that a cache may answer which it answered.",
                    unit="percentunit",
                    warn=0.6,
                    low_is_bad=True,
                    most=1,
                    runbook="cache-hit-rate-low",
                ),
                Panel(
                    "Dropped",
                    [
                        Query(
                            f"sum by (cause) (rate(renown_cache_drops_total{{{ME}}}{RATE}))",
                            "{{cause}}",
                        ),
                        Query(
                            f"sum by (cause) (rate(renown_cache_unstored_total{{{ME}}}{RATE}))",
                            "not kept: {{cause}}",
                        ),
                    ],
                    "Answers dropped or not kept, and why.",
                    unit="ops",
                ),
                Panel(
                    "Size",
                    [Query(f"renown_cache_bytes{{{ME}}}", "{{instance}}")],
                    "Memory of the answers kept by each process.",
                    unit="bytes",
                ),
            ],
        ),
        Row(
            "Writes",
            [
                Panel(
                    "Operations asked",
                    [
                        Query(
                            "sum by (kind, mode)"
                            f" (rate(renown_operations_asked_total{{{ME}}}{RATE}))",
                            "{{kind}} {{mode}}",
                        )
                    ],
                    "Writes stored to be done, by kind and by who signs.",
                    unit="ops",
                    stacked=True,
                ),
                Panel(
                    "Operations moved",
                    [
                        Query(
                            f"sum by (state) (rate(renown_operation_moves_total{RATE}))",
                            "{{state}}",
                        )
                    ],
                    "Transactions that came into a state.",
                    unit="ops",
                    stacked=True,
                ),
                Panel(
                    "Oldest operation due",
                    [Query("max(renown_operations_oldest_due_seconds)", "seconds")],
                    "How long the operation that waited longest for a look has been due.",
                    unit="s",
                    warn=60,
                    bad=300,
                    runbook="operations-wait",
                ),
            ],
        ),
    ],
)
