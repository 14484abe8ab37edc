"""The whole audit log, leaf by leaf, for whoever checks it, in bounded memory."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import LiteralString, TypeAlias

import asyncpg
import msgspec

from renown.derive.retentions import Piece, Retention, read_retention
from renown.store.audit_payload import PAYLOAD
from renown.store.pool import Conn, Tx

Take: TypeAlias = Callable[
    [list[int], list[int], list[bytes], list[bytes], list[bytes | None]], None
]
"""Takes columns of some leaves: numbers, entry ids, leaf hashes, link hashes, payloads; None for
a payload: the entry is not there."""


_PIECES = 1_000
_NOT_SEEN = (
    asyncpg.InvalidParameterValueError,  # there is no such snapshot; since PostgreSQL 17 the next
    asyncpg.UndefinedObjectError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.FeatureNotSupportedError,  # it is of another database
)


class Counts(msgspec.Struct, frozen=True):
    """How much there is. `leaves` is one more than the highest number."""

    leaves: int
    leaf_rows: int
    entries: int
    pending: int
    pending_entries: int
    nodes: int


class Stray(msgspec.Struct, frozen=True):
    """An entry that is no leaf and does not wait to be one. `before_seq` is the number of the first
    leaf with a higher entry id; None: there is none."""

    entry_id: int
    at: str
    before_seq: int | None


# Only what PostgreSQL brings along is called: a function or an operator that somebody added to
# `public` with types that fit better would be preferred otherwise.
PLAN: LiteralString = """
SET LOCAL search_path = pg_catalog; SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0
"""
# A role's limit is for those who forget a transaction.
UNHURRIED: LiteralString = "SET LOCAL idle_in_transaction_session_timeout = 0"
LEAVES: LiteralString = f"""
SELECT f.seq, f.entry_id,
       CASE WHEN octet_length(f.leaf_hash) = 32 THEN f.leaf_hash ELSE zeros END,
       CASE WHEN octet_length(f.link_hash) = 32 THEN f.link_hash ELSE zeros END,
       CASE WHEN l.entry_id IS NOT NULL THEN {PAYLOAD} END
  FROM public.audit_leaf f
 CROSS JOIN decode(repeat('00', 32), 'hex') AS zeros
  LEFT JOIN public.audit_log l ON l.entry_id = f.entry_id AND l.at = f.at AND isfinite(l.at)
 WHERE f.seq >= $1 AND f.seq < $2
 ORDER BY f.seq
"""
NODES: LiteralString = """
SELECT n.level::int, n.index, n.hash
  FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS w (level, first, beyond)
  JOIN public.audit_node n ON n.level = w.level AND n.index >= w.first AND n.index < w.beyond
 ORDER BY n.level, n.index
"""
ROWS_OF_NODES: LiteralString = """
SELECT w.level::int, n.count, n.hashes
  FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS w (level, first, beyond)
 CROSS JOIN LATERAL (
       SELECT count(*), string_agg(hash, ''::bytea ORDER BY index) AS hashes
         FROM public.audit_node
        WHERE level = w.level AND index >= w.first AND index < w.beyond) AS n
 WHERE n.count > 0
"""
COUNTS: LiteralString = """
SELECT (SELECT coalesce(max(seq) + 1, 0) FROM public.audit_leaf),
       (SELECT count(*) FROM public.audit_leaf),
       (SELECT count(*) FROM public.audit_log),
       (SELECT count(*) FROM public.audit_pending),
       (SELECT count(*) FROM public.audit_pending p
          JOIN public.audit_log l ON l.entry_id = p.entry_id AND l.at = p.at
         WHERE NOT EXISTS (SELECT FROM public.audit_leaf f WHERE f.entry_id = l.entry_id)),
       (SELECT count(*) FROM public.audit_node)
"""
STRAYS: LiteralString = """
SELECT l.entry_id, l.at::text,
       (SELECT f.seq FROM public.audit_leaf f WHERE f.entry_id > l.entry_id
         ORDER BY f.entry_id LIMIT 1)
  FROM public.audit_log l
 WHERE NOT EXISTS (
       SELECT FROM public.audit_leaf f WHERE f.entry_id = l.entry_id AND f.at = l.at)
   AND NOT EXISTS (
       SELECT FROM public.audit_pending p WHERE p.entry_id = l.entry_id AND p.at = l.at
          AND NOT EXISTS (SELECT FROM public.audit_leaf f WHERE f.entry_id = p.entry_id))
 ORDER BY l.entry_id
 LIMIT $1
