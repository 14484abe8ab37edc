"""Agents found: pages of a search in a kept order, or by how well their texts match.

The rank looks at a bounded number of *candidates*: the first matches in the order of quality. Pages
of it say where the candidates end, so that every later page ranks the same ones, and the matches
behind them follow in the order of quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, LiteralString

import msgspec
from asyncpg import Record

from renown.store.agents import AGENT, COUNTS, PROFILE, Listed, listed_row
from renown.store.pool import Conn
from renown.store.reads import Head
from renown.store.search_plan import Plan, Plans, tier_of
from renown.store.search_wanted import MATCH, Sql, Wanted, conditions

Order = Literal["quality", "newest", "activity", "feedback"]
CANDIDATES = 100
TIMEOUT_SECONDS = 5.0
"""After which a search is given up; the connection's own limit may be longer."""

_COLUMNS: dict[Order, tuple[LiteralString, LiteralString]] = {
    "quality": ("quality", "bigint"),
    "newest": ("created_at", "timestamptz"),
    "activity": ("active_at", "timestamptz"),
    "feedback": ("feedback_count", "bigint"),
}

# The block up to which the facts of a chain are in the rows that are searched. As one text: as
# columns beside the page they would take a good part of the time of a search.
_HEADS: LiteralString = """
SELECT json_agg(json_build_array(c.chain_id, encode(c.identity, 'hex'), c.start_block,
       coalesce(t.block_number, c.start_block - 1), encode(t.block_hash, 'hex'), t.block_time,
       k.final_block, k.safe_block, c.epoch) ORDER BY c.chain_id)::text
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN trail t ON t.chain_id = c.chain_id AND t.epoch = c.epoch"""
_heads = msgspec.json.Decoder(
    list[tuple[int, str, int, int, str | None, datetime | None, int, int | None, int]]
)


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where an agent stands in an order: the order's own value, then chain and agent."""

    value: Any
    chain_id: int
    agent_id: int


class Found(msgspec.Struct, frozen=True, gc=False):
    """One agent of a page."""

    listed: Listed
    score: float
    place: Place


class Page(msgspec.Struct, frozen=True, gc=False):
    """A page.

    Attributes:
        heads: the block of each chain that the rows are of.
        found: the page, with one more behind it if there is a next.
        candidates: how many matches were ranked, or stand on this page.
        last: the place of the last candidate of a rank; None if all that match are candidates.
        expected: how many match, as far as statistics know.
        said: the lexemes of the text, as PostgreSQL writes them.
    """

    heads: list[Head]
    found: list[Found]
    candidates: int
    last: Place | None
    expected: float
    said: str


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """Where the next page of a rank begins: behind `score` and `place`, among those down to `last`
    (all if None)."""

    score: float
    place: Place
    last: Place | None


async def in_order(
    conn: Conn,
    plans: Plans,
    wanted: Wanted,
    order: Order = "quality",
    *,
    after: Place | None = None,
    limit: int,
    uri_cut_bytes: int,
    few: bool = False,
) -> Page:
    """Matches in a kept order, the highest value first.

    Args:
        few: known to be few, so that an index serves and nothing has to be reckoned.
    """
    most = None if few else limit + 1
    search = _Search(wanted, order, limit, most, False, uri_cut_bytes, after=after)
    return await search.run(conn, plans)


async def by_rank(
    conn: Conn,
    plans: Plans,
    wanted: Wanted,
    *,
    after: Ranked | None = None,
    limit: int,
    uri_cut_bytes: int,
) -> Page:
    """Candidates in the order of how well they match; a later page ranks those of the first."""
    most = CANDIDATES + 1 if after is None else None
    search = _Search(wanted, "quality", limit, most, True, uri_cut_bytes, ranked=after)
    return await search.run(conn, plans)


