"""Agents folded back: what the columns of `agents` said at a block that is not the newest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from renown.derive.fold import Fold
from renown.derive.identity import Identity
from renown.exports.batches import Columns
from renown.store import facts, reads_reputation
from renown.store.agents import CountsRow
from renown.store.exporting_tables import AGENTS
from renown.store.pool import Conn

_AT_ONCE = 500
"""Agents folded at a time, whose identity facts are in memory together."""

_SQL = {column.name: column.sql for column in AGENTS.columns}
_COUNTS = CountsRow.__struct_fields__

Past = dict[int, dict[str, Any]]
"""By agent id, what to say instead, by the name of the column and in the form it is carried."""


async def as_they_were(
    conn: Conn, chain_id: int, agent_ids: Sequence[int], block_number: int
) -> Past:
    """What is to be said of agents at the end of a block: who they were, and their counts."""
    found: Past = {}
    for start in range(0, len(agent_ids), _AT_ONCE):
        ids = agent_ids[start : start + _AT_ONCE]
        identities = (
            Fold()
            .run(
                await facts.of_agents(
                    conn, chain_id, ids, upto_block=block_number, tables=facts.IDENTITY_TABLES
                )
            )
            .identities
        )
        counts = await reads_reputation.counts_at(conn, chain_id, ids, block_number)
        for agent_id, identity in identities.items():
            found[agent_id] = _said(identity, counts.get(agent_id, CountsRow()))
    return found


def put_back(columns: Columns, past: Past) -> Columns:
    """The decoded columns of `agents` with what `past` says of the agents that it knows."""
    if not past:
        return columns
    ids = columns[_SQL["agent_id"]]
    known = pc.is_in(ids, value_set=pa.array(list(past), pa.int64()))
    here = [past[agent_id] for agent_id in ids.filter(known).to_pylist()]
    if not here:
        return columns
    changed = dict(columns)
    for name in here[0]:
        array = columns[_SQL[name]]
        values = pa.array([said[name] for said in here], array.type)
        changed[_SQL[name]] = pc.replace_with_mask(array, known, values)
    return changed


def _said(identity: Identity, counts: CountsRow) -> dict[str, Any]:
    return {
        "owner": identity.owner.hex(),
        "registrant": _digits(identity.registrant),
        "uri": identity.uri,
        "uri_block": identity.uri_block,
        "wallet": _digits(identity.wallet),
        "wallet_state": identity.wallet_state,
        "approved": _digits(identity.approved),
        "transfers": identity.transfer_count,
        **dict(zip(_COUNTS, msgspec.structs.astuple(counts), strict=True)),
    }


def _digits(raw: bytes | None) -> str | None:
    return None if raw is None else raw.hex()
