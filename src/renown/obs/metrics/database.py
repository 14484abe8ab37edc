"""The database: connections of ours, statements, and what one worker sees of all of it."""

from __future__ import annotations

from renown.obs.metrics.registry import (
    CHAIN,
    Domain,
    counter,
    gauge,
    histogram,
    one_of,
)

POOL = one_of("primary", "replica")
QUERY = Domain("name of a statement that is timed", 1, ("Q",))
VIEW = one_of(
    *("network", "term_count", "leaderboard_clients", "leaderboard_paid"),
    *("leaderboard_newest", "leaderboard_busiest"),
)
PLACE = Domain("folder that this installation writes to: `data`, `exports`, `audit`", 3)

DB_UP = gauge(
    "renown_db_up",
    "1 while the database answers a light question, asked every few seconds, else 0.",
    over="livemin",
)

# Pool ---------------------------------------------------------------------------------------------

POOL_CONNECTIONS = gauge(
    "renown_db_pool_connections",
    "Connections of a pool, by state.",
    {"pool": POOL, "state": one_of("idle", "busy")},
    over="livesum",
)
POOL_LIMIT = gauge(
    "renown_db_pool_limit", "Connections that a pool may have.", {"pool": POOL}, over="livesum"
)
POOL_WAITERS = gauge(
    "renown_db_pool_waiters", "Requests that wait for a connection.", {"pool": POOL}, over="livesum"
)
POOL_WAIT_SECONDS = histogram(
    "renown_db_pool_wait_seconds",
    "Time to get a connection of a pool.",
    {"pool": POOL},
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10),
)
POOL_OPENED = counter("renown_db_pool_opened_total", "Connections opened.", {"pool": POOL})
POOL_RECYCLED = counter(
    "renown_db_pool_recycled_total",
    "Connections closed after DB_MAX_QUERIES, to be opened anew.",
    {"pool": POOL},
)
POOL_TIMEOUTS = counter(
    "renown_db_pool_timeouts_total",
    "Requests that got no connection within DB_TIMEOUT.",
    {"pool": POOL},
)

# Statements ---------------------------------------------------------------------------------------

QUERY_SECONDS = histogram(
    "renown_db_query_seconds",
    "Time of a statement, by its name.",
    {"query": QUERY},
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2, 10),
)
QUERY_ERRORS = counter(
    "renown_db_query_errors_total",
    "Statements that failed, by name and by how (`timeout`, `conflict`, `lost`: the connection,"
    " `full`: the disk, `refused`: a constraint or right, `other`).",
    {
        "query": QUERY,
        "kind": one_of("timeout", "conflict", "lost", "full", "refused", "other"),
    },
)
TRANSACTIONS = counter(
    "renown_db_transactions_total",
    "Transactions of this process, by how they ended (`rolled_back`: the database or we failed,"
    " `refused`: what was asked was not to be, or nobody waited for it any longer).",
    {"outcome": one_of("committed", "rolled_back", "refused")},
)

# The whole of it ----------------------------------------------------------------------------------

DB_CONNECTIONS = gauge(
    "renown_db_connections",
    "Connections that the server has, by what they do.",
    {"state": one_of("active", "idle", "idle in transaction", "other")},
)
DB_CONNECTIONS_LIMIT = gauge(
    "renown_db_connections_limit", "Connections that the server takes at most."
)
DB_SIZE = gauge("renown_db_size_bytes", "Size of the database on disk.")
DISK_FREE = gauge(
    "renown_disk_free_bytes",
    "Room left for us on the disk that a folder is on.",
    {"place": PLACE},
)
DISK_SIZE = gauge(
    "renown_disk_size_bytes", "Size of the disk that a folder is on.", {"place": PLACE}
)
REPLICA_UP = gauge(
    "renown_replica_up",
    "1 while the read replica answers, 0 while it does not; only where one is configured.",
    over="livemin",
)
REPLICA_LAG = gauge(
    "renown_replica_lag_seconds",
    "How far the read replica is behind the primary; 0 when it has all there is. Grows on while it"
    " does not answer.",
)
MEASURED = gauge(
    "renown_measured_timestamp_seconds",
    "When a part of what one process measures for all was last measured, Unix time.",
    {
        "part": one_of(
            *("disks", "server", "views", "quarantine", "coverage"),
            *("operations", "payments", "crawl", "audit"),
        )
    },
)
VIEW_AGE = gauge(
    "renown_view_age_seconds",
    "How long ago a materialized view was last refreshed; none before the first time.",
    {"view": VIEW},
)
OUTBOX_LAG = gauge(
    "renown_outbox_lag_positions",
    "Positions of a chain's changes that the API's cache has not followed yet.",
    {"chain": CHAIN},
)
