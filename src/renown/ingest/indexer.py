"""One chain, from where it stands to its head and on: backfill, follow, reorg.

Three things overlap while catching up: nodes are asked for the ranges ahead, the range at hand is
decoded, and PostgreSQL stores the stretch before it. In the unfinalised window every block's
header is held, so a reorg is seen by its parent link and undone to the last common block.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

import msgspec
import structlog

from renown.chain.reconcile import Extend, Gap, Reorg, next_step
from renown.chain.source import Head, VerifiedRange
from renown.decode import Decoder
from renown.errors import BeyondHead, NodeInconsistent, ReorgTooDeep
from renown.ingest import measured
from renown.ingest.ahead import ahead
from renown.ingest.progress import Progress
from renown.spec.events import Fact, Quarantined
from renown.store.stretch import Preparation, Prepared
from renown.store.writer import Writer
from renown.types import BlockRef

log = structlog.get_logger()

BATCH_EVENTS = 20_000
"""Events a commit of the backfill aims at: the cost of a commit is spread, memory stays small."""
FIRST_BATCH_EVENTS = 500
"""The first commit of a backfill is small and each may be four times the one before, so that a
restart shows rows at once."""
BATCH_SECONDS = 2.0
"""A slow chain commits at least this often while it catches up, so that progress shows."""
TURN_LOGS = 250
"""Logs decoded before others have their turn: a millisecond or two. While a stretch is made ready
the one before it is being stored, and each of its statements waits for the turn to end."""
WINDOW_BLOCKS = 64
"""Blocks a commit of the unfinalised window spans at most."""
REPORT_SECONDS = 1.0
PROBE_BLOCKS = 40
"""Held blocks compared with the chain at a time while the common ancestor is looked for."""


class Source(Protocol):
    """What an indexer needs of a chain; `chain.source.ChainSource` in earnest."""

    async def head(self) -> Head: ...
    def final_ranges(
        self, first: int, last: int, *, concurrency: int = 4
    ) -> AsyncGenerator[VerifiedRange, None]: ...
    async def window(self, first: int, last: int) -> VerifiedRange: ...
    async def block(self, number: int) -> BlockRef | None: ...
    async def blocks(self, numbers: Sequence[int]) -> list[BlockRef | None]: ...


class Limits(msgspec.Struct, frozen=True):
    """How an indexer paces itself. `reorg_limit_blocks` is the chain's policy."""

    reorg_limit_blocks: int
    poll_seconds: float = 2.0
    batch_events: int = BATCH_EVENTS
    concurrency: int = 4


