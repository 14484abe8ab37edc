"""Which agents lead, as they were counted last."""

from __future__ import annotations

from datetime import UTC, datetime
from operator import itemgetter
from typing import Literal, LiteralString, TypeAlias, get_args

import msgspec

from renown.store.marks import HIDDEN
from renown.store.pool import Conn
from renown.store.reads import Head

Kind: TypeAlias = Literal["clients", "paid", "newest", "busiest"]
KINDS: tuple[Kind, ...] = get_args(Kind)

ALL_MAINNETS = 0
ALL_TESTNETS = -1
"""Scopes beside the ids of chains. Test networks are never among the others."""

LONGEST = 1_000
"""Places of a leaderboard, in each scope."""


class PlaceRow(msgspec.Struct, frozen=True, gc=False):
    """One place, from rank 1.

    Attributes:
        score: what ranks: distinct clients, distinct payers, the second of registration, events.
        second: what decides between equals: live feedback, final payments, the agent's id, nothing.
        name: as the agent gave it when this was counted; None for none.
        totals: of payments: JSON, a list of {chain_id, token, amount (text), count}; else None.
    """

    rank: int
    chain_id: int
    agent_id: int
    score: int
    second: int
    name: str | None
    totals: str | None


class Board(msgspec.Struct, frozen=True):
    """Places of one leaderboard, and the block of each chain that was counted."""

    heads: list[Head]
    counted_at: datetime
    places: list[PlaceRow]


class AgeRow(msgspec.Struct, frozen=True):
    """When a leaderboard was counted, and how long ago that is."""

    kind: Kind
    counted_at: datetime
    age_seconds: float
    duration_ms: float | None


def _page(view: LiteralString) -> LiteralString:
    # Whoever asks for a page gets the row of rank 0 with it, which has the heads.
    return f"""
SELECT b.rank, b.chain_id, b.agent_id, b.score, b.second, b.name, b.heads AS totals, b.counted_at
  FROM {view} b WHERE b.scope = $1 AND b.rank = 0
UNION ALL
(SELECT p.rank, p.chain_id, p.agent_id, p.score, p.second, p.name, p.totals, NULL
   FROM {view} p
  WHERE p.scope = $1 AND p.rank > $2 AND (p.chain_id, p.agent_id) NOT IN {HIDDEN}
  ORDER BY p.rank LIMIT $3)
"""


CLIENTS: LiteralString = _page("leaderboard_clients")
PAID: LiteralString = _page("leaderboard_paid")
NEWEST: LiteralString = _page("leaderboard_newest")
BUSIEST: LiteralString = _page("leaderboard_busiest")
PAGES: dict[Kind, LiteralString] = {
    "clients": CLIENTS,
    "paid": PAID,
    "newest": NEWEST,
    "busiest": BUSIEST,
}


async def page(
    conn: Conn, kind: Kind, scope: int, *, after_rank: int = 0, limit: int
) -> Board | None:
    """Up to `limit` places after `after_rank`; agents that this installation hides are left out,
    and their ranks with them.

    None where the scope was not counted: there is no such chain, or it is too new.

    Args:
        scope: a chain's id, `ALL_MAINNETS` or `ALL_TESTNETS`.
    """
    rows = sorted(await conn.fetch(PAGES[kind], scope, after_rank, limit), key=itemgetter(0))
    if not rows:
        return None
    heads = [_head(one) for one in _read_heads(rows[0][6])]
    if not heads and scope > 0:  # it was seen between the making of the chain and of its checkpoint
        return None
    return Board(heads, rows[0][7], [PlaceRow(*row[:7]) for row in rows[1:]])


AGES: LiteralString = """
SELECT view, clock_timestamp() - make_interval(secs => age_seconds), age_seconds, duration_ms
  FROM v_view_age
 WHERE view LIKE 'leaderboard\\_%' AND age_seconds IS NOT NULL
"""


async def ages(conn: Conn) -> list[AgeRow]:
    """How old each leaderboard is, in the order of `KINDS`."""
    rows = {row[0]: row for row in await conn.fetch(AGES)}
    return [
        AgeRow(kind, row[1], max(0.0, row[2]), row[3])
        for kind in KINDS
        if (row := rows.get(f"leaderboard_{kind}")) is not None
    ]


class _Counted(msgspec.Struct):
    """A chain as it stands in the row of rank 0; addresses and hashes in hexadecimal."""

    chain_id: int
    registry: str
    start_block: int
    block_number: int
    block_hash: str | None
    block_time: int | None
    final_block: int
    safe_block: int | None
    epoch: int


_read_heads = msgspec.json.Decoder(list[_Counted]).decode


def _head(one: _Counted) -> Head:
    return Head(
        chain_id=one.chain_id,
        registry=bytes.fromhex(one.registry),
        start_block=one.start_block,
        block_number=one.block_number,
        block_hash=None if one.block_hash is None else bytes.fromhex(one.block_hash),
        block_time=None if one.block_time is None else datetime.fromtimestamp(one.block_time, UTC),
        final_block=one.final_block,
        safe_block=one.safe_block,
        epoch=one.epoch,
    )