"""
# Of empty places, those where something was that retention may remove.
EXPLAINED: LiteralString = """
SELECT min(seq), max(seq)
  FROM (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS run
          FROM (SELECT DISTINCT f.seq
                  FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[])
                       AS p (first, last, before)
                  JOIN public.audit_leaf f ON f.seq >= p.first AND f.seq <= p.last
                 WHERE f.at < p.before
                   AND (f.rule IS NULL OR EXISTS (
                        SELECT FROM public.audit_review r WHERE r.entry_id = f.entry_id))) AS one
       ) AS runs
 GROUP BY run ORDER BY 1
"""
SNAPSHOT: LiteralString = "SELECT pg_catalog.pg_export_snapshot()"
SIZE: LiteralString = "SELECT coalesce(max(seq) + 1, 0) FROM public.audit_leaf"
NEWEST: LiteralString = "SELECT coalesce(max(entry_id), 0) FROM public.audit_leaf"
STRAYS_BEHIND: LiteralString = """
SELECT max(l.entry_id), array_agg(l.entry_id ORDER BY l.entry_id) FILTER (WHERE NOT EXISTS (
           SELECT FROM public.audit_leaf f WHERE f.entry_id = l.entry_id AND f.at = l.at)
       AND NOT EXISTS (
           SELECT FROM public.audit_pending p WHERE p.entry_id = l.entry_id AND p.at = l.at))
  FROM (SELECT entry_id, at FROM public.audit_log WHERE entry_id > $1
         ORDER BY entry_id LIMIT $2) AS l
"""
RETENTIONS: LiteralString = """
SELECT (extract(epoch FROM l.at) * 1000000)::bigint, coalesce(l.detail, 'null')::text, f.seq
  FROM public.audit_log l
  LEFT JOIN public.audit_leaf f ON f.entry_id = l.entry_id AND f.at = l.at
 WHERE l.action = 'retention' AND isfinite(l.at)
"""
PENDING_RETENTION: LiteralString = """
SELECT (extract(epoch FROM l.at) * 1000000)::bigint, l.detail::text
  FROM public.audit_pending p
  JOIN public.audit_log l ON l.entry_id = p.entry_id AND l.at = p.at
 WHERE l.action = 'retention'
"""
# A review is an entry, too: as long as that is there, the two must say the same. Compared as
# texts: what somebody put into `after` need not be a number.
REVIEWS: LiteralString = """
SELECT r.review_id::text, r.entry_id::text,
       CASE WHEN l.entry_id IS NULL THEN 'inserted' ELSE 'changed' END
  FROM public.audit_review r
  LEFT JOIN public.audit_log l ON l.subject_key = r.review_id::text
        AND l.subject = 'audit_review' AND l.action = 'insert'
 WHERE (l.entry_id IS NULL AND r.at >= $1)
    OR l.after ->> 'entry_id' <> r.entry_id::text OR l.after ->> 'reviewer' <> r.reviewer
    OR l.after ->> 'note' <> r.note
    OR l.after ->> 'account_id' IS DISTINCT FROM r.account_id::text AND l.entry_id IS NOT NULL
 UNION ALL
SELECT l.subject_key, l.after ->> 'entry_id', 'removed'
  FROM public.audit_log l
 WHERE l.subject = 'audit_review' AND l.action = 'insert'
   AND NOT EXISTS (SELECT FROM public.audit_review r WHERE r.review_id::text = l.subject_key)
 ORDER BY 1
 LIMIT $2
"""
LOST: LiteralString = """
SELECT p.entry_id FROM public.audit_pending p
 WHERE NOT EXISTS (SELECT FROM public.audit_log l WHERE l.entry_id = p.entry_id)
 ORDER BY p.entry_id
 LIMIT $1
"""
TIME_OF: LiteralString = "SELECT at::text FROM public.audit_log WHERE entry_id = $1 LIMIT 1"
EXTRA_NODE: LiteralString = """
SELECT level::int, index FROM public.audit_node
 WHERE level >= 62 OR (index + 1) << level::int > $1 OR index < 0
 ORDER BY level, index LIMIT 1
