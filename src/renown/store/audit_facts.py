"""What the audit log says of the facts of a chain, and whether the facts are so."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from typing import LiteralString

import msgspec

from renown.derive.facts_hash import FactsHash
from renown.spec.events import Fact, Quarantined
from renown.store import facts
from renown.store.audit_stream import retentions
from renown.store.pool import Conn, Tx, transaction

_PREFETCH = 1_000
_ADDED_AT_ONCE = 1_000
_MOST_NAMED = 100


class Blocks(msgspec.Struct, frozen=True):
    """Blocks from_block..to_block: how many logs they hold, quarantined ones among them, and the
    hash of these (see `derive.facts_hash`)."""

    from_block: int
    to_block: int
    logs: int
    facts_sha256: str


class FactsVerdict(msgspec.Struct, frozen=True):
    """Whether the facts of a chain are those that the log tells of.

    Attributes:
        commits: stretches of blocks that were compared.
        logs: facts and quarantined logs in them.
        before: logs of blocks below the first of which the log tells: they were stored before there
            was a log, or their entries have gone by retention.
        wrong: stretches whose logs are others than the log says, the first hundred.
        untold: blocks with logs of which the log does not tell, though it tells of earlier ones.
    """

    chain_id: int
    commits: int
    logs: int
    before: int
    wrong: list[Blocks]
    untold: list[int]

    @property
    def equal(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong and not self.untold


async def hash_of_blocks(tx: Tx, chain_id: int, first: int, last: int) -> Blocks:
    """The hash of what is stored of blocks first..last. Memory does not grow with it."""
    total = FactsHash()
    part: list[Fact] = []
    async for event in _events(tx, chain_id, first, last):
        part.append(event)
        if len(part) >= _ADDED_AT_ONCE:
            total.add(part)
            part.clear()
    total.add(part)
    return Blocks(first, last, total.logs, total.hexdigest())


async def statements(tx: Tx, chain_id: int) -> AsyncIterator[Blocks]:
    """What the log says of the chain's blocks as they are now, ascending and without overlap.

    Of what was told before the newest entry that retention removed, nothing: what took it back may
    be gone. The database sorts, so that memory does not grow with it.
    """
    removed = await removed_up_to(tx)
    async for row in tx.cursor(TOLD, f"chain:{chain_id}", removed, prefetch=_PREFETCH):
        yield Blocks(*row)


async def removed_up_to(conn: Conn) -> int:
    """The highest id of an entry that retention removed; -1: it removed none."""
    first: list[int] = []
    last: list[int] = []
    for told in await retentions(conn):
        first += [one[0] for one in told.ranges]
        last += [one[1] for one in told.ranges]
    found: int = await conn.fetchval(REMOVED, first, last)
    return found


async def check_facts(conn: Conn, chain_id: int) -> FactsVerdict:
    """Compare what is stored of a chain with what the log says, in one snapshot. Read-only."""
    async with transaction(conn, "repeatable_read") as tx:
        last = await tx.fetchval(HEAD, chain_id)
        return await _compared(tx, chain_id, -1 if last is None else last)


async def _compared(tx: Tx, chain_id: int, last: int) -> FactsVerdict:
    wrong: list[Blocks] = []
    untold: list[int] = []
    before = logs = commits = 0
    total, part = FactsHash(), list[Fact]()
    said = statements(tx, chain_id)
    place = await anext(said, None)

    async def close(stretch: Blocks) -> Blocks | None:
        nonlocal commits, total, logs
        total.add(part)
        part.clear()
        logs += total.logs
        if total.hexdigest() != stretch.facts_sha256 and len(wrong) < _MOST_NAMED:
            wrong.append(stretch)
        commits, total = commits + 1, FactsHash()
        return await anext(said, None)

    async for event in _events(tx, chain_id, 0, last):
        block = event.block_number
        while place is not None and block > place.to_block:
            place = await close(place)
        if place is not None and block >= place.from_block:
            part.append(event)
            if len(part) >= _ADDED_AT_ONCE:
                total.add(part)
                part.clear()
        elif not commits:
            before += 1
        elif len(untold) < _MOST_NAMED and block not in untold[-1:]:
            untold.append(block)
    while place is not None:
        place = await close(place)
    return FactsVerdict(chain_id, commits, logs, before, wrong, untold)


async def _events(tx: Tx, chain_id: int, first: int, last: int) -> AsyncIterator[Fact]:
    """Facts and quarantined logs of blocks first..last in chain order."""
    held = await tx.fetchrow(HOLDING, chain_id, first, last)
    assert held is not None
    streams = [
        _facts(tx, chain_id, table, first, last)
        for table in facts.TABLES.values()
        if held[table.name]
    ]
    if held["quarantine"]:
        streams.append(_quarantined(tx, chain_id, first, last))
    heap: list[tuple[int, int, int, Fact]] = []
    for number, stream in enumerate(streams):
        if (event := await anext(stream, None)) is not None:
            heap.append((event.block_number, event.log_index, number, event))
    heapq.heapify(heap)
    while heap:
        _, _, number, event = heap[0]
        yield event
        following = await anext(streams[number], None)
        if following is None:
            heapq.heappop(heap)
        else:
            after = (following.block_number, following.log_index, number, following)
            heapq.heapreplace(heap, after)


async def _facts(
    tx: Tx, chain_id: int, table: facts.Table, first: int, last: int
) -> AsyncIterator[Fact]:
    query = (
        f"SELECT {', '.join(table.columns)} FROM {table.name}"
        " WHERE chain_id = $1 AND block_number BETWEEN $2 AND $3 ORDER BY block_number, log_index"
    )
    async for row in tx.cursor(query, chain_id, first, last, prefetch=_PREFETCH):
        yield facts.read(table, row)


async def _quarantined(tx: Tx, chain_id: int, first: int, last: int) -> AsyncIterator[Fact]:
    async for row in tx.cursor(QUARANTINED, chain_id, first, last, prefetch=_PREFETCH):
        block_number, log_index, tx_hash, contract, reason, event, topics, payload = row
        yield Quarantined(
            *(block_number, log_index, tx_hash, contract, reason, event, tuple(topics), payload)
        )


# A stretch that a reorganisation takes back has few kinds; the others are not asked one by one.
HOLDING: LiteralString = "SELECT " + ", ".join(
    f"EXISTS (SELECT FROM {name} WHERE chain_id = $1 AND block_number BETWEEN $2 AND $3) AS {name}"
    for name in (*(table.name for table in facts.TABLES.values()), "quarantine")
)
QUARANTINED: LiteralString = """
SELECT block_number, log_index, tx_hash, contract, reason, event, topics, payload
  FROM quarantine WHERE chain_id = $1 AND block_number BETWEEN $2 AND $3
 ORDER BY block_number, log_index
