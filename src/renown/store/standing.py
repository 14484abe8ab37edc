"""How the chains stand, by one light statement: for readiness, health and gauges."""

from __future__ import annotations

from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn


class Standing(msgspec.Struct, frozen=True, gc=False):
    """Where one chain stands. Times are None until they happened.

    Attributes:
        phase: new, backfill, follow or stopped.
        block_number, head_block: stored, and shown by the nodes; -1 where nothing is yet.
        position: last position of the chain's outbox.
        coverage_state: proven, single-source, gap or unknown.
        asked_at: the database's clock.
    """

    chain_id: int
    slug: str
    phase: str
    problem: str | None
    block_number: int
    block_time: datetime | None
    head_block: int
    head_seen_at: datetime | None
    position: int
    coverage_state: str
    asked_at: datetime

    @property
    def head_age_seconds(self) -> float | None:
        """How long ago a node last named the head; None: it never did."""
        if self.head_seen_at is None:
            return None
        return max(0.0, (self.asked_at - self.head_seen_at).total_seconds())

    @property
    def lag_seconds(self) -> float | None:
        """0 with the head stored and just seen; else how old the newest block is, or how long the
        head was not seen, whichever is more. None: nothing is stored yet."""
        unseen = self.head_age_seconds
        if self.block_time is None or unseen is None:
            return None
        behind = 0.0
        if self.block_number < self.head_block:
            behind = (self.asked_at - self.block_time).total_seconds()
        # A look at the head is told at most once a second: what is younger than a few is now.
        return max(behind, unseen if unseen > _NOW_SECONDS else 0.0, 0.0)

    def is_followed(self, within_seconds: float) -> bool:
        """Whether its writer follows the head: seen within this time."""
        age = self.head_age_seconds
        return self.phase == "follow" and age is not None and age <= within_seconds


_NOW_SECONDS = 15.0

STANDINGS: LiteralString = """
SELECT c.chain_id, c.slug, k.phase, k.problem, k.block_number, k.block_time, k.head_block,
       k.head_seen_at, k.position, coalesce(v.state, 'unknown'), now()
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN coverage v USING (chain_id)
 ORDER BY c.chain_id
"""


async def standings(conn: Conn, *, timeout_seconds: float | None = None) -> list[Standing]:
    """How every chain stands, by chain id."""
    return [Standing(*row) for row in await conn.fetch(STANDINGS, timeout=timeout_seconds)]
