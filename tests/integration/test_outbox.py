"""A reader that applies the outbox from its start ends with what the writer holds.

The reader is a second index: an `extend` is the facts of its blocks, read from the first; a
`retract` drops blocks; a `refold` brings what has been learnt since. It may follow on the writer's
heels or come when all is over, when the facts of orphaned blocks are long gone.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from renown.spec.events import Fact, Quarantined
from renown.store import facts, hashing
from renown.store.lease import acquire
from renown.store.pool import Conn, connect
from renown.store.reads_stream import OutboxRow, outbox
from renown.store.writer import Extension, Writer
from renown.types import BlockRef
from tests.activity import DEVNET, Activity
from tests.factories import BASE

CHAIN = DEVNET.chain_id
ROUNDS = 14
TABLES = (*(table.name for table in facts.TABLES.values()), "quarantine")
Block = tuple[BlockRef, list[Fact]]


@asynccontextmanager
async def writing(url: str, name: str) -> AsyncIterator[Writer]:
    conn = await connect(url)
    try:
        yield await acquire(conn, DEVNET, start_block=1, genesis_hash=None, name=name)
    finally:
        await conn.close()


class Primary:
    """An index whose chain grows, forks and teaches, by the dice."""

    def __init__(self, writer: Writer, seed: int) -> None:
        self.writer = writer
        self.conn = writer._conn
        self.retractions: list[tuple[int, dict[str, Any]]] = []
        self._dice = random.Random(seed)
        self._activity = Activity(seed)
        self._blocks: list[Block] = []
        self._hidden: list[Fact] = []

    async def act(self) -> None:
        """One commit of some kind."""
        roll = self._dice.random()
        if len(self._blocks) < 8 or roll < 0.6:
            await self._grow(self._dice.randint(1, 6))
        elif roll < 0.9:
            await self._fork(self._dice.randint(1, len(self._blocks) - 1))
        else:
            await self._learn()

    async def _grow(self, count: int) -> None:
        more: list[Block] = []
        for _ in range(count):
            tip = (self._blocks or [(BlockRef(0, bytes(32), bytes(32), 0), [])])[-1][0]
            wanted = self._dice.choice((0, 2, 9))
            more.append(self._activity.block(tip.number + 1, tip.hash, facts=wanted))
            self._blocks.append(more[-1])
        if self._dice.random() < 0.4:  # a log that is not understood before it is learnt
            for _, found in more:
                if found and not isinstance(found[0], Quarantined):
                    self._hidden.append(found.pop(0))
                    break
        await self.writer.extend(extension(more))

    async def _fork(self, depth: int) -> None:
        forked = copy.deepcopy(self._activity)
        self._blocks = self._blocks[:-depth]
        ancestor = self._blocks[-1][0]
        held = await rows_above(self.conn, ancestor.number)
        await self.writer.retract(ancestor, ancestor.number)
        self.retractions.append((self.writer.checkpoint.position, held))
        self._activity = forked
        self._hidden = [fact for fact in self._hidden if fact.block_number <= ancestor.number]

    async def _learn(self) -> None:
        learnt, self._hidden = self._hidden, []
        await self.writer.refold(agents_of(learnt), learnt)


class Replica:
    """An index fed by the outbox of another alone."""

    def __init__(self, writer: Writer, primary: Conn) -> None:
        self.writer = writer
        self.position = 0
        self._primary = primary

    async def follow(self) -> None:
        """Apply the entries that are new, a few at a time."""
        while True:
            page = await outbox(self._primary, CHAIN, after=self.position, limit=3)
            assert page is not None
            if not page.rows:
                assert self.position == page.last
                return
            for entry in page.rows:
                assert entry.position == self.position + 1
                await self._apply(entry)
                self.position = entry.position

    async def _apply(self, entry: OutboxRow) -> None:
        first, last = entry.from_block, entry.to_block
        if entry.kind == "extend":
            assert first == self.writer.checkpoint.block_number + 1
            blocks = await blocks_between(self._primary, first, last)
            tip = BlockRef(last, entry.block_hash or bytes(32), bytes(32), 0)
            await self.writer.extend(
                Extension(
                    next((ref for ref in blocks if ref.number == last), tip),
                    await facts_between(self._primary, first, last),
                    await quarantined_between(self._primary, first, last),
                    blocks,
                )
            )
        elif entry.kind == "retract":
            held = await blocks_between(self.writer._conn, first - 1, first - 1)
            assert last == self.writer.checkpoint.block_number
            await self.writer.retract(held[0] if held else None, first - 1)
        else:
            held_here = {place(f) for f in await facts_between(self.writer._conn, first, last)}
            theirs = await facts_between(self._primary, first, last)
            learnt = [fact for fact in theirs if place(fact) not in held_here]
            await self.writer.refold(agents_of(learnt), learnt)


@pytest.mark.parametrize("seed", range(3))
async def test_outbox__applied_by_a_reader_at_its_heels_and_by_a_late_one__gives_the_same_index(
    new_database: Callable[[str], str], template: str, seed: int
) -> None:
    urls = [await asyncio.to_thread(new_database, template) for _ in range(3)]
    async with (
        writing(urls[0], "primary") as writer,
        writing(urls[1], "at its heels") as near,
        writing(urls[2], "late") as late,
    ):
        primary = Primary(writer, seed)
        follower, latecomer = Replica(near, primary.conn), Replica(late, primary.conn)
        for number in range(ROUNDS):
            await primary.act()
            if number % 3 == seed % 3:
                await follower.follow()

        await follower.follow()
        await latecomer.follow()

        expected = await hashing.stored_hash(primary.conn, CHAIN)
        assert expected == await hashing.folded_hash(primary.conn, CHAIN)
        for replica in (follower, latecomer):
            assert await hashing.stored_hash(replica.writer._conn, CHAIN) == expected
            assert replica.writer.checkpoint.events == writer.checkpoint.events
        assert primary.retractions


@pytest.mark.parametrize("seed", range(2))
async def test_outbox__a_retraction__carries_just_what_it_took_back(
    fresh_database_url: str, seed: int
) -> None:
    async with writing(fresh_database_url, "primary") as writer:
        primary = Primary(writer, seed)
        for _ in range(2 * ROUNDS):
            await primary.act()

        carried = {
            row["position"]: (json.loads(row["retracted"]), row["fact_count"])
            for row in await primary.conn.fetch("SELECT * FROM outbox WHERE kind = 'retract'")
        }

    assert len(carried) == len(primary.retractions) > 2
    for position, held in primary.retractions:
        content, fact_count = carried[position]
        assert content == held
        of_facts = [len(rows) for name, rows in held.items() if name != "quarantine"]
        assert fact_count == sum(of_facts)
    assert any(held for _, held in primary.retractions)


async def test_outbox__of_another_chain__is_untouched(fresh_database_url: str) -> None:
    async with writing(fresh_database_url, "primary") as writer:
        primary = Primary(writer, 1)
        conn = await connect(fresh_database_url)
        other = await acquire(conn, BASE, start_block=1, genesis_hash=None, name="other")
        await other.extend(extension([Activity(2).block(1, bytes(32), facts=5)]))
        before = await conn.fetch("SELECT * FROM outbox WHERE chain_id = $1", BASE.chain_id)
        state = await hashing.stored_hash(conn, BASE.chain_id)

        for _ in range(ROUNDS):
            await primary.act()

        assert primary.retractions
        assert await conn.fetch("SELECT * FROM outbox WHERE chain_id = $1", BASE.chain_id) == before
        assert await hashing.stored_hash(conn, BASE.chain_id) == state
        await conn.close()


def extension(blocks: Sequence[Block]) -> Extension:
    found = [fact for _, of_block in blocks for fact in of_block]
    return Extension(
        last=blocks[-1][0],
        facts=[fact for fact in found if not isinstance(fact, Quarantined)],
        quarantined=[fact for fact in found if isinstance(fact, Quarantined)],
        blocks=[ref for ref, _ in blocks],
    )


def agents_of(facts: Iterable[Any]) -> list[int]:
    """The agents that `facts` name, ascending."""
    return sorted({f.agent_id for f in facts if getattr(f, "agent_id", None) is not None})


def place(fact: Fact) -> tuple[int, int]:
    return fact.block_number, fact.log_index


async def rows_above(conn: Conn, number: int) -> dict[str, Any]:
    """What stands above a block, in the form of a retraction: rows by table, without empty ones."""
    held = {}
    for name in TABLES:
        rows = await conn.fetchval(
            "SELECT jsonb_agg(to_jsonb(t) - 'chain_id' ORDER BY block_number, log_index)::text"
            f" FROM {name} t WHERE chain_id = $1 AND block_number > $2",
            CHAIN,
            number,
        )
        if rows is not None:
            held[name] = json.loads(rows)
    return held


async def facts_between(conn: Conn, first: int, last: int) -> list[Fact]:
    """The facts of blocks first..last in chain order."""
    found = []
    for table in facts.TABLES.values():
        rows = await conn.fetch(
            f"SELECT {', '.join(table.columns)} FROM {table.name}"
            " WHERE chain_id = $1 AND block_number BETWEEN $2 AND $3",
            *(CHAIN, first, last),
        )
        found += [facts.read(table, row) for row in rows]
    return sorted(found, key=place)


async def quarantined_between(conn: Conn, first: int, last: int) -> list[Quarantined]:
    columns = ", ".join(facts.QUARANTINE_COLUMNS[1:])
    rows = await conn.fetch(
        f"SELECT {columns} FROM quarantine WHERE chain_id = $1 AND block_number BETWEEN $2 AND $3",
        *(CHAIN, first, last),
    )
    return [
        msgspec.structs.replace(log, topics=tuple(log.topics))
        for log in (Quarantined(*row) for row in rows)
    ]


async def blocks_between(conn: Conn, first: int, last: int) -> list[BlockRef]:
    rows = await conn.fetch(
        "SELECT number, hash, parent_hash, time FROM block"
        " WHERE chain_id = $1 AND number BETWEEN $2 AND $3 ORDER BY number",
        *(CHAIN, first, last),
    )
    return [BlockRef(row[0], row[1], row[2], int(row[3].timestamp())) for row in rows]
