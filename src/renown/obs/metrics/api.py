"""Requests, the caches that answer them, and the limits that hold them."""

from __future__ import annotations

from renown.obs.metrics.registry import (
    Domain,
    counter,
    gauge,
    histogram,
    one_of,
)
from renown.spec.limits import COST_CLASSES

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
OTHER = "other"
STATUSES = frozenset(
    {
        *(200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308),
        *(400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 422),
        *(425, 426, 428, 429, 431, 500, 501, 502, 503, 504, 507),
    }
)
"""That have a series of their own; others are counted as `2xx` and so on."""
UNMATCHED = "unmatched"
ROUTE = Domain(f"pattern of a route, `{UNMATCHED}` where none fits", 1, ("R",))

HTTP_REQUESTS = counter(
    "renown_http_requests_total",
    "Requests answered, by route pattern (never the path) and status.",
    {
        "method": Domain(
            f"{', '.join(f'`{name}`' for name in METHODS)}; `{OTHER}`: none that the route takes", 1
        ),
        "route": Domain(f"pattern of a route, `{UNMATCHED}` where none fits", 1, ("R",)),
        "status": Domain("of the answer; `2xx` … `5xx` for unusual ones", len(STATUSES) + 5),
    },
)
HTTP_SECONDS = histogram(
    "renown_http_seconds",
    "Time to answer a request, to the last byte.",
    {"route": ROUTE},
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30),
)
HTTP_IN_FLIGHT = gauge(
    "renown_http_in_flight", "Requests being answered, open streams among them.", over="livesum"
)
HTTP_SHED = counter(
    "renown_http_shed_total",
    "Requests refused because the database's pool was used up, by how.",
    {"cause": one_of("pool-full", "pool-timeout")},
)
AUTH_FAILURES = counter(
    "renown_auth_failures_total",
    "Requests turned away for who they are, by why (`missing`: no key where one is needed,"
    " `malformed`: no key of ours, `refused`: a key that does not work, `scope`: one that may not,"
    " `signature`: a wallet's sign-in that fails, `limited`: after too many of these).",
    {"reason": one_of("missing", "malformed", "refused", "scope", "signature", "limited")},
)

# Caches -------------------------------------------------------------------------------------------

CACHE_READS = counter(
    "renown_cache_reads_total",
    "Requests that a cache may answer, by cache (`kept`: of one agent, `dear`: searches, counts and"
    " status), route pattern and outcome (`hit`, `shared`: from Redis, `joined`: waited for an"
    " equal read, `miss`, `unkept`: not of a kind that is kept).",
    {
        "cache": one_of("kept", "dear"),
        "route": ROUTE,
        "outcome": one_of("hit", "shared", "joined", "miss", "unkept"),
    },
)
CACHE_UNSTORED = counter(
    "renown_cache_unstored_total",
    "Answers about one agent that were read and not kept, by cause (`stale`: read at a position"
    " before the one followed, `changed`: a change was heard meanwhile, `deaf`: changes were not"
    " heard, `unknown`: of no chain that is followed).",
    {"cause": one_of("stale", "changed", "deaf", "unknown")},
)
CACHE_DROPS = counter(
    "renown_cache_drops_total",
    "Kept answers dropped, by cause (`fact`: of the chain, `change`: off it, `deaf`: changes were"
    " not heard, `age`, `room`).",
    {"cause": one_of("fact", "change", "deaf", "age", "room")},
)
CACHE_ENTRIES = gauge(
    "renown_cache_entries", "Answers about one agent that are kept.", over="livesum"
)
CACHE_BYTES = gauge("renown_cache_bytes", "Memory that they take.", over="livesum")

# Limits and what is shared ------------------------------------------------------------------------

LIMITS_REFUSED = counter(
    "renown_limits_refused_total",
    "Requests that were over a limit, by class.",
    {"class": one_of(*COST_CLASSES)},
)
LIMITS_FALLBACK = gauge(
    "renown_limits_fallback",
    "1 while each process limits for itself though Redis is configured, else 0.",
)
REDIS_UP = gauge(
    "renown_redis_up",
    "1 while Redis answers, 0 while it is away; only where one is configured.",
    over="livemin",
)
