"""What reads are measured against: one row by its primary key, prepared, on the same connection.

The row has about 200 bytes and stands in a table of a million, whatever the size of the world
beside it: `bench.baseline`, made once per database in a schema that no migration knows. Asked
between the queries that are measured, so whatever else the machine does weighs on both alike.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from bench.harness import quantile
from renown.store.pool import Conn

Query = Callable[[], Awaitable[Any]]

ROWS = 1_000_000

_MAKE = f"""
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE IF NOT EXISTS bench.baseline (
    row_id  bigint PRIMARY KEY,
    account bytea       NOT NULL,
    hash    bytea       NOT NULL,
    at      timestamptz NOT NULL,
    block   bigint      NOT NULL,
    said    text        NOT NULL
);
INSERT INTO bench.baseline
SELECT n, substring(sha256(int8send(n)) FOR 20), sha256(int8send(n)),
       timestamptz '2026-01-01 00:00+00' + n * interval '1 second', n * 7,
       repeat(md5(n::text), 4)
  FROM generate_series(1, {ROWS}) AS n;
ANALYZE bench.baseline;
"""
_IS_THERE = "SELECT to_regclass('bench.baseline') IS NOT NULL"
SELECT = "SELECT row_id, account, hash, at, block, said FROM bench.baseline WHERE row_id = $1"


class Baseline:
    """The baseline on one connection, which nobody else may use meanwhile.

    `await Baseline(conn).ready()` first; then `await baseline.seconds()` as often as one likes.
    """

    def __init__(self, conn: Conn, *, seed: int = 1) -> None:
        self._conn = conn
        self._chance = random.Random(seed)
        self._statement: Any = None
        self.taken: list[float] = []
        """Seconds of each that was asked."""

    async def ready(self) -> Baseline:
        """Make the table where it is missing (some seconds, 250 MB), and prepare the statement."""
        if not await self._conn.fetchval(_IS_THERE):
            async with self._conn.transaction():
                await self._conn.execute(_MAKE)
        self._statement = await self._conn.prepare(SELECT)
        for _ in range(20):  # the server settles on a plan after the first few
            await self.seconds()
        self.taken.clear()
        return self

    async def seconds(self) -> float:
        """Ask for one row, drawn evenly; how long that took."""
        row_id = self._chance.randint(1, ROWS)
        began = perf_counter()
        await self._statement.fetchrow(row_id)
        took = perf_counter() - began
        self.taken.append(took)
        return took


@dataclass(frozen=True, slots=True)
class Against:
    """Times of one query, in seconds, and as multiples of the baseline's of the same rounds.

    `rounds` is how many were taken.
    """

    p50: float
    p99: float
    p50_ratio: float
    p99_ratio: float
    rounds: int

    @classmethod
    def of(cls, taken: Sequence[float], base: Sequence[float]) -> Against:
        """Of times that were taken in turns with the baseline."""
        p50, p99 = quantile(taken, 0.5), quantile(taken, 0.99)
        return cls(
            p50, p99, p50 / quantile(base, 0.5), p99 / quantile(base, 0.99), len(taken)
        )  # fmt: skip

    def __str__(self) -> str:
        return (
            f"{self.p50 * 1e6:,.0f} / {self.p99 * 1e6:,.0f} µs,"
            f" {self.p50_ratio:.2f} / {self.p99_ratio:.2f} ×"
        )


SLICE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Turns:
    """One kind of query among others that take turns.

    Attributes:
        next: makes its next query. What that takes is not measured.
        slice_seconds: how long it has each time it is its turn.
    """

    next: Callable[[], Awaitable[Query]]
    slice_seconds: float = SLICE_SECONDS


async def in_turns(
    baseline: Baseline, kinds: Mapping[str, Turns], seconds: float
) -> dict[str, Against]:
    """Ask every kind of query for about `seconds` in all, a baseline before each single one.

    One kind and the baseline take turns for a slice of time, then the next kind, and so on until
    the time is over: so a query has its code and its plan as near as the baseline has, and is
    held against what the machine did in its own slices. Every kind gets one slice at least.
    """
    times: dict[str, list[float]] = {name: [] for name in kinds}
    base: dict[str, list[float]] = {name: [] for name in kinds}
    end = perf_counter() + seconds
    while True:
        for name, kind in kinds.items():
            taken, beside = times[name], base[name]
            until = perf_counter() + kind.slice_seconds
            while perf_counter() < until:
                query = await kind.next()
                beside.append(await baseline.seconds())
                began = perf_counter()
                await query()
                taken.append(perf_counter() - began)
        if perf_counter() >= end:
            return {name: Against.of(times[name], base[name]) for name in kinds}
