"""The one writer of a chain: lease, fence, and commits that move the checkpoint with the facts.

The lease is a session advisory lock, so it falls with the connection. The fence is a number that
each new writer raises and each commit checks: a writer that was paused, lost its lease without
noticing and woke up commits nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from renown.derive.facts_hash import facts_hash
from renown.derive.fold import Fold
from renown.errors import LeaseLost
from renown.spec.deployments import Deployment
from renown.spec.events import KINDS, Fact
from renown.store import audit_commits, refold, retract, state, subjects
from renown.store import facts as fact_tables
from renown.store.changes import OUTBOX_CHANNEL
from renown.store.known import KnownAgents
from renown.store.orphaned import look_above
from renown.store.pool import Conn, Tx, naming_failures, transaction
from renown.store.stretch import Extension, Prepared, prepare, time_of
from renown.types import BlockRef

__all__ = ["Checkpoint", "Extension", "Prepared", "Writer"]

TURN_FACTS = 250
"""Facts folded before the connection gets its turn: a millisecond."""
FIRST_ANALYZE_EVENTS = 100
"""From here on tables are large enough for a plan made when they were empty to be a bad one."""
ANALYZE_GROWTH = 8
STATE_TABLES = (
    *("agent", "agent_metadata", "agent_ownership", "feedback_mark", "agent_stats"),
    *("agent_tag_stats", "validation", "block"),
)


class Checkpoint(msgspec.Struct, frozen=True):
    """How far a chain is stored. `block_hash` is None before the first commit."""

    block_number: int
    block_hash: bytes | None
    final_block: int
    position: int
    events: int
    phase: str
    problem: str | None


class Writer:
    """Holds the lease of one chain on a connection of its own. Made by `lease.acquire`.

    After any exception from a commit the transaction is rolled back and memory is not ahead of
    the database; the same call may be made again.
    """

    def __init__(
        self, conn: Conn, deployment: Deployment, fence: int, checkpoint: Checkpoint
    ) -> None:
        self.deployment = deployment
        self.checkpoint = checkpoint
        self._conn = conn
        self._fence = fence
        self._chain_id = deployment.chain_id
        self._known: KnownAgents | None = None
        self._told_to: int | None = None
        self._partitions: set[int] = set()
        self._next_analyze = FIRST_ANALYZE_EVENTS
        while self._next_analyze <= checkpoint.events:
            self._next_analyze *= ANALYZE_GROWTH
        self._prefix = b"eip155:%d:0x%s:" % (
            deployment.chain_id,
            deployment.identity.hex().encode(),
        )

    async def extend(self, stretch: Extension | Prepared) -> Fold:
        """Store and fold a stretch in one transaction. Returns what it changed.

        Raises:
            LeaseLost: another writer has the chain; nothing was stored.
        """
        ready = stretch if isinstance(stretch, Prepared) else prepare(self._chain_id, stretch)
        extension, last = ready.extension, ready.extension.last
        first = self.checkpoint.block_number + 1
        await self._ensure_partitions(first, last.number)
        known = await self._load_known()
        told_to = await self._load_told_to()
        fold = Fold(known.__contains__)
        moved = msgspec.structs.replace(
            self.checkpoint,
            block_number=last.number,
            block_hash=last.hash,
            position=self.checkpoint.position + 1,
            events=self.checkpoint.events + len(extension.facts),
        )
        async with transaction(self._conn) as tx:
            await self._move(tx, moved, time_of(last.time_seconds))
            await subjects.load(tx, self._chain_id, ready.touched, fold)
            # PostgreSQL takes the facts in while they are folded here.
            storing = asyncio.create_task(self._store_facts(tx, ready))
            try:
                await _fold_in_turns(fold, extension.facts)
                await storing
            finally:
                # Whatever went wrong, the connection is free before the rollback needs it.
                storing.cancel()
                await asyncio.wait([storing])
            await state.write(
                tx,
                self._chain_id,
                self._prefix,
                fold,
                version=moved.position,
                time=ready.times.__getitem__,
            )
            await tx.execute(
                OUTBOX,
                self._chain_id,
                moved.position,
                "extend",
                first,
                last.number,
                last.hash,
                len(extension.facts),
                None,
            )
            if extension.facts or extension.quarantined:
                await self._say_commit(tx, ready, told_to + 1, moved.position)
                told_to = last.number
        self.checkpoint = moved
        self._told_to = told_to
        known.add(fold.minted)
        if moved.events >= self._next_analyze:
            await self._analyze()
        return fold

    async def _store_facts(self, tx: Tx, ready: Prepared) -> None:
        await tx.copy_records_to_table(
            "block",
            records=ready.block_rows,
            columns=("chain_id", "number", "hash", "parent_hash", "time", "fact_count"),
        )
        await fact_tables.append(tx, ready.fact_rows)
        await fact_tables.quarantine(tx, self._chain_id, ready.extension.quarantined)

    async def retract(
        self, to: BlockRef | None, to_number: int, *, even_final: bool = False
    ) -> int:
        """Drop the blocks above `to_number`; fold again what they touched. Returns facts dropped.

        Args:
            to: the block that is now the last; None when its header is not at hand.
            even_final: an operator said so; what was final above `to_number` is so no more.
        """
        async with transaction(self._conn) as tx:
            position = self.checkpoint.position + 1
            taken = await look_above(tx, self._chain_id, to_number)
            fact_count = len(taken.facts)
            moved = msgspec.structs.replace(
                self.checkpoint,
                block_number=to_number,
                block_hash=to.hash if to else None,
                position=position,
                events=self.checkpoint.events - fact_count,
            )
            if even_final:
                moved = msgspec.structs.replace(
                    moved, final_block=min(moved.final_block, to_number)
                )
                await tx.execute(UNFINAL, self._chain_id, to_number)
            await self._move(tx, moved, time_of(to.time_seconds) if to else None)
            gone = await retract.drop_above(
                tx, self._chain_id, self._prefix, to_number, taken, version=position
            )
            await tx.execute(
                OUTBOX,
                self._chain_id,
                position,
                "retract",
                to_number + 1,
                self.checkpoint.block_number,
                moved.block_hash,
                fact_count,
                taken.content,
            )
            await audit_commits.say_retract(
                tx,
                self._chain_id,
                to_block=to_number,
                from_block=self.checkpoint.block_number,
                facts=fact_count,
                facts_sha256=facts_hash(taken.facts, taken.quarantined),
                position=position,
                by_operator=even_final,
            )
        self.checkpoint = moved
        self._told_to = to_number
        if self._known is not None:
            self._known.remove(gone)
        return fact_count

    async def refold(self, agent_ids: Sequence[int], learnt: Sequence[Fact] = ()) -> None:
        """Fold the state of `agent_ids` again from all their facts.

        Args:
            learnt: facts that were in quarantine and are understood now; they leave it.
        """
        self._known = None
        block = self.checkpoint.block_number
        async with transaction(self._conn) as tx:
            moved = msgspec.structs.replace(
                self.checkpoint,
                position=self.checkpoint.position + 1,
                events=self.checkpoint.events + len(learnt),
            )
            await self._move(tx, moved, None)
            if learnt:
                await tx.execute(
                    RELEASE,
                    self._chain_id,
                    [f.block_number for f in learnt],
                    [f.log_index for f in learnt],
                )
                await fact_tables.append(tx, fact_tables.rows_of(self._chain_id, learnt))
            await refold.agents(
                tx,
                self._chain_id,
                self._prefix,
                agent_ids,
                upto_block=block,
                version=moved.position,
            )
            await tx.execute(
                OUTBOX,
                self._chain_id,
                moved.position,
                "refold",
                min((f.block_number for f in learnt), default=block),
                block,
                moved.block_hash,
                len(learnt),
                None,
            )
            await audit_commits.say_refold(
                tx,
                self._chain_id,
                agents=len(agent_ids),
                learnt_blocks=[fact.block_number for fact in learnt],
                position=moved.position,
            )
        self.checkpoint = moved

    async def report(
        self,
        *,
        head: int,
        final: int,
        safe: int | None,
        phase: str,
        problem: str | None = None,
        events_per_second: float | None = None,
    ) -> None:
        """Say how the chain stands, outside any commit. Raises LeaseLost."""
        with naming_failures():
            fence = await self._conn.fetchval(
                REPORT,
                self._chain_id,
                self._fence,
                head,
                final,
                safe,
                phase,
                problem,
                events_per_second,
            )
        if fence is None:
            raise self._lost()
        self.checkpoint = msgspec.structs.replace(
            self.checkpoint,
            final_block=max(final, self.checkpoint.final_block),
            phase=phase,
            problem=problem,
        )

    async def prune_blocks(self, below: int) -> None:
        """Forget the final blocks under `below` that have no facts: no answer can need them."""
        with naming_failures():
            await self._conn.execute(PRUNE, self._chain_id, below)

    async def held_block(self, number: int) -> BlockRef | None:
        """The stored block at `number`, if there is one."""
        with naming_failures():
            row = await self._conn.fetchrow(ONE_HELD, self._chain_id, number)
        return None if row is None else BlockRef(row[0], row[1], row[2], int(row[3].timestamp()))

    async def block_below(self, number: int, fact_limit: int) -> int:
        """The lowest block from `number` up with not many more than `fact_limit` facts above it."""
        with naming_failures():
            found = await self._conn.fetchval(STEP_DOWN, self._chain_id, number, fact_limit)
        return number if found is None else min(int(found), self.checkpoint.block_number - 1)

    async def held_blocks(self, from_number: int) -> list[BlockRef]:
        """The stored blocks at or above `from_number`, ascending."""
        with naming_failures():
            rows = await self._conn.fetch(HELD, self._chain_id, from_number)
        return [BlockRef(row[0], row[1], row[2], int(row[3].timestamp())) for row in rows]

    async def close(self) -> None:
        """Give the lease back and close the connection."""
        await self._conn.close(timeout=5)

    def terminate(self) -> None:
        """Drop the connection at once; the lease falls with it."""
        self._conn.terminate()

    async def _move(self, tx: Tx, to: Checkpoint, time: datetime | None) -> None:
        moved = await tx.fetchval(
            MOVE,
            self._chain_id,
            self._fence,
            self.checkpoint.block_number,
            self.checkpoint.position,
            to.block_number,
            to.block_hash,
            time,
            to.position,
            to.events,
        )
        if moved is None:
            raise self._lost()

    async def _ensure_partitions(self, first: int, last: int) -> None:
        slots = set(
            range(first >> fact_tables.PARTITION_BITS, (last >> fact_tables.PARTITION_BITS) + 1)
        )
        if not slots <= self._partitions:
            with naming_failures():
                await fact_tables.ensure_partitions(self._conn, self._chain_id, first, last)
            self._partitions |= slots

    async def _analyze(self) -> None:
        """Give the planner statistics while the tables are young; autovacuum comes minutes late,
        and to the parents of partitions never."""
        while self._next_analyze <= self.checkpoint.events:
            self._next_analyze *= ANALYZE_GROWTH
        tables = [table.name for table in fact_tables.TABLES.values()]
        with naming_failures():
            await self._conn.execute(ANALYZE, [*tables, *STATE_TABLES])

    async def _load_known(self) -> KnownAgents:
        if self._known is None:
            with naming_failures():
                self._known = await KnownAgents.load(self._conn, self._chain_id)
        return self._known

    async def _load_told_to(self) -> int:
        """The last block that the audit log tells of; never above what is stored."""
        if self._told_to is None:
            with naming_failures():
                told_to = await audit_commits.told_to(self._conn, self._chain_id)
            stored = self.checkpoint.block_number
            self._told_to = stored if told_to is None else min(told_to, stored)
        return self._told_to

    async def _say_commit(self, tx: Tx, ready: Prepared, first: int, position: int) -> None:
        extension = ready.extension
        commit = audit_commits.Commit(
            first,
            extension.last.number,
            extension.last.hash,
            {KINDS[kind]: len(rows) for kind, rows in ready.fact_rows.items()},
            # Those without a place are in no stretch of blocks.
            sum(log.block_number >= 0 for log in extension.quarantined),
            ready.facts_sha256,
            position,
        )
        await audit_commits.say_commit(tx, self._chain_id, commit)

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            f"another process took over chain {self.deployment.slug}; this one stops writing",
            chain_id=self._chain_id,
        )


async def _fold_in_turns(fold: Fold, facts: Sequence[Fact]) -> None:
    for start in range(0, len(facts), TURN_FACTS):
        fold.run(facts[start : start + TURN_FACTS])
        await asyncio.sleep(0)


ANALYZE: LiteralString = "SELECT analyze_tables($1)"  # takes ownership
MOVE: LiteralString = """
UPDATE checkpoint
   SET block_number = $5, block_hash = $6,
       block_time = coalesce($7, CASE WHEN $5 = $3 THEN block_time END),
       position = $8, events = $9, updated_at = now()
 WHERE chain_id = $1 AND fence = $2 AND block_number = $3 AND position = $4
