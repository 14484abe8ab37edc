"""A reorg: the orphaned blocks' facts go, and what they touched is folded again from what stays.

The cost follows what changed, not what the touched agents have: identities are folded from their
identity facts, and feedback record by record, with the difference added to the kept sums. Most
reorgs take back a handful of facts, so that what they cost is the number of statements: all is read
by one, and deleted by another.
"""

from __future__ import annotations

from typing import Any, LiteralString

from renown.derive import ratings
from renown.derive.fold import Fold, fold
from renown.derive.ratings import AgentCounts
from renown.store import facts, state, subjects
from renown.store.orphaned import Taken
from renown.store.pool import Tx
from renown.store.staying import Staying, look_below


async def drop_above(
    tx: Tx, chain_id: int, key_prefix: bytes, number: int, taken: Taken, *, version: int
) -> set[int]:
    """Delete everything of the blocks above `number`, which is `taken`, and fold what they touched
    again. Returns the agents that exist no more."""
    touched = subjects.subjects(taken.facts)
    held = await look_below(tx, chain_id, number, touched)
    agents = fold(held.of_agents)
    gone = touched.agent_ids - agents.identities.keys()
    births = held.born | {
        identity.agent_id: (identity.created_block, identity.created_log_index)
        for identity in agents.identities.values()
    }
    await _delete(tx, chain_id, number + 1, touched.agent_ids, held, gone)
    await state.write_identities(
        tx, chain_id, key_prefix, agents, set(agents.minted), held.times.__getitem__
    )
    again = Fold(births.__contains__)
    _discount(held, again)
    await _refold_records(tx, chain_id, held, births, again)
    # What an agent that is gone counted for goes with its rows.
    await state.add_stats(
        tx,
        chain_id,
        {i: c for i, c in again.agents.items() if i in births},
        {key: c for key, c in again.tags.items() if key[0] in births},
        touched=births,
        version=version,
    )
    return gone


def _discount(held: Staying, into: Fold) -> None:
    """Take what the touched records count for out of the sums."""
    for key, cell in held.cells.items():
        # Feedback that never attached has no stats to take from; it is among no agent's sums.
        ratings.contribute(key, cell, -1, into.agents, into.tags)
    for (agent_id, _, _), validation in held.requests.items():
        counts = into.agents.setdefault(agent_id, AgentCounts())
        counts.validation_count -= 1
        counts.validation_responded_count -= validation.response is not None


async def _refold_records(
    tx: Tx, chain_id: int, held: Staying, births: dict[int, tuple[int, int]], again: Fold
) -> None:
    """Fold the touched records from the facts that stay, and write marks and requests."""
    again.run(
        fact
        for fact in held.of_records
        # A fact before its agent's mint found no subject in its turn, and finds none now.
        if (fact.block_number, fact.log_index) > births.get(_agent_of(fact), _NEVER)
    )
    again.unattached.clear()  # theirs, if any, was written when their turn came
    await state.write_marks(tx, chain_id, again)
    await state.write_requests(tx, chain_id, again)


_NEVER = (2**63, 0)


def _agent_of(fact: Any) -> int:
    agent_id: int = fact.agent_id
    return agent_id


async def _delete(
    tx: Tx,
    chain_id: int,
    first: int,
    agent_ids: set[int],
    held: Staying,
    gone: set[int],
) -> None:
    """Drop the blocks from `first` on with their facts, and what is made anew: the identities of
    `agent_ids`, and marks and requests that are `held`."""
    marked = [
        (record.block_number, record.log_index)
        for cell in held.cells.values()
        for record in cell
        if record.marked
    ]
    await tx.execute(
        DELETE,
        chain_id,
        first,
        sorted(agent_ids),
        sorted(gone),
        *subjects.columns(marked, 2),
        *subjects.columns(held.requests, 3),
    )


def _delete_sql() -> LiteralString:
    names: tuple[LiteralString, ...] = (*(table.name for table in facts.TABLES.values()),)
    of_blocks: list[LiteralString] = [
        f"{name}_gone AS (DELETE FROM {name} WHERE chain_id = $1 AND block_number >= $2)"
        for name in (*names, "quarantine", "unattached")
    ]
    of_agents: list[LiteralString] = [
        f"{name}_gone AS (DELETE FROM {name} WHERE chain_id = $1 AND agent_id = ANY({ids}))"
        for names, ids in (
            (("agent", "agent_metadata", "agent_ownership"), "$3::bigint[]"),
            (("agent_stats", "agent_tag_stats"), "$4::bigint[]"),
        )
        for name in names
    ]
    return f"""
WITH {", ".join([*of_blocks, *of_agents])},
     marks_gone AS (
DELETE FROM feedback_mark m
 USING unnest($5::bigint[], $6::integer[]) AS k (block_number, log_index)
 WHERE m.chain_id = $1 AND m.block_number = k.block_number AND m.log_index = k.log_index),
     requests_gone AS (
DELETE FROM validation v
 USING unnest($7::bigint[], $8::bytea[], $9::bytea[]) AS k (agent_id, contract, request_hash)
 WHERE v.chain_id = $1 AND v.agent_id = k.agent_id AND v.contract = k.contract
   AND v.request_hash = k.request_hash)
DELETE FROM block WHERE chain_id = $1 AND number >= $2
"""


DELETE: LiteralString = _delete_sql()
