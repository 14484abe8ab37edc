"""What was found behind the URIs of a bench world, kept as the crawler and the prober keep it."""

from __future__ import annotations

from typing import Any, LiteralString, NamedTuple

from renown.store.documents import COLUMNS as DOCUMENT_COLUMNS
from renown.store.pool import Tx
from renown.store.resolutions import COLUMNS as RESOLUTION_COLUMNS

Row = tuple[Any, ...]


class Found(NamedTuple):
    """Rows by table; their columns are those of TABLES, in the same order."""

    documents: list[Row]
    uris: list[Row]
    resolutions: list[Row]
    endpoints: list[Row]
    checks: list[Row]
    links: list[Row]
    domains: list[Row]

    @classmethod
    def nothing(cls) -> Found:
        """No rows yet."""
        return cls([], [], [], [], [], [], [])


TABLES: tuple[tuple[LiteralString, tuple[str, ...]], ...] = (
    ("document", ("document_id", *DOCUMENT_COLUMNS, "stored_at")),
    (
        "uri",
        (
            *("uri_id", "hash", "uri", "kind", "host", "fixed", "stage", "due_at", "attempts"),
            *("failures", "unchanged", "attempted_at", "outcome", "reason", "status"),
            *("document_id", "fetched_at", "verified", "etag", "first_seen_at"),
        ),
    ),
    ("resolution", RESOLUTION_COLUMNS),
    (
        "endpoint",
        (
            *("endpoint_id", "hash", "protocol", "url", "host", "verdict", "rounds", "leaning"),
            *("due_at", "checked_at", "verdict_at", "latency_ms", "checks", "good_checks"),
            *("capabilities", "first_seen_at"),
        ),
    ),
    (
        "endpoint_check",
        (
            *("endpoint_id", "checked_at", "good", "leaning", "outcome", "reason", "status"),
            "latency_ms",
        ),
    ),
    ("agent_endpoint", ("chain_id", "agent_id", "position", "protocol", "endpoint_id")),
    (
        "agent_domain",
        (
            *("chain_id", "agent_id", "host", "state", "by_uri", "uri_id", "checked_at"),
            "alone",
        ),
    ),
)


async def keep(tx: Tx, found: Found) -> None:
    """COPY all of it; none is held already. Part of a transaction."""
    for (table, columns), rows in zip(TABLES, found, strict=True):
        if rows:
            await tx.copy_records_to_table(table, records=rows, columns=columns)
