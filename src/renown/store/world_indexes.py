"""What slows the load of a bench world down, taken away and put back: indexes, keys, triggers.

What was taken stands in `bench.taken` as it was, see `store.world`.
"""

from __future__ import annotations

from typing import LiteralString

import msgspec

from renown.store.pool import Conn, Tx

_FACTS = (
    *("agent_registered", "uri_updated", "metadata_set", "agent_transferred", "feedback_given"),
    *("feedback_revoked", "response_appended", "metadata_refreshed"),
)
_LOADED = (
    *_FACTS,
    *("agent", "agent_ownership", "block", "payment", "payment_claim", "document", "uri"),
    *("attachment", "agent_profile", "agent_domain", "endpoint", "agent_endpoint", "agent_name"),
)
# Indexes of partitions go with their parents', and come again with them: made as they are shown,
# for the parent only, they would be of no use. Those that hold a constraint stay.
TO_TAKE: LiteralString = """
SELECT c.relname, t.relname, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_class t ON t.oid = i.indrelid
 WHERE t.relnamespace = 'public'::regnamespace AND t.relname = any($1) AND NOT t.relispartition
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
 ORDER BY 1
"""
# Payments come with keys that are hashes: in an index that is there, each would go to a page of its
# own. Foreign keys go before what they point to.
KEYS_TO_TAKE: LiteralString = """
SELECT k.conname, t.relname, pg_get_constraintdef(k.oid)
  FROM pg_constraint k
  JOIN pg_class t ON t.oid = k.conrelid
 WHERE t.relnamespace = 'public'::regnamespace
   AND (k.contype = 'f' AND t.relname IN ('payment', 'payment_claim', 'uri')
        OR k.contype IN ('p', 'u') AND t.relname IN ('payment', 'payment_claim'))
 ORDER BY k.contype = 'f' DESC, 1
"""
NOTE_TAKEN: LiteralString = """
INSERT INTO bench.taken (name, on_table, definition) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
TAKEN: LiteralString = """
SELECT t.name, t.on_table, t.definition,
       to_regclass('public.' || quote_ident(t.name)) IS NOT NULL
       OR EXISTS (SELECT FROM pg_constraint k WHERE k.conname = t.name)
  FROM bench.taken t ORDER BY t.name
"""
_SILENCED = ("payment", "payment_claim", "account")


class Taken(msgspec.Struct, frozen=True):
    """An index or key that was taken away."""

    name: str
    table: str
    definition: str
    is_back: bool

    @property
    def is_index(self) -> bool:
        """Whether it is an index, and no constraint."""
        return self.definition.startswith("CREATE ")

    @property
    def is_foreign_key(self) -> bool:
        """Whether it needs keys of other tables."""
        return self.definition.startswith("FOREIGN KEY")


async def take_indexes(tx: Tx) -> None:
    """Take away what slows rows down as they come: indexes, keys, triggers of our own.

    Once, before anything is loaded: those that are back would be taken for good.
    """
    for row in await tx.fetch(TO_TAKE, list(_LOADED)):
        await tx.execute(NOTE_TAKEN, *row)
        await tx.execute(f'DROP INDEX public."{row[0]}"')
    for row in await tx.fetch(KEYS_TO_TAKE):
        await tx.execute(NOTE_TAKEN, *row)
        await tx.execute(f'ALTER TABLE public."{row[1]}" DROP CONSTRAINT "{row[0]}"')
    for table in _SILENCED:
        await tx.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")


async def taken(conn: Conn) -> list[Taken]:
    """What was taken away, and what of it is back."""
    return [Taken(*row) for row in await conn.fetch(TAKEN)]


async def put_back(tx: Tx, name: str) -> None:
    """Make an index or a key again, by its name."""
    one = next(one for one in await taken(tx) if one.name == name)
    if one.is_back:
        return
    if one.is_index:
        await tx.execute(one.definition)
    else:
        await tx.execute(
            f'ALTER TABLE public."{one.table}" ADD CONSTRAINT "{one.name}" {one.definition}'
        )


async def wake_triggers(conn: Conn) -> None:
    """Let the triggers work again."""
    for table in _SILENCED:
        await conn.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
