"""Bench worlds: agents that are filled in from one like them have the rows that reading gives, and
files have the bytes that the product would write."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from renown.derive.files import file_bytes
from renown.ingest.world.files import Agent, Said, said_by, shared_body
from renown.ingest.world.people import owner_and_wallet
from renown.ingest.world.profiles import Profiles
from renown.ingest.world.size import WorldSize, chain_parts
from renown.store.world_profiles import AgentNow, Known

SIZE = WorldSize(1_200, seed=3)
PART = chain_parts(SIZE)[1]

Holders = dict[tuple[str, int], list[Known]]


def agents() -> Iterator[tuple[AgentNow, Said]]:
    """The agents of a chain that say nothing or what a mint wrote, folded in all kinds of ways."""
    for agent_id in range(PART.agents):
        ordinal = PART.first + agent_id
        agent = Agent(PART.chain_id, PART.deployment.identity, agent_id, ordinal)
        said = said_by(SIZE.seed, SIZE.agents, agent)
        if said.source not in ("none", "mint"):
            continue
        owner, proven = owner_and_wallet(SIZE.seed, SIZE.agents, ordinal)
        wallet = None if agent_id % 9 == 0 else proven or owner
        block = PART.start_block + PART.block_count * agent_id // PART.agents
        yield (
            AgentNow(
                agent_id=agent_id,
                owner=owner,
                wallet=wallet,
                wallet_state="cleared" if wallet is None else "proven" if proven else "default",
                uri=said.uri,
                uri_block=block,
                created_at=PART.time_of(block),
                owner_since_block=block + 1 if agent_id % 17 == 0 else None,
                newest_block=block + 100 * (agent_id % 3),
                feedback_count=agent_id % 40,
                client_count=agent_id % 40 // 2,
            ),
            said,
        )


def test_profiles__of_agents_like_others__are_what_reading_each_gives():
    everyone = list(agents())
    holders: Holders = {}
    for now, said in everyone:
        known = Known(now.created_at, PART.chain_id, now.agent_id, now.owner)
        if said.source == "mint" and len(held := holders.setdefault(("mint", said.number), [])) < 2:
            held.append(known)
    filled, read = [Profiles(SIZE, PART, holders, {}) for _ in range(2)]

    for now, _ in everyone:
        filled.add(now)
        read.add_read(now)

    assert filled.rows == read.rows
    assert filled.found == read.found
    sources = Counter(said.source for _, said in everyone)
    assert sources["mint"] > 50 < sources["none"]
    assert len(filled.found.links) > 20


def test_files__of_agents__are_as_we_write_them():
    bodies = [shared_body(SIZE.seed, SIZE.agents, number) for number in range(5)]
    for ordinal in range(400):
        said = said_by(SIZE.seed, SIZE.agents, Agent(8453, bytes(20), ordinal, ordinal))
        if said.body is not None and said.body[:1] == b"{":
            bodies.append(said.body)

    assert len(bodies) > 100
    for body in bodies:
        assert body == file_bytes(json.loads(body))
