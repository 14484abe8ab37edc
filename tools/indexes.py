"""What each index of a large table buys and costs, for docs/explanation/indexes.md.

    python -m tools.indexes --large URL        all indexes of large tables, and who uses them
    python -m tools.indexes measure --on URL   some of them: reads and writes with and without each

The first says, of every index of a table with more rows than `LARGE_ROWS`, how many bytes it has
and which queries use it, by the catalogue of `bench.queries`. An index without any is idle.

To measure, give a copy of a world that nobody else uses: each index is dropped there, in a
transaction that is rolled back, which keeps everybody from the table meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from bench.queries import CATALOGUE, KEPT_FOR, Query, statements
from bench.queries.plans import ran, sent
from bench.queries.sample import Sample, sample

from renown.store.pool import Conn, connect

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "indexes.md"
END = "<!-- end -->"
LARGE_ROWS = 100_000
SHOWN_QUERIES = 4
ROUNDS = 5
SLOW_MS, LONGEST_MS = 300, 5_000
"""What takes longer is asked once; what takes too long is given up, and shown as that long."""
WRITTEN_ROWS = 5_000

_INDEXES = """
WITH RECURSIVE parts AS (
     SELECT c.oid AS root, c.oid
       FROM pg_class c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('i', 'I')
        AND NOT c.relispartition
     UNION ALL
     SELECT p.root, h.inhrelid FROM parts p JOIN pg_inherits h ON h.inhparent = p.oid
), sizes AS (
     SELECT root, sum(pg_relation_size(oid))::bigint AS bytes FROM parts GROUP BY root
), tables AS (
     SELECT t.oid, t.relname,
            coalesce(nullif((SELECT sum(greatest(p.reltuples, 0)) FROM pg_partition_tree(t.oid) x
                               JOIN pg_class p ON p.oid = x.relid WHERE x.isleaf), 0),
                     t.reltuples) AS rows
       FROM pg_class t
      WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p', 'm')
)
SELECT t.relname, t.rows::bigint, c.relname, s.bytes, a.amname,
       i.indisunique
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_am a ON a.oid = c.relam
  JOIN tables t ON t.oid = i.indrelid
  JOIN sizes s ON s.root = c.oid
 WHERE t.rows > $1
 ORDER BY t.rows DESC, t.relname, s.bytes DESC, c.relname
