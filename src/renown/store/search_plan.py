"""How a search finds its best matches soonest: through an index of words, or down the order.

PostgreSQL cannot decide it: for a statement prepared once it knows no word, and it never knows that
the best hundred of ten thousand matches can be had without looking at the others. So searches ask
its statistics themselves, keep what they learn for a while, and choose between two statements:

- *scan*: walk the index of the order from the top and keep what matches. Best for common words.
- *index*: let an index of words give the matches, and sort them. Beside the index of all rows there
  are some that hold only the rows of at least some quality (tiers): smaller by as much as these
  are fewer, and enough where they hold as many matches as are needed.

A wrong guess costs time, never a match: whoever uses a plan checks that it found enough.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from typing import LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.search_wanted import Wanted

_FRESH_SECONDS = 600.0
_MOST_KEPT = 5_000

_TIERS: dict[int, LiteralString] = {
    200: " AND p.quality + 0 >= 200",
    176: " AND p.quality + 0 >= 176",
    144: " AND p.quality + 0 >= 144",
    120: " AND p.quality + 0 >= 120",
    104: " AND p.quality + 0 >= 104",
    88: " AND p.quality + 0 >= 88",
    64: " AND p.quality + 0 >= 64",
}
"""The predicates of the partial indexes. Constants, so that PostgreSQL sees which of them serve."""

# Measured at a million rows; only their proportions matter.
_ROW_OF_SCAN_US, _ROW_OF_INDEX_US, _POSTING_US = 2.0, 2.5, 0.02

SIZES: LiteralString = """
SELECT relname, reltuples FROM pg_class
 WHERE relname = 'agent_profile' OR relname LIKE 'agent\\_profile\\_words\\_%'
"""


class Plan(msgspec.Struct, frozen=True):
    """One way to find matches.

    Attributes:
        scan: walk down the order, over at most `most_scanned` rows (None for all); otherwise use
            an index of words.
        tier: with an index, only rows of at least this quality are looked at; None for all.
    """

    scan: bool
    tier: int | None = None
    most_scanned: int | None = None

    @property
    def exhaustive(self) -> bool:
        """Whether it finds all there is."""
        return self.most_scanned is None if self.scan else self.tier is None

    @property
    def condition(self) -> LiteralString:
        """The condition of the tier, with AND before it; "" for none."""
        return "" if self.tier is None else _TIERS[self.tier]


class Plans:
    """What is known of how often things match. One per process; made empty, it fills itself."""

    def __init__(self) -> None:
        self._matches: OrderedDict[Wanted, tuple[float, float]] = OrderedDict()
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
        # In line here, not in a common table: PostgreSQL has to see the words to know them.
        where: LiteralString = "$1::text = $2::text"  # both are empty
        if wanted.text or wanted.terms:
            where = "p.words @@ (websearch_to_tsquery('renown', $1::text) && $2::text::tsquery)"
        if wanted.leads:
            where += " AND p.leads"
        statement: LiteralString = f"EXPLAIN SELECT FROM agent_profile p WHERE {where}"
        plan = await conn.fetchval(statement, wanted.text, wanted.terms)
        rows = re.search(r"rows=(\d+)", plan)
        found = float(rows[1]) if rows else 0.0
        self.learn(wanted, found)
        return found

    def learn(self, wanted: Wanted, matches: float) -> None:
        """Keep a better number of matches."""
        self._matches[wanted] = (matches, time.monotonic())
        self._matches.move_to_end(wanted)
        while len(self._matches) > _MOST_KEPT:
            self._matches.popitem(last=False)

    def share(self, tier: int | None) -> float:
        """The share of rows that a tier holds."""
        return 1.0 if tier is None else self._shares.get(tier, 0.0)

    def choose(
        self, matches: float, need: int, *, by_quality: bool, below: int | None = None
    ) -> Plan:
        """The cheapest plan for the first `need` matches in an order.

        Args:
            by_quality: the order is that of quality, so that tiers serve.
            below: rows of more than this quality are not wanted.
        """
        rows = max(self._rows, matches, 1.0)
        over = 0.0
        if below is not None:
            over = self.share(min((tier for tier in _TIERS if tier > below), default=-1))
        tiers: list[int | None] = [None]
        if by_quality:
            tiers += [t for t in _TIERS if matches * (self.share(t) - over) >= 1.5 * need]
        tier = min(tiers, key=lambda one: self._index_us(matches, rows, one))
        scanned = need * rows / max(matches, 1.0)
        if scanned * _ROW_OF_SCAN_US < self._index_us(matches, rows, tier):
            return Plan(scan=True, most_scanned=int(8 * scanned) + 1_000)
        return Plan(scan=False, tier=tier)

    def exhaustive(self, matches: float) -> Plan:
        """The plan that finds all matches, wherever in the order they are."""
        return Plan(scan=matches * _ROW_OF_INDEX_US > self._rows * _ROW_OF_SCAN_US)

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


def tier_of(quality: int) -> int | None:
    """The smallest tier that holds all rows of at least this quality; None for all rows."""
    return next((tier for tier in _TIERS if tier <= quality), None)