"""
# A commit, or a stretch that was told anew, is so still if no later entry took back blocks of it;
# of those that begin at one block the last counts.
TOLD: LiteralString = """
SELECT DISTINCT ON (from_block) from_block, to_block, logs, facts_sha256
  FROM (SELECT entry_id, action, detail,
               min(CASE WHEN detail ->> 'what' = 'forget' THEN -1
                        WHEN action = 'retract' OR detail ->> 'what' = 'rewind'
                        THEN (detail ->> 'to_block')::bigint END)
                   OVER (ORDER BY entry_id DESC
                         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS kept_to
          FROM audit_log
         WHERE subject = $1 AND action IN ('commit', 'retract', 'repair') AND entry_id > $2) AS l
 CROSS JOIN LATERAL (
       SELECT (detail ->> 'from_block')::bigint AS from_block,
              (detail ->> 'to_block')::bigint AS to_block,
              (detail ->> 'facts')::bigint + (detail ->> 'quarantined')::bigint AS logs,
              detail ->> 'facts_sha256' AS facts_sha256
        WHERE action = 'commit'
        UNION ALL
       SELECT (one ->> 'from_block')::bigint, (one ->> 'to_block')::bigint,
              (one ->> 'logs')::bigint, one ->> 'facts_sha256'
         FROM jsonb_array_elements(detail -> 'ranges') AS one
        WHERE action <> 'commit') AS stretch
 WHERE kept_to IS NULL OR to_block <= kept_to
 ORDER BY from_block, entry_id DESC
"""
# Numbers follow ids but for what was committed late: the highest id is among the last numbers.
REMOVED: LiteralString = """
SELECT coalesce(max(f.entry_id), -1)
  FROM unnest($1::bigint[], $2::bigint[]) AS r (first, last)
 CROSS JOIN LATERAL (
       SELECT entry_id FROM audit_leaf WHERE seq BETWEEN r.first AND r.last
        ORDER BY seq DESC LIMIT 1000) AS f
 WHERE NOT EXISTS (SELECT FROM audit_log l WHERE l.entry_id = f.entry_id)
"""
HEAD: LiteralString = "SELECT block_number FROM checkpoint WHERE chain_id = $1"
