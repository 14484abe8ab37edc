"""Agents found: pages of a search in a kept order, or by how well their texts match.

The rank looks at a bounded number of *candidates*: the first matches in the order of quality. Pages
of it say where the candidates end, so that every later page ranks the same ones, and the matches
behind them follow in the order of quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, LiteralString

import msgspec
from asyncpg import Record

from renown.store.agents import AGENT, COUNTS, PROFILE, Listed, listed_row
from renown.store.pool import Conn
from renown.store.reads import Head, head_of
from renown.store.search_plan import BELOW, Plan, Plans, Reach
from renown.store.search_wanted import (
    COLUMNS,
    MATCH,
    Order,
    Sql,
    Wanted,
    bound,
    conditions,
    of_key,
    of_row,
)

CANDIDATES = 100
TIMEOUT_SECONDS = 5.0
"""After which a search is given up; the connection's own limit may be longer."""

# The block up to which the facts of a chain are in the rows that are searched: each chain's head,
# and beside it its trail. As one text: as columns beside the page they would take a good part of
# the time of a search.
_HEADS: LiteralString = """
SELECT string_agg(k.head || E'\\t' || CASE WHEN t.chain_id IS NULL THEN '' ELSE json_build_array(
       t.epoch, t.block_number, encode(t.block_hash, 'hex'), t.block_time)::text END, E'\\n')
  FROM checkpoint k
  LEFT JOIN trail t ON t.chain_id = k.chain_id"""
_trail = msgspec.json.Decoder(tuple[int, int, str | None, datetime | None])


