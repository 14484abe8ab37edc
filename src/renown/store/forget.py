"""Dropping one chain from an index: all that stands under its id."""

from __future__ import annotations

from typing import LiteralString

from renown.store.audit_commits import say_forget
from renown.store.changes import (
    OUTBOX_CHANNEL,
    announce,
    announce_chain,
    announce_places,
)
from renown.store.pool import Conn, transaction

PARTITIONS: LiteralString = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE c.relname ~ ('_c' || $1::bigint || '_p[0-9]+$') AND c.relkind = 'r'
"""
ROWS: tuple[LiteralString, ...] = (
    # Claims of other chains' agents that name payments on this one are settled anew.
    """UPDATE payment_claim SET state = 'pending', due_at = now()
        WHERE pay_chain_id = $1 AND chain_id <> $1
       RETURNING chain_id, agent_id""",
    "DELETE FROM payment WHERE chain_id = $1 OR pay_chain_id = $1",
    "DELETE FROM payment_claim WHERE chain_id = $1",
    "DELETE FROM payment_look WHERE chain_id = $1",
    """UPDATE agent_name n SET agent_count = n.agent_count - p.agent_count
         FROM (SELECT name_key, count(*) AS agent_count FROM agent_profile
                WHERE chain_id = $1 AND name_key IS NOT NULL GROUP BY name_key) p
        WHERE n.name_key = p.name_key""",
    "DELETE FROM agent_name WHERE agent_count <= 0 AND $1::bigint IS NOT NULL",
    # Agents of other chains were compared with those that go.
    *(
        f"""INSERT INTO profile_due (chain_id, agent_id)
            SELECT DISTINCT p.chain_id, p.agent_id
              FROM agent_profile g JOIN agent_profile p ON p.{shared} = g.{shared}
             WHERE g.chain_id = $1 AND p.chain_id <> $1
                ON CONFLICT DO NOTHING"""
        for shared in ("document_id", "template", "skeleton")
    ),
    """WITH heir AS (
            SELECT DISTINCT ON (p.template) p.chain_id, p.agent_id
              FROM agent_profile g JOIN agent_profile p ON p.template = g.template
             WHERE g.chain_id = $1 AND g.leads AND p.chain_id <> $1
             ORDER BY p.template, p.created_at, p.chain_id, p.agent_id)
       UPDATE agent_profile p
          SET leads = true, revision = nextval('profile_revision'), changed_at = now()
         FROM heir h WHERE (p.chain_id, p.agent_id) = (h.chain_id, h.agent_id)
       RETURNING p.chain_id, p.agent_id""",
    # Signed transactions mean nothing on a chain that is begun anew under the same id.
    "DELETE FROM operation WHERE chain_id = $1",
    "DELETE FROM agent_profile WHERE chain_id = $1",
    "DELETE FROM profile_due WHERE chain_id = $1",
    "DELETE FROM agent_domain WHERE chain_id = $1",
    "DELETE FROM agent_endpoint WHERE chain_id = $1",
    "DELETE FROM attachment WHERE chain_id = $1",
    "DELETE FROM quarantine WHERE chain_id = $1",
    "DELETE FROM unattached WHERE chain_id = $1",
    "DELETE FROM validation WHERE chain_id = $1",
    "DELETE FROM agent_tag_stats WHERE chain_id = $1",
    "DELETE FROM agent_stats WHERE chain_id = $1",
    "DELETE FROM feedback_mark WHERE chain_id = $1",
    "DELETE FROM agent_ownership WHERE chain_id = $1",
    "DELETE FROM agent_metadata WHERE chain_id = $1",
    "DELETE FROM agent WHERE chain_id = $1",
    "DELETE FROM outbox WHERE chain_id = $1",
    "DELETE FROM block WHERE chain_id = $1",
    "DELETE FROM coverage WHERE chain_id = $1",
    "DELETE FROM checkpoint WHERE chain_id = $1",
    "DELETE FROM chain WHERE chain_id = $1",
)
# What is deleted here is told of as one repair, not as the writes of somebody else.
NO_STRANGER: LiteralString = "SELECT set_config('renown.indexer', 'on', true)"
COUNTS: LiteralString = """
SELECT k.events, k.block_number, (SELECT count(*) FROM agent a WHERE a.chain_id = $1),
       (SELECT count(*) FROM quarantine q WHERE q.chain_id = $1)
  FROM checkpoint k WHERE k.chain_id = $1
"""


async def counts(conn: Conn, chain_id: int) -> dict[str, int] | None:
    """What `forget` would drop; None when the index has no such chain."""
    row = await conn.fetchrow(COUNTS, chain_id)
    if row is None:
        return None
    return dict(zip(("events", "block_number", "agents", "quarantined"), row, strict=True))


async def forget(conn: Conn, chain_id: int) -> None:
    """Drop a chain in one transaction. The caller holds the chain's lease, or knows nobody does."""
    async with transaction(conn) as tx:
        await tx.execute(NO_STRANGER)
        held = await counts(tx, chain_id) or {}
        await say_forget(
            tx, chain_id, events=held.get("events"), block_number=held.get("block_number")
        )
        for row in await tx.fetch(PARTITIONS, chain_id):
            await tx.execute(f'DROP TABLE "{row[0]}"')
        raised = set()
        for statement in ROWS:
            raised |= {tuple(row) for row in await tx.fetch(statement, chain_id)}
        await announce_places(tx, raised)
        await announce_chain(tx, chain_id)
        await announce(tx, OUTBOX_CHANNEL, f"{chain_id}:0")
