"""Which role may do what to which table. A relation that is not named here belongs to its owner."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_R = "SELECT"
_RA = "SELECT, INSERT"
_RAD = "SELECT, INSERT, DELETE"
_RAWD = "SELECT, INSERT, UPDATE, DELETE"
# Which entry it is, and who wrote it, is the database's word.
_R_TELL = (
    "SELECT, INSERT (at, action, subject, subject_key, request_id, account_id, key_id, wallet,"
    " address, user_agent, method, route, status, duration_ms, detail)"
)
# To lock a row takes the right to change something of it.
_R_LOCK_ACCOUNT = "SELECT, UPDATE (name)"


class Rights(msgspec.Struct, frozen=True):
    """What each kind of role is granted on a relation; "" is nothing at all."""

    writer: str
    api: str
    readonly: str


_FACTS = (
    *("agent_registered", "uri_updated", "metadata_set", "agent_transferred", "agent_approved"),
    *("operator_set", "metadata_refreshed", "feedback_given", "feedback_revoked"),
    *("response_appended", "validation_requested", "validation_responded", "registry_changed"),
    "legacy_event",
)
_STATE = (
    *("agent", "agent_metadata", "agent_ownership", "feedback_mark", "agent_stats"),
    *("agent_tag_stats", "validation", "unattached", "quarantine", "block", "chain", "checkpoint"),
    *("outbox", "coverage"),
)
_DOCUMENTS = (
    *("trail", "document", "uri", "resolution", "resolution_day", "host", "attachment"),
    *("agent_profile", "profile_due", "agent_name", "agent_name_word", "agent_domain", "endpoint"),
    *("agent_endpoint", "endpoint_check", "endpoint_day", "endpoint_payee"),
)
_ROLLUPS = ("agent_payment_stats", "agent_payment_total", "agent_payer")
_VIEWS = (
    *("feedback", "network", "term_count", "v_view_age", "v_db_tables", "v_db_indexes"),
    *("leaderboard_clients", "leaderboard_paid", "leaderboard_newest", "leaderboard_busiest"),
)

RIGHTS: Mapping[str, Rights] = {
    # Of the chain, and of what strangers publish: for everybody to read, for workers to write.
    **{table: Rights(_RAWD, _R, _R) for table in (*_FACTS, *_STATE, *_DOCUMENTS)},
    **{view: Rights(_R, _R, _R) for view in (*_VIEWS, "v_db_partitions")},
    # Written by triggers, with their owner's rights.
    **{table: Rights(_R, _R, _R) for table in _ROLLUPS},
    "payment_change": Rights("", "", ""),
    "v_payment_stats": Rights(_R, "", ""),
    "schema_migration": Rights(_R, _R, _R),
    "service_role": Rights(_R, _R, ""),
    "view_refresh": Rights(_R, _R, _R),
    # What others' sessions run: PostgreSQL itself shows it to those with pg_read_all_stats only.
    "v_db_activity": Rights(_R, "", ""),
    "v_db_locks": Rights(_R, "", ""),
    # People. The API makes accounts, but never an operator, and changes no tier.
    "account": Rights(_R_LOCK_ACCOUNT, "SELECT, INSERT (name, tier), UPDATE (name)", ""),
    "account_wallet": Rights(_R, _RAWD, ""),
    "signer_grant": Rights(_R, _R, ""),
    "api_key": Rights(_R, _RAWD, ""),
    "wallet_challenge": Rights("SELECT, DELETE", _RAWD, ""),
    "idempotency": Rights("SELECT, DELETE", _RAWD, ""),
    "hosted_file": Rights("SELECT, UPDATE, DELETE", "SELECT, INSERT, UPDATE (media_type)", ""),
    # Writes to the chain.
    "operation": Rights(_RAWD, _RAWD, ""),
    "operation_file": Rights(_RAWD, _RAWD, ""),
    "operation_step": Rights(_RAWD, _RAWD, ""),
    "operation_transaction": Rights(_RAWD, "SELECT, INSERT, UPDATE", ""),
    "operation_event": Rights(_RAD, _RA, ""),
    "payment_claim": Rights(_RAWD, "SELECT, INSERT, UPDATE", ""),
    "payment": Rights(_RAWD, _RAWD, _R),  # what is linked is settled at once, if it can be
    "payment_look": Rights(_RAWD, _R, ""),
    # The audit log: nobody changes or removes an entry but its owner, by retention.
    "audit_log": Rights(_R_TELL, _R_TELL, ""),
    "audit_pending": Rights("SELECT, DELETE", _R, ""),
    "audit_leaf": Rights(_RA, _R, ""),
    "audit_node": Rights(_RA, _R, ""),
    "audit_checkpoint": Rights(_RA, _R, ""),
    "audit_review": Rights(_R, _RA, ""),
    "audit_review_open": Rights(_RAD, _R, ""),
    "audit_alarm": Rights(_RA, _R, ""),
    "audit_address_key": Rights("", _RA, ""),
    "v_audit_log": Rights(_R, _R, ""),
    "v_audit_summary": Rights(_R, _R, ""),
    "policy": Rights(_R, _R, ""),
    "installation_setting": Rights(_RAWD, _RAWD, ""),
    "installation_mark": Rights(_R, _RAWD, ""),
}

SEQUENCES: Mapping[str, tuple[str, ...]] = {
    "writer": ("audit_entry_id", "profile_revision"),
    "api": ("audit_entry_id",),
}

FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "writer": (
        *("ensure_fact_partitions", "ensure_audit_partitions", "refresh_view", "analyze_tables"),
    ),
}
"""Functions that act with their owner's rights, and who else may call them."""

OWNERS_ALONE: tuple[str, ...] = (
    *FUNCTIONS["writer"],
    # Triggers and what they are made of.
    *("audit_add", "audit_to_pending", "audit_row", "audit_truncate", "audit_foreign_write"),
    *("audit_reviewed", "audit_watch"),
    *("payment_noted", "payment_claim_noted", "payment_change_applied", "payments_truncated"),
    "recount_payments",
)
"""Functions that not everybody may call."""