"""


async def prepare(tx: Tx) -> Counts:
    """Set the transaction up for reading all of the log, and say how much that is."""
    await tx.execute(PLAN)
    row = await tx.fetchrow(COUNTS)
    assert row is not None
    return Counts(*row)


async def see_the_same(beside: Tx, tx: Tx) -> bool:
    """Set `beside` up to see what `tx` sees, and to idle for as long as `tx` works.

    False: it cannot, as where their URL leads to several servers; nothing can be read by it then.

    Args:
        beside: of another connection, begun and without a statement yet. Like `tx` it is to be
            `repeatable_read`.
    """
    name = await tx.fetchval(SNAPSHOT)  # of PostgreSQL's own making: digits, letters and hyphens
    try:
        await beside.execute(f"SET TRANSACTION SNAPSHOT '{name}'")
    except _NOT_SEEN:
        return False
    await beside.execute(PLAN)
    await beside.execute(UNHURRIED)
    return True


async def stream_leaves(readers: Sequence[Tx], first: int, beyond: int, take: Take) -> None:
    """Give the leaves numbered from `first` up to, not including, `beyond` to `take`, some at a
    time, in order.

    A hash that has not 32 bytes is given as zeros.

    Args:
        readers: transactions of connections that see the same. Each reads an equal part, all but
            the first one ahead of their turns: to write an entry as it is hashed is PostgreSQL's
            work, and each connection has a process of its own for it.
    """
    if first >= beyond:
        return
    share = -(-(beyond - first) // len(readers))
    parts = [(at, min(at + share, beyond)) for at in range(first, beyond, share)]
    ahead = [_Ahead(tx, *part) for tx, part in zip(readers[1:], parts[1:], strict=False)]
    try:
        rows = _Rows(take)

        async def sink(chunk: bytes) -> None:
            rows.feed(chunk)

        await readers[0].copy_from_query(LEAVES, *parts[0], output=sink, format="binary")
        rows.flush()
        for reading in ahead:
            await reading.give(take)
    finally:
        for reading in ahead:
            await reading.close()


async def rows_of_nodes(
    tx: Tx, ranges: Sequence[tuple[int, int, int]]
) -> dict[int, tuple[int, bytes]]:
    """How many nodes there are, and their hashes one behind the other, by level. `ranges` are
    levels, first and next number; a level without nodes is left out."""
    levels, first, beyond = zip(*ranges, strict=True)
    rows = await tx.fetch(ROWS_OF_NODES, list(levels), list(first), list(beyond))
    return {row[0]: (row[1], row[2]) for row in rows}


async def nodes_between(
    tx: Tx, ranges: Sequence[tuple[int, int, int]]
) -> dict[tuple[int, int], bytes]:
    """The same nodes, by level and number."""
    levels, first, beyond = zip(*ranges, strict=True)
    rows = await tx.fetch(NODES, list(levels), list(first), list(beyond))
    return {(row[0], row[1]): row[2] for row in rows}


async def strays(conn: Conn, limit: int) -> list[Stray]:
    """Entries that nobody sequenced, by their ids."""
    return [Stray(*row) for row in await conn.fetch(STRAYS, limit)]


async def lost(conn: Conn, limit: int) -> list[int]:
    """Ids of entries that waited to be sequenced and are gone."""
    return [row[0] for row in await conn.fetch(LOST, limit)]


async def explained(conn: Conn, pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """Which of these empty places hold leaves of entries that retention may have removed: first
    and last ones of runs, ascending."""
    found: list[tuple[int, int]] = []
    for at in range(0, len(pieces), _PIECES):
        some = pieces[at : at + _PIECES]
        rows = await conn.fetch(
            *(EXPLAINED, [p.first for p in some], [p.last for p in some]),
            [p.before for p in some],
        )
        found += [(row[0], row[1]) for row in rows]
    return found


async def size(conn: Conn) -> int:
    """One more than the highest number of a leaf."""
    found: int = await conn.fetchval(SIZE)
    return found


async def newest_entry(conn: Conn) -> int:
    """The highest id of an entry that has a number; 0: none has."""
    found: int = await conn.fetchval(NEWEST)
    return found


async def strays_behind(conn: Conn, entry_id: int, limit: int) -> tuple[int | None, list[int]]:
    """Of the first `limit` entries with higher ids than `entry_id`: the highest id, None where
    there are none; and those that have no number and do not wait for one."""
    row = await conn.fetchrow(STRAYS_BEHIND, entry_id, limit)
    assert row is not None
    return row[0], row[1] or []


async def retentions(conn: Conn) -> list[Retention]:
    """What entries of retention explain, numbered or not, as they stand in the log."""
    found = []
    for at_us, detail, seq in await conn.fetch(RETENTIONS):
        try:
            held = msgspec.json.decode(detail)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        told = read_retention(at_us, held, 2**63 - 1 if seq is None else seq)
        if told is not None:
            found.append(told)
    return found


async def pending_retention(conn: Conn) -> list[tuple[int, str]]:
    """Times in microseconds and details of entries of retention that still wait."""
    rows = await conn.fetch(PENDING_RETENTION)
    return [(row[0], row[1]) for row in rows if row[1] is not None]


async def differing_reviews(
    conn: Conn, horizon: datetime, limit: int
) -> list[tuple[str | None, str | None, str]]:
    """Reviews that are not what their entries say: their ids, the reviewed entries, and
    `inserted`, `changed` or `removed`.

    Of those from before `horizon` retention can have removed the entries.
    """
    rows = await conn.fetch(REVIEWS, horizon, limit)
    return [(row[0], row[1], row[2]) for row in rows]


async def time_of(conn: Conn, entry_id: int) -> str | None:
    """The time that an entry has in the log."""
    found: str | None = await conn.fetchval(TIME_OF, entry_id)
    return found


async def extra_node(conn: Conn, size: int) -> tuple[int, int] | None:
    """A node that no tree of `size` leaves has."""
    row = await conn.fetchrow(EXTRA_NODE, size)
    return None if row is None else (row[0], row[1])


class _Ahead:
    """Leaves that are read before their turn, a bounded number of bytes of them."""

    MOST_BYTES = 2**24

    def __init__(self, tx: Tx, first: int, beyond: int) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._held_bytes = 0
        self._room = asyncio.Event()
        self._room.set()
        self._task = asyncio.create_task(self._read(tx, first, beyond))
        self._task.add_done_callback(lambda _: self._chunks.put_nowait(None))

    async def give(self, take: Take) -> None:
        """Give on what was read, and what still comes."""
        rows = _Rows(take)
        while (chunk := await self._chunks.get()) is not None:
            self._held_bytes -= len(chunk)
            if self._held_bytes < self.MOST_BYTES:
                self._room.set()
            rows.feed(chunk)
        await self._task
        rows.flush()

    async def close(self) -> None:
        """Stop reading, if it is not over."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self, tx: Tx, first: int, beyond: int) -> None:
        async def sink(chunk: bytes) -> None:
            await self._room.wait()
            self._chunks.put_nowait(chunk)
            self._held_bytes += len(chunk)  # of the last one as long as a row of strangers' words
            if self._held_bytes >= self.MOST_BYTES:
                self._room.clear()

        await tx.copy_from_query(LEAVES, first, beyond, output=sink, format="binary")


