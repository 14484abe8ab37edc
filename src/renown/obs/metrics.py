"""What is counted and measured, for Prometheus. One registry, made by us alone.

Every label set is bounded: hosts are those of the settings, chains those followed, kinds and
reasons come from fixed lists. Durations are seconds, sizes bytes.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client import generate_latest as _generate

REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_DEPTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

BUILD = Info("renown_build", "Version of this process.", registry=REGISTRY)

# Nodes --------------------------------------------------------------------------------------------

RPC_REQUESTS = Counter(
    "renown_rpc_requests_total",
    "Requests sent to a node.",
    ("chain", "host", "method"),
    registry=REGISTRY,
)
RPC_ERRORS = Counter(
    "renown_rpc_errors_total",
    "Requests to a node that failed, by what went wrong (the error's slug).",
    ("chain", "host", "kind"),
    registry=REGISTRY,
)
RPC_SECONDS = Histogram(
    "renown_rpc_seconds",
    "Time from sending a request to its whole answer.",
    ("chain", "host"),
    buckets=(*_SECONDS, 60),
    registry=REGISTRY,
)
NODE_UP = Gauge(
    "renown_node_up",
    "1 while a node is used, 0 while it is set aside.",
    ("chain", "host"),
    registry=REGISTRY,
)
NODE_HEAD = Gauge(
    "renown_node_head_block",
    "Newest block a node has named.",
    ("chain", "host"),
    registry=REGISTRY,
)

# Indexer ------------------------------------------------------------------------------------------

EVENTS_STORED = Counter(
    "renown_events_stored_total",
    "Facts stored, by kind of event.",
    ("chain", "kind"),
    registry=REGISTRY,
)
LOGS_QUARANTINED = Counter(
    "renown_logs_quarantined_total",
    "Logs that could not become facts, by reason.",
    ("chain", "reason"),
    registry=REGISTRY,
)
REORGS = Counter("renown_reorgs_total", "Reorganisations followed.", ("chain",), registry=REGISTRY)
REORG_DEPTH = Histogram(
    "renown_reorg_depth_blocks",
    "Blocks that a reorganisation dropped.",
    ("chain",),
    buckets=_DEPTHS,
    registry=REGISTRY,
)
HEIGHT = Gauge("renown_indexer_height_block", "Newest block stored.", ("chain",), registry=REGISTRY)
HEAD = Gauge("renown_chain_head_block", "Newest block of the chain.", ("chain",), registry=REGISTRY)
LAG_BLOCKS = Gauge(
    "renown_indexer_lag_blocks",
    "Blocks between what is stored and the head.",
    ("chain",),
    registry=REGISTRY,
)
COMMIT_SECONDS = Histogram(
    "renown_commit_seconds",
    "Time to store one batch, from the first statement to the commit.",
    ("chain",),
    buckets=(*_SECONDS, 60, 120),
    registry=REGISTRY,
)
LAST_COMMIT = Gauge(
    "renown_last_commit_timestamp_seconds",
    "When a batch of the chain was last stored, Unix time.",
    ("chain",),
    registry=REGISTRY,
)

# Crawler ------------------------------------------------------------------------------------------

CRAWL_ATTEMPTS = Counter(
    "renown_crawl_attempts_total",
    "Attempts to read a URI that were kept, by how they came out.",
    ("outcome",),
    registry=REGISTRY,
)
DOCUMENTS_STORED = Counter(
    "renown_documents_stored_total", "Documents that were not held before.", registry=REGISTRY
)
CRAWL_BACKLOG = Gauge(
    "renown_crawl_backlog_uris", "URIs whose time to be read has come.", registry=REGISTRY
)
CRAWL_OLDEST = Gauge(
    "renown_crawl_oldest_due_seconds",
    "How long the URI that has waited longest has been due.",
    registry=REGISTRY,
)
TRAIL_LAG = Gauge(
    "renown_trail_lag_blocks",
    "Blocks between what is indexed and what was read for its URIs.",
    ("chain",),
    registry=REGISTRY,
)

# Prober -------------------------------------------------------------------------------------------

PROBES = Counter(
    "renown_probes_total",
    "Looks at declared endpoints, by their protocol and by what the look alone says.",
    ("kind", "outcome"),
    registry=REGISTRY,
)
PROBE_SECONDS = Histogram(
    "renown_probe_seconds",
    "Time to the first answer of an endpoint, by its protocol.",
    ("kind",),
    buckets=_SECONDS,
    registry=REGISTRY,
)

# Payments -----------------------------------------------------------------------------------------

PAYMENT_CLAIMS = Counter(
    "renown_payment_claims_total",
    "Claims of payment that changed their state, by the new one and, if refused, why.",
    ("state", "reason"),
    registry=REGISTRY,
)
PAYMENTS_PENDING = Gauge(
    "renown_payment_claims_pending",
    "Claims of payment whose transaction is in no block, or not looked at yet.",
    registry=REGISTRY,
)
PAYMENTS_OLDEST = Gauge(
    "renown_payment_claims_oldest_seconds",
    "How long the oldest of those has waited.",
    registry=REGISTRY,
)

# Strangers' hosts ---------------------------------------------------------------------------------

FETCHES = Counter(
    "renown_fetch_total",
    "Documents and endpoints asked for, by outcome.",
    ("outcome",),
    registry=REGISTRY,
)
FETCH_SECONDS = Histogram(
    "renown_fetch_seconds",
    "Time from the first look-up to the last byte.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
FETCH_BYTES = Counter(
    "renown_fetch_bytes_total",
    "Bytes of the bodies kept, after inflating.",
    registry=REGISTRY,
)

# Operations ---------------------------------------------------------------------------------------

OPERATION_MOVES = Counter(
    "renown_operation_moves_total",
    "Transactions of operations that came into a state.",
    ("chain", "state"),
    registry=REGISTRY,
)
BROADCASTS = Counter(
    "renown_broadcasts_total",
    "Signed transactions offered to nodes, by what came of it: taken, known, refused, unsure.",
    ("chain", "verdict"),
    registry=REGISTRY,
)
OPERATION_BLIND = Counter(
    "renown_operation_blind_total",
    "Looks at operations that failed because no node of the chain answered.",
    ("chain",),
    registry=REGISTRY,
)
OPERATIONS_WATCHED = Gauge(
    "renown_operations_watched",
    "Operations of which something is still to be seen.",
    ("chain",),
    registry=REGISTRY,
)
OPERATIONS_OLDEST = Gauge(
    "renown_operations_oldest_due_seconds",
    "How long the operation that has waited longest for a look has been due.",
    registry=REGISTRY,
)

# API ----------------------------------------------------------------------------------------------

HTTP_REQUESTS = Counter(
    "renown_http_requests_total",
    "Requests answered, by route pattern (never the path) and status.",
    ("method", "route", "status"),
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "renown_http_seconds",
    "Time to answer a request.",
    ("route",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
CACHE_READS = Counter(
    "renown_cache_reads_total",
    "Requests that a cache may answer, by cache (`kept`: of one agent, `dear`: searches, counts and"
    " status), route pattern and outcome (`hit`, `shared`: from Redis, `joined`: waited for an"
    " equal read, `miss`, `unkept`: not of a kind that is kept).",
    ("cache", "route", "outcome"),
    registry=REGISTRY,
)
CACHE_UNSTORED = Counter(
    "renown_cache_unstored_total",
    "Answers about one agent that were read and not kept, by cause (`stale`: read at a position"
    " before the one followed, `changed`: a change was heard meanwhile, `deaf`: changes were not"
    " heard, `unknown`: of no chain that is followed).",
    ("cause",),
    registry=REGISTRY,
)
CACHE_DROPS = Counter(
    "renown_cache_drops_total",
    "Kept answers dropped, by cause (`fact`: of the chain, `change`: off it, `deaf`: changes were"
    " not heard, `age`, `room`).",
    ("cause",),
    registry=REGISTRY,
)
CACHE_ENTRIES = Gauge(
    "renown_cache_entries", "Answers about one agent that are kept.", registry=REGISTRY
)
CACHE_BYTES = Gauge("renown_cache_bytes", "Memory that they take.", registry=REGISTRY)
POOL_CONNECTIONS = Gauge(
    "renown_db_pool_connections",
    "Connections of the API's pool, by state.",
    ("state",),
    registry=REGISTRY,
)

# Limits and what is shared ------------------------------------------------------------------------

LIMITS_REFUSED = Counter(
    "renown_limits_refused_total",
    "Requests that were over a limit, by class.",
    ("class",),
    registry=REGISTRY,
)
LIMITS_FALLBACK = Gauge(
    "renown_limits_fallback",
    "1 while each process limits for itself though Redis is configured, else 0.",
    registry=REGISTRY,
)
REDIS_UP = Gauge(
    "renown_redis_up",
    "1 while Redis answers, 0 while it is away; only where one is configured.",
    registry=REGISTRY,
)

# Writes -------------------------------------------------------------------------------------------

OPERATIONS_ASKED = Counter(
    "renown_operations_asked_total",
    "Writes that were stored to be done, by kind and by who signs.",
    ("kind", "mode"),
    registry=REGISTRY,
)


def exposition() -> bytes:
    """Everything measured, in Prometheus's text format (`CONTENT_TYPE`)."""
    return _generate(REGISTRY)
