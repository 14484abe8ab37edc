"""How a search finds its best matches soonest: through an index of words, or down the order.

PostgreSQL cannot decide it: for a statement prepared once it knows no word, and it never knows that
the best hundred of ten thousand matches can be had without looking at the others. So searches ask
its statistics themselves, keep what they learn for a while, and choose between two statements:

- *scan*: walk the index of the order from the top and keep what matches. Best for common words.
- *index*: let an index of words give the matches, and sort them. Beside the index of all rows there
  are some that hold only the rows of at least some quality (tiers): smaller by as much as these
  are fewer, and enough where they hold as many matches as are needed.

- *scan* within bounds: where something is asked of feedback or times that few agents have, walk
  these in that column's index, whatever the order, and sort what matches.

A wrong guess costs time, never a match: whoever uses a plan checks that it found enough.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, LiteralString, TypeVar

import msgspec

from renown.store.pool import Conn
from renown.store.search_wanted import Order, Wanted, bound

K = TypeVar("K")
T = TypeVar("T")

_FRESH_SECONDS = 600.0
_MOST_KEPT = 5_000

_TIERS: dict[int, LiteralString] = {
    200: " AND p.quality + 0 >= 200",
    184: " AND p.quality + 0 >= 184",
    168: " AND p.quality + 0 >= 168",
    152: " AND p.quality + 0 >= 152",
    128: " AND p.quality + 0 >= 128",
    104: " AND p.quality + 0 >= 104",
    80: " AND p.quality + 0 >= 80",
    40: " AND p.quality + 0 >= 40",
}
"""The predicates of the partial indexes. Constants, so that PostgreSQL sees which of them serve."""

_LARGEST = 40
_STEPS = (184, 152, 104, _LARGEST)
"""Tiers that are tried in turn where matches stand lower in the order than chance would have it."""
_MOST_READ = 20_000
_CHEAP_US = 40_000.0
"""What it may cost to look at all matches, before steps are tried."""

# Measured at a million rows; only their proportions matter.
_ROW_OF_SCAN_US, _ROW_OF_INDEX_US, _POSTING_US = 2.0, 2.5, 0.02

_BOUNDS = (
    *("feedback_least", "feedback_most", "registered_from", "registered_before"),
    *("active_from", "active_before"),
)
_PARAMETERS: tuple[LiteralString, ...] = ("$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8")

SIZES: LiteralString = """
SELECT relname, reltuples FROM pg_class
 WHERE relname = 'agent_profile' OR relname LIKE 'agent\\_profile\\_words\\_%'