class _Rows:
    """Rows of a binary COPY (PostgreSQL's documentation of COPY, "Binary Format")."""

    HEADER_BYTES = 19  # signature, flags, an extension of no bytes
    AT_ONCE_BYTES = 2**18
    _FIXED = struct.Struct(">hiqiqi32si32si")  # columns, then each with its length before it

    def __init__(self, take: Take) -> None:
        self._take = take
        self._chunks: list[bytes] = []
        self._held_bytes = 0
        self._skip = self.HEADER_BYTES

    def feed(self, chunk: bytes) -> None:
        """The next bytes; rows are given on when some are together."""
        self._chunks.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes >= self.AT_ONCE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Give on every row that is whole."""
        content = b"".join(self._chunks)
        at, end, size, unpack = self._skip, len(content), self._FIXED.size, self._FIXED.unpack_from
        seqs, entry_ids, leaves, links = [], [], [], []
        payloads: list[bytes | None] = []
        while at + size <= end:
            _, _, seq, _, entry_id, _, leaf, _, link, length = unpack(content, at)
            begin = at + size
            if begin + length > end:
                break
            at = begin + length if length >= 0 else begin
            seqs.append(seq)
            entry_ids.append(entry_id)
            leaves.append(leaf)
            links.append(link)
            payloads.append(content[begin:at] if length >= 0 else None)
        if seqs or at <= end:
            content, self._skip = content[at:], 0
        self._chunks, self._held_bytes = [content], len(content)
        self._take(seqs, entry_ids, leaves, links, payloads)
