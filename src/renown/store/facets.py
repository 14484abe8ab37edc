"""How the matches of a search spread over kinds of terms, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.search import TIMEOUT_SECONDS
from renown.store.search_plan import Plan, Plans
from renown.store.search_wanted import COLUMNS, MATCH, Sql, Wanted, bound, conditions

MOST_COUNTED = 10_000
"""Matches up to which each is counted."""
MOST_VALUES = 20
_SAMPLE_MATCHES, _SAMPLE_ROWS = 1_500, 12_000
_MOST_US = 250_000.0
"""What matches may cost to find, few as they may be; in the measure of `search_plan`."""

_BY_WORDS = Plan(scan=False)

How = Literal["exact", "kept", "estimate"]


class Facets(msgspec.Struct, frozen=True):
    """Counts of matches.

    Attributes:
        total: matches altogether.
        how: each counted; of the last refresh of the kept counts; or reckoned from a sample.
        values: by kind of term: the most frequent values with their counts, highest first.
        counted_at: when kept counts were made.
    """

    total: int
    how: How
    values: dict[str, list[tuple[str, int]]]
    counted_at: datetime | None = None


async def count(conn: Conn, plans: Plans, wanted: Wanted, kinds: Sequence[str]) -> Facets:
    """The facets of a search; exact up to `MOST_COUNTED` matches."""
    rows = await plans.rows(conn)
    expected = await plans.matches(conn, wanted)
    reach = await plans.reach(conn, wanted)
    plan = plans.exhaustive(reach=reach)
    if expected <= 1.5 * MOST_COUNTED and plans.cost_us(plan, reach) <= _MOST_US:
        counted, values = await _counted(conn, wanted, kinds, plan=plan)
        if counted <= MOST_COUNTED:
            return Facets(counted, "exact", values)
    share = min(_SAMPLE_MATCHES / max(expected, 1.0), _SAMPLE_ROWS / max(rows, 1.0), 1.0)
    counted, values = await _counted(conn, wanted, kinds, share=share)
    scaled = {
        kind: [(value, round(number / share)) for value, number in found]
        for kind, found in values.items()
    }
    return Facets(round(counted / share), "estimate", scaled)


async def kept(conn: Conn, kinds: Sequence[str], chains: Sequence[int] | None) -> Facets | None:
    """The facets of all agents of some chains, or of all; None before they were first counted."""
    found = await conn.fetch(KEPT, list(kinds), None if chains is None else list(chains))
    values: dict[str, list[tuple[str, int]]] = {kind: [] for kind in kinds}
    total, counted_at = None, None
    for kind, value, number, when in found:
        if kind is None:
            total, counted_at = number, when
        else:
            values[kind].append((value, number))
    return None if total is None else Facets(int(total), "kept", values, counted_at)


# $1 kinds, $2 chains; one row without kind for the total.
KEPT: LiteralString = f"""
WITH counted AS (
     SELECT split_part(term, '=', 1) AS kind, term, sum(agent_count)::bigint AS agents,
            max(counted_at) AS counted_at
       FROM term_count
      WHERE ($2::bigint[] IS NULL OR chain_id = any($2))
        AND (split_part(term, '=', 1) = any($1) OR term LIKE 'chain=%')
      GROUP BY term
), ranked AS (
     SELECT *, row_number() OVER (PARTITION BY kind ORDER BY agents DESC, term) AS place
       FROM counted WHERE kind = any($1)
)
(SELECT kind, substr(term, length(kind) + 2), agents, counted_at
   FROM ranked WHERE place <= {MOST_VALUES} ORDER BY kind, place)
 UNION ALL
SELECT NULL, NULL, sum(agents)::bigint, max(counted_at) FROM counted WHERE kind = 'chain'
"""


async def _counted(
    conn: Conn,
    wanted: Wanted,
    kinds: Sequence[str],
    *,
    plan: Plan = _BY_WORDS,
    share: float | None = None,
) -> tuple[int, dict[str, list[tuple[str, int]]]]:
    """Counts of at most `MOST_COUNTED` + 1 matches, or of those in a share of the table's pages."""
    sql = Sql(wanted)
    where: LiteralString = conditions(wanted, sql)
    match: LiteralString = f" AND {MATCH}" if sql.asked else ""
    limit: LiteralString = f"LIMIT {sql.add(MOST_COUNTED + 1, 'bigint')}"
    few: LiteralString = f" AND (SELECT count(*) FROM matched) <= {MOST_COUNTED}"
    sample: LiteralString = ""
    if share is not None:
        # The same pages each time, so that the same question gets the same answer.
        percent = sql.constant(100 * share, "real")
        match = f" AND ({MATCH}) IS TRUE" if sql.asked else ""
        limit, few, sample = "", "", f"TABLESAMPLE SYSTEM ({percent}) REPEATABLE (1)"
    rows: LiteralString = f"agent_profile p {sample}"
    if plan.scan and plan.within is not None:
        # Such a condition no index of words can serve, so that the index of the bounds is walked.
        match = f" AND ({MATCH}) IS TRUE" if sql.asked else ""
        column = COLUMNS[plan.within][0]
        rows = f"""(SELECT p.* FROM agent_profile p
                     WHERE true{bound(wanted, plan.within, sql.add)}
                     ORDER BY p.{column} DESC, p.chain_id DESC, p.agent_id DESC
                     LIMIT {sql.add(None, "bigint")}) p"""
    # Agents have twenty terms, most of them of other kinds. Those that begin with `kind=` stand
    # between this and `kind>`, which is looked up faster than a term is cut.
    ends = sorted(f"{kind}{end}" for kind in set(kinds) for end in "=>")
    bounds = sql.add(ends, "text[]")
    statement: LiteralString = f"""
WITH {sql.q},
matched AS MATERIALIZED (
     SELECT p.terms FROM {rows} WHERE true{match}{where} {limit}
), counted AS (
     SELECT t.term, count(*) AS agents
       FROM (SELECT unnest(m.terms) AS term FROM matched m WHERE true{few}) t
      WHERE width_bucket(t.term COLLATE "C", {bounds}) & 1 = 1
      GROUP BY t.term
), ranked AS (
     SELECT split_part(term, '=', 1) AS kind, term, agents,
            row_number() OVER (PARTITION BY split_part(term, '=', 1)
                                   ORDER BY agents DESC, term) AS place
       FROM counted
)
(SELECT kind, substr(term, length(kind) + 2), agents
   FROM ranked WHERE place <= {MOST_VALUES} ORDER BY kind, place)
 UNION ALL SELECT NULL, NULL, count(*) FROM matched"""
    values: dict[str, list[tuple[str, int]]] = {kind: [] for kind in kinds}
    total = 0
    for kind, value, number in await conn.fetch(statement, *sql.args, timeout=TIMEOUT_SECONDS):
        if kind is None:
            total = number
        else:
            values[kind].append((value, number))
    return total, values
