"""The audit log."""

from __future__ import annotations

from renown.obs.metrics.registry import counter, gauge, one_of

AUDIT_ENTRIES = counter(
    "renown_audit_entries_total",
    "Entries that this process wrote into the audit log itself, by action.",
    {
        "action": one_of(
            *("request", "refused", "read", "commit", "retract", "repair", "retention", "other")
        )
    },
)
AUDIT_UNWRITTEN = counter(
    "renown_audit_unwritten_total",
    "Entries of requests that could not be written and were given up.",
)
AUDIT_LEAVES = gauge("renown_audit_leaves", "Leaves of the audit log: the next sequence number.")
AUDIT_PENDING = gauge(
    "renown_audit_pending_entries", "Entries written that the notary has not taken yet."
)
AUDIT_PENDING_OLDEST = gauge(
    "renown_audit_pending_oldest_seconds", "How long the oldest of those has waited; 0 for none."
)
AUDIT_CHECKPOINT = gauge(
    "renown_audit_checkpoint_timestamp_seconds", "When the last checkpoint was signed, Unix time."
)
AUDIT_CHECKPOINT_SIZE = gauge(
    "renown_audit_checkpoint_leaves", "Leaves that the last checkpoint covers."
)
AUDIT_BROKEN = gauge(
    "renown_audit_broken",
    "1 once the notary's own running check has found that the log contradicts its past,"
    " until a person has acknowledged it, else 0.",
)
AUDIT_REVIEWS_OPEN = gauge(
    "renown_audit_reviews_open", "Entries that a rule wants a person to look at, and none has."
)
AUDIT_REVIEWS_OLDEST = gauge(
    "renown_audit_reviews_oldest_seconds", "How long the oldest of those has waited; 0 for none."
)
