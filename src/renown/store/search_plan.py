"""How a search finds its best matches soonest: through indexes of words, or down the order.

PostgreSQL cannot decide it: for a statement prepared once it knows no word, and it never knows that
the best hundred of ten thousand matches can be had without looking at the others. So searches ask
its statistics themselves, keep what they learn for a while, and choose between these:

- *scan*: walk the index of the order from the top and keep what matches. Best for common words.
- *bands*: beside the index of all words there is one for each band of quality. They are asked from
  the best down until there are enough matches, so that hardly more rows are read than needed,
  wherever in the order they stand, and nothing has to be known of a search that is new.
- *tail*: bands, but the rows below the last of the agents that say something of themselves are
  walked: what nearly all of these have in common (no file, say) is not worth an index there.
- *index*: let the index of all words give all matches, and sort them.
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

_FLOOR = 43
"""What an agent can hardly reach by its clients alone, without a file: `derive.quality`."""

BANDS: tuple[tuple[int, int, LiteralString], ...] = (
    (214, 255, " AND p.quality + 0 >= 214"),
    (206, 213, " AND p.quality + 0 >= 206 AND p.quality + 0 < 214"),
    (192, 205, " AND p.quality + 0 >= 192 AND p.quality + 0 < 206"),
    (180, 191, " AND p.quality + 0 >= 180 AND p.quality + 0 < 192"),
    (168, 179, " AND p.quality + 0 >= 168 AND p.quality + 0 < 180"),
    (156, 167, " AND p.quality + 0 >= 156 AND p.quality + 0 < 168"),
    (140, 155, " AND p.quality + 0 >= 140 AND p.quality + 0 < 156"),
    (124, 139, " AND p.quality + 0 >= 124 AND p.quality + 0 < 140"),
    (104, 123, " AND p.quality + 0 >= 104 AND p.quality + 0 < 124"),
    (84, 103, " AND p.quality + 0 >= 84 AND p.quality + 0 < 104"),
    (64, 83, " AND p.quality + 0 >= 64 AND p.quality + 0 < 84"),
    (_FLOOR, 63, " AND p.quality + 0 >= 43 AND p.quality + 0 < 64"),
    (35, 42, " AND p.quality + 0 >= 35 AND p.quality + 0 < 43"),
    (21, 34, " AND p.quality + 0 >= 21 AND p.quality + 0 < 35"),
    (0, 20, " AND p.quality + 0 < 21"),
)
"""Lowest and highest quality of each, and the predicate of its partial index, best first.
Constants, so that PostgreSQL sees which index serves."""

BELOW: LiteralString = " AND p.quality < 43"
"""The condition of the rows that a tail walks."""

_MOST_READ = 20_000
_CHEAP_US = 40_000.0
"""What it may cost to look at all matches, before it is tried whether they are few."""

# Measured at a million rows; only their proportions matter.
_ROW_OF_SCAN_US, _ROW_OF_INDEX_US, _POSTING_US, _PROBES_US = 2.0, 2.5, 0.02, 150.0

_OF_A_BAND = 0.05
"""Share of its matches that a search meets in a band of those that are looked at, about."""

_BOUNDS = (
    *("feedback_least", "feedback_most", "registered_from", "registered_before"),
    *("active_from", "active_before"),
)
_PARAMETERS: tuple[LiteralString, ...] = ("$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8")

SIZE: LiteralString = "SELECT reltuples FROM pg_class WHERE oid = 'agent_profile'::regclass"


class Plan(msgspec.Struct, frozen=True):
    """One way to find matches.

    Attributes:
        scan: walk down the order, over at most `most_scanned` rows (None for all); otherwise use
            indexes of words.
        most_read: with an index, how many matches are read at most; as many say that not all were.
        within: with a scan, the column whose bounds it walks instead of the order.
        bands: use those of the bands of quality, for the order of quality alone.
        tail: with bands, walk at most `most_scanned` of the rows below the floor.
    """

    scan: bool
    most_scanned: int | None = None
    most_read: int | None = None
    within: Order | None = None
    bands: bool = False
    tail: bool = False

    @property
    def exhaustive(self) -> bool:
        """Whether it finds all there is, if that many are wanted."""
        return self.most_scanned is None and self.most_read is None

    def of_bands(self) -> list[tuple[int, int, LiteralString]]:
        """Its bands, the best first: see `BANDS`."""
        return [one for one in BANDS if not self.tail or one[0] >= _FLOOR]


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
        self._read_at = -_FRESH_SECONDS

    async def rows(self, conn: Conn) -> float:
        """How many agents there are, about."""
        now = time.monotonic()
        if now - self._read_at >= _FRESH_SECONDS:
            self._rows = max(await conn.fetchval(SIZE), 0.0)
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

    def learn(self, wanted: Wanted, matches: float) -> None:
        """Keep a better number of matches."""
        _keep(self._matches, wanted, matches)

    def choose(
        self, matches: float, need: int, *, order: Order, reach: Reach, later: bool = False
    ) -> Plan:
        """The cheapest plan for the first `need` matches in an order, or for the next ones of a
        `later` page."""
        rows = max(self._rows, matches, 1.0)
        best = self._indexed(matches, need, order, reach)
        # Of the order's own index only the rows within its bounds are walked.
        walked = reach.within.get(order, rows)
        scanned = need * max(walked, 1.0) / max(matches, 1.0)
        best_us = self._first_us(best, matches, need, reach)
        if later and best.bands:  # a walk begins at the page, a band at its own top
            best_us += _OF_A_BAND * matches * _ROW_OF_INDEX_US
        if scanned * _ROW_OF_SCAN_US < best_us:
            most = 4 * scanned + 100 if order == "quality" else 8 * scanned + 1_000
            return Plan(scan=True, most_scanned=int(most))
        return self._with_tail(best, matches, need)

    def wider(
        self,
        plan: Plan,
        wanted: Wanted,
        matches: float,
        need: int,
        *,
        order: Order,
        reach: Reach,
    ) -> Plan:
        """The plan after one that found too few."""
        if order == "quality" and (wanted.text or wanted.terms):
            if "!" in wanted.terms and matches > self._rows / 2:
                return Plan(scan=True)  # an index of words has to look at all words for a contrary
            best = self._indexed(matches, need, order, reach)
            return best if plan.tail else self._with_tail(best, matches, need)
        best = self.exhaustive(order=order, reach=reach)
        if order == "quality":
            # Without words an index of them has nothing to look up: bands would be read whole. What
            # walks the order may stop at the page, what walks a bound goes to its end.
            return best if self.cost_us(best, reach) <= _CHEAP_US else Plan(scan=True)
        if plan.most_read is None and self.cost_us(best, reach, order) > _CHEAP_US:
            # Words that exclude each other: statistics do not know that hardly anything matches.
            return Plan(scan=False, most_read=_MOST_READ)
        return best

    def exhaustive(self, *, order: Order = "quality", reach: Reach) -> Plan:
        """The plan that finds all matches, wherever in the order they are."""
        plans = [Plan(scan=False), Plan(scan=True), *_within_bounds(order, reach)]
        return min(plans, key=lambda plan: self.cost_us(plan, reach, order))

    def cost_us(self, plan: Plan, reach: Reach, order: Order = "quality") -> float:
        """About how long a plan takes that looks at all there is."""
        if not plan.scan:
            postings = min(10 * reach.worded, self._rows)
            return reach.worded * _ROW_OF_INDEX_US + postings * _POSTING_US
        rows = reach.within.get(plan.within or order, self._rows)
        return rows * (_ROW_OF_SCAN_US if plan.within is None else _ROW_OF_INDEX_US)

    def _indexed(self, matches: float, need: int, order: Order, reach: Reach) -> Plan:
        """The cheapest plan that leaves out nothing and does not walk the order."""
        # Statistics know nothing of words that go together, so the first of what is thought to be
        # few are looked for as if they were many.
        plans = [Plan(scan=False, bands=order == "quality"), *_within_bounds(order, reach)]
        return min(plans, key=lambda plan: self._first_us(plan, matches, need, reach))

    def _first_us(self, plan: Plan, matches: float, need: int, reach: Reach) -> float:
        """About how long a plan takes that may end with the first `need` matches."""
        if not plan.bands:
            return self.cost_us(plan, reach)
        # A band is read to its end.
        read = min(1.6 * need * reach.worded / max(matches, 1.0), reach.worded)
        return _PROBES_US + read * _ROW_OF_INDEX_US

    def _with_tail(self, plan: Plan, matches: float, need: int) -> Plan:
        share = matches / max(self._rows, 1.0)
        # Below the floor stand six of ten agents. What an index has to look at there rises with the
        # share, what is walked falls with it.
        if not plan.bands or share * share * max(self._rows, 1.0) < 2.5 * need:
            return plan
        return Plan(scan=False, bands=True, tail=True, most_scanned=int(4 * need / share) + 1_000)


def _within_bounds(order: Order, reach: Reach) -> list[Plan]:
    return [Plan(scan=True, within=by) for by in reach.within if by != order]


def _keep(kept: OrderedDict[K, tuple[T, float]], key: K, value: T) -> None:
    kept[key] = (value, time.monotonic())
    kept.move_to_end(key)
    while len(kept) > _MOST_KEPT:
        kept.popitem(last=False)