RETURNING fence
"""
# What is final says so without an outbox entry; those who keep answers hear of it all the same.
REPORT: LiteralString = f"""
UPDATE checkpoint k
   SET head_block = $3, head_seen_at = now(), final_block = greatest(k.final_block, $4),
       safe_block = $5, phase = $6, problem = $7, events_per_second = $8, updated_at = now()
  FROM checkpoint before
 WHERE k.chain_id = $1 AND k.fence = $2 AND before.chain_id = k.chain_id
RETURNING k.fence,
       CASE WHEN (k.final_block, k.safe_block)
                 IS DISTINCT FROM (before.final_block, before.safe_block)
            THEN pg_notify('{OUTBOX_CHANNEL}', k.chain_id || ':' || k.position) END
"""
UNFINAL: LiteralString = """
UPDATE checkpoint SET final_block = least(final_block, $2) WHERE chain_id = $1
"""
# The word costs no statement of its own; it goes out when the transaction commits.
OUTBOX: LiteralString = f"""
INSERT INTO outbox
       (chain_id, position, kind, from_block, to_block, block_hash, fact_count, retracted)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb)
RETURNING pg_notify('{OUTBOX_CHANNEL}', chain_id || ':' || position)
"""
HELD: LiteralString = """
SELECT number, hash, parent_hash, time FROM block
 WHERE chain_id = $1 AND number >= $2 ORDER BY number
"""
ONE_HELD: LiteralString = """
SELECT number, hash, parent_hash, time FROM block WHERE chain_id = $1 AND number = $2
"""
STEP_DOWN: LiteralString = """
SELECT number FROM (
    SELECT number, sum(fact_count) OVER (ORDER BY number DESC) AS above
      FROM block WHERE chain_id = $1 AND number > $2
     ORDER BY number DESC LIMIT $3) AS counted
 WHERE above > $3 ORDER BY number DESC LIMIT 1
"""
PRUNE: LiteralString = "DELETE FROM block WHERE chain_id = $1 AND number < $2 AND fact_count = 0"
RELEASE: LiteralString = """
DELETE FROM quarantine q
 USING unnest($2::bigint[], $3::integer[]) AS k (block_number, log_index)
 WHERE q.chain_id = $1 AND q.block_number = k.block_number AND q.log_index = k.log_index
"""
