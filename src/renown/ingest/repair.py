"""Operators' work on an index that stands: fold again, replay quarantine, rewind, verify.

Each takes the chain's lease, so none runs beside an indexer of the same chain, and each can be
stopped and run again: every commit leaves a state that equals the fold of the facts held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from renown.decode import Decoder
from renown.derive.state_hash import SECTIONS, state_hash
from renown.spec.deployments import Deployment
from renown.spec.events import Fact, Quarantined
from renown.store import hashing, quarantine
from renown.store.lease import reopen
from renown.store.pool import Conn, transaction

REPLAY_LOGS = 1_000
REWIND_FACTS = 10_000


class StateVerdict(msgspec.Struct, frozen=True):
    """Whether the stored state equals the fold of the stored facts, and where it does not."""

    equal: bool
    stored_hash: str
    folded_hash: str
    differing: list[str]


class Replayed(msgspec.Struct, frozen=True):
    """What a replay of the quarantine came to."""

    learnt: int
    kept: int


async def rebuild(
    conn: Conn,
    deployment: Deployment,
    *,
    name: str,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Fold the state of every agent again from facts. Returns how many agents there were.

    Args:
        conn: a connection of its own; the chain's lease lives on it.
        on_progress: told agents done and agents in all.
    """
    writer = await reopen(conn, deployment, name=name)
    block = writer.checkpoint.block_number
    parts = [part async for part in hashing.slices(conn, deployment.chain_id, upto_block=block)]
    total = sum(map(len, parts))
    done = 0
    for agent_ids in parts:
        await writer.refold(agent_ids)
        done += len(agent_ids)
        on_progress(done, total)
    return total


async def replay(
    conn: Conn, deployment: Deployment, *, name: str, dry_run: bool = False
) -> Replayed:
    """Decode the quarantine again; what is understood now becomes facts and is folded in.

    Args:
        dry_run: count only; needs no lease, so the indexer may run on.
    """
    writer = None if dry_run else await reopen(conn, deployment, name=name)
    indexed = deployment if writer is None else writer.deployment
    decoder = Decoder(indexed.identity, indexed.reputation, indexed.validation)
    learnt = kept = 0
    after = (-1, -1)
    while logs := await quarantine.page(conn, deployment.chain_id, after=after, limit=REPLAY_LOGS):
        after = (int(logs[-1].block_number, 16), int(logs[-1].log_index, 16))
        facts: list[Fact] = [
            event for event in decoder.decode_many(logs) if not isinstance(event, Quarantined)
        ]
        learnt += len(facts)
        kept += len(logs) - len(facts)
        if facts and writer is not None:
            await writer.refold(sorted(_agents_of(facts)), facts)
    return Replayed(learnt, kept)


async def rewind(conn: Conn, deployment: Deployment, *, to_block: int, name: str) -> int:
    """Drop all blocks above `to_block`, final ones too; following stores them again.

    Returns the number of facts dropped.
    """
    writer = await reopen(conn, deployment, name=name)
    dropped = 0
    while writer.checkpoint.block_number > to_block:
        # In steps from the top: each is a commit and an outbox entry that carries what it dropped.
        step = await writer.block_below(to_block, REWIND_FACTS)
        dropped += await writer.retract(await writer.held_block(step), step, even_final=True)
    return dropped


async def verify_state(conn: Conn, chain_id: int) -> StateVerdict:
    """Fold all facts and compare with what is stored, in one snapshot. Read-only; no lease."""
    async with transaction(conn, "repeatable_read"):
        stored = await hashing.stored_digests(conn, chain_id)
        folded = await hashing.folded_digests(conn, chain_id)
    differing = [name for name in SECTIONS if stored[name] != folded[name]]
    return StateVerdict(not differing, state_hash(stored), state_hash(folded), differing)


def _agents_of(facts: list[Fact]) -> set[int]:
    found: set[int] = set()
    for fact in facts:
        subject: Any = getattr(fact, "agent_id", None)
        if subject is not None:
            found.add(subject)
    return found
