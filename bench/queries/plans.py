"""Plans of statements, and what is wrong with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import msgspec
from asyncpg.connection import LoggedQuery

from bench.queries.model import Query
from bench.queries.sample import Sample
from renown.store.pool import Conn

LARGE_ROWS = 10_000
"""Rows from which on a table is not to be read whole."""
SHOWN_ROWS = 1_000
"""Rows from which on a table is worth a word."""
ESTIMATE_FACTOR = 100
ESTIMATE_ROWS = 100
"""Estimates count from so many rows on: of fewer, a plan that is made for one row reads hundreds at
worst, some pages of memory; and what exists or not (none against one) no statistics can know."""

_PLAN_OF = """
CREATE OR REPLACE FUNCTION pg_temp.plan_of(statement text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    found json;
BEGIN
    EXECUTE 'EXPLAIN (GENERIC_PLAN, FORMAT JSON) ' || statement INTO found;
    RETURN found;
END $$
"""
_TABLES = """
SELECT c.relname, coalesce(r.relname, c.relname), c.reltuples
  FROM pg_class c
  LEFT JOIN pg_class r ON r.oid = pg_partition_root(c.oid)
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'm', 'p')
"""
_INDEXES = """
WITH RECURSIVE root AS (
     SELECT c.oid, c.relname, c.relname AS root
       FROM pg_class c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('i', 'I')
        AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = c.oid)
     UNION ALL
     SELECT c.oid, c.relname, r.root
       FROM root r
       JOIN pg_inherits h ON h.inhparent = r.oid
       JOIN pg_class c ON c.oid = h.inhrelid
)
SELECT r.relname, r.root, t.relname
  FROM root r
  JOIN pg_index i ON i.indexrelid = r.oid
  JOIN pg_class t ON t.oid = i.indrelid
