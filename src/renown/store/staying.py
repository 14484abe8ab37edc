"""What a retraction folds again: all that is held of the touched subjects, and the facts of them
that stay, read before anything goes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, LiteralString

import msgspec

from renown.derive.ratings import Cell, CellKey
from renown.derive.validations import RequestKey, Validation
from renown.spec.events import (
    Fact,
    FeedbackGiven,
    FeedbackRevoked,
    ResponseAppended,
    ValidationRequested,
    ValidationResponded,
)
from renown.store import facts, subjects
from renown.store.pool import Tx


class Staying(msgspec.Struct, frozen=True):
    """What there is of some subjects, and the facts at or below a block that made it.

    Attributes:
        cells, requests: as they are held, with what is above the block.
        of_agents: facts of identities, in chain order.
        of_records: facts of feedback and of validations, in chain order.
        born: block and log index of the mints of agents whose identities nothing touches.
        times: block times of the mints among `of_agents`, by block number.
    """

    cells: dict[CellKey, Cell]
    requests: dict[RequestKey, Validation]
    of_agents: list[Fact]
    of_records: list[Fact]
    born: dict[int, tuple[int, int]]
    times: dict[int, datetime]


async def look_below(tx: Tx, chain_id: int, number: int, touched: subjects.Subjects) -> Staying:
    """Read what the fold of `touched` up to block `number` needs, in one statement."""
    rated = {key[0] for key in (*touched.cells, *touched.requests)} - touched.agent_ids
    rows: dict[str, list[Any]] = {}
    for name, row in await tx.fetch(
        STAYING,
        chain_id,
        *subjects.columns(touched.cells, 3),
        *subjects.columns(touched.requests, 3),
        sorted(touched.agent_ids),
        sorted(rated),
        number,
    ):
        rows.setdefault(name, []).append(row)
    return Staying(
        subjects.cells_of(rows.get("cell", ())),
        subjects.requests_of(rows.get("request", ())),
        _in_order(rows, facts.IDENTITY_TABLES),
        _in_order(rows, (*_OF_CELLS, *_OF_REQUESTS)),
        {row[0]: (row[1], row[2]) for row in rows.get("born", ())},
        dict(rows.get("time", ())),
    )


def _in_order(rows: dict[str, list[Any]], tables: Iterable[facts.Table]) -> list[Fact]:
    found = [facts.read(table, row) for table in tables for row in rows.get(table.name, ())]
    found.sort(key=lambda fact: (fact.block_number, fact.log_index))
    return found


_OF_CELLS = [facts.TABLES[k] for k in (FeedbackGiven, FeedbackRevoked, ResponseAppended)]
_OF_REQUESTS = [facts.TABLES[k] for k in (ValidationRequested, ValidationResponded)]


def _staying_sql() -> LiteralString:
    parts: list[LiteralString] = [
        f"SELECT 'cell', ROW(h.*) FROM ({subjects.CELLS}) AS h",
        f"SELECT 'request', ROW(h.*) FROM ({_behind_cells(subjects.REQUESTS)}) AS h",
    ]
    of_agents: list[LiteralString] = [
        f"""
SELECT '{table.name}', ROW({", ".join(table.columns)})
  FROM {table.name} WHERE chain_id = $1 AND agent_id = ANY($8::bigint[]) AND block_number <= $10"""
        for table in facts.IDENTITY_TABLES
    ]
    parts.append("""
SELECT 'time', ROW(b.number, b.time)
  FROM agent_transferred t JOIN block b ON b.chain_id = $1 AND b.number = t.block_number
 WHERE t.chain_id = $1 AND t.agent_id = ANY($8::bigint[]) AND t.block_number <= $10
   AND t.from_address = decode(repeat('00', 20), 'hex')""")
    parts.append("""
SELECT 'born', ROW(agent_id, created_block, created_log_index)
  FROM agent WHERE chain_id = $1 AND agent_id = ANY($9::bigint[])""")
    of_cells = [
        _of_keys(t, "client", "feedback_index", "$2::bigint[], $3::bytea[], $4::bigint[]")
        for t in _OF_CELLS
    ]
    of_requests = [
        _of_keys(t, "contract", "request_hash", "$5::bigint[], $6::bytea[], $7::bytea[]")
        for t in _OF_REQUESTS
    ]
    return " UNION ALL ".join([*parts, *of_agents, *of_cells, *of_requests])


def _of_keys(
    table: facts.Table, middle: LiteralString, last: LiteralString, keys: LiteralString
) -> LiteralString:
    return f"""
SELECT '{table.name}', ROW({", ".join(f"t.{column}" for column in table.columns)})
  FROM unnest({keys}) AS k (agent_id, middle, last)
  JOIN {table.name} t
    ON t.chain_id = $1 AND t.agent_id = k.agent_id AND t.{middle} = k.middle AND t.{last} = k.last
   AND t.block_number <= $10"""


def _behind_cells(requests: LiteralString) -> LiteralString:
    """The statement with its keys counted on behind those of the cells."""
    return requests.replace("$4", "$7").replace("$3", "$6").replace("$2", "$5")


# Rows of any table in one answer, in binary: a statement for each table would cost more than what
# most reorgs read.
STAYING: LiteralString = _staying_sql()
