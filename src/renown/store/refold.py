"""Folding agents again from their facts, and putting the outcome in the place of what was held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import LiteralString

from renown.derive.fold import Fold, fold
from renown.derive.identity import Identity
from renown.store import facts, state
from renown.store.pool import Tx

OF_AGENTS: LiteralString = """
WITH metadata AS (DELETE FROM agent_metadata WHERE chain_id = $1 AND agent_id = ANY($2::bigint[])),
     ownership AS (DELETE FROM agent_ownership WHERE chain_id = $1 AND agent_id = ANY($2::bigint[]))
DELETE FROM agent WHERE chain_id = $1 AND agent_id = ANY($2::bigint[])
"""
OF_THE_REST: tuple[LiteralString, ...] = (
    """DELETE FROM feedback_mark m USING feedback_given f
        WHERE f.chain_id = $1 AND f.agent_id = ANY($2::bigint[]) AND m.chain_id = $1
          AND m.block_number = f.block_number AND m.log_index = f.log_index""",
    "DELETE FROM validation WHERE chain_id = $1 AND agent_id = ANY($2::bigint[])",
    "DELETE FROM agent_stats WHERE chain_id = $1 AND agent_id = ANY($2::bigint[])",
    "DELETE FROM agent_tag_stats WHERE chain_id = $1 AND agent_id = ANY($2::bigint[])",
    "DELETE FROM unattached WHERE chain_id = $1 AND agent_id = ANY($2::bigint[])",
)
TIMES: LiteralString = (
    "SELECT number, time FROM block WHERE chain_id = $1 AND number = ANY($2::bigint[])"
)


async def agents(
    tx: Tx,
    chain_id: int,
    key_prefix: bytes,
    agent_ids: Sequence[int],
    *,
    upto_block: int,
    version: int,
) -> Fold:
    """Replace the whole state of `agent_ids` by the fold of their facts."""
    again = fold(await facts.of_agents(tx, chain_id, agent_ids, upto_block=upto_block))
    for statement in (*OF_THE_REST, OF_AGENTS):
        await tx.execute(statement, chain_id, agent_ids)
    times = await block_times(tx, chain_id, again.identities.values())
    await state.write(tx, chain_id, key_prefix, again, version=version, time=times.__getitem__)
    return again


async def block_times(tx: Tx, chain_id: int, born: Iterable[Identity]) -> dict[int, datetime]:
    """The times of the blocks in which `born` were created."""
    numbers = sorted({identity.created_block for identity in born})
    return {row[0]: row[1] for row in await tx.fetch(TIMES, chain_id, numbers)}
