"""What new facts are about, read before they are folded: identities, feedback cells, requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, LiteralString

import msgspec
from asyncpg import Connection

from renown.derive.fold import Fold
from renown.derive.identity import Identity, Interval
from renown.derive.ratings import Cell, CellKey, Record
from renown.derive.validations import RequestKey, Validation
from renown.spec.events import (
    AgentApproved,
    AgentRegistered,
    AgentTransferred,
    Fact,
    FeedbackGiven,
    FeedbackRevoked,
    MetadataSet,
    ResponseAppended,
    UriUpdated,
    ValidationRequested,
    ValidationResponded,
)

_IDENTITY = frozenset({AgentRegistered, UriUpdated, MetadataSet, AgentTransferred, AgentApproved})
_RATING = frozenset({FeedbackGiven, FeedbackRevoked, ResponseAppended})
_VALIDATION = frozenset({ValidationRequested, ValidationResponded})


class Subjects(msgspec.Struct, frozen=True):
    """The keys that some facts touch."""

    agent_ids: set[int]
    cells: set[CellKey]
    requests: set[RequestKey]


def subjects(facts: Iterable[Fact]) -> Subjects:
    """The keys that `facts` touch. Pure."""
    found = Subjects(set(), set(), set())
    collect(facts, found)
    return found


def collect(facts: Iterable[Fact], into: Subjects) -> None:
    """Add the keys that `facts` touch."""
    agent_ids, cells, requests = into.agent_ids, into.cells, into.requests
    for fact in facts:
        kind = type(fact)
        f: Any = fact
        if kind in _RATING:
            cells.add((f.agent_id, f.client, f.feedback_index))
        elif kind in _IDENTITY:
            agent_ids.add(f.agent_id)
        elif kind in _VALIDATION:
            requests.add((f.agent_id, f.contract, f.request_hash))


async def load(conn: Connection[Any], chain_id: int, wanted: Subjects, into: Fold) -> None:
    """Put what is held of `wanted` into a fold that has not run yet."""
    if wanted.agent_ids:
        await _load_identities(conn, chain_id, sorted(wanted.agent_ids), into)
    if wanted.cells:
        into.cells.update(await load_cells(conn, chain_id, wanted.cells))
    if wanted.requests:
        into.requests.update(await load_requests(conn, chain_id, wanted.requests))


IDENTITIES: LiteralString = """
SELECT a.agent_id, a.owner, a.created_block, a.created_log_index, a.created_tx, a.registrant,
       a.uri, a.uri_block, a.wallet, a.wallet_state, a.approved, a.transfer_count,
       o.from_block, o.from_log_index
  FROM agent a
  LEFT JOIN agent_ownership o
    ON o.chain_id = a.chain_id AND o.agent_id = a.agent_id AND o.to_block IS NULL
 WHERE a.chain_id = $1 AND a.agent_id = ANY($2::bigint[])
"""


async def _load_identities(
    conn: Connection[Any], chain_id: int, agent_ids: Sequence[int], into: Fold
) -> None:
    for row in await conn.fetch(IDENTITIES, chain_id, agent_ids):
        *values, from_block, from_log_index = row
        identity = Identity(*values)
        if from_block is not None:
            identity.ownership.append(Interval(identity.owner, from_block, from_log_index))
        into.identities[identity.agent_id] = identity


CELLS: LiteralString = """
SELECT f.agent_id, f.client, f.feedback_index, f.block_number, f.log_index, f.value, f.decimals,
       f.tag1, f.tag2, m.revoked_block, m.revoked_log_index, m.superseded_block,
       m.superseded_log_index, m.response_count
  FROM unnest($2::bigint[], $3::bytea[], $4::bigint[]) AS k (agent_id, client, feedback_index)
  JOIN feedback_given f
    ON f.chain_id = $1 AND f.agent_id = k.agent_id AND f.client = k.client
   AND f.feedback_index = k.feedback_index
  JOIN agent a  -- feedback given before its agent was minted is unattached, not a record
    ON a.chain_id = $1 AND a.agent_id = f.agent_id
   AND (a.created_block, a.created_log_index) < (f.block_number, f.log_index)
  LEFT JOIN feedback_mark m
    ON m.chain_id = $1 AND m.block_number = f.block_number AND m.log_index = f.log_index
 ORDER BY f.block_number, f.log_index
"""


async def load_cells(
    conn: Connection[Any], chain_id: int, keys: Iterable[CellKey]
) -> dict[CellKey, Cell]:
    """The held feedback of `keys` with its marks; keys without any are absent."""
    return cells_of(await conn.fetch(CELLS, chain_id, *columns(keys, 3)))


def cells_of(rows: Iterable[Any]) -> dict[CellKey, Cell]:
    """The cells that rows of `CELLS` hold, each in their order."""
    cells: dict[CellKey, Cell] = {}
    for row in rows:
        revoked = None if row[9] is None else (row[9], row[10])
        superseded = None if row[11] is None else (row[11], row[12])
        record = Record(
            *(row[3], row[4], int(row[5]), row[6], row[7], row[8], revoked, superseded),
            row[13] or 0,
        )
        cells.setdefault((row[0], row[1], row[2]), []).append(record)
    return cells


REQUESTS: LiteralString = """
SELECT v.agent_id, v.contract, v.request_hash, v.validator, v.request_uri, v.requested_block,
       v.requested_log_index, v.response, v.response_uri, v.response_hash, v.tag,
       v.responded_block, v.responded_log_index, v.response_count
  FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) AS k (agent_id, contract, request_hash)
  JOIN validation v
    ON v.chain_id = $1 AND v.agent_id = k.agent_id AND v.contract = k.contract
   AND v.request_hash = k.request_hash
"""


async def load_requests(
    conn: Connection[Any], chain_id: int, keys: Iterable[RequestKey]
) -> dict[RequestKey, Validation]:
    """The held validations of `keys`; keys without one are absent."""
    return requests_of(await conn.fetch(REQUESTS, chain_id, *columns(keys, 3)))


def requests_of(rows: Iterable[Any]) -> dict[RequestKey, Validation]:
    """The validations that rows of `REQUESTS` hold."""
    return {(row[0], row[1], row[2]): Validation(*tuple(row)[3:]) for row in rows}


def columns(keys: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """`keys`, sorted, as arrays of what stands first in them, second, and so on."""
    ordered = sorted(keys)
    return [[key[i] for key in ordered] for i in range(width)]