"""


class Plan(msgspec.Struct, frozen=True):
    """One way to find matches.

    Attributes:
        scan: walk down the order, over at most `most_scanned` rows (None for all); otherwise use
            an index of words.
        most_read: with an index, how many matches are read at most; as many say that not all were.
        within: with a scan, the column whose bounds it walks instead of the order.
        tail: a scan that passes over the largest tier, whose matches come from its index of words.
        tier: with an index, only rows of at least this quality are looked at; None for all.
    """

    scan: bool
    tier: int | None = None
    most_scanned: int | None = None
    most_read: int | None = None
    within: Order | None = None
    tail: bool = False

    @property
    def exhaustive(self) -> bool:
        """Whether it finds all there is."""
        if self.scan:
            return self.most_scanned is None
        return self.tier is None and self.most_read is None

    @property
    def condition(self) -> LiteralString:
        """The condition of the tier, with AND before it; "" for none."""
        return "" if self.tier is None else _TIERS[self.tier]

    @property
    def passed(self) -> tuple[LiteralString, LiteralString]:
        """The condition of the rows that a tail passes over, and of those it walks."""
        return _TIERS[_LARGEST], " AND p.quality < 40"


class Reach(msgspec.Struct, frozen=True):
    """How many agents have the words and terms of a search, and how many are within its bounds."""

    worded: float
    within: Mapping[Order, float] = {}


class Plans:
    """What is known of how often things match. One per process; made empty, it fills itself."""

    def __init__(self) -> None:
        self._matches: OrderedDict[Wanted, tuple[float, float]] = OrderedDict()
        self._bounded: OrderedDict[Wanted, tuple[dict[Order, float], float]] = OrderedDict()
        self._plans: OrderedDict[tuple[Wanted, int], tuple[Plan, float]] = OrderedDict()
        self._rows = 0.0
        self._shares: dict[int, float] = {}
        self._read_at = -_FRESH_SECONDS

    async def rows(self, conn: Conn) -> float:
        """How many agents there are, about."""
        now = time.monotonic()
        if now - self._read_at >= _FRESH_SECONDS:
            await self._read(conn)
            self._read_at = now
        return self._rows

    async def matches(self, conn: Conn, wanted: Wanted) -> float:
        """How many agents match: what was learnt of late, else what statistics make of it."""
        await self.rows(conn)
        known = self._matches.get(wanted)
        if known is not None and time.monotonic() - known[1] < _FRESH_SECONDS:
            return known[0]
        found = await self._estimate(conn, wanted, words=True, by=tuple(wanted.bounds))
        self.learn(wanted, found)
        return found

    async def reach(self, conn: Conn, wanted: Wanted) -> Reach:
        """How many agents each way to the matches passes."""
        if not wanted.bounds and not wanted.tagged:
            return Reach(await self.matches(conn, wanted))
        plain = Wanted(text=wanted.text, terms=wanted.terms, leads=wanted.leads)
        worded = await self.matches(conn, plain)
        return Reach(worded, await self._within(conn, wanted))

    async def _within(self, conn: Conn, wanted: Wanted) -> dict[Order, float]:
        """How many agents there are within the bounds of each column that has any."""
        key = Wanted(
            **{name: getattr(wanted, name) for name in _BOUNDS},
            tag1=b"" if wanted.tagged else None,
        )
        known = self._bounded.get(key)
        if known is not None and time.monotonic() - known[1] < _FRESH_SECONDS:
            return known[0]
        found = {
            by: await self._estimate(conn, wanted, words=False, by=(by,)) for by in wanted.bounds
        }
        _keep(self._bounded, key, found)
        return found

    async def _estimate(
        self, conn: Conn, wanted: Wanted, *, words: bool, by: tuple[Order, ...]
    ) -> float:
        # In line here, not in a common table: PostgreSQL has to see the values to know them.
        args: list[Any] = []

        def add(value: Any, type_: LiteralString) -> LiteralString:
            args.append(value)
            return f"{_PARAMETERS[len(args) - 1]}::{type_}"

        where: LiteralString = "true"
        if words and (wanted.text or wanted.terms):
            text, terms = add(wanted.text, "text"), add(wanted.terms, "text")
            where = f"p.words @@ (websearch_to_tsquery('renown', {text}) && {terms}::tsquery)"
        if words and wanted.leads:
            where += " AND p.leads"
        for one in by:
            where += bound(wanted, one, add)
        plan = await conn.fetchval(f"EXPLAIN SELECT FROM agent_profile p WHERE {where}", *args)
        rows = re.search(r"rows=(\d+)", plan)
        return float(rows[1]) if rows else 0.0

    def known(self, wanted: Wanted, most: int) -> Plan | None:
        """The plan that did best of late for the first `most` by quality."""
        kept = self._plans.get((wanted, most))
        return kept[0] if kept is not None and time.monotonic() - kept[1] < _FRESH_SECONDS else None

    def remember(self, wanted: Wanted, most: int, plan: Plan) -> None:
        """Begin with this plan for a while, instead of what is chosen."""
        _keep(self._plans, (wanted, most), plan)

    def wider(self, plan: Plan, reach: Reach, *, order: Order, below: int | None) -> Plan:
        """The plan after one that found too few."""
        best = self.exhaustive(order=order, reach=reach)
        all_us = self.cost_us(best, reach, order)
        if order == "quality" and plan.most_read is None:
            above = min(plan.tier or 255, below if below is not None else 255)
            lower = next((tier for tier in _STEPS if tier < above), None)
            if lower is not None:
                step = Plan(scan=False, tier=lower)
                if all_us > _CHEAP_US or self.cost_us(step, reach, order) < all_us / 2:
                    return step
        if all_us <= _CHEAP_US:
            return best
        if plan.most_read is None:
            # Words that exclude each other: statistics do not know that hardly anything matches.
            return Plan(scan=False, most_read=_MOST_READ)
        return Plan(scan=True, tail=True) if order == "quality" else best

    def learn(self, wanted: Wanted, matches: float) -> None:
        """Keep a better number of matches."""
        _keep(self._matches, wanted, matches)

    def share(self, tier: int | None) -> float:
        """The share of rows that a tier holds."""
        return 1.0 if tier is None else self._shares.get(tier, 0.0)

    def choose(
        self, matches: float, need: int, *, order: Order, reach: Reach, below: int | None = None
    ) -> Plan:
        """The cheapest plan for the first `need` matches in an order.

        Args:
            order: tiers serve where it is that of quality.
            below: rows of more than this quality are not wanted.
        """
        rows = max(self._rows, matches, 1.0)
        over = 0.0
        if below is not None:
            over = self.share(min((tier for tier in _TIERS if tier > below), default=-1))
        tiers: list[int | None] = [None]
        if order == "quality":
            tiers += [t for t in _TIERS if matches * (self.share(t) - over) >= 1.5 * need]
        plans = [Plan(scan=False, tier=tier) for tier in tiers]
        plans += [Plan(scan=True, within=by) for by in reach.within if by != order]
        # Of the order's own index only the rows within its bounds are walked.
        walked = reach.within.get(order, rows)
        scanned = need * max(walked, 1.0) / max(matches, 1.0)
        plans.append(Plan(scan=True, most_scanned=int(8 * scanned) + 1_000))
        costs = [self.cost_us(plan, reach, order) for plan in plans]
        costs[-1] = scanned * _ROW_OF_SCAN_US
        return plans[min(range(len(plans)), key=costs.__getitem__)]

    def exhaustive(self, *, order: Order = "quality", reach: Reach) -> Plan:
        """The plan that finds all matches, wherever in the order they are."""
        plans = [Plan(scan=False), Plan(scan=True)]
        plans += [Plan(scan=True, within=by) for by in reach.within if by != order]
        return min(plans, key=lambda plan: self.cost_us(plan, reach, order))

    def cost_us(self, plan: Plan, reach: Reach, order: Order = "quality") -> float:
        """About how long a plan takes that looks at all there is."""
        if not plan.scan:
            return self._index_us(reach.worded, max(self._rows, 1.0), plan.tier)
        rows = reach.within.get(plan.within or order, self._rows)
        return rows * (_ROW_OF_SCAN_US if plan.within is None else _ROW_OF_INDEX_US)

    def _index_us(self, matches: float, rows: float, tier: int | None) -> float:
        share = self.share(tier)
        return share * (matches * _ROW_OF_INDEX_US + min(10 * matches, rows) * _POSTING_US)

    async def _read(self, conn: Conn) -> None:
        sizes = {row[0]: max(row[1], 0.0) for row in await conn.fetch(SIZES)}
        self._rows = sizes.get("agent_profile", 0.0)
        self._shares = {
            tier: min(sizes.get(f"agent_profile_words_{tier}", 0.0) / max(self._rows, 1.0), 1.0)
            for tier in _TIERS
        }


def _keep(kept: OrderedDict[K, tuple[T, float]], key: K, value: T) -> None:
    kept[key] = (value, time.monotonic())
    kept.move_to_end(key)
    while len(kept) > _MOST_KEPT:
        kept.popitem(last=False)


def tier_of(quality: int) -> int | None:
    """The smallest tier that holds all rows of at least this quality; None for all rows."""
    return next((tier for tier in _TIERS if tier <= quality), None)
