"""Words that what is known of an agent changed, for processes that keep answers.

PostgreSQL delivers them at commit, in order, to whoever listens then, and keeps none: a listener
that lost its connection has to take everything for changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from renown.store.pool import Conn

OUTBOX_CHANNEL = "renown_outbox"
"""Payload `{chain_id}:{position}`: the chain's outbox reaches so far."""

CHANGE_CHANNEL = "renown_change"
"""Payload `{chain_id}:{agent_id},{agent_id}…`, or `{chain_id}:*`: changed off the chain."""

KEY_CHANNEL = "renown_key"
"""Payload `{key_id}`: revoked, rotated, or its account changed."""

OPERATION_CHANNEL = "renown_operation"
"""Payload `{operation_id}`: there is something to do for it now."""

_MOST_CHARACTERS = 7_900
"""Agents that take more than this in one word are named as the whole chain: payloads end at 8,000
bytes."""

NOTIFY: LiteralString = "SELECT pg_notify($1, $2)"


async def announce_agents(conn: Conn, chain_id: int, agent_ids: Iterable[int]) -> None:
    """Tell, at commit, that something about these agents changed off the chain."""
    named = sorted(set(agent_ids))
    if not named:
        return
    payload = f"{chain_id}:{','.join(map(str, named))}"
    if len(payload) > _MOST_CHARACTERS:
        await announce_chain(conn, chain_id)
    else:
        await conn.execute(NOTIFY, CHANGE_CHANNEL, payload)


async def announce_places(conn: Conn, places: Iterable[tuple[int, int]]) -> None:
    """`announce_agents` for agents of several chains, given as (chain id, agent id)."""
    by_chain: dict[int, set[int]] = {}
    for chain_id, agent_id in places:
        by_chain.setdefault(chain_id, set()).add(agent_id)
    for chain_id, agent_ids in sorted(by_chain.items()):
        await announce_agents(conn, chain_id, agent_ids)


async def announce_chain(conn: Conn, chain_id: int) -> None:
    """Tell, at commit, that anything about any agent of the chain may have changed."""
    await conn.execute(NOTIFY, CHANGE_CHANNEL, f"{chain_id}:*")


async def announce(conn: Conn, channel: str, payload: str) -> None:
    """Tell `payload` on one of the channels above, when the transaction commits."""
    await conn.execute(NOTIFY, channel, payload)
