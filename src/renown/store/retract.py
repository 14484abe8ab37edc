"""A reorg: the orphaned blocks' facts go, and what they touched is folded again from what stays.

The cost follows what changed, not what the touched agents have: identities are folded from their
identity facts, and feedback record by record, with the difference added to the kept sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, LiteralString

import msgspec

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
from renown.store.pool import Tx


class Taken(msgspec.Struct, frozen=True):
    """What a retraction took back. `content` is JSON: table to rows, bytes as PostgreSQL hex."""

    fact_count: int
    content: str


async def drop_above(
    tx: Tx, chain_id: int, key_prefix: bytes, number: int, *, version: int
) -> Taken:
    """Delete everything of the blocks above `number` and fold what they touched again."""
    first = number + 1
    orphaned = await _orphaned(tx, chain_id, first)
    touched = await _touched(tx, chain_id, first, orphaned)
    again = Fold()
    await _discount(tx, chain_id, touched, again)
    taken = await _delete(tx, chain_id, first, orphaned)
    gone: set[int] = set()
    if touched.agent_ids:
        gone = await refold.identities(
            tx, chain_id, key_prefix, sorted(touched.agent_ids), upto_block=number
        )
    await _refold_rest(tx, chain_id, touched, again)
    agent_ids = {
        *touched.agent_ids,
        *(key[0] for key in touched.cells),
        *(key[0] for key in touched.requests),
    }
    existing = {r[0] for r in await tx.fetch(EXISTING, chain_id, sorted(agent_ids))}
    # What an agent that is gone counted for goes with its rows.
    await state.add_stats(
        tx,
        chain_id,
        {i: c for i, c in again.agents.items() if i in existing},
        {key: c for key, c in again.tags.items() if key[0] in existing},
        touched=existing,
        version=version,
    )
    if gone:
        await tx.execute(DELETE_STATS, chain_id, sorted(gone))
        await tx.execute(DELETE_TAGS, chain_id, sorted(gone))
    return taken


EXISTING: LiteralString = (
    "SELECT agent_id FROM agent WHERE chain_id = $1 AND agent_id = ANY($2::bigint[])"
)
DELETE_UNATTACHED: LiteralString = (
    "DELETE FROM unattached WHERE chain_id = $1 AND block_number >= $2"
)
DELETE_STATS: LiteralString = (
    "DELETE FROM agent_stats WHERE chain_id = $1 AND agent_id = ANY($2::bigint[])"
)
DELETE_TAGS: LiteralString = (
    "DELETE FROM agent_tag_stats WHERE chain_id = $1 AND agent_id = ANY($2::bigint[])"
)
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


async def _orphaned(tx: Tx, chain_id: int, first: int) -> frozenset[str]:
    """The tables that hold something at or above `first`.

    In most reorgs that is few, and the others are not touched.
    """
    names = (*(table.name for table in facts.TABLES.values()), "quarantine", "unattached")
    tests = ", ".join(
        f"EXISTS (SELECT FROM {name} WHERE chain_id = $1 AND block_number >= $2)" for name in names
    )
    row = await tx.fetchrow(f"SELECT {tests}", chain_id, first)
    assert row is not None
    return frozenset(name for name, there in zip(names, row, strict=True) if there)


async def _touched(
    tx: Tx, chain_id: int, first: int, orphaned: frozenset[str]
) -> subjects.Subjects:
    async def keys(kinds: Iterable[type[Fact]], columns: str) -> set[Any]:
        names = [facts.TABLES[kind].name for kind in kinds]
        union = " UNION ".join(
            f"SELECT {columns} FROM {name} WHERE chain_id = $1 AND block_number >= $2"
            for name in names
            if name in orphaned
        )
        return {tuple(row) for row in await tx.fetch(union, chain_id, first)} if union else set()

    identity_kinds = [table.kind for table in facts.IDENTITY_TABLES]
    return subjects.Subjects(
        agent_ids={key[0] for key in await keys(identity_kinds, "agent_id")},
        cells=await keys(OF_CELLS, "agent_id, client, feedback_index"),
        requests=await keys(OF_REQUESTS, "agent_id, contract, request_hash"),
    )


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


async def _delete(tx: Tx, chain_id: int, first: int, orphaned: frozenset[str]) -> Taken:
    content: list[str] = []
    fact_count = 0
    for name in sorted(orphaned - {"unattached"}):
        row = await tx.fetchrow(
            f"WITH gone AS (DELETE FROM {name}"
            "                WHERE chain_id = $1 AND block_number >= $2 RETURNING *)"
            " SELECT count(*), jsonb_agg(to_jsonb(gone) - 'chain_id'"
            "                           ORDER BY block_number, log_index)::text FROM gone",
            chain_id,
            first,
        )
        assert row is not None
        content.append(f'"{name}": {row[1]}')
        fact_count += row[0] if name != "quarantine" else 0
    if "unattached" in orphaned:
        await tx.execute(DELETE_UNATTACHED, chain_id, first)
    await tx.execute("DELETE FROM block WHERE chain_id = $1 AND number >= $2", chain_id, first)
    return Taken(fact_count, f"{{{', '.join(content)}}}")


async def _refold_rest(tx: Tx, chain_id: int, touched: subjects.Subjects, again: Fold) -> None:
    """Fold the touched records from the facts that stay, and write marks and requests."""
    if not touched.cells and not touched.requests:
        return
    agent_ids = {*(key[0] for key in touched.cells), *(key[0] for key in touched.requests)}
    births = {
        row[0]: (row[1], row[2]) for row in await tx.fetch(BIRTHS, chain_id, sorted(agent_ids))
    }
    staying = await _facts_of_keys(tx, chain_id, touched)
    attached = [
        fact
        for fact in staying
        # A fact before its agent's mint found no subject in its turn, and finds none now.
        if (fact.block_number, fact.log_index) > births.get(_agent_of(fact), _NEVER)
    ]
    again.known = births.__contains__
    again.run(attached)
    again.unattached.clear()  # theirs, if any, was written when their turn came
    await state.write_marks(tx, chain_id, again)
    await state.write_requests(tx, chain_id, again)


_NEVER = (2**63, 0)


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
    found.sort(key=lambda fact: (fact.block_number, fact.log_index))
    return found


def _columns(keys: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    ordered = sorted(keys)
    return [[key[i] for key in ordered] for i in range(width)]