"""


@dataclass(frozen=True, slots=True)
class Index:
    """One index; of a partitioned table all its parts together."""

    table: str
    rows: int
    name: str
    size_bytes: int
    method: str
    unique: bool

    @property
    def used_by(self) -> list[str]:
        """The queries that name it."""
        return [query.name for query in CATALOGUE.values() if self.name in query.indexes]


async def indexes_of(url: str, least_rows: int = LARGE_ROWS) -> list[Index]:
    """The indexes of large tables, the largest table first."""
    conn = await connect(url)
    try:
        return [Index(*row) for row in await conn.fetch(_INDEXES, least_rows)]
    finally:
        await conn.close()


def table(found: Sequence[Index]) -> str:
    """The table, in Markdown."""
    total = f"{sum(one.size_bytes for one in found) / 2**20:,.0f} MB together"
    lines = [
        f"Tables of more than {LARGE_ROWS:,} rows, the largest first: {len(found)} indexes,",
        f"{total}.",
        "",
        "| table | rows | index | MB | B a row | used by |",
        "|---|---:|---|---:|---:|---|",
    ]
    for one in found:
        a_row = one.size_bytes / max(one.rows, 1)
        kind = "" if one.method == "btree" else f" ({one.method})"
        lines.append(
            f"| `{one.table}` | {one.rows:,} | `{one.name}`{kind}"
            f" | {one.size_bytes / 2**20:,.1f} | {a_row:.1f} | {_users(one)} |"
        )
    return "\n".join(lines)


def _users(one: Index) -> str:
    users = one.used_by
    if users:
        shown = ", ".join(f"`{name}`" for name in users[:SHOWN_QUERIES])
        more = len(users) - SHOWN_QUERIES
        return shown + (f" and {more} more" if more > 0 else "")
    if one.name in KEPT_FOR:
        return KEPT_FOR[one.name]
    return "the key of its rows" if one.unique else "**idle**"


# With and without --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Worth:
    """What an index does for the call that it serves best, and what a written row pays for it."""

    index: Index
    query: str
    without_ms: float
    with_ms: float
    write_without_us: float
    write_with_us: float


async def measure(url: str, names: Sequence[str]) -> list[Worth]:
    """Each of these indexes, in transactions that are rolled back."""
    known = {one.name: one for one in await indexes_of(url, 0)}
    conn = await connect(url)
    try:
        w = await sample(conn)
        await conn.execute(f"SET lock_timeout = '5s'; SET statement_timeout = {LONGEST_MS}")
        found = []
        for name in names:
            work = conn.transaction()
            await work.start()
            try:
                found.append(await _worth(conn, known[name], w))
            finally:
                await work.rollback()
        return found
    finally:
        await conn.close()


async def _worth(conn: Conn, index: Index, w: Sample) -> Worth:
    by_id = [name for name in index.used_by if not name.endswith("_by_uuid")]
    queries = [CATALOGUE[name] for name in by_id or index.used_by[:1]]
    calls = [call for query in queries for call in await _calls(conn, query, w)]
    reads = {name: await _read_ms(conn, text, args) for name, text, args in calls}
    written = await _write_us(conn, index.table)
    await conn.execute(f'DROP INDEX "{index.name}"')
    without = {name: await _read_ms(conn, text, args) for name, text, args in calls}
    written_without = await _write_us(conn, index.table)
    best = max(reads, key=lambda name: without[name] / reads[name])
    return Worth(index, best, without[best], reads[best], written_without, written)


def measured(found: Sequence[Worth]) -> str:
    """The table, in Markdown."""
    lines = [
        "| index | rows | MB | query | ms without | ms with | us a row written without | with |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| `{one.index.name}` | {one.index.rows:,} | {one.index.size_bytes / 2**20:,.1f}"
        f" | {one.query} | {one.without_ms:,.3f} | {one.with_ms:,.3f}"
        f" | {one.write_without_us:,.1f} | {one.write_with_us:,.1f} |"
        for one in found
    ]
    return "\n".join(lines)


async def _calls(conn: Conn, query: Query, w: Sample) -> list[tuple[str, str, tuple[Any, ...]]]:
    """Every kind of call of a query: its name, text and parameters."""
    if query.build is not None:
        return [(f"`{query.name}`", *await sent(conn, query, w))]
    text = statements()[query.name]
    if query.template is not None:
        text = query.template(text)
    return [
        (f"`{query.name}`" + (f", {case}" if case else ""), text, args(w))
        for case, args in query.calls()
    ]


async def _read_ms(conn: Conn, text: str, args: tuple[Any, ...]) -> float:
    try:
        first = await ran(conn, text, args)
        if first.milliseconds > SLOW_MS:
            return first.milliseconds
        again = [(await ran(conn, text, args)).milliseconds for _ in range(ROUNDS)]
    except asyncpg.QueryCanceledError:
        return LONGEST_MS
    return statistics.median(again)


async def _write_us(conn: Conn, table_name: str) -> float:
    """The median of writing a row of the table, of some that were taken out of it before."""
    taken = []
    key = await conn.fetchval(_KEY, table_name)
    for _ in range(ROUNDS):
        work = conn.transaction()  # inside the other: a savepoint
        await work.start()
        await conn.execute("SET LOCAL session_replication_role = replica")  # no triggers
        await conn.execute(
            f"CREATE TEMP TABLE taken_out ON COMMIT DROP AS"
            f" SELECT * FROM {table_name} TABLESAMPLE SYSTEM (10) REPEATABLE (1)"
            f" LIMIT {WRITTEN_ROWS}"
        )
        rows = float(await conn.fetchval("SELECT count(*) FROM taken_out"))
        await conn.execute(
            f"DELETE FROM {table_name} WHERE ({key}) IN (SELECT {key} FROM taken_out)"
        )
        began = time.perf_counter()
        await conn.execute(
            f"INSERT INTO {table_name} OVERRIDING SYSTEM VALUE SELECT * FROM taken_out"
        )
        taken.append((time.perf_counter() - began) * 1e6 / rows)
        await work.rollback()
    return float(statistics.median(taken))


_KEY = """
SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place)
  FROM pg_index i
 CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
 WHERE i.indrelid = $1::text::regclass AND i.indisprimary
"""


MEASURED = (
    *("agent_by_owner", "agent_by_uuid", "agent_by_age", "agent_ownership_by_owner"),
    *("block_by_time", "feedback_given_by_agent", "feedback_given_by_key"),
    *("feedback_given_by_client", "feedback_given_by_tag"),
    *("metadata_set_by_wallet", "payment_by_agent", "payment_by_claim"),
    *("payment_claim_by_agent", "payment_claim_by_transaction", "payment_claim_due"),
    *("payment_claim_paid", "agent_profile_words", "agent_profile_by_quality"),
    *("agent_profile_by_template", "agent_profile_by_document", "agent_name_by_words"),
    *("agent_name_word_near", "uri_due", "uri_by_document", "attachment_by_uri", "endpoint_due"),
    *("resolution_by_time", "endpoint_check_by_time"),
)
"""Indexes that the page shows with and without."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--large", help="URL of the large world; without, that of the benchmarks")
    commands = parser.add_subparsers(dest="command")
    one = commands.add_parser("measure", help="some indexes: what each buys and costs")
    one.add_argument("index", nargs="*", help="without any, those of the page, which is written")
    one.add_argument("--on", required=True, help="URL of a copy that nobody else uses")
    asked = parser.parse_args()
    if asked.command == "measure":
        text = measured(asyncio.run(measure(asked.on, asked.index or MEASURED)))
        if asked.index:
            print(text)
        else:
            _write("measure", text)
        return 0
    from bench import worlds  # starts a server, which measuring does not need

    found = asyncio.run(indexes_of(asked.large or worlds.dsn(worlds.largest())))
    _write("", table(found))
    idle = [one.name for one in found if "**idle**" in _users(one)]
    print(f"idle: {', '.join(idle) or 'none'}")
    return 0


def _write(command: str, text: str) -> None:
    """Put a table between its marks on the page."""
    begin = f"<!-- made by `{f'python -m tools.indexes {command}'.strip()}` -->"
    before, mark, rest = PAGE.read_text().partition(begin)
    assert mark, f"{PAGE} has no place for it"
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{begin}\n{text}\n{END}{after}")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    sys.exit(main())
