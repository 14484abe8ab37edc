"""Whom reads ask about: keys over the whole of a world, each of them once.

Only keys are fetched, and from where their reads hardly look: from the ends of the primary key
(*even*: any agent is as likely as any other; ids of a chain have no gaps) and from the tables of
sums (*skewed*: drawn by the feedback or the payments about an agent, without putting it back). The
exceptions are UUIDs, owners and places in the list of the newest, which need the agent's own row:
their pages are then in PostgreSQL's buffers, which saves some 3 µs a page.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from renown.store import agents, feedback
from renown.store.pool import Conn
from renown.store.reads import KeyArgs

EVEN, SKEWED, LOOKED_UP = 120_000, 80_000, 5_000
"""How many are drawn at most: any agents, agents by what is about them, those looked up."""
HAND = 5_000
"""What one kind of read gets of them, where there are enough: more than it asks for."""
DEEP_PAGES = 50
DEPTH, SPAN = 0.2, 0.1
"""A deep place in the list of all agents, as a share of it from the newest; the width of that."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Whom to ask about in a world; in each list nobody stands twice."""

    even: Deal
    uuids: list[KeyArgs]
    skewed: Deal
    paid: Deal
    owners: list[bytes]
    places: list[agents.After]
    """About a fifth of all agents deep in the list of the newest."""
    busiest: KeyArgs
    most_paid: KeyArgs
    largest_owner: bytes
    client: bytes
    rare_tag: bytes
    deep: feedback.After
    """50 pages deep in the feedback about the busiest."""


