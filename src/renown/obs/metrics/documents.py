"""Documents behind URIs, endpoints, and the strangers' hosts that both are at."""

from __future__ import annotations

from renown.obs.metrics.registry import (
    CHAIN,
    counter,
    gauge,
    histogram,
    one_of,
)

OUTCOME = one_of(
    *("ok", "not-modified", "http-error", "refused", "dns-failed", "connect-failed", "tls-failed"),
    *("timeout", "too-large", "broken", "undecodable", "unsupported", "wrong-content"),
)
PROTOCOL = one_of("mcp", "a2a", "x402", "web")

# Crawler ------------------------------------------------------------------------------------------

CRAWL_ATTEMPTS = counter(
    "renown_crawl_attempts_total",
    "Attempts to read a URI that were kept, by how they came out.",
    {"outcome": OUTCOME},
)
DOCUMENTS_STORED = counter("renown_documents_stored_total", "Documents that were not held before.")
CRAWL_BACKLOG = gauge("renown_crawl_backlog_uris", "URIs whose time to be read has come.")
CRAWL_OLDEST = gauge(
    "renown_crawl_oldest_due_seconds",
    "How long the URI that has waited longest has been due.",
)
TRAIL_LAG = gauge(
    "renown_trail_lag_blocks",
    "Blocks between what is indexed and what was read for its URIs.",
    {"chain": CHAIN},
)

# Prober -------------------------------------------------------------------------------------------

PROBES = counter(
    "renown_probes_total",
    "Looks at declared endpoints, by their protocol and by what the look alone says.",
    {
        "kind": PROTOCOL,
        "outcome": one_of("unknown", "alive", "paywalled", "dead", "hollow", "refused"),
    },
)
PROBE_SECONDS = histogram(
    "renown_probe_seconds",
    "Time to the first answer of an endpoint, by its protocol.",
    {"kind": PROTOCOL},
)

# Strangers' hosts ---------------------------------------------------------------------------------

FETCHES = counter(
    "renown_fetch_total", "Documents and endpoints asked for, by outcome.", {"outcome": OUTCOME}
)
FETCH_SECONDS = histogram("renown_fetch_seconds", "Time from the first look-up to the last byte.")
FETCH_BYTES = counter("renown_fetch_bytes_total", "Bytes of the bodies kept, after inflating.")
