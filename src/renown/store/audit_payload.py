"""What is hashed of an entry of the audit log: one text, which PostgreSQL makes.

It stands here and not in a stored function, which whoever owns the database could change.
"""

from __future__ import annotations

from typing import LiteralString

PAYLOAD: LiteralString = """
pg_catalog.json_build_array(
    l.entry_id, (extract(epoch FROM l.at) * 1000000)::bigint, l.action, l.subject, l.subject_key,
    l.request_id, l.account_id, l.key_id, pg_catalog.encode(l.wallet, 'hex'),
    pg_catalog.encode(l.address, 'hex'), l.user_agent, l.db_user, l.program, l.method, l.route,
    l.status, l.duration_ms::text, l.before, l.after, l.detail, f.rule)::text
"""
"""Of the row `l` of `audit_log`, with the rule `f.rule`. The same text on every version of
PostgreSQL we support; no setting of a session changes it."""