# An agent's registry stands in its chain's head.
_AGENT: LiteralString = AGENT.replace("c.identity", "NULL::bytea AS identity")


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
        reach = Reach(0.0) if few else await plans.reach(conn, self.wanted)
        most = self.most or CANDIDATES
        later = self.after is not None
        plan = plans.choose(expected, most, order=self.order, reach=reach, later=later)
        if self.most is None:
            plan = self._whole(plan)
        of_top = self.most is not None and self.after is None and self.order == "quality"
        known = plans.known(self.wanted, most) if of_top else None
        first = plan = known or plan
        while True:
            statement, args = self.statement(plan)
            rows = await conn.fetch(statement, *args, timeout=TIMEOUT_SECONDS)
            page, seen = self.page(rows, expected)
            if self.most is None:
                return page
            enough = page.last is not None or page.candidates >= self.most
            if plan.most_read is not None:
                enough = seen < plan.most_read  # of more than that, the best may be among the rest
            if enough or plan.exhaustive:
                if self.after is None and (not enough or not (plan.scan or plan.bands)):
                    plans.learn(self.wanted, max(seen, page.candidates, 0.5))
                if of_top and plan != first:
                    plans.remember(self.wanted, most, plan)
                return page
            plan = plans.wider(plan, self.wanted, expected, most, order=self.order, reach=reach)

    def _whole(self, plan: Plan) -> Plan:
        """The plan for all there is within the bounds of a rank, or of few."""
        if self.ranked is None or self.ranked.last is None:
            return Plan(scan=False)
        return Plan(scan=True) if plan.scan and plan.within is None else Plan(False, bands=True)

    def statement(self, plan: Plan) -> tuple[LiteralString, list[Any]]:
        """The statement of a plan, and its parameters."""
        column, type_ = COLUMNS[self.order]
        # The columns of an agent take the first parameter for where its URI is cut.
        sql = Sql(self.wanted, self.uri_cut_bytes)
        where: LiteralString = "" if plan.bands else conditions(self.wanted, sql)
        range_: LiteralString = ""
        if self.after is not None:
            place = _place(sql, self.after, type_)
            range_ += f" AND (p.{column}, p.chain_id, p.agent_id) < ({place})"
        if self.ranked is not None and self.ranked.last is not None:
            place = _place(sql, self.ranked.last, type_)
            range_ += f" AND (p.{column}, p.chain_id, p.agent_id) >= ({place})"
        sorting: LiteralString = f"p.{column} DESC, p.chain_id DESC, p.agent_id DESC"
        # Only what tells a match from another goes through sorts and windows; its row is had again
        # by its place in the table, which is next to nothing within one statement.
        narrow: LiteralString = f"p.tid, p.chain_id, p.agent_id, p.{column}"
        row: LiteralString = "p.ctid AS tid, p.*"
        most = sql.add(self.most, "bigint")
        matches: LiteralString
        if plan.bands:
            matches = self._of_bands(plan, sql, range_, sorting, most)
        elif plan.scan:
            # Such a condition no index of words can serve, so that the order's index is walked.
            match: LiteralString = f" AND ({MATCH}) IS TRUE" if sql.asked else ""
            scanned = sql.add(plan.most_scanned, "bigint")
            by = plan.within or self.order
            walked = COLUMNS[by][0]
            range_ += bound(self.wanted, by, sql.add)
            walk: LiteralString = f"p.{walked} DESC, p.chain_id DESC, p.agent_id DESC"
            if by == "quality" and self.wanted.chain_id is not None:
                range_ += self._of_chain(sql)
                walk = _IN_CHAIN
            matches = f"""
              SELECT {narrow}, 0::bigint AS seen
                FROM (SELECT {row} FROM agent_profile p WHERE true{range_}
                       ORDER BY {walk} LIMIT {scanned}) p
               WHERE true{match}{where}
               ORDER BY {walk if by == self.order else sorting} LIMIT {most}"""
        else:
            match = f" AND {MATCH}" if sql.asked else ""
            fence: LiteralString = "OFFSET 0"
            if plan.most_read is not None:
                fence = f"LIMIT {sql.add(plan.most_read, 'bigint')}"
            matches = f"""
              SELECT {narrow}, count(*) OVER () AS seen
                FROM (SELECT {row} FROM agent_profile p
                       WHERE true{match}{where}{range_} {fence}) p
               ORDER BY {sorting} LIMIT {most}"""
        kept = sql.add(CANDIDATES if self.rank and self.most else None, "bigint")
        behind: LiteralString = ""
        if self.ranked is not None:
            score_, place = (
                sql.add(self.ranked.score, "float8"),
                _place(sql, self.ranked.place, type_),
            )
            behind = f" WHERE (score, value, chain_id, agent_id) < ({score_}, {place})"
        rows = sql.add(self.limit + 1, "bigint")
        scored: LiteralString = f"""
              SELECT m.*, {_SCORE} AS score FROM matches m JOIN agent_profile p ON p.ctid = m.tid
               WHERE {kept} IS NULL OR m.place <= {kept}"""
        if not self.rank:
            scored = "SELECT m.*, 0::float8 AS score FROM matches m"
        return (
            f"""
WITH {sql.q},
matches AS MATERIALIZED (
       SELECT p.tid, p.chain_id, p.agent_id, p.{column} AS value, p.seen,
              row_number() OVER () AS place
         FROM ({matches}) p
),
page AS (
       SELECT m.*, row_number() OVER () AS nth
         FROM (SELECT m.* FROM ({scored} OFFSET 0) m{behind}
                ORDER BY score DESC, value DESC, chain_id DESC, agent_id DESC LIMIT {rows}) m
)
SELECT CASE WHEN m.nth = 1 OR m.nth IS NULL THEN ({_HEADS}) END,
       n.candidates, n.seen, n.value, n.chain_id, n.agent_id, (SELECT said::text FROM q),
       {_AGENT}, {COUNTS}, {PROFILE}, m.score, m.value, m.chain_id, m.agent_id
  FROM (SELECT count(*) AS candidates, max(seen) AS seen,
               max(value) FILTER (WHERE place = {kept}) AS value,
               max(chain_id) FILTER (WHERE place = {kept}) AS chain_id,
               max(agent_id) FILTER (WHERE place = {kept}) AS agent_id
          FROM matches) n
  LEFT JOIN (page m
         JOIN agent a ON a.chain_id = m.chain_id AND a.agent_id = m.agent_id
         JOIN agent_profile pr ON pr.ctid = m.tid
         LEFT JOIN agent_stats s ON s.chain_id = m.chain_id AND s.agent_id = m.agent_id) ON true
 ORDER BY m.nth""",
            sql.args,
        )

    def _of_chain(self, sql: Sql) -> LiteralString:
        """What terms say of the chain, once more as a condition on the column: agents of the same
        quality stand by chains, and an index on both leaps over those of the others."""
        chain_id = self.wanted.chain_id
        return "" if chain_id is None else f" AND p.chain_id = {sql.add(chain_id, 'bigint')}"

    def _of_bands(
        self,
        plan: Plan,
        sql: Sql,
        range_: LiteralString,
        sorting: LiteralString,
        most: LiteralString,
    ) -> LiteralString:
        """The first matches of the bands in turn: below LIMIT, a band that is not needed any more
        is never begun. What can be said once for all stands outside of them: they are many, and
        mostly there is little in them."""
        above: LiteralString = ""
        below: LiteralString = ""
        if self.after is not None:
            below = f" AND {sql.add(self.after.value, 'bigint')} >= "
        if self.ranked is not None and self.ranked.last is not None:
            above = f" AND {sql.add(self.ranked.last.value, 'bigint')} <= "
        where: LiteralString = of_row(self.wanted, sql)
        match: LiteralString = " AND p.words @@ asked.query" if sql.asked else ""
        columns: LiteralString = "p.ctid AS tid, p.chain_id, p.agent_id, p.quality"
        arms: list[LiteralString] = [
            f"""
              (SELECT * FROM (SELECT {columns} FROM agent_profile p
                               WHERE true{match}{band}{where}{range_}{below and f"{below}{low}"}
                               {above and f"{above}{high}"} OFFSET 0) p ORDER BY {sorting})"""
            for low, high, band in plan.of_bands()
        ]
        if plan.tail:
            # Such a condition no index of words can serve, so that the order's index is walked.
            match = " AND (p.words @@ asked.query) IS TRUE" if sql.asked else ""
            walk: LiteralString = sorting if self.wanted.chain_id is None else _IN_CHAIN
            walked: LiteralString = BELOW + range_ + self._of_chain(sql)
            arms.append(f"""
              (SELECT {columns.replace("p.ctid AS tid", "p.tid")}
                 FROM (SELECT p.ctid AS tid, p.* FROM agent_profile p WHERE true{walked}
                        ORDER BY {walk} LIMIT {sql.add(plan.most_scanned, "bigint")}) p
                WHERE true{match}{where}
                ORDER BY {walk})""")
        both: LiteralString = "\n               UNION ALL"
        return f"""
              SELECT p.*, 0::bigint AS seen
                FROM q AS asked
               CROSS JOIN LATERAL (
                     SELECT * FROM (SELECT * FROM ({both.join(arms)}) p OFFSET 0) p
                      WHERE true{of_key(self.wanted)} LIMIT {most}) p
               ORDER BY {sorting}"""

    def page(self, rows: Sequence[Record], expected: float) -> tuple[Page, int]:
        """The page of a statement's rows, and how many matches the index gave."""
        heads_, candidates, seen, value, chain_id, agent_id, said = rows[0][:_BESIDE]
        last = None
        if value is not None and candidates > CANDIDATES:
            candidates, last = candidates - 1, Place(value, chain_id, agent_id)
        heads = _read_heads(heads_ or "")
        registries = {head.chain_id: head.registry for head in heads}
        found = []
        for row in rows:
            listed = listed_row(row, _BESIDE, registries.get(row[-2]))
            if listed is not None:
                found.append(Found(listed, row[-4], Place(*row[-3:])))
        expected = max(expected, candidates)
        page = Page(list(heads), found, candidates, last, expected, said)
        return page, seen or 0


_IN_CHAIN: LiteralString = "p.quality DESC, p.agent_id DESC"
"""The order of quality among the agents of one chain."""

_BESIDE = 7
"""Columns before those of the page, the same in all rows but the first of them."""


@lru_cache(maxsize=8)  # it changes with the blocks, not with the searches
def _read_heads(text: str) -> tuple[Head, ...]:
    heads = []
    for line in text.splitlines():
        said, _, of_trail = line.partition("\t")
        head = head_of(said)
        number, block_hash, time = head.start_block - 1, None, None
        if of_trail:
            epoch, reached, hash_, at = _trail.decode(of_trail)
            if epoch == head.epoch:
                number, time = reached, at
                block_hash = None if hash_ is None else bytes.fromhex(hash_)
        heads.append(
            msgspec.structs.replace(
                head, block_number=number, block_hash=block_hash, block_time=time, position=0
            )
        )
    return tuple(sorted(heads, key=lambda head: head.chain_id))


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
