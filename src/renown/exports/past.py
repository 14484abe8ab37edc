"""Agents folded back: what the columns of `agents` said at a block that is not the newest."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from renown.derive.fold import Fold
from renown.derive.identity import Identity
from renown.exports.batches import Columns
from renown.store import facts, reads_reputation
from renown.store.exporting import Touched
from renown.store.exporting_tables import AGENTS
from renown.store.pool import Conn

_AT_ONCE = 500
"""Agents folded at a time, whose identity facts are in memory together."""

_SQL = {column.name: column.sql for column in AGENTS.columns}

Said = dict[int, dict[str, Any]]
"""By agent id, what to say instead, by the name of the column and in the form it is carried. The
same columns of each agent."""


class Past(msgspec.Struct, frozen=True):
    """What is to be said of agents at the end of a block: who they were, and their counts."""

    identities: Said = {}
    counts: Said = {}


async def as_they_were(conn: Conn, chain_id: int, touched: Touched, block_number: int) -> Past:
    """Those of `touched` at the end of a block, each only in what may differ since: most agents get
    feedback and stay who they are."""
    identities: Said = {}
    for start in range(0, len(touched.identities), _AT_ONCE):
        ids = touched.identities[start : start + _AT_ONCE]
        found = await facts.of_agents(
            conn, chain_id, ids, upto_block=block_number, tables=facts.IDENTITY_TABLES
        )
        folded = Fold().run(found).identities
        identities |= {agent_id: _said(identity) for agent_id, identity in folded.items()}
    counts = await reads_reputation.counts_at(conn, chain_id, touched.counts, block_number)
    return Past(
        identities,
        {agent_id: msgspec.structs.asdict(counted) for agent_id, counted in counts.items()},
    )


def put_back(columns: Columns, past: Past) -> Columns:
    """The decoded columns of `agents` with what `past` says of the agents that it knows."""
    return _with(_with(columns, past.identities), past.counts)


def _with(columns: Columns, said: Said) -> Columns:
    if not said:
        return columns
    ids = columns[_SQL["agent_id"]]
    known = pc.is_in(ids, value_set=pa.array(list(said), pa.int64()))
    here = [said[agent_id] for agent_id in ids.filter(known).to_pylist()]
    if not here:
        return columns
    changed = dict(columns)
    for name in here[0]:
        array = columns[_SQL[name]]
        values = pa.array([one[name] for one in here], array.type)
        changed[_SQL[name]] = pc.replace_with_mask(array, known, values)
    return changed


def _said(identity: Identity) -> dict[str, Any]:
    return {
        "owner": identity.owner.hex(),
        "registrant": _digits(identity.registrant),
        "uri": identity.uri,
        "uri_block": identity.uri_block,
        "wallet": _digits(identity.wallet),
        "wallet_state": identity.wallet_state,
        "approved": _digits(identity.approved),
        "transfers": identity.transfer_count,
    }


def _digits(raw: bytes | None) -> str | None:
    return None if raw is None else raw.hex()
