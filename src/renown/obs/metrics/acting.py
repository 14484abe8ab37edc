"""Writes that go to chains, and payments that are held against them."""

from __future__ import annotations

from renown.obs.metrics.registry import (
    CHAIN,
    Domain,
    counter,
    gauge,
    one_of,
)

# Operations ---------------------------------------------------------------------------------------

OPERATIONS_ASKED = counter(
    "renown_operations_asked_total",
    "Writes that were stored to be done, by kind and by who signs.",
    {"kind": Domain("kind of operation", 16), "mode": one_of("client", "managed")},
)
OPERATION_MOVES = counter(
    "renown_operation_moves_total",
    "Transactions of operations that came into a state.",
    {
        "chain": CHAIN,
        "state": one_of(
            "prepared", "submitted", "included", "final", "failed", "dropped", "orphaned"
        ),
    },
)
BROADCASTS = counter(
    "renown_broadcasts_total",
    "Signed transactions offered to nodes, by what came of it.",
    {"chain": CHAIN, "verdict": one_of("taken", "known", "refused", "unsure")},
)
OPERATION_BLIND = counter(
    "renown_operation_blind_total",
    "Looks at operations that failed because no node of the chain answered.",
    {"chain": CHAIN},
)
OPERATIONS_WATCHED = gauge(
    "renown_operations_watched",
    "Operations of which something is still to be seen.",
    {"chain": CHAIN},
)
OPERATIONS_OLDEST = gauge(
    "renown_operations_oldest_due_seconds",
    "How long the operation that has waited longest for a look has been due.",
)

# Payments -----------------------------------------------------------------------------------------

PAYMENT_CLAIMS = counter(
    "renown_payment_claims_total",
    "Claims of payment that changed their state, by the new one and, if refused, why.",
    {
        "state": one_of("pending", "included", "confirmed", "refused"),
        "reason": Domain("code of the refusal; empty for the other states", 14),
    },
)
PAYMENTS_PENDING = gauge(
    "renown_payment_claims_pending",
    "Claims of payment whose transaction is in no block, or not looked at yet.",
)
PAYMENTS_OLDEST = gauge(
    "renown_payment_claims_oldest_seconds", "How long the oldest of those has waited."
)
