"""Reads by key and pages of them, in SQL, at 10 k, 100 k and 1 M agents.

What is asked is what the API asks: each function of the store is called once to see its statement
and arguments, which are then fetched by the driver, prepared, on one connection of the product's
pool: that is the ratio of the budgets, for the baseline is fetched alike (`bench.baseline`). The
functions themselves, into their rows, are measured beside it.

Keys are drawn in two ways. *Even*: any agent is as likely as any other, so most have little to
show. *Skewed*: drawn by the feedback (or payments) about them, as readers come upon agents, so most
pages are full. The busiest agent and the largest owner stand apart.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from bench import worlds
from bench.baseline import Against, Baseline, Query, in_turns
from bench.harness import Report
from renown.store import (
    agents,
    feedback,
    history,
    leaderboards,
    read_documents,
    read_endpoints,
    read_payments,
    read_stats,
    reads_reputation,
    validations,
)
from renown.store.pool import Conn, connect_pool
from renown.store.reads import KeyArgs

SECONDS = 40.0
"""For each size."""
DRAWN = 300
"""Keys of a kind."""
ROWS = 20
"""Rows of a page, and one more is asked for, to know whether there is a next."""
URI_CUT_BYTES, LISTED_CUT_BYTES, LABEL_CUT_BYTES = 16_384, 1_024, 1_024
DEEP_PAGES = 50
KEY, PAGE, BOARD, GROWTH = 1.5, 3.0, 2.0, 1.3

Read = Callable[[Conn], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of read, with as many arguments as were drawn."""

    name: str
    reads: Sequence[Read]
    limit: float | None = None
    is_keyed: bool = False
    """Whether growth has a budget."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Whom to ask about in a world."""

    even: list[KeyArgs]
    uuids: list[KeyArgs]
    skewed: list[KeyArgs]
    paid: list[KeyArgs]
    owners: list[bytes]
    busiest: KeyArgs
    most_paid: KeyArgs
    largest_owner: bytes
    client: bytes
    rare_tag: bytes
    deep: feedback.After


def measure(seconds: float = SECONDS) -> Report:
    """Of the worlds of `bench.worlds`."""
    sizes = worlds.sizes()
    report = Report("reads", f"{', '.join(sizes)} agents, pages of {ROWS}")
    found: dict[str, dict[str, Against]] = {}
    plain: dict[str, Kind] = {}
    for size in sizes:
        kinds, taken = asyncio.run(_ask(worlds.dsn(size), seconds))
        for kind in kinds:
            plain[kind.name] = kind
        for name, against in taken.items():
            found.setdefault(name, {})[size] = against
    report.numbers["latency"] = {
        name: {size: _numbers(against) for size, against in by_size.items()}
        for name, by_size in found.items()
    }
    for name, kind in plain.items():
        _judge(report, kind, found[name], found.get(_into_rows(name)), sizes)
    return report


def _judge(
    report: Report,
    kind: Kind,
    bare: dict[str, Against],
    rows: dict[str, Against] | None,
    sizes: Sequence[str],
) -> None:
    last = bare[sizes[-1]]
    said = str(last)
    if rows is not None:
        said += f"; into rows {rows[sizes[-1]].p50_ratio:.2f} ×"
    if kind.limit is None:
        report.add(kind.name, said)
    else:
        report.add(kind.name, said, f"p50 <= {kind.limit:g} x", last.p50_ratio <= kind.limit)
    if len(sizes) > 1 and kind.is_keyed:
        growth = last.p50_ratio / bare[sizes[0]].p50_ratio
        name = f"{kind.name}: growth {sizes[0]} to {sizes[-1]}"
        report.add(name, f"{growth:.2f} x", f"<= {GROWTH} x", growth <= GROWTH)


def _numbers(against: Against) -> dict[str, float]:
    return {
        "p50_us": against.p50 * 1e6,
        "p99_us": against.p99 * 1e6,
        "p50_ratio": against.p50_ratio,
        "p99_ratio": against.p99_ratio,
        "rounds": against.rounds,
    }


async def _ask(dsn: str, seconds: float) -> tuple[list[Kind], dict[str, Against]]:
    pool = await connect_pool(dsn, min_size=1, max_size=1)
    try:
        async with pool.connection() as conn:
            kinds = _kinds(await _draw(conn))
            queries: dict[str, list[Query]] = {}
            for kind in kinds:
                queries[kind.name] = [await _bare(conn, read) for read in kind.reads]
                if kind.limit is not None:
                    queries[_into_rows(kind.name)] = [_through(conn, read) for read in kind.reads]
            for kind in kinds:
                for query in queries[kind.name]:
                    await query()
            baseline = await Baseline(conn).ready()
            return kinds, await in_turns(baseline, queries, seconds)
    finally:
        await pool.close()


def _into_rows(name: str) -> str:
    return f"{name}, into rows"


# What is asked -----------------------------------------------------------------------------------


