"""A reorg of 32 blocks, against storing the same 32 blocks.

The agent with 41 thousand feedbacks is among the touched each time. One round: the head rises by 32
blocks and the indexer stores them; then they are orphaned, the new branch has the same events under
other hashes and one block more, and the indexer undoes and stores again. Both are timed from the
first look at the head to the last commit, and the undoing's own transaction beside them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from bench import rig
from bench.harness import Report, Spread
from bench.world import HEAVY_AGENT

DEPTH = 32
EVENTS, HEAVY_FEEDBACKS = 150_000, 45_000  # of which 41 thousand lie below the first reorg
RATIO, GONE_SECONDS = 2.0, 1.0
"""Budgets: reorg against storing; until the orphaned rows are gone."""

_APART_BLOCKS = 40  # between the rounds' heads


@dataclass(slots=True)
class Round:
    """Seconds, and facts in the 32 blocks."""

    store: float
    reorg: float
    undo: float
    facts: int


async def run(density: str, rounds: int) -> Report:
    """Measure `rounds` reorgs at one density."""
    with rig.MockChain(EVENTS, density, heavy=HEAVY_FEEDBACKS) as node, rig.postgres() as server:
        heads = _heads(node, rounds)
        node.ask("mock_setHead", heads[0])
        dsn = await rig.new_database(server, "reorg")
        with rig.IndexerProcess(dsn, node.url) as indexer:
            measured = [await _round(node, indexer, dsn, head) for head in heads]
        feedbacks = await _feedbacks(dsn)
    return _report(node.world, measured, feedbacks)


def _heads(node: rig.MockChain, rounds: int) -> list[int]:
    """Heads after each of which, within 32 blocks, the heavy agent gets feedback; ascending."""
    heads: list[int] = []
    below = node.world["last_block"] - _APART_BLOCKS
    for _ in range(rounds):
        rated = node.ask("mock_lastBlockRating", HEAVY_AGENT, below)
        heads.append(rated - DEPTH // 2)
        below = heads[-1] - _APART_BLOCKS
    return heads[::-1]


async def _round(node: rig.MockChain, indexer: rig.IndexerProcess, dsn: str, head: int) -> Round:
    node.ask("mock_setHead", head)
    await _index(indexer, head)
    await rig.settle(dsn)
    node.ask("mock_setHead", head + DEPTH)
    stored = await _index(indexer, head + DEPTH)
    await rig.settle(dsn)
    node.ask("mock_reorg", DEPTH)
    node.ask("mock_setHead", head + DEPTH + 1)
    undone = await _index(indexer, head + DEPTH + 1)
    (to, facts, undo_seconds) = undone["retractions"][0]
    if len(undone["retractions"]) != 1 or to != head:
        raise RuntimeError(f"undone to {undone['retractions']}, the branches part at {head}")
    return Round(stored["seconds"], undone["seconds"], undo_seconds, facts)


async def _index(indexer: rig.IndexerProcess, until: int) -> dict[str, Any]:
    indexer.run(until)
    return await asyncio.to_thread(indexer.done)


async def _feedbacks(dsn: str) -> int:
    async with rig.connection(dsn) as conn:
        held = await conn.fetchval(
            "SELECT feedback_count FROM agent_stats WHERE agent_id = $1", HEAVY_AGENT
        )
    return int(held)


def _report(world: dict[str, Any], rounds: list[Round], feedbacks: int) -> Report:
    facts = Spread.of([r.facts for r in rounds])
    report = Report(
        "reorg",
        f"depth {DEPTH}, {facts:,.0f} events orphaned, an agent of {feedbacks:,} feedbacks touched,"
        f" {world['density']} density",
    )
    ratio = Spread.of([r.reorg / r.store for r in rounds])
    undo = Spread.of([r.undo for r in rounds])
    report.add("storing the blocks, ms", f"{Spread.of([r.store * 1e3 for r in rounds]):.0f}")
    report.add("the whole reorg, ms", f"{Spread.of([r.reorg * 1e3 for r in rounds]):.0f}")
    report.add("reorg against storing", f"{ratio:.2f}", f"<= {RATIO:.0f}", ratio.median <= RATIO)
    report.add(
        "orphaned rows gone after, ms",
        f"{Spread.of([r.undo * 1e3 for r in rounds]):.0f}",
        f"< {GONE_SECONDS * 1e3:.0f}",
        undo.median < GONE_SECONDS,
    )
    report.numbers = {
        "world": world,
        "rounds": [{name: getattr(r, name) for name in Round.__slots__} for r in rounds],
    }
    return report
