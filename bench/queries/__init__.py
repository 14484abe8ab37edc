"""Every statement of the product by name: who asks it, what for, by which index, and what it reads.

The catalogue is what `docs/reference/queries.md` is made of, and what the tests hold plans against.
A statement without an entry, or an entry without one, fails a test.
"""

from __future__ import annotations

from bench.queries import (
    acting,
    auditing,
    crawling,
    indexing,
    operating,
    paying,
    reads,
    searching,
)
from bench.queries.model import Query, statements
from renown.store.search_plan import BANDS

__all__ = ["CATALOGUE", "KEPT_FOR", "PARTS", "Query", "statements"]

CATALOGUE: dict[str, Query] = {
    query.name: query
    for area in (reads, searching, indexing, crawling, paying, acting, auditing, operating)
    for query in area.QUERIES
}
"""Every query by its name, in the order of the page."""

PARTS = frozenset(
    {
        "audit_proofs.checkpoint",
        "audit_reading.columns",
        "audit_retention.ranges",
        "feedback.agent",
        "feedback.page_of_chains",
        "operation_expiry.said_since",
        "operation_rows.brief",
        "operation_rows.operation",
        "outbox_touched.of_blocks",
        "profile_material.oldest",
        "read_versions.sayings",
        "read_versions.stretches",
        "role_rights.r",
        "role_rights.r_lock_account",
        "role_rights.r_tell",
        "role_rights.ra",
        "role_rights.rad",
        "role_rights.rawd",
        "search.heads",
    }
)
"""Constants that are parts of statements, or rights of roles, and never sent alone."""

KEPT_FOR = {
    "agent_payer_pkey": "the triggers that count payers",
    "agent_payment_total_pkey": "the triggers that count totals",
    "api_key_by_replacement": "the foreign key of keys to those that replace them",
    "operation_by_chain": "forgetting a chain",
    **{
        f"agent_profile_words_{low}_{high}": "searches that get as far as this band of quality"
        for low, high, _ in BANDS
    },
}
"""Indexes that no query names, by what they are for."""