def _kinds(drawn: Drawn) -> list[Kind]:
    even, skewed, one = drawn.even, drawn.skewed, [drawn.busiest]
    hundreds = [even[at : at + 100] for at in range(0, len(even) - 99, 100)]
    return [
        Kind("agent by key, even", _each(_agent, even), KEY, True),
        Kind("agent by key, skewed", _each(_agent, skewed), KEY, True),
        Kind("agent by UUID, even", _each(_agent, drawn.uuids), None, True),
        Kind("reputation summary, even", _each(_reputation, even), KEY, True),
        Kind("reputation summary, skewed", _each(_reputation, skewed), KEY, True),
        Kind("reputation summary, busiest agent", _each(_reputation, one)),
        Kind("stats, even", _each(read_stats.of_agent, even), KEY, True),
        Kind("stats, skewed", _each(read_stats.of_agent, drawn.paid), KEY, True),
        Kind("owner's agents, drawn by agent", _each(_owned, drawn.owners), PAGE),
        Kind("owner's agents, largest owner", _each(_owned, [drawn.largest_owner]), PAGE),
        Kind("feedback page, even", _each(_given(), even), PAGE),
        Kind("feedback page, skewed", _each(_given(), skewed), PAGE),
        Kind("feedback page, busiest agent", _each(_given(), one), PAGE),
        Kind("feedback page, busiest agent, deep", _each(_given(after=drawn.deep), one)),
        Kind(
            "feedback page, busiest agent, one client",
            _each(_given(feedback.Filter(client=drawn.client)), one),
        ),
        Kind(
            "feedback page, busiest agent, rare tag",
            _each(_given(feedback.Filter(tag1=drawn.rare_tag)), one),
        ),
        Kind("payment page, even", _each(_paid, even), PAGE),
        Kind("payment page, skewed", _each(_paid, drawn.paid), PAGE),
        Kind("payment page, most paid agent", _each(_paid, [drawn.most_paid]), PAGE),
        *(
            Kind(f"leaderboard, {kind}", _each(_board, [kind]), BOARD)
            for kind in leaderboards.KINDS
        ),
        Kind("history page, skewed", _each(_told, skewed)),
        Kind("history page, busiest agent", _each(_told, one)),
        Kind("validations, even", _each(_validated, even), None, True),
        Kind("registration, even", _each(_document, even), None, True),
        Kind("endpoints, even", _each(read_endpoints.declared, even), None, True),
        Kind("metadata, even", _each(_described, even), None, True),
        Kind("batch of 100, even", _each(_many, hundreds)),
    ]


def _each(read: Callable[[Conn, Any], Awaitable[Any]], whom: Sequence[Any]) -> list[Read]:
    def about(one: Any) -> Read:
        return lambda conn: read(conn, one)

    return [about(one) for one in whom]


def _agent(conn: Conn, key: KeyArgs) -> Awaitable[Any]:
    return agents.one(conn, key, uri_cut_bytes=URI_CUT_BYTES)


def _reputation(conn: Conn, key: KeyArgs) -> Awaitable[Any]:
    return reads_reputation.kept(conn, key, limit=ROWS + 1, cut_bytes=LABEL_CUT_BYTES)


def _owned(conn: Conn, owner: bytes) -> Awaitable[Any]:
    return agents.of_owner(conn, owner, limit=ROWS + 1, uri_cut_bytes=LISTED_CUT_BYTES)


def _given(
    wanted: feedback.Filter = feedback.EVERYTHING, after: feedback.After = feedback.NEWEST
) -> Callable[[Conn, KeyArgs], Awaitable[Any]]:
    return lambda conn, key: feedback.of_agent(
        conn, key, wanted, after=after, limit=ROWS + 1, uri_cut_bytes=URI_CUT_BYTES
    )


def _paid(conn: Conn, key: KeyArgs) -> Awaitable[Any]:
    return read_payments.of_agent(conn, key, limit=ROWS + 1)


def _told(conn: Conn, key: KeyArgs) -> Awaitable[Any]:
    return history.of_agent(conn, key, newest_first=True, limit=ROWS + 1, cut_bytes=URI_CUT_BYTES)


def _validated(conn: Conn, key: KeyArgs) -> Awaitable[Any]:
    return validations.of_agent(conn, key, limit=ROWS + 1, cut_bytes=URI_CUT_BYTES)


def _document(conn: Conn, key: KeyArgs) -> Awaitable[Any]:
    return read_documents.current(conn, key, uri_cut_bytes=URI_CUT_BYTES)


def _described(conn: Conn, key: KeyArgs) -> Awaitable[Any]:
    return agents.metadata(conn, key, limit=ROWS + 1, cut_bytes=URI_CUT_BYTES)


def _many(conn: Conn, keys: Sequence[KeyArgs]) -> Awaitable[Any]:
    wanted = [(n, key, None) for n, key in enumerate(keys)]
    return agents.batch(conn, wanted, uri_cut_bytes=LISTED_CUT_BYTES)


def _board(conn: Conn, kind: leaderboards.Kind) -> Awaitable[Any]:
    return leaderboards.page(conn, kind, leaderboards.ALL_MAINNETS, limit=ROWS + 1)