class Deal:
    """Deals keys out to kinds of reads, so that none asks about whom another asked about.

    A world with few agents has too few for that: then hands come again, rotated.
    """

    def __init__(self, keys: list[KeyArgs]) -> None:
        self._keys = keys
        self._parts = max(1, len(keys) // HAND)
        self._dealt = 0

    def hand(self) -> list[KeyArgs]:
        """The next one; in it the order in which they were drawn."""
        first, again = self._dealt % self._parts, self._dealt // self._parts
        self._dealt += 1
        hand = self._keys[first :: self._parts]
        begin = len(hand) * again // 8 % len(hand)
        return hand[begin:] + hand[:begin]


_COUNTS = """
SELECT chain_id, count FROM (
    SELECT c.chain_id,
           (SELECT a.agent_id + 1 FROM agent a WHERE a.chain_id = c.chain_id
             ORDER BY a.agent_id DESC LIMIT 1) AS count
      FROM chain c) AS ends
 WHERE count IS NOT NULL ORDER BY chain_id
"""
_LOOKED_UP = """
SELECT a.uuid, a.owner FROM unnest($1::bigint[], $2::bigint[]) AS w (chain_id, agent_id)
  JOIN agent a USING (chain_id, agent_id)
"""
# The least of exponential times at these rates: drawn by weight, and none twice.
_BY_FEEDBACK = """
SELECT chain_id, agent_id FROM agent_stats WHERE feedback_count > 0
 ORDER BY -ln(1 - random()) / feedback_count LIMIT $1
"""
_BY_PAYMENTS = """
SELECT chain_id, agent_id FROM agent_payment_stats WHERE payment_count > 0
 ORDER BY -ln(1 - random()) / payment_count LIMIT $1
"""
_SEED = "SELECT setseed(0.5)"
_PLACES = """
SELECT created_at, chain_id, agent_id FROM agent TABLESAMPLE SYSTEM ($1) REPEATABLE (1)
 ORDER BY created_at DESC
"""
_BUSIEST = """
SELECT chain_id, agent_id FROM agent_stats ORDER BY feedback_count DESC, chain_id, agent_id LIMIT 1
"""
_MOST_PAID = """
SELECT chain_id, agent_id FROM agent_payment_stats
 ORDER BY payment_count DESC, chain_id, agent_id LIMIT 1
"""
_LARGEST = "SELECT owner FROM agent GROUP BY owner ORDER BY count(*) DESC, owner LIMIT 1"
_CLIENT = """
SELECT client FROM feedback_given WHERE chain_id = $1 AND agent_id = $2
 ORDER BY block_number, log_index LIMIT 1
"""
_RARE_TAG = """
SELECT tag1 FROM agent_tag_stats
 WHERE chain_id = $1 AND agent_id = $2 AND live_count > 0 ORDER BY live_count, tags_hash LIMIT 1
"""
_DEEP = """
SELECT block_number, log_index FROM feedback_given WHERE chain_id = $1 AND agent_id = $2
 ORDER BY block_number DESC, log_index DESC OFFSET $3 LIMIT 1
"""


async def draw(conn: Conn, page_rows: int) -> Drawn:
    """The same at every call, some seconds at a million agents."""
    chance = random.Random(1)
    counts = await conn.fetch(_COUNTS)
    even = evenly([(row[0], row[1]) for row in counts], EVEN, chance)
    few = [(key.chain_id, key.agent_id) for key in even[-LOOKED_UP:]]
    looked_up = await conn.fetch(_LOOKED_UP, [c for c, _ in few], [a for _, a in few])
    busiest = await conn.fetchrow(_BUSIEST)
    most_paid = await conn.fetchrow(_MOST_PAID)
    assert busiest is not None
    assert most_paid is not None
    pages = DEEP_PAGES * page_rows
    deep = await conn.fetchrow(_DEEP, *busiest, pages)
    while deep is None:  # of a small world
        pages //= 2
        deep = await conn.fetchrow(_DEEP, *busiest, pages)
    return Drawn(
        even=Deal(even[:-LOOKED_UP]),
        uuids=[KeyArgs(None, None, row["uuid"]) for row in looked_up],
        skewed=Deal(await _weighed(conn, _BY_FEEDBACK)),
        paid=Deal(await _weighed(conn, _BY_PAYMENTS)),
        owners=list(dict.fromkeys(row["owner"] for row in looked_up)),
        places=await _places(conn, sum(row[1] for row in counts), chance),
        busiest=_key(busiest),
        most_paid=_key(most_paid),
        largest_owner=await conn.fetchval(_LARGEST),
        client=await conn.fetchval(_CLIENT, *busiest),
        rare_tag=await conn.fetchval(_RARE_TAG, *busiest),
        deep=feedback.After(*deep),
    )


def evenly(counts: Sequence[tuple[int, int]], most: int, chance: random.Random) -> list[KeyArgs]:
    """Up to `most` different agents of all, each as likely as any other, in any order.

    Args:
        counts: agents of each chain; their ids count from 0.
    """
    ends = list(accumulate(count for _, count in counts))
    found = []
    for number in chance.sample(range(ends[-1]), min(most, ends[-1])):
        place = bisect_right(ends, number)
        chain_id, count = counts[place]
        found.append(KeyArgs(chain_id, number - (ends[place] - count), None))
    return found


async def _weighed(conn: Conn, statement: str) -> list[KeyArgs]:
    """In the order of drawing, so the first of them are a draw by themselves."""
    async with conn.transaction():
        await conn.execute("SET LOCAL max_parallel_workers_per_gather = 0")  # keeps to the seed
        await conn.execute(_SEED)
        return [_key(row) for row in await conn.fetch(statement, SKEWED)]


async def _places(conn: Conn, count: int, chance: random.Random) -> list[agents.After]:
    share = min(100.0, 100.0 * LOOKED_UP / SPAN / count)
    rows = await conn.fetch(_PLACES, share)
    first, last = int((DEPTH - SPAN / 2) * len(rows)), int((DEPTH + SPAN / 2) * len(rows))
    found = [agents.After(*row) for row in rows[first:last]]
    chance.shuffle(found)
    return found


def _key(row: Any) -> KeyArgs:
    return KeyArgs(row[0], row[1], None)
