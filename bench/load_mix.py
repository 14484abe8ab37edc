"""What people and agents ask of an index, as paths of the API over a world.

A mix is a list of (kind, share of the requests, paths in order of how often they are asked). Within
a kind, Zipf's law chooses: the first path is asked most.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, LiteralString, TypeAlias
from urllib.parse import urlencode

from bench.rig import connection

Mix: TypeAlias = list[tuple[str, float, list[str]]]

SHARES = {
    "agent by key": 0.60,
    "search": 0.10,
    "feedback page": 0.10,
    "reputation": 0.10,
    "agents of an owner": 0.05,
    "leaderboards and statistics": 0.05,
}
KEYS, OWNERS, NAMES = 50_000, 5_000, 5_000
"""How many different ones are asked for, at most: drawn over the whole world."""
BOARDS = ("clients", "paid", "newest", "busiest")

_TOP: LiteralString = """
SELECT chain_id, agent_id FROM agent_stats ORDER BY feedback_count DESC LIMIT 1000
"""
_SOME: LiteralString = """
SELECT chain_id, agent_id, owner FROM agent TABLESAMPLE SYSTEM ($1) REPEATABLE (1)
"""
_NAMES: LiteralString = """
SELECT name FROM agent_profile TABLESAMPLE SYSTEM ($1) REPEATABLE (1)
 WHERE name IS NOT NULL AND name <> ''
"""
_COUNT: LiteralString = "SELECT greatest(reltuples, 1) FROM pg_class WHERE relname = 'agent'"


async def mix_of(dsn: str, seed: int = 1) -> Mix:
    """The mix over a world: the most rated agents are those that are asked for most."""
    chance = random.Random(seed)
    async with connection(dsn) as conn:
        share = min(100.0, 100.0 * KEYS / await conn.fetchval(_COUNT))
        top = [f"{row[0]}:{row[1]}" for row in await conn.fetch(_TOP)]
        rows = await conn.fetch(_SOME, share)
        names = [row[0] for row in await conn.fetch(_NAMES, share)]
    # Rows come as the table has them, one chain after the other: a part would be of some chains.
    chance.shuffle(rows)
    chance.shuffle(names)
    some = [f"{row['chain_id']}:{row['agent_id']}" for row in rows]
    keys = list(dict.fromkeys([*top, *some]))
    owners = list(dict.fromkeys("0x" + row["owner"].hex() for row in rows))[:OWNERS]
    paths = {
        "agent by key": [f"/v1/agents/{key}" for key in keys],
        "search": [f"/v1/agents?{urlencode(one)}" for one in searches(names[:NAMES], chance)],
        "feedback page": [f"/v1/agents/{key}/feedback" for key in keys],
        "reputation": [f"/v1/agents/{key}/reputation" for key in keys],
        "agents of an owner": [f"/v1/agents?owner={owner}" for owner in owners],
        "leaderboards and statistics": [
            *(f"/v1/leaderboards/{board}" for board in BOARDS),
            *("/v1/network", "/v1/chains"),
            *(f"/v1/agents/{key}/stats" for key in keys[:1_000]),
        ],
    }
    return [(kind, share, paths[kind]) for kind, share in SHARES.items()]


def searches(names: Iterable[str], chance: random.Random) -> list[dict[str, Any]]:
    """Searches for words of names: one word, two, one with a filter, as people type them."""
    found: list[dict[str, Any]] = []
    for name in names:
        words = [word for word in name.split() if word.isalnum() and len(word) > 2]
        if not words:
            continue
        wanted: dict[str, Any] = {"q": chance.choice(words)}
        kind = chance.random()
        if kind < 0.3 and len(words) > 1:
            wanted["q"] = " ".join(words[:2])
        elif kind < 0.5:
            wanted["alive"] = "true"
        elif kind < 0.6:
            wanted["kind"] = chance.choice(("mcp", "a2a", "web"))
        found.append(wanted | {"limit": 20})
    return found
