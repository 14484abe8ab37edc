"""Which agents a stretch of a chain's outbox touched, for those who keep answers about them."""

from __future__ import annotations

from typing import Any, LiteralString

import msgspec

from renown.store import facts
from renown.store.pool import Conn
from renown.store.reads import HEAD, HEAD_COLUMNS, Head

MOST_FACTS = 2_000
"""More facts than this are not looked through: every agent of the chain is taken for touched."""
MOST_ENTRIES = 200


class Touched(msgspec.Struct, frozen=True):
    """Where a chain stands now, and whose state the entries since a position may have changed.

    Attributes:
        head: the chain's checkpoint with its `position`, of the same snapshot.
        agents: None: any agent of the chain.
    """

    head: Head
    agents: frozenset[int] | None


HEADS: LiteralString = (
    f"SELECT {HEAD} FROM chain c JOIN checkpoint k USING (chain_id) ORDER BY c.chain_id"
)


async def heads(conn: Conn, *, timeout_seconds: float | None = None) -> list[Head]:
    """Where every chain stands, by chain id."""
    return [Head(*row) for row in await conn.fetch(HEADS, timeout=timeout_seconds)]


# An extension's facts are found by their blocks, which are the first columns of every primary key.
# Those of blocks that a retraction took back since are in the retraction. A refold says not whom.
_OF_BLOCKS: LiteralString = """
SELECT f.agent_id FROM {table} f, said s
 WHERE f.chain_id = $1 AND f.block_number BETWEEN s.low AND s.high AND NOT s.too_much"""


def _touched_sql() -> LiteralString:
    named = [table.name for table in facts.TABLES.values() if "agent_id" in table.columns]
    of_blocks: LiteralString = "\n UNION ALL ".join(
        _OF_BLOCKS.replace("{table}", name) for name in named
    )
    return f"""
WITH news AS MATERIALIZED (
SELECT kind, position, from_block, to_block, fact_count, retracted
  FROM outbox WHERE chain_id = $1 AND position > $2
 ORDER BY position LIMIT {MOST_ENTRIES + 1}
), said AS MATERIALIZED (
SELECT min(position) AS first, max(position) AS last,
       min(from_block) FILTER (WHERE kind = 'extend' AND fact_count > 0) AS low,
       max(to_block) FILTER (WHERE kind = 'extend' AND fact_count > 0) AS high,
       coalesce(bool_or(kind = 'refold'), false) OR count(*) > {MOST_ENTRIES}
       OR coalesce(sum(fact_count), 0) > {MOST_FACTS} AS too_much
  FROM news
), carried AS MATERIALIZED (
SELECT (e.value ->> 'agent_id')::bigint AS agent_id,
       (e.value ->> 'last_agent_id')::bigint AS last_agent_id
  FROM said s, news n, jsonb_each(n.retracted) t, jsonb_array_elements(t.value) e
 WHERE n.kind = 'retract' AND NOT s.too_much
)
SELECT {HEAD}, s.first, s.last,
       s.too_much
       OR EXISTS (SELECT FROM carried WHERE last_agent_id > agent_id)
       OR EXISTS (SELECT FROM metadata_refreshed m
                   WHERE m.chain_id = $1 AND m.block_number BETWEEN s.low AND s.high
                     AND m.last_agent_id > m.agent_id),
       ARRAY(SELECT agent_id FROM carried WHERE agent_id IS NOT NULL
              UNION SELECT agent_id FROM ({of_blocks}) x WHERE agent_id IS NOT NULL)
  FROM said s, chain c
  JOIN checkpoint k USING (chain_id)
 WHERE c.chain_id = $1
"""


TOUCHED: LiteralString = _touched_sql()


async def since(conn: Conn, known: Head, *, timeout_seconds: float | None = None) -> Touched | None:
    """What happened on the chain of `known` behind its position; None if the chain is gone.

    One statement. Agents are all where the entries do not say it (a refold), are more than is
    worth looking through, or are not there any more.
    """
    args: tuple[Any, ...] = (known.chain_id, known.position)
    row = await conn.fetchrow(TOUCHED, *args, timeout=timeout_seconds)
    if row is None:
        return None
    head = Head(*row[:HEAD_COLUMNS])
    first, last, too_much, agents = row[HEAD_COLUMNS:]
    gapless = (
        (first, last) == (known.position + 1, head.position)
        if first is not None
        else head.position == known.position
    )
    if too_much or not gapless or head.epoch != known.epoch:
        return Touched(head, None)
    return Touched(head, frozenset(agents))
