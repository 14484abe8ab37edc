"""What `http` asks for: paths by route, of agents over the whole world."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import LiteralString

from bench import rig
from bench.drawing import Drawn, draw
from renown.api.pages import Cursors
from renown.store.agents import After
from renown.store.reads import NEVER, KeyArgs

CONNECTIONS = 32
SECRET = "a secret of the benchmarks"
"""Of the API that is asked, which signs its cursors with it."""
BY_KEY, NOT_MODIFIED, WITH_KEY = "agent by key", "not modified", "with an API key"
HANDS = {
    BY_KEY: 3,
    "reputation": 2,
    "feedback page": 1,
    "payment page": 1,
    "numbers of an agent": 2,
    "registration": 2,
    NOT_MODIFIED: 3,
    WITH_KEY: 2,
}
"""Hands of 5,000 agents, as many again drawn by feedback, that a route is asked about anew: more
than it reaches. Other routes are asked about others, but for a few, in a world that has enough."""
NAMES, WORDS = 10_000, 2_000
"""Names of agents that words are drawn from, and words that are searched for."""

_WORDS: LiteralString = """
SELECT w.word FROM agent_profile p TABLESAMPLE SYSTEM ($1),
       regexp_split_to_table(lower(p.name), '[^a-z]+') AS w (word)
 WHERE length(w.word) > 3
"""


async def routes_of(dsn: str, agents: int) -> dict[str, list[str]]:
    """Paths by what they are, of a world with so many agents."""
    async with rig.connection(dsn) as conn:
        drawn = await draw(conn, 20)
        share = min(100.0, 100.0 * NAMES / agents)
        words = [row[0] for row in await conn.fetch(_WORDS, share)]
    chance = random.Random(agents)
    chance.shuffle(words)
    words = list(dict.fromkeys(words))[:WORDS] or ["agent"]  # common ones are likelier, none twice
    chance.shuffle(words)
    pages = pages_of(drawn.places, drawn.even.hand())
    chance.shuffle(pages)
    return _routes(
        {name: _half_and_half(drawn, hands, chance) for name, hands in HANDS.items()},
        [owner.hex() for owner in drawn.owners],
        words,
        pages,
    )


def pages_of(places: list[After], keys: list[KeyArgs]) -> list[str]:
    """Pages of 50 agents behind each of these: in the list of all chains, then in its chain's."""
    cursors = Cursors(SECRET.encode())
    paths = []
    for place in places:
        position = (place.created_at, place.chain_id, place.agent_id)
        paths.append(f"/v1/agents?limit=50&cursor={cursors.write(position, '/v1/agents?')}")
    for key in keys:
        query = f"chain={key.chain_id}"
        cursor = cursors.write((NEVER, key.chain_id, key.agent_id), f"/v1/agents?{query}")
        paths.append(f"/v1/agents?{query}&limit=50&cursor={cursor}")
    return paths


def sampled(paths: list[str], most: int) -> list[str]:
    """Up to `most` of them, from all over the list."""
    count = min(most, len(paths))
    return [paths[number * len(paths) // count] for number in range(count)]


def parts(paths: list[str], count: int) -> list[list[str]]:
    """`count` lists of about the same length without a path in common, one after the other.

    All of the paths each time, where they are fewer than the connections that ask.
    """
    if len(paths) < count * CONNECTIONS:
        return [paths] * count
    ends = [number * len(paths) // count for number in range(count + 1)]
    return [paths[first:last] for first, last in pairwise(ends)]


def _half_and_half(drawn: Drawn, hands: int, chance: random.Random) -> list[str]:
    """Half of the keys as the feedback falls, which is where people look; half any agent's."""
    skewed = [key for _ in range(hands) for key in drawn.skewed.hand()]
    even = [key for _ in range(hands) for key in drawn.even.hand()]
    mixed = [key for both in zip(skewed, even, strict=False) for key in both]
    keys = [f"{key.chain_id}:{key.agent_id}" for key in dict.fromkeys(mixed)]
    chance.shuffle(keys)
    return keys


def _routes(
    keys: dict[str, list[str]], owners: list[str], words: list[str], pages: list[str]
) -> dict[str, list[str]]:
    tails = {
        "reputation": "/reputation",
        "feedback page": "/feedback",
        "payment page": "/payments",
        "numbers of an agent": "/stats",
        "registration": "/registration",
    }
    by_key = {
        name: [f"/v1/agents/{key}{tails.get(name, '')}" for key in keys[name]] for name in HANDS
    }
    return by_key | {
        "page of 50 agents": pages,
        "agents of an owner": [f"/v1/agents?owner=0x{owner}" for owner in owners],
        "text search": [f"/v1/agents?q={word}&limit=20" for word in words],
    }