"""


class Tables(msgspec.Struct):
    """The tables and indexes of a database.

    Attributes:
        rows: about how many rows each table has, partitions one by one.
        root: of each table and each index, the one it is a partition of, or itself.
        table: of each index, the table that it is of, a partition's by the partition.
    """

    rows: dict[str, float]
    root: dict[str, str]
    table: dict[str, str]

    @classmethod
    async def read(cls, conn: Conn) -> Tables:
        """Those of the schema `public`, as last analyzed."""
        tables = await conn.fetch(_TABLES)
        indexes = await conn.fetch(_INDEXES)
        return cls(
            rows={name: rows for name, _, rows in tables},
            root={name: root for name, root, _ in [*tables, *indexes]},
            table={name: table for name, _, table in indexes},
        )

    def is_large(self, table: str) -> bool:
        return self.rows.get(table, 0) >= LARGE_ROWS

    def large_indexes(self) -> set[str]:
        """Indexes of large tables, those of partitions by the name of the one they are parts of."""
        return {self.root[name] for name, table in self.table.items() if self.is_large(table)}


class Node(msgspec.Struct):
    """One step of a plan.

    Attributes:
        cut: whether a step above it may stop before it has given all its rows.
        rows, loops: of a plan that was run: how many rows it gave each time, and how often it ran.
    """

    kind: str
    relation: str
    index: str
    expected: float
    rows: float | None
    loops: float | None
    cut: bool
    depth: int

    def __str__(self) -> str:
        at = self.index or self.relation
        return f"{self.kind} on {at}" if at else self.kind


class Plan(msgspec.Struct):
    """A plan as EXPLAIN gives it in JSON."""

    root: dict[str, Any]
    milliseconds: float = 0.0

    def nodes(self) -> Iterator[Node]:
        """The steps, each above those it gets its rows from."""
        return _nodes(self.root, cut=False, depth=0)

    @property
    def rows(self) -> int:
        return round(float(self.root.get("Actual Rows", 0)))

    @property
    def buffers(self) -> int:
        """Pages of tables and indexes touched."""
        hit, read = (self.root.get(f"Shared {how} Blocks", 0) for how in ("Hit", "Read"))
        return int(hit) + int(read)

    @property
    def temporary(self) -> int:
        """Pages of temporary files written."""
        return int(self.root.get("Temp Written Blocks", 0))

    def indexes(self, tables: Tables) -> set[str]:
        """The indexes it uses, those of partitions by the name of the one they are parts of.

        Those too by which an INSERT finds what is there already.
        """
        found = {node.index for node in self.nodes() if node.index} | set(self._arbiters(self.root))
        return {tables.root.get(name, name) for name in found}

    def _arbiters(self, part: dict[str, Any]) -> Iterator[str]:
        yield from part.get("Conflict Arbiter Indexes", ())
        for below in part.get("Plans", ()):
            yield from self._arbiters(below)

    def line(self, tables: Tables) -> str:
        """Where the rows come from, in one line: each access once, in the order of the plan.

        Small tables, of chains and the like, are left out.
        """
        seen: dict[str, None] = {}
        for node in self.nodes():
            name = node.index or node.relation
            table = node.relation or tables.table.get(node.index, "")
            shown = tables.rows.get(table, 0) >= SHOWN_ROWS
            if shown and node.kind not in ("ModifyTable", "Bitmap Heap Scan"):
                verb = node.kind.removesuffix(" Scan").removesuffix(" Index").lower()
                seen[f"{verb} {tables.root.get(name, name)}"] = None
        return " > ".join(seen) or "small tables only"


def _nodes(plan: dict[str, Any], *, cut: bool, depth: int) -> Iterator[Node]:
    yield Node(
        kind=plan["Node Type"],
        relation=plan.get("Relation Name", ""),
        index=plan.get("Index Name", ""),
        expected=plan["Plan Rows"],
        rows=plan.get("Actual Rows"),
        loops=plan.get("Actual Loops"),
        cut=cut,
        depth=depth,
    )
    for part in plan.get("Plans", ()):
        # Who asks whether there is a row, or needs the first ones, or merges, may stop early.
        stops = (
            plan["Node Type"] in ("Limit", "Merge Join", "Recursive Union")
            or plan.get("Join Type") in ("Semi", "Anti")
            or plan.get("Inner Unique", False)
            or part.get("Parent Relationship") in ("SubPlan", "InitPlan")
        )
        yield from _nodes(part, cut=cut or stops, depth=depth + 1)


async def planned(conn: Conn, text: str) -> Plan:
    """The plan that serves every call, whatever its parameters. Needs PostgreSQL 16."""
    await conn.execute(_PLAN_OF)
    found = json.loads(await conn.fetchval("SELECT pg_temp.plan_of($1)", text))
    return Plan(found[0]["Plan"])


async def ran(conn: Conn, text: str, args: tuple[Any, ...]) -> Plan:
    """The plan of one call with what it took. The call is made and taken back."""
    work = conn.transaction()
    await work.start()
    try:
        found = await conn.fetchval(_RUN + text, *args)
    finally:
        await work.rollback()
    plan = json.loads(found)[0]
    return Plan(plan["Plan"], plan["Execution Time"])


_RUN = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) "


async def text_of(conn: Conn, text: str, args: tuple[Any, ...]) -> str:
    """As `ran`, for people."""
    work = conn.transaction()
    await work.start()
    try:
        rows = await conn.fetch("EXPLAIN (ANALYZE, BUFFERS) " + text, *args)
    finally:
        await work.rollback()
    return "\n".join(row[0] for row in rows)


def faults(query: Query, plan: Plan, tables: Tables, *, whole: bool = True) -> list[str]:
    """What is wrong with a plan, in words.

    Args:
        whole: judge the use of indexes, too. Of one call the database may know that there is
            nothing to look for, so that an index is not needed.
    """
    found = []
    for node in plan.nodes():
        table = tables.root.get(node.relation, node.relation)
        if (
            node.kind == "Seq Scan"
            and node.loops != 0
            and tables.is_large(node.relation)
            and table not in query.scans
        ):
            found.append(f"reads {node.relation} whole ({tables.rows[node.relation]:,.0f} rows)")
        if node.kind.startswith("Gather") and query.asked_by == "indexer":
            found.append("starts workers, for what is asked at every block")
        if fault := _misjudged(query, node, tables):
            found.append(fault)
    if whole:
        missing = set(query.indexes) - plan.indexes(tables)
        found += [f"does not use {index}" for index in sorted(missing)]
    if plan.temporary:
        found.append(f"writes {plan.temporary} pages of temporary files")
    if query.most_buffers is not None and plan.buffers > query.most_buffers:
        found.append(f"touches {plan.buffers} pages, more than {query.most_buffers}")
    return found


_NO_ROWS = ("ModifyTable", "BitmapAnd", "BitmapOr", "Hash", "Memoize", "Materialize")
"""Steps that say nothing of their own about how many rows there are."""


def _misjudged(query: Query, node: Node, tables: Tables) -> str:
    if not node.loops or node.rows is None or node.kind in _NO_ROWS:
        return ""
    name = f"{node.kind} on {tables.root.get(node.relation, node.relation)}"
    if "*" in query.rough or name in query.rough or node.kind in query.rough:
        return ""
    expected, rows = max(node.expected, 1.0), max(node.rows, 1.0)
    too_few = rows >= ESTIMATE_ROWS and rows >= ESTIMATE_FACTOR * expected
    too_many = not node.cut and expected >= ESTIMATE_ROWS and expected >= ESTIMATE_FACTOR * rows
    if too_few or too_many:
        return f"expects {node.expected:,.0f} rows of {node}, which gives {node.rows:,.0f}"
    return ""


async def sent(conn: Conn, query: Query, w: Sample) -> tuple[str, tuple[Any, ...]]:
    """What a function of the product sends that puts its statement together: text and parameters.

    It may ask others first, to find out how to ask: theirs are left out, and so are EXPLAINs.
    """
    assert query.build is not None
    asked: list[tuple[str, tuple[Any, ...]]] = []

    def note(record: LoggedQuery) -> None:
        if record.query.lstrip().startswith(("SELECT", "WITH")):
            asked.append((record.query, tuple(record.args)))

    with conn.query_logger(note):
        await query.build(conn, w)
        await asyncio.sleep(0)  # the driver tells of it in the next turn of the loop
    return asked[-1]
