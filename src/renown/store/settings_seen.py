"""The settings that components of this installation last ran with; the log tells of each change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from renown.spec.redaction import redact_text
from renown.store.audit_entries import say_who
from renown.store.pool import Conn, transaction

LONGEST_VALUE = 2_000

# Rows that are as they were are left alone: each one that is written is an entry.
_WRITE: LiteralString = """
INSERT INTO installation_setting AS s (component, variable, value)
SELECT $1, variable, value FROM unnest($2::text[], $3::text[]) AS n (variable, value)
 ORDER BY variable
    ON CONFLICT (component, variable)
    DO UPDATE SET value = excluded.value, since = now() WHERE s.value <> excluded.value
"""
_DROP: LiteralString = """
DELETE FROM installation_setting WHERE component = $1 AND variable <> ALL ($2::text[])
"""
# Of several processes of one component that start together, one after the other.
_IN_TURN: LiteralString = (
    "SELECT pg_advisory_xact_lock(hashtextextended('renown.settings.' || $1::text, 0))"
)


async def note_settings(conn: Conn, component: str, rows: Iterable[tuple[str, str]]) -> None:
    """Note with which settings a component runs, where that is not known already.

    Args:
        rows: variable and value. Of a secret the value is `set` or `unset`, never the secret, nor
            anything that is made of it.
    """
    values = {
        name: redact_text(value).replace("\0", "\ufffd")[:LONGEST_VALUE] for name, value in rows
    }
    async with transaction(conn) as tx:
        await say_who(tx)
        await tx.execute(_IN_TURN, component)
        await tx.execute(_WRITE, component, list(values), list(values.values()))
        await tx.execute(_DROP, component, list(values))