class _Search(msgspec.Struct, frozen=True):
    wanted: Wanted
    order: Order
    limit: int
    most: int | None
    """Matches to look at; None for all there are within the bounds."""
    rank: bool
    uri_cut_bytes: int
    after: Place | None = None
    ranked: Ranked | None = None

    async def run(self, conn: Conn, plans: Plans) -> Page:
        few = self.most is None and not self.rank
        expected = 0.0 if few else await plans.matches(conn, self.wanted)
        by_quality = self.order == "quality"
        below = self.after.value if self.after is not None and by_quality else None
        most = self.most or CANDIDATES
        plan = plans.choose(expected, most, by_quality=by_quality, below=below)
        if self.most is None:
            last = self.ranked.last if self.ranked else None
            scan = plan.scan and last is not None
            plan = Plan(scan=scan, tier=None if last is None or scan else tier_of(last.value))
        while True:
            statement, args = self.statement(plan)
            rows = await conn.fetch(statement, *args, timeout=TIMEOUT_SECONDS)
            page, seen = self.page(rows, expected)
            if self.most is None:
                return page
            if not plan.scan and self.after is None:
                plans.learn(self.wanted, max(seen, 0.5) / max(plans.share(plan.tier), 1e-6))
            enough = page.last is not None or page.candidates >= self.most
            if enough or plan.exhaustive:
                return page
            plan = self._wider(plans, plan, seen, expected)

    def _wider(self, plans: Plans, plan: Plan, seen: int, expected: float) -> Plan:
        """The plan after one that found too few."""
        if not plan.scan and self.most is not None:
            # Fewer in the tier than chance would have it: look as for something rarer.
            rarer = max(seen, 0.5) / max(plans.share(plan.tier), 1e-6)
            again = plans.choose(rarer, self.most, by_quality=True)
            if again.tier is not None and again.tier < (plan.tier or 0):
                return again
        return plans.exhaustive(expected)

    def statement(self, plan: Plan) -> tuple[LiteralString, list[Any]]:
        """The statement of a plan, and its parameters."""
        column, type_ = _COLUMNS[self.order]
        # The columns of an agent take the first parameter for where its URI is cut.
        sql = Sql(self.wanted, self.uri_cut_bytes)
        where: LiteralString = conditions(self.wanted, sql)
        range_: LiteralString = ""
        if self.after is not None:
            place = _place(sql, self.after, type_)
            range_ += f" AND (p.{column}, p.chain_id, p.agent_id) < ({place})"
        if self.ranked is not None and self.ranked.last is not None:
            place = _place(sql, self.ranked.last, type_)
            range_ += f" AND (p.{column}, p.chain_id, p.agent_id) >= ({place})"
        sorting: LiteralString = f"p.{column} DESC, p.chain_id DESC, p.agent_id DESC"
        most = sql.add(self.most, "bigint")
        if plan.scan:
            # Such a condition no index of words can serve, so that the order's index is walked.
            match: LiteralString = f" AND ({MATCH}) IS TRUE" if sql.asked else ""
            scanned = sql.add(plan.most_scanned, "bigint")
            matches: LiteralString = f"""
              SELECT p.*, 0::bigint AS seen
                FROM (SELECT p.* FROM agent_profile p WHERE true{range_}
                       ORDER BY {sorting} LIMIT {scanned}) p
               WHERE true{match}{where}
               ORDER BY {sorting} LIMIT {most}"""
        else:
            match = f" AND {MATCH}" if sql.asked else ""
            match += plan.condition
            matches = f"""
              SELECT p.*, count(*) OVER () AS seen
                FROM (SELECT p.* FROM agent_profile p
                       WHERE true{match}{where}{range_} OFFSET 0) p
               ORDER BY {sorting} LIMIT {most}"""
        score: LiteralString = _SCORE if self.rank else "0::float8"
        kept = sql.add(CANDIDATES if self.rank and self.most else None, "bigint")
        behind: LiteralString = ""
        if self.ranked is not None:
            score_, place = (
                sql.add(self.ranked.score, "float8"),
                _place(sql, self.ranked.place, type_),
            )
            behind = f" AND (score, value, chain_id, agent_id) < ({score_}, {place})"
        rows = sql.add(self.limit + 1, "bigint")
        return (
            f"""
WITH {sql.q},
matches AS MATERIALIZED (
       SELECT p.chain_id, p.agent_id, p.{column} AS value, p.seen, {score} AS score,
              row_number() OVER () AS place
         FROM ({matches}) p
),
page AS (
       SELECT {AGENT}, {COUNTS}, {PROFILE}, m.score, m.value, m.chain_id AS chain,
              m.agent_id AS agent
         FROM (SELECT * FROM matches
                WHERE ({kept} IS NULL OR place <= {kept}){behind}
                ORDER BY score DESC, value DESC, chain_id DESC, agent_id DESC LIMIT {rows}) m
         JOIN agent a ON a.chain_id = m.chain_id AND a.agent_id = m.agent_id
         JOIN agent_profile pr ON pr.chain_id = m.chain_id AND pr.agent_id = m.agent_id
         JOIN chain c ON c.chain_id = m.chain_id
         LEFT JOIN agent_stats s ON s.chain_id = m.chain_id AND s.agent_id = m.agent_id
)
SELECT CASE WHEN row_number() OVER (ORDER BY page.score DESC, page.value DESC, page.chain DESC,
                                    page.agent DESC) = 1 THEN ({_HEADS}) END,
       n.candidates, n.seen, e.value, e.chain_id, e.agent_id, (SELECT said::text FROM q), page.*
  FROM (SELECT count(*) AS candidates, max(seen) AS seen FROM matches) n
  LEFT JOIN matches e ON e.place = {kept} AND n.candidates > {kept}
  LEFT JOIN page ON true
 ORDER BY page.score DESC, page.value DESC, page.chain DESC, page.agent DESC""",
            sql.args,
        )

    def page(self, rows: Sequence[Record], expected: float) -> tuple[Page, int]:
        """The page of a statement's rows, and how many matches the index gave."""
        heads, candidates, seen, value, chain_id, agent_id, said = rows[0][:_BESIDE]
        last = None
        if value is not None:
            candidates, last = candidates - 1, Place(value, chain_id, agent_id)
        found = []
        for row in rows:
            listed = listed_row(row, _BESIDE)
            if listed is not None:
                found.append(Found(listed, row[-4], Place(*row[-3:])))
        expected = max(expected, candidates)
        return Page(_read_heads(heads), found, candidates, last, expected, said), seen or 0


_BESIDE = 7
"""Columns before those of the page, the same in all rows but the first of them."""


def _read_heads(text: str | None) -> list[Head]:
    heads = []
    for chain_id, identity, start, number, of_block, time, final, safe, epoch in (
        _heads.decode(text) if text else ()
    ):
        block_hash = None if of_block is None else bytes.fromhex(of_block)
        registry = bytes.fromhex(identity)
        heads.append(Head(chain_id, registry, start, number, block_hash, time, final, safe, epoch))
    return heads


# ts_rank is bounded whatever a text repeats, and names count once more by themselves, so that no
# description stuffed with words outranks a name. Quality, which costs something to have, weighs up
# to half as much again.
_SCORE: LiteralString = """(
    ts_rank('{0.1, 0.2, 0.4, 1.0}', p.words, (SELECT said FROM q))::float8
    + ts_rank('{0.0, 0.0, 0.0, 1.0}', p.words, (SELECT said FROM q))::float8
    ) * (1 + p.quality / 510::float8)"""


def _place(sql: Sql, place: Place, type_: LiteralString) -> LiteralString:
    return (
        f"{sql.add(place.value, type_)}, {sql.add(place.chain_id, 'bigint')},"
        f" {sql.add(place.agent_id, 'bigint')}"
    )
