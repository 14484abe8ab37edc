"""Can what we say be believed: completeness, what was read of agents, payments, the audit log."""

from __future__ import annotations

from tools.dashboards.panels import Dashboard, Panel, Query, Row, stat

OF = 'chain=~"$chain"'
RATE = "[$__rate_interval]"

TRUST = Dashboard(
    uid="renown-trust",
    title="Trust of data",
    says="Can what we say be believed: completeness, documents, payments, the audit log.",
    by_chain=True,
    by_instance=False,
    rows=[
        Row(
            "Now",
            [
                stat(
                    "Gaps",
                    'sum(max by (chain) (renown_coverage{state="gap"}))',
                    "Chains of which something is known to be missing.",
                    bad=1,
                    runbook="coverage-gap",
                ),
                stat(
                    "Quarantine",
                    "sum(max by (chain) (renown_quarantined_logs))",
                    "Logs that could not become facts.",
                    warn=1,
                    runbook="quarantine-growing",
                ),
                stat(
                    "Audit log",
                    "max(renown_audit_broken)",
                    "Whether the notary found that the log contradicts its past.",
                    words=((0, "whole", "green"), (1, "broken", "red")),
                    bad=1,
                    runbook="audit-chain-broken",
                ),
                stat(
                    "Checkpoint",
                    "time() - max(renown_audit_checkpoint_timestamp_seconds)",
                    "How long ago the last checkpoint was signed; grows while nothing is logged.",
                    unit="s",
                    runbook="checkpoint-old",
                ),
                stat(
                    "To review",
                    "max(renown_audit_reviews_open)",
                    "Entries that a rule wants a person to look at.",
                    warn=1,
                    bad=50,
                    runbook="review-backlog",
                ),
                stat(
                    "Documents due",
                    "max(renown_crawl_oldest_due_seconds)",
                    "How long the URI that waited longest has been due.",
                    unit="s",
                    warn=3600,
                    bad=86400,
                    runbook="crawler-behind",
                ),
            ],
        ),
        Row(
            "Completeness",
            [
                Panel(
                    "Coverage",
                    [
                        Query(
                            f"max by (chain, state) (renown_coverage{{{OF}}}) == 1",
                            "{{chain}} {{state}}",
                        )
                    ],
                    "What the last check of each chain found: proven, from one source only, a gap.",
                    unit="none",
                    most=1,
                    runbook="coverage-gap",
                ),
                Panel(
                    "Quarantine",
                    [Query(f"max by (chain) (renown_quarantined_logs{{{OF}}})", "{{chain}}")],
                    "Logs held that could not become facts.",
                    runbook="quarantine-growing",
                ),
                Panel(
                    "The API behind the index",
                    [Query(f"max by (chain) (renown_outbox_lag_positions{{{OF}}})", "{{chain}}")],
                    "Changes that the API's cache has not followed yet: it keeps nothing so long.",
                    runbook="cache-behind",
                ),
            ],
        ),
        Row(
            "What agents say of themselves",
            [
                Panel(
                    "Read",
                    [
                        Query(
                            f"sum by (outcome) (rate(renown_crawl_attempts_total{RATE}))",
                            "{{outcome}}",
                        )
                    ],
                    "Attempts to read a URI, by how they came out.",
                    unit="ops",
                    stacked=True,
                ),
                Panel(
                    "Due",
                    [Query("max(renown_crawl_backlog_uris)", "URIs")],
                    "URIs whose time to be read has come.",
                    runbook="crawler-behind",
                ),
                Panel(
                    "Behind the index",
                    [Query(f"max by (chain) (renown_trail_lag_blocks{{{OF}}})", "{{chain}}")],
                    "Blocks between what is indexed and what was read for its URIs.",
                    runbook="crawler-behind",
                ),
                Panel(
                    "Fetched",
                    [Query(f"sum by (outcome) (rate(renown_fetch_total{RATE}))", "{{outcome}}")],
                    "What hosts answered.",
                    unit="ops",
                    stacked=True,
                ),
                Panel(
                    "New documents",
                    [
                        Query(f"sum(rate(renown_documents_stored_total{RATE}))", "documents"),
                    ],
                    "Documents that were not held before.",
                    unit="ops",
                ),
                Panel(
                    "Endpoints",
                    [
                        Query(
                            f"sum by (kind, outcome) (rate(renown_probes_total{RATE}))",
                            "{{kind}} {{outcome}}",
                        )
                    ],
                    "Looks at declared endpoints; nothing where the prober is off.",
                    unit="ops",
                    stacked=True,
                ),
            ],
        ),
        Row(
            "Payments",
            [
                Panel(
                    "Claims",
                    [
                        Query(
                            "sum by (state, reason) (rate(renown_payment_claims_total[1h])) > 0",
                            "{{state}} {{reason}}",
                        )
                    ],
                    "Claims of payment that changed their state.",
                    unit="ops",
                    width=12,
                ),
                Panel(
                    "Waiting",
                    [
                        Query("max(renown_payment_claims_pending)", "claims"),
                    ],
                    "Claims whose transaction is in no block, or not looked at yet.",
                    width=12,
                    runbook="payments-wait",
                ),
            ],
        ),
        Row(
            "Audit log",
            [
                Panel(
                    "Entries",
                    [
                        Query(
                            f"sum by (action) (rate(renown_audit_entries_total{RATE}))",
                            "{{action}}",
                        ),
                        Query(f"sum(rate(renown_audit_unwritten_total{RATE}))", "given up"),
                    ],
                    "Entries that processes wrote themselves, and those that were given up.",
                    unit="ops",
                    runbook="audit-unwritten",
                ),
                Panel(
                    "Not sealed yet",
                    [
                        Query("max(renown_audit_pending_entries)", "entries"),
                        Query(
                            "max(renown_audit_leaves) - max(renown_audit_checkpoint_leaves)",
                            "leaves after the checkpoint",
                        ),
                    ],
                    "Entries that the notary has not taken, and leaves that no checkpoint covers.",
                    runbook="audit-pending",
                ),
                Panel(
                    "Oldest",
                    [
                        Query("max(renown_audit_pending_oldest_seconds)", "not taken"),
                        Query("max(renown_audit_reviews_oldest_seconds)", "not reviewed"),
                    ],
                    "How long the oldest entry has waited for the notary, and for a person.",
                    unit="s",
                    runbook="review-backlog",
                ),
            ],
        ),
    ],
)
