"""Which agents exist, in memory: ids run 0..n-1 without gaps, so a number and its exceptions do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from renown.store.pool import Conn

FAR_IDS = 1_000_000
"""An id that would leave a gap as wide as this is kept by itself; no registry of ours gives one."""


class KnownAgents:
    """The agent ids of one chain. Costs memory only for ids that are missing below the highest."""

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._first = 0
        self._next = 0
        self._missing: set[int] = set()
        self._far: set[int] = set()
        self.add(ids)

    @classmethod
    async def load(cls, conn: Conn, chain_id: int) -> KnownAgents:
        """Read what is held of a chain."""
        known = cls()
        row = await conn.fetchrow(SPAN, chain_id)
        assert row is not None
        count, first, last = row
        if count and last - first + 1 - count >= FAR_IDS:
            known.add(row[0] for row in await conn.fetch(IDS, chain_id))
        elif count:
            known._first, known._next = first, last + 1
            if count != last - first + 1:
                rows = await conn.fetch(MISSING, chain_id, first, last)
                known._missing = {row[0] for row in rows}
        return known

    def add(self, ids: Iterable[int]) -> None:
        """These exist now."""
        for agent_id in sorted(ids):
            if self._next == 0:
                self._first, self._next = agent_id, agent_id + 1
            elif not self._first - FAR_IDS < agent_id < self._next + FAR_IDS:
                self._far.add(agent_id)
            elif agent_id >= self._next:
                self._missing.update(range(self._next, agent_id))
                self._next = agent_id + 1
            elif agent_id < self._first:
                self._missing.update(range(agent_id + 1, self._first))
                self._first = agent_id
            else:
                self._missing.discard(agent_id)

    def remove(self, ids: Iterable[int]) -> None:
        """These exist no more; some of them may never have."""
        for agent_id in ids:
            if agent_id in self._far:
                self._far.discard(agent_id)
            elif self._first <= agent_id < self._next:
                self._missing.add(agent_id)
        # The newest agents are those that reorgs take back.
        while self._next > self._first and self._next - 1 in self._missing:
            self._next -= 1
            self._missing.discard(self._next)
        if self._next == self._first:
            self._first = self._next = 0

    def __contains__(self, agent_id: object) -> bool:
        return (
            isinstance(agent_id, int)
            and self._first <= agent_id < self._next
            and agent_id not in self._missing
        ) or agent_id in self._far


SPAN: LiteralString = "SELECT count(*), min(agent_id), max(agent_id) FROM agent WHERE chain_id = $1"
IDS: LiteralString = "SELECT agent_id FROM agent WHERE chain_id = $1"
MISSING: LiteralString = """
SELECT i FROM generate_series($2::bigint, $3::bigint) AS i
 WHERE NOT EXISTS (SELECT FROM agent WHERE chain_id = $1 AND agent_id = i)
"""
