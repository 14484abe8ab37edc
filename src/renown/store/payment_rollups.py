"""The kept numbers of payments, compared with what they are kept of.

Triggers keep them (migration 0006), in the transaction that writes payments and claims. They can
only be wrong where rows were loaded past the triggers, or somebody wrote there by hand.
"""

from __future__ import annotations

from typing import LiteralString

import msgspec

from renown.store.pool import Conn


class Differing(msgspec.Struct, frozen=True):
    """An agent of whom a table of kept numbers does not hold what a count gives."""

    table: str
    chain_id: int
    agent_id: int


def _differing(table: LiteralString, truth: LiteralString) -> LiteralString:
    return f"""
SELECT DISTINCT '{table}', chain_id, agent_id
  FROM ((SELECT * FROM ({truth}) t EXCEPT SELECT * FROM {table})
        UNION ALL
        (SELECT * FROM {table} EXCEPT SELECT * FROM ({truth}) t)) d
 ORDER BY chain_id, agent_id LIMIT $1
"""


STATS: LiteralString = _differing(
    "agent_payment_stats",
    "SELECT s.*, payment_totals(s.chain_id, s.agent_id, false) FROM v_payment_stats s",
)
TOTALS: LiteralString = _differing(
    "agent_payment_total",
    """SELECT chain_id, agent_id, pay_chain_id, token, count(*),
              count(*) FILTER (WHERE is_final), sum(amount),
              coalesce(sum(amount) FILTER (WHERE is_final), 0)
         FROM payment GROUP BY chain_id, agent_id, pay_chain_id, token""",
)
PAYERS: LiteralString = _differing(
    "agent_payer",
    """SELECT chain_id, agent_id, payer, count(*), count(*) FILTER (WHERE is_final)
         FROM payment GROUP BY chain_id, agent_id, payer""",
)


async def differing(conn: Conn, *, limit: int = 100) -> list[Differing]:
    """Agents whose kept numbers are wrong, up to `limit` of each table; nothing where all is well.

    Reads all payments and claims, three times: tens of seconds for a million.
    """
    return [
        Differing(*row)
        for statement in (STATS, TOTALS, PAYERS)
        for row in await conn.fetch(statement, limit)
    ]


RECOUNT: LiteralString = "SELECT recount_payments()"


async def recount(conn: Conn) -> None:
    """Count everything anew, which writers wait for. `conn` is the owner's."""
    await conn.execute(RECOUNT)
