"""The state hash of a chain, from what is stored; and the same from a fold of its facts alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, LiteralString

from renown.derive import rows
from renown.derive.fold import Fold, fold
from renown.derive.state_hash import STATE_SECTIONS, Section, state_hash
from renown.errors import BlockBeyondHead, ChainNotFound
from renown.store import facts
from renown.store.pool import Conn, Tx, transaction

SLICE_FACTS = 50_000
"""Facts folded at a time; an agent's facts always come together."""

STATE: dict[str, LiteralString] = {
    "agent": """
        SELECT agent_id, owner, registrant, uri, uri_block, wallet, wallet_state, approved,
               created_block, created_log_index, created_tx, transfer_count
          FROM agent WHERE chain_id = $1 ORDER BY agent_id""",
    "agent_metadata": """
        SELECT agent_id, key_hash, key, value, block_number, log_index
          FROM agent_metadata WHERE chain_id = $1 ORDER BY agent_id, key_hash""",
    "agent_ownership": """
        SELECT agent_id, from_block, from_log_index, owner, to_block, to_log_index
          FROM agent_ownership WHERE chain_id = $1 ORDER BY agent_id, from_block, from_log_index""",
    "feedback_mark": """
        SELECT agent_id, client, feedback_index, block_number, log_index, revoked_block,
               revoked_log_index, superseded_block, superseded_log_index, response_count
          FROM feedback_mark WHERE chain_id = $1
         ORDER BY agent_id, client, feedback_index, block_number, log_index""",
    "agent_stats": """
        SELECT agent_id, feedback_count, revoked_count, client_count, response_count,
               validation_count, validation_responded_count
          FROM agent_stats WHERE chain_id = $1 ORDER BY agent_id""",
    "agent_tag_stats": """
        SELECT agent_id, tags_hash, tag1, tag2, given_count, live_count, live_sum
          FROM agent_tag_stats WHERE chain_id = $1 ORDER BY agent_id, tags_hash""",
    "validation": """
        SELECT agent_id, contract, request_hash, validator, request_uri, requested_block,
               requested_log_index, response, response_uri, response_hash, tag, responded_block,
               responded_log_index, response_count
          FROM validation WHERE chain_id = $1 ORDER BY agent_id, contract, request_hash""",
}
QUARANTINE: LiteralString = """
SELECT block_number, log_index, tx_hash, contract, reason, event, topics, payload
  FROM quarantine WHERE chain_id = $1 AND block_number <= $2 ORDER BY block_number, log_index
"""
UNATTACHED: LiteralString = """
SELECT block_number, log_index, kind, agent_id, reason
  FROM unattached WHERE chain_id = $1 AND block_number <= $2 ORDER BY block_number, log_index
"""
HEAD: LiteralString = "SELECT block_number FROM checkpoint WHERE chain_id = $1"
WEIGHTS: LiteralString = """
SELECT agent_id, sum(n)::bigint FROM ({}) AS weights GROUP BY agent_id ORDER BY agent_id
"""


async def stored_hash(conn: Conn, chain_id: int) -> str:
    """The state hash of what is stored now. One snapshot; memory does not grow with the chain.

    Raises:
        ChainNotFound: this index has no such chain.
    """
    return state_hash(await stored_digests(conn, chain_id))


async def folded_hash(conn: Conn, chain_id: int, *, at: int | None = None) -> str:
    """The state hash at block `at` (the head when None), folded from the facts up to it.

    Equals `stored_hash` of an index that stopped there.

    Raises:
        ChainNotFound: this index has no such chain.
        BlockBeyondHead: `at` has not been indexed yet.
    """
    return state_hash(await folded_digests(conn, chain_id, at=at))


async def stored_digests(conn: Conn, chain_id: int) -> dict[str, bytes]:
    """The digest of every section as stored."""
    async with transaction(conn, "repeatable_read") as tx:
        block = await _head(tx, chain_id, None)
        digests = await _fact_digests(tx, chain_id, block)
        section = Section("unattached")
        section.add([row async for row in _rows(tx, UNATTACHED, chain_id, block)])
        digests["unattached"] = section.digest()
        for name, query in STATE.items():
            section = Section(name)
            async for row in _rows(tx, query, chain_id):
                section.add((row,))
            digests[name] = section.digest()
    return digests


async def folded_digests(conn: Conn, chain_id: int, *, at: int | None = None) -> dict[str, bytes]:
    """The digest of every section as the facts up to `at` give it."""
    async with transaction(conn, "repeatable_read") as tx:
        block = await _head(tx, chain_id, at)
        digests = await _fact_digests(tx, chain_id, block)
        sections = {name: Section(name) for name in STATE_SECTIONS}
        unattached = []
        async for part in folds(tx, chain_id, upto_block=block):
            for name, section in sections.items():
                section.add(rows.rows(part, name))
            unattached += part.unattached
        section = Section("unattached")
        section.add(
            (u.block_number, u.log_index, u.kind, u.agent_id, u.reason)
            for u in sorted(unattached, key=lambda u: (u.block_number, u.log_index))
        )
        digests["unattached"] = section.digest()
        digests |= {name: section.digest() for name, section in sections.items()}
    return digests


async def folds(tx: Tx, chain_id: int, *, upto_block: int) -> AsyncIterator[Fold]:
    """Whole folds of agents in ascending order of id, some thousands of facts at a time."""
    async for agent_ids in slices(tx, chain_id, upto_block=upto_block):
        yield fold(await facts.of_agents(tx, chain_id, agent_ids, upto_block=upto_block))


async def slices(tx: Conn, chain_id: int, *, upto_block: int) -> AsyncIterator[list[int]]:
    """Every agent id that a folded fact or a state row names, ascending, in lists of about
    SLICE_FACTS facts."""
    union = " UNION ALL ".join(
        f"SELECT agent_id, count(*) AS n FROM {table.name}"
        " WHERE chain_id = $1 AND block_number <= $2 GROUP BY agent_id"
        for table in facts.FOLDED_TABLES
    )
    union += "".join(
        f" UNION ALL SELECT agent_id, 0 FROM {name} WHERE chain_id = $1"
        for name in ("agent", "agent_stats")
    )
    part: list[int] = []
    weight = 0
    for agent_id, count in await tx.fetch(WEIGHTS.format(union), chain_id, upto_block):
        if part and weight + count > SLICE_FACTS:
            yield part
            part, weight = [], 0
        part.append(agent_id)
        weight += count
    if part:
        yield part


async def _head(tx: Tx, chain_id: int, at: int | None) -> int:
    head: int | None = await tx.fetchval(HEAD, chain_id)
    if head is None:
        raise ChainNotFound(f"this index has no chain {chain_id}", chain_id=chain_id)
    if at is not None and at > head:
        raise BlockBeyondHead(f"indexed up to block {head}", chain_id=chain_id, block_number=head)
    return head if at is None else at


async def _fact_digests(tx: Tx, chain_id: int, block: int) -> dict[str, bytes]:
    digests = {}
    for table in facts.TABLES.values():
        section = Section(table.name)
        async for row in facts.stream(tx, chain_id, table, upto_block=block):
            section.add((row,))
        digests[table.name] = section.digest()
    section = Section("quarantine")
    async for row in _rows(tx, QUARANTINE, chain_id, block):
        section.add((row,))
    digests["quarantine"] = section.digest()
    return digests


async def _rows(tx: Tx, query: LiteralString, *args: Any) -> AsyncIterator[tuple[Any, ...]]:
    async for row in tx.cursor(query, *args, prefetch=2_000):
        yield tuple(int(v) if isinstance(v, Decimal) else v for v in row)