class _Overheard:
    """Stands for a connection, and keeps what it was asked for."""

    def __init__(self, conn: Conn) -> None:
        self._conn = conn
        self.asked: list[tuple[str, str, tuple[Any, ...]]] = []

    async def fetch(self, statement: str, *args: Any) -> Any:
        self.asked.append(("fetch", statement, args))
        return await self._conn.fetch(statement, *args)

    async def fetchrow(self, statement: str, *args: Any) -> Any:
        self.asked.append(("fetchrow", statement, args))
        return await self._conn.fetchrow(statement, *args)


_prepared: dict[tuple[int, str], Any] = {}


async def _bare(conn: Conn, read: Read) -> Query:
    """The one statement of `read`, prepared."""
    overheard = _Overheard(conn)
    await read(cast(Conn, overheard))
    ((how, text, args),) = overheard.asked
    place = (id(conn), text)
    if place not in _prepared:
        _prepared[place] = await conn.prepare(text)
    fetch = getattr(_prepared[place], how)
    return lambda: fetch(*args)


def _through(conn: Conn, read: Read) -> Query:
    return lambda: read(conn)


# Whom --------------------------------------------------------------------------------------------

_COUNTS = "SELECT chain_id, count(*) FROM agent GROUP BY chain_id ORDER BY chain_id"
_UUIDS = """
SELECT a.uuid FROM unnest($1::bigint[], $2::bigint[]) AS w (chain_id, agent_id)
  JOIN agent a USING (chain_id, agent_id)
"""
_OWNERS = _UUIDS.replace("a.uuid", "a.owner")
_SAMPLED = "SELECT chain_id, agent_id FROM {} TABLESAMPLE SYSTEM ($1) REPEATABLE (1)"
_ESTIMATED = """
SELECT greatest(1, sum(reltuples))::float8 FROM pg_class
 WHERE relkind = 'r' AND (relname = $1 OR relname LIKE $1 || '\\_c%')
"""
_BUSIEST = """
SELECT chain_id, agent_id FROM agent_stats ORDER BY feedback_count DESC, chain_id, agent_id LIMIT 1
"""
_MOST_PAID = """
SELECT chain_id, agent_id FROM agent_payment_stats
 ORDER BY payment_count DESC, chain_id, agent_id LIMIT 1
"""
_LARGEST = "SELECT owner FROM agent GROUP BY owner ORDER BY count(*) DESC, owner LIMIT 1"
_CLIENT = """
SELECT client FROM feedback_given WHERE chain_id = $1 AND agent_id = $2
 ORDER BY block_number, log_index LIMIT 1
"""
_RARE_TAG = """
SELECT tag1 FROM agent_tag_stats
 WHERE chain_id = $1 AND agent_id = $2 AND live_count > 0 ORDER BY live_count, tags_hash LIMIT 1
"""
_DEEP = """
SELECT block_number, log_index FROM feedback_given WHERE chain_id = $1 AND agent_id = $2
 ORDER BY block_number DESC, log_index DESC OFFSET $3 LIMIT 1
"""


async def _draw(conn: Conn) -> Drawn:
    chance = random.Random(1)
    counts = await conn.fetch(_COUNTS)
    chains, weights = [row[0] for row in counts], [row[1] for row in counts]
    even = []
    for chain_id in chance.choices(chains, weights, k=DRAWN):
        last = weights[chains.index(chain_id)] - 1  # ids are gapless from 0
        even.append((chain_id, chance.randint(0, last)))
    columns = [key[0] for key in even], [key[1] for key in even]
    skewed = await _sampled(conn, "feedback_given", chance)
    busiest = await conn.fetchrow(_BUSIEST)
    most_paid = await conn.fetchrow(_MOST_PAID)
    assert busiest is not None
    assert most_paid is not None
    pages = DEEP_PAGES * ROWS
    deep = await conn.fetchrow(_DEEP, *busiest, pages)
    while deep is None:  # of a small world
        pages //= 2
        deep = await conn.fetchrow(_DEEP, *busiest, pages)
    return Drawn(
        even=[_key(key) for key in even],
        uuids=[KeyArgs(None, None, row[0]) for row in await conn.fetch(_UUIDS, *columns)],
        skewed=skewed,
        paid=await _sampled(conn, "payment", chance),
        owners=[row[0] for row in await conn.fetch(_OWNERS, *columns)],
        busiest=_key(busiest),
        most_paid=_key(most_paid),
        largest_owner=await conn.fetchval(_LARGEST),
        client=await conn.fetchval(_CLIENT, *busiest),
        rare_tag=await conn.fetchval(_RARE_TAG, *busiest),
        deep=feedback.After(*deep),
    )


async def _sampled(conn: Conn, table: str, chance: random.Random) -> list[KeyArgs]:
    """Agents by the rows of a table about them: who has a hundred is as likely as that."""
    rows = await conn.fetchval(_ESTIMATED, table)
    share = min(100.0, 400.0 * DRAWN / rows)
    found = await conn.fetch(_SAMPLED.format(table), share)
    chance.shuffle(found)
    return [_key(row) for row in found[:DRAWN]]


def _key(row: Any) -> KeyArgs:
    return KeyArgs(row[0], row[1], None)
