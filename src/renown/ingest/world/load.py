"""Filling a database with a world: part by part, by several processes, from where it was left."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack

import msgspec

from renown.errors import StoreError
from renown.ingest.world.order import Order, Part, Stage
from renown.ingest.world.parts import (
    AFTER_ANALYZE,
    AFTER_FOLDS,
    AFTER_PROFILES,
    FIRST,
    ending,
    make,
    size_text,
    stages,
)
from renown.ingest.world.size import WorldSize
from renown.ingest.world.workers import Workers
from renown.store import world, world_indexes
from renown.store.migrate import require_current
from renown.store.pool import Conn, connect
from renown.store.world_indexes import Taken

PROCESSES = 2

Progress = Callable[[int, int], None]
"""Told how much is done, and of how much: rows, about."""

# When the tables that are not full after the spans, or are locked then, are free for indexes.
_FREE = {
    **dict.fromkeys(("payment", "payment_claim"), AFTER_FOLDS),
    **dict.fromkeys(
        (
            *("agent_profile", "uri", "document", "attachment", "endpoint", "agent_endpoint"),
            "agent_domain",
        ),
        AFTER_PROFILES,
    ),
}
_NAMES = "agent_name"


class Loaded(msgspec.Struct, frozen=True):
    """What a load came to. `seconds` are of this run; `parts` were made in it."""

    seconds: float
    size_bytes: int
    parts: int


class Estimate(msgspec.Struct, frozen=True):
    """What a world will come to, by what those of 10,000 to a million agents came to."""

    rows: int
    size_bytes: int
    seconds: float


_WHOLE_IN_MEMORY_ROWS = 4_500_000


def estimate(size: WorldSize) -> Estimate:
    """About how large a world is and how long it takes on two cores that do nothing else.

    Of 10,000, 100,000 and a million agents: 9, 52 and 574 seconds, 0.22, 1.92 and 18.84 GB. What
    is sorted outside of memory takes longer a row.
    """
    a, f, p = size.agents, size.feedbacks, size.paid
    rows = 19.5 * a + 1.35 * f + 2.3 * p
    longer = max(1.0, rows / _WHOLE_IN_MEMORY_ROWS) ** 0.075
    return Estimate(
        rows=round(rows),
        size_bytes=30_000_000 + 5_850 * a + 740 * f + 1_110 * p,
        seconds=4.0 + (228 * a + 14.5 * f + 21.4 * p) / 1e6 * longer,
    )


async def refuse_others(dsn: str) -> None:
    """Look whether a world may be made in a database, migrated or not.

    Raises:
        StoreError: something is in it that is no world.
    """
    conn = await connect(dsn, application_name="renown-bench-world")
    try:
        await world.refuse_others(conn)
    finally:
        await conn.close()


async def load(
    dsn: str,
    size: WorldSize,
    progress: Progress | None = None,
    *,
    processes: int = PROCESSES,
) -> Loaded:
    """Fill the migrated, empty database at `dsn`, or go on where an earlier run was cut short.

    The same size and seed give the same rows, however often it was cut short. Times of the wall
    clock stand in no row that answers are made of, but for when the head was last seen.

    Args:
        processes: that make parts at once; 0: this one makes them itself, one after the other.

    Raises:
        StoreError: there is something else in the database, or a world of another size.
        SchemaBehind: it is not migrated.
    """
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        conn = await connect(dsn, application_name="renown-bench-world")
        stack.push_async_callback(conn.close)
        await require_current(conn)
        await world.prepare_session(conn)
        if await _take_over(conn, size):
            return Loaded(0.0, await world.size_bytes(conn), 0)
        workers = None
        if processes:
            workers = await stack.enter_async_context(Workers(dsn, size, processes))
        making = _Making(size, conn, workers, progress)
        made = await making.run()
        await world.finish(conn)
        return Loaded(time.monotonic() - began, await world.size_bytes(conn), made)


async def _take_over(conn: Conn, size: WorldSize) -> bool:
    """Begin, or find what was begun. Returns whether it is whole already."""
    text = size_text(size)
    held = await world.held_world(conn)
    if held is None:
        await world.begin(conn, text)
        return False
    if held[0] != text:
        raise StoreError(
            f"this database holds another bench world, {held[0]}; name another one with --database"
        )
    return held[1]


class _Making:
    """The parts that are to be made, and making them."""

    def __init__(
        self,
        size: WorldSize,
        conn: Conn,
        workers: Workers | None,
        progress: Progress | None,
    ) -> None:
        self._size, self._conn = size, conn
        self._workers, self._progress = workers, progress
        self._weight_done = 0
        self._weight = 1
        self._made = 0

    async def run(self) -> int:
        """Make what is missing. Returns how many parts that were."""
        conn, size = self._conn, self._size
        done = await world.done_parts(conn)
        if FIRST not in done:
            await make(conn, size, FIRST)
            self._made += 1
            done.add(FIRST)
        plan = stages(size)
        end = ending(size, await world.views(conn))
        beside, keys = self._places(await world_indexes.taken(conn))
        everything = [*plan, *beside.values(), keys, *end]
        self._weight = sum(weight for stage in everything for _, weight in stage)
        self._say(sum(weight for stage in everything for name, weight in stage if name in done))
        await self._make_all(plan, beside, done)
        await self._make_all([keys], {}, done)
        await world_indexes.wake_triggers(conn)
        await self._make_all(end, {}, done)
        return self._made

    def _places(self, taken: Sequence[Taken]) -> tuple[dict[int, Stage], Stage]:
        """From which stage on each index can be made, and what comes when all of them are."""
        beside, last = defaultdict[int, Stage](list), []
        for one in taken:
            part = (f"index {one.name}", _index_weight(self._size, one))
            if one.is_foreign_key or one.table == _NAMES:
                last.append(part)
            else:
                beside[_FREE.get(one.table, AFTER_ANALYZE)].append(part)
        last.sort(key=lambda part: -part[1])
        return beside, last

    async def _make_all(
        self, plan: Sequence[Stage], beside: Mapping[int, Stage], done: Collection[str]
    ) -> None:
        order, turn = Order(plan, beside, done), asyncio.Condition()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers.count if self._workers else 1):
                    group.create_task(self._make_in(order, turn))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _make_in(self, order: Order, turn: asyncio.Condition) -> None:
        while True:
            async with turn:
                while (part := order.next()) is None:
                    if order.is_given:
                        return
                    await turn.wait()
            await self._make(part)
            async with turn:
                order.end(part)
                turn.notify_all()

    async def _make(self, part: Part) -> None:
        name, weight = part
        if self._workers is None:
            await make(self._conn, self._size, name)
        else:
            await self._workers.make(name)
        self._made += 1
        self._say(weight)

    def _say(self, weight: int) -> None:
        self._weight_done += weight
        if self._progress is not None and weight:
            self._progress(self._weight_done, self._weight)


def _index_weight(size: WorldSize, one: Taken) -> int:
    rows = {
        "feedback_given": size.feedbacks,
        "payment": size.paid,
        "payment_claim": size.paid,
        "agent_profile": 12 * size.agents if "USING gin" in one.definition else size.agents,
    }.get(one.table, size.agents)
    return max(1, rows // 4)