class Indexer:
    """Brings one chain's index to the head and keeps it there, through a writer it was given."""

    def __init__(
        self,
        source: Source,
        writer: Writer,
        decoder: Decoder,
        limits: Limits,
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._writer = writer
        self._decoder = decoder
        self._limits = limits
        self._on_progress = on_progress
        self._held: list[BlockRef] = []
        self._final = writer.checkpoint.final_block
        self._reported = 0.0
        self.progress = Progress.of(writer.deployment, writer.checkpoint)

    async def run(self, *, until: int | None = None) -> None:
        """Follow for ever, or until block `until` is stored.

        Raises:
            NodeError: no node gives a believable answer; call again later.
            StoreError: the database failed; nothing is half stored; call again with a new writer.
            LeaseLost: another process writes this chain.
            ReorgTooDeep: an operator must decide.
        """
        await self._load_held()
        while True:
            head = await self._source.head()
            await self._report(head)
            stored = self._writer.checkpoint.block_number
            if until is not None and stored >= until:
                return
            target = head.finalized if until is None else min(until, head.finalized)
            if target > stored:
                if await self._on_the_chain():
                    await self._backfill(head, target)
                continue
            moved = await self._follow(head, until)
            self._believe_finality(head)
            if not moved:
                await asyncio.sleep(self._limits.poll_seconds)

    # Catching up ---------------------------------------------------------------------------

    async def _backfill(self, head: Head, last: int) -> None:
        """Store every final block through `last`."""
        async with aclosing(ahead(self._stretches(last))) as stretches:
            async for stretch in stretches:
                await self._extend(stretch, following=False)
                self._final = stretch.extension.last.number
                await self._report(head, phase="backfill")
        await self._load_held()

    async def _stretches(self, last: int) -> AsyncGenerator[Prepared, None]:
        """Verified ranges joined into commits of a good size, decoded."""
        first = self._writer.checkpoint.block_number + 1
        ranges = self._source.final_ranges(first, last, concurrency=self._limits.concurrency)
        making = Preparation(self._writer.deployment.chain_id)
        opened = time.monotonic()
        batch_events = min(FIRST_BATCH_EVENTS, self._limits.batch_events)
        async with aclosing(ranges):
            async for part in ranges:
                await self._take(part, making)
                making.keep(part.blocks.values())
                full = making.logs >= batch_events
                due = time.monotonic() - opened >= BATCH_SECONDS
                if full or due or part.last == last:
                    tip = making.block(part.last) or await self._tip(part.last)
                    making.keep([tip])
                    yield making.finish(tip)
                    making = Preparation(self._writer.deployment.chain_id)
                    opened = time.monotonic()
                    batch_events = min(4 * batch_events, self._limits.batch_events)

    async def _take(self, part: VerifiedRange, into: Preparation) -> None:
        """Decode the logs of `part`, in turns with whoever waits for the database meanwhile."""
        for start in range(0, len(part.logs), TURN_LOGS):
            facts: list[Fact] = []
            quarantined: list[Quarantined] = []
            for event in self._decoder.decode_many(part.logs[start : start + TURN_LOGS]):
                if type(event) is Quarantined:
                    if event.reason == "bad-place":
                        raise NodeInconsistent("a log that does not say where it stands")
                    quarantined.append(event)
                else:
                    facts.append(event)
            into.add(facts, quarantined)
            await asyncio.sleep(0)

    async def _tip(self, number: int) -> BlockRef:
        block = await self._source.block(number)
        if block is None:
            raise NodeInconsistent("a final block is missing", number=number)
        return block

    # Following -----------------------------------------------------------------------------

    async def _follow(self, head: Head, until: int | None) -> bool:
        """One step towards the head. False when there was nothing to do."""
        if not self._held:
            first = self._writer.checkpoint.block_number + 1
            if head.latest.number < first:
                return False
            last = min(head.latest.number, first + WINDOW_BLOCKS - 1)
            return await self._store_window(first, last, until)
        step = next_step(self._held, head.latest)
        tip = self._held[-1]
        match step:
            case None:
                return False
            case Extend() | Gap():
                last = min(head.latest.number, tip.number + WINDOW_BLOCKS)
                return await self._store_window(tip.number + 1, last, until)
            case Reorg():
                return await self._reorg()

    async def _store_window(self, first: int, last: int, until: int | None) -> bool:
        if until is not None:
            last = min(last, until)
        part = await self._source.window(first, last)
        parent = self._held[-1] if self._held else None
        if parent is not None and part.blocks[first].parent_hash != parent.hash:
            return await self._reorg()
        making = Preparation(self._writer.deployment.chain_id)
        await self._take(part, making)
        blocks = [part.blocks[number] for number in range(part.first, part.last + 1)]
        making.keep(blocks)
        ready = making.finish(blocks[-1])
        await self._extend(ready, following=True)
        self._held.extend(blocks)
        surplus = len(self._held) - self._limits.reorg_limit_blocks - WINDOW_BLOCKS
        if surplus > 0:  # a chain that never becomes final; deeper reorgs stop it anyway
            del self._held[:surplus]
        return True

    async def _on_the_chain(self) -> bool:
        """Whether the tip is on the chain; if not, what was orphaned meanwhile is undone.

        Raises:
            BeyondHead: the node asked lacks a block below what is final; another may have it.
            NodeInconsistent: nodes differ about the tip. What is final is not stored upon it.
        """
        checkpoint = self._writer.checkpoint
        if checkpoint.block_hash is None:
            return True
        block = await self._source.block(checkpoint.block_number)
        if block is None:
            raise BeyondHead(
                "a node lacks the block that is stored last", block=checkpoint.block_number
            )
        if block.hash == checkpoint.block_hash:
            return True
        if not await self._reorg():
            raise NodeInconsistent(
                "nodes differ about the block that is stored last", block=checkpoint.block_number
            )
        return False

    async def _reorg(self) -> bool:
        """Retract to the newest held block that is still on the chain.

        False, and no change, when no node contradicts what is held: one that lags behind, or stood
        on another branch for a moment, is not a reorg.
        """
        deployment, tip = self._writer.deployment, self._writer.checkpoint.block_number
        final = self._writer.checkpoint.final_block
        limit = tip - self._limits.reorg_limit_blocks
        held = [ref for ref in self._held if ref.number >= limit]
        contradicted, ancestor = await self._common_ancestor(held)
        if ancestor is None:  # deeper than what is not final, or nothing is held
            held = await self._writer.held_blocks(max(0, limit))
            contradicted, ancestor = await self._common_ancestor(held)
        if not contradicted:
            return False
        if ancestor is None or ancestor.number < final:
            raise ReorgTooDeep(
                f"{deployment.slug}: the nodes contradict blocks that were final here"
                f" (up to {final}) or lie more than {self._limits.reorg_limit_blocks} blocks deep;"
                " if the nodes are right, run"
                f" `renown db rewind {deployment.slug} --to-block N` and start again",
                chain_id=deployment.chain_id,
                block_number=tip,
            )
        dropped = await self._writer.retract(ancestor, ancestor.number)
        self.progress.undone(ancestor.number)
        measured.undone(self.progress.slug, tip - ancestor.number)
        log.warning(
            "reorg_undone",
            chain_id=deployment.chain_id,
            depth_blocks=tip - ancestor.number,
            block_number=ancestor.number,
            facts_dropped=dropped,
        )
        await self._load_held()
        return True

    async def _common_ancestor(self, held: Sequence[BlockRef]) -> tuple[bool, BlockRef | None]:
        """Whether a node has another block at a held height, and the newest held one it shares."""
        contradicted = False
        newest_first = held[::-1]
        for start in range(0, len(newest_first), PROBE_BLOCKS):
            ours = newest_first[start : start + PROBE_BLOCKS]
            theirs = await self._source.blocks([ref.number for ref in ours])
            for ref, block in zip(ours, theirs, strict=True):
                if block is not None and block.hash == ref.hash:
                    return contradicted, ref
                contradicted = contradicted or block is not None
        return contradicted, None

    # Bookkeeping ---------------------------------------------------------------------------

    async def _extend(self, ready: Prepared, *, following: bool) -> None:
        stretch = ready.extension
        started = time.monotonic()
        await self._writer.extend(ready)
        seconds = time.monotonic() - started
        self.progress.stored(
            stretch.last.number, len(stretch.facts), len(stretch.quarantined), seconds
        )
        measured.stored(self.progress.slug, ready, seconds, following=following)
        for entry in stretch.quarantined:
            log.warning(
                "log_quarantined",
                chain_id=self._writer.deployment.chain_id,
                block_number=entry.block_number,
                log_index=entry.log_index,
                reason=entry.reason,
                event_name=entry.event,
            )
        self._on_progress(self.progress)

    def _believe_finality(self, head: Head) -> None:
        """What the chain calls final is final here once its head is held: only then are the blocks
        here known to be the ancestors of that head, and not of a branch it has left."""
        place = head.latest.number - self._held[0].number if self._held else -1
        if 0 <= place < len(self._held) and self._held[place].hash == head.latest.hash:
            self._final = max(self._final, min(head.finalized, head.latest.number))

    async def _load_held(self) -> None:
        """The newest final block, then every unfinalised one, each the parent of the next."""
        held = await self._writer.held_blocks(max(0, self._final))
        self._held = _linked(held, self._writer.checkpoint.block_number)

    async def _report(self, head: Head, phase: str | None = None) -> None:
        stored = self._writer.checkpoint.block_number
        phase = phase or ("backfill" if stored < head.finalized else "follow")
        self.progress.seen(head.latest.number, head.finalized, phase)
        measured.seen(self.progress.slug, head.latest.number, head.host, stored)
        self._on_progress(self.progress)
        now = time.monotonic()
        advanced = self._final > self._writer.checkpoint.final_block
        if now - self._reported < REPORT_SECONDS and not advanced:
            return
        self._reported = now
        await self._writer.report(
            head=head.latest.number,
            final=self._final,
            safe=head.safe,
            phase=phase,
            events_per_second=self.progress.events_per_second,
        )
        if phase == "follow":
            await self._writer.prune_blocks(self._final)
            self._held = [ref for ref in self._held if ref.number >= self._final]


def _linked(blocks: Sequence[BlockRef], tip: int) -> list[BlockRef]:
    """The longest suffix of `blocks` that ends at `tip` and hangs together."""
    if not blocks or blocks[-1].number != tip:
        return []
    first = len(blocks) - 1
    while first and blocks[first - 1].hash == blocks[first].parent_hash:
        first -= 1
    return list(blocks[first:])
