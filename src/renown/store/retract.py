"""A reorg: the orphaned blocks' facts go, and what they touched is folded again from what stays.

The cost follows what changed, not what the touched agents have: identities are folded from their
identity facts, and feedback record by record, with the difference added to the kept sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, LiteralString

from renown.derive import ratings
from renown.derive.fold import Fold
from renown.derive.ratings import AgentCounts
from renown.spec.events import (
    Fact,
    FeedbackGiven,
    FeedbackRevoked,
    ResponseAppended,
    ValidationRequested,
    ValidationResponded,
)
from renown.store import facts, refold, state, subjects
from renown.store.orphaned import Taken
from renown.store.pool import Tx


async def drop_above(
    tx: Tx, chain_id: int, key_prefix: bytes, number: int, taken: Taken, *, version: int
) -> set[int]:
    """Delete everything of the blocks above `number`, which is `taken`, and fold what they touched
    again. Returns the agents that exist no more."""
    touched = subjects.subjects(taken.facts)
    again = Fold()
    await _discount(tx, chain_id, touched, again)
    await _delete(tx, chain_id, number + 1, taken.tables)
    gone: set[int] = set()
    if touched.agent_ids:
        gone = await refold.identities(
            tx, chain_id, key_prefix, sorted(touched.agent_ids), upto_block=number
        )
    agent_ids = {
        *touched.agent_ids,
        *(key[0] for key in touched.cells),
        *(key[0] for key in touched.requests),
    }
    births = await _births(tx, chain_id, agent_ids)
    await _refold_rest(tx, chain_id, touched, again, births)
    # What an agent that is gone counted for goes with its rows.
    await state.add_stats(
        tx,
        chain_id,
        {i: c for i, c in again.agents.items() if i in births},
        {key: c for key, c in again.tags.items() if key[0] in births},
        touched=births,
        version=version,
    )
    if gone:
        await tx.execute(DELETE_SUMS, chain_id, sorted(gone))
    return gone


DELETE_SUMS: LiteralString = """
WITH sums AS (DELETE FROM agent_stats WHERE chain_id = $1 AND agent_id = ANY($2::bigint[]))
DELETE FROM agent_tag_stats WHERE chain_id = $1 AND agent_id = ANY($2::bigint[])
"""
DELETE_MARKS: LiteralString = """
DELETE FROM feedback_mark m
 USING unnest($2::bigint[], $3::integer[]) AS k (block_number, log_index)
 WHERE m.chain_id = $1 AND m.block_number = k.block_number AND m.log_index = k.log_index
"""
DELETE_REQUESTS: LiteralString = """
DELETE FROM validation v
 USING unnest($2::bigint[], $3::bytea[], $4::bytea[]) AS k (agent_id, contract, request_hash)
 WHERE v.chain_id = $1 AND v.agent_id = k.agent_id AND v.contract = k.contract
   AND v.request_hash = k.request_hash
"""
BIRTHS: LiteralString = """
SELECT agent_id, created_block, created_log_index FROM agent
 WHERE chain_id = $1 AND agent_id = ANY($2::bigint[])
"""


async def _discount(tx: Tx, chain_id: int, touched: subjects.Subjects, into: Fold) -> None:
    """Take what the touched records count for out of the sums; drop their marks and requests."""
    marked: list[tuple[int, int]] = []
    if touched.cells:
        for key, cell in (await subjects.load_cells(tx, chain_id, touched.cells)).items():
            # Feedback that never attached has no stats to take from; it is among no agent's sums.
            ratings.contribute(key, cell, -1, into.agents, into.tags)
            marked += [(r.block_number, r.log_index) for r in cell if r.marked]
    if marked:
        await tx.execute(DELETE_MARKS, chain_id, *_columns(marked, 2))
    if touched.requests:
        held = await subjects.load_requests(tx, chain_id, touched.requests)
        for (agent_id, _, _), validation in held.items():
            counts = into.agents.setdefault(agent_id, AgentCounts())
            counts.validation_count -= 1
            counts.validation_responded_count -= validation.response is not None
        await tx.execute(DELETE_REQUESTS, chain_id, *_columns(held, 3))


async def _delete(tx: Tx, chain_id: int, first: int, tables: frozenset[str]) -> None:
    deletions = "".join(
        f"{name}_gone AS (DELETE FROM {name} WHERE chain_id = $1 AND block_number >= $2), "
        for name in sorted(tables)
    ).removesuffix(", ")
    await tx.execute(
        f"{'WITH ' if deletions else ''}{deletions}"
        " DELETE FROM block WHERE chain_id = $1 AND number >= $2",
        chain_id,
        first,
    )


async def _births(tx: Tx, chain_id: int, agent_ids: set[int]) -> dict[int, tuple[int, int]]:
    """Block and log index of the mints of those of `agent_ids` that exist."""
    if not agent_ids:
        return {}
    rows = await tx.fetch(BIRTHS, chain_id, sorted(agent_ids))
    return {row[0]: (row[1], row[2]) for row in rows}


async def _refold_rest(
    tx: Tx,
    chain_id: int,
    touched: subjects.Subjects,
    again: Fold,
    births: dict[int, tuple[int, int]],
) -> None:
    """Fold the touched records from the facts that stay, and write marks and requests."""
    if not touched.cells and not touched.requests:
        return
    staying = await _facts_of_keys(tx, chain_id, touched)
    attached = [
        fact
        for fact in staying
        # A fact before its agent's mint found no subject in its turn, and finds none now.
        if _place(fact) > births.get(_agent_of(fact), _NEVER)
    ]
    again.known = births.__contains__
    again.run(attached)
    again.unattached.clear()  # theirs, if any, was written when their turn came
    await state.write_marks(tx, chain_id, again)
    await state.write_requests(tx, chain_id, again)


_NEVER = (2**63, 0)


def _place(fact: Fact) -> tuple[int, int]:
    return fact.block_number, fact.log_index


def _agent_of(fact: Any) -> int:
    agent_id: int = fact.agent_id
    return agent_id


OF_CELLS = (FeedbackGiven, FeedbackRevoked, ResponseAppended)
OF_REQUESTS = (ValidationRequested, ValidationResponded)


async def _facts_of_keys(tx: Tx, chain_id: int, touched: subjects.Subjects) -> list[Fact]:
    found: list[Fact] = []
    for kinds, keys, middle, last, types in (
        (OF_CELLS, touched.cells, "client", "feedback_index", ("bytea", "bigint")),
        (OF_REQUESTS, touched.requests, "contract", "request_hash", ("bytea", "bytea")),
    ):
        if not keys:
            continue
        for kind in kinds:
            table = facts.TABLES[kind]
            columns = ", ".join(f"t.{column}" for column in table.columns)
            rows = await tx.fetch(
                f"SELECT {columns}"
                f"  FROM unnest($2::bigint[], $3::{types[0]}[], $4::{types[1]}[])"
                "    AS k (agent_id, middle, last)"
                f"  JOIN {table.name} t ON t.chain_id = $1 AND t.agent_id = k.agent_id"
                f"   AND t.{middle} = k.middle AND t.{last} = k.last",
                chain_id,
                *_columns(keys, 3),
            )
            found.extend(facts.read(table, row) for row in rows)
    found.sort(key=_place)
    return found


def _columns(keys: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    ordered = sorted(keys)
    return [[key[i] for key in ordered] for i in range(width)]
