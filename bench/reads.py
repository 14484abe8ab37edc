"""Reads by key and pages of them, in SQL, at 10 k, 100 k and 1 M agents.

What is asked is what the API asks: each function of the store is called with a connection that
only listens, and the statement and arguments that it heard are fetched by the driver, prepared, on
one connection of the product's pool: that is the ratio of the budgets, for the baseline is fetched
alike (`bench.baseline`). The functions themselves, into their rows, are measured beside it.

Keys are drawn in two ways over the whole world (`drawing`). *Even*: any agent is as likely as any
other, so most have little to show. *Skewed*: drawn by the feedback (or payments) about them, as
readers come upon agents, so most pages are full. The busiest agent and the largest owner stand
apart. Budgets are of *fresh* keys, which nobody asked for before, as the baseline's rows are;
beside them stand *hot* ones, a few that are asked for again and again. Before a world is measured
it is read into the page cache (`warming`), and what came from the disk in spite of that is told.
Each line says how many were asked for (n).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from bench import worlds
from bench.baseline import Against, Baseline, Query, Turns, in_turns
from bench.drawing import Drawn, draw
from bench.harness import Report
from bench.warming import Warmed, fill_page_cache, read_from_disk
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

SECONDS = 38.0
"""For each size."""
HOT, EACH = 300, 10
"""Keys that are asked for again and again: every tenth of the first that were drawn."""
SETTLING = 10
"""Hot keys of a kind that are asked before the clock runs, for the server to settle on a plan."""
JUDGED_SECONDS, GROWTH_SECONDS, BESIDE_SECONDS = 0.12, 0.06, 0.02
"""A turn of what has budgets of p50 and p99, of what has one of its growth, and of the rest."""
ENOUGH = 200
"""Of fewer, a hundredth is one or two: no p99 is given, unless it has a budget."""
ROWS = 20
"""Rows of a page, and one more is asked for, to know whether there is a next."""
URI_CUT_BYTES, LISTED_CUT_BYTES, LABEL_CUT_BYTES = 16_384, 1_024, 1_024
KEY, PAGE, BOARD, GROWTH = 1.5, 3.0, 2.0, 1.3

Read = Callable[[Conn, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of read, and whom it asks about: different ones, or one."""

    name: str
    read: Read
    whom: Sequence[Any]
    limit: float | None = None
    """Of p50 and of p99, as multiples of the baseline's."""
    is_keyed: bool = False
    """Whether growth has a budget."""

    @property
    def hot(self) -> list[Any]:
        """Those who are asked about again and again."""
        return list(self.whom[: HOT * EACH : EACH]) if len(self.whom) > 2 * HOT else []

    @property
    def fresh(self) -> list[Any]:
        """All others, in the order in which they were drawn; where there are few, all."""
        if not self.hot:
            return list(self.whom)
        first = [one for n, one in enumerate(self.whom[: HOT * EACH]) if n % EACH]
        return [*first, *self.whom[HOT * EACH :]]


@dataclass(frozen=True, slots=True)
class World:
    """What was found in one."""

    warmed: Warmed
    from_disk_bytes: int
    """Read from the machine's disks while it was measured, by anybody."""
    kinds: list[Kind]
    fresh: dict[str, Against]
    hot: dict[str, Against]
    rows: dict[str, Against]


def measure(seconds: float = SECONDS) -> Report:
    """Of the worlds of `bench.worlds`."""
    sizes = worlds.sizes()
    report = Report("reads", f"{', '.join(sizes)} agents, pages of {ROWS}")
    found = {size: asyncio.run(_ask(worlds.dsn(size), seconds)) for size in sizes}
    for size, world in found.items():
        report.add(f"{size} read into the page cache beforehand", str(world.warmed))
        report.add(
            "… read from disks by anybody while measuring", f"{world.from_disk_bytes / 1e6:,.0f} MB"
        )
    for kind in found[sizes[-1]].kinds:
        _judge(report, kind, found)
    names = found[sizes[-1]].fresh
    report.numbers["latency"] = {
        name: {size: _numbers(world.fresh[name]) for size, world in found.items()} for name in names
    }
    for beside in ("hot", "rows"):
        report.numbers[f"latency, {beside}"] = {
            name: {size: _numbers(getattr(world, beside)[name]) for size, world in found.items()}
            for name in names
            if all(name in getattr(world, beside) for world in found.values())
        }
    return report


def _judge(report: Report, kind: Kind, found: dict[str, World]) -> None:
    *_, (size, last) = found.items()
    fresh, limit = last.fresh[kind.name], kind.limit
    beside = [
        (label, held[kind.name])
        for label, held in (("hot", last.hot), ("into rows", last.rows))
        if kind.name in held
    ]
    for share, name in (("p50", kind.name), ("p99", "… p99")):
        if share == "p99" and limit is None and fresh.rounds < ENOUGH:
            continue
        ratio: float = getattr(fresh, f"{share}_ratio")
        said = [f"{getattr(fresh, share) * 1e6:,.0f} µs, {ratio:.2f} ×"]
        said += [f"{label} {getattr(one, f'{share}_ratio'):.2f} ×" for label, one in beside]
        if share == "p50":
            said.append(f"n {fresh.rounds:,}{_said_again(fresh.rounds, len(kind.fresh))}")
        held = () if limit is None else (f"{share} <= {limit:g} x", ratio <= limit)
        report.add(name, "; ".join(said), *held)
    first_size, first = next(iter(found.items()))
    if first_size != size and kind.is_keyed:
        growth = fresh.p50_ratio / first.fresh[kind.name].p50_ratio
        name = f"{kind.name}: growth {first_size} to {size}"
        report.add(name, f"{growth:.2f} x", f"<= {GROWTH} x", growth <= GROWTH)


def _said_again(asked: int, keys: int) -> str:
    if keys == 1:
        return " of one key"
    return ", some again" if asked > keys else ""


def _numbers(against: Against) -> dict[str, float]:
    return {
        "p50_us": against.p50 * 1e6,
        "p99_us": against.p99 * 1e6,
        "p50_ratio": against.p50_ratio,
        "p99_ratio": against.p99_ratio,
        "rounds": against.rounds,
    }


async def _ask(dsn: str, seconds: float) -> World:
    warmed = await fill_page_cache(dsn)
    pool = await connect_pool(dsn, min_size=1, max_size=1)
    try:
        async with pool.connection() as conn:
            kinds = _kinds(await draw(conn, ROWS))
            turns = await _turns(conn, kinds)
            baseline = await Baseline(conn).ready()
            before = read_from_disk()
            taken = await in_turns(baseline, turns, seconds)
            read = read_from_disk() - before
    finally:
        await pool.close()
    by_label: dict[str, dict[str, Against]] = {label: {} for label in ("fresh", "hot", "rows")}
    for labelled, against in taken.items():
        label, _, name = labelled.partition(" ")
        by_label[label][name] = against
    return World(warmed, read, kinds, **by_label)


async def _turns(conn: Conn, kinds: Sequence[Kind]) -> dict[str, Turns]:
    """Everything that takes turns: `fresh`, `hot` or `rows`, a space, the name of the kind."""
    turns: dict[str, Turns] = {}
    for kind in kinds:
        await _one_statement(conn, kind)
        fresh, hot, is_judged = kind.fresh, kind.hot, kind.limit is not None
        bare = partial(_bare, conn, kind.read)
        for one in (hot or fresh)[:SETTLING]:
            await (await bare(one))()
        seconds = GROWTH_SECONDS if kind.is_keyed else BESIDE_SECONDS
        if is_judged:
            seconds = JUDGED_SECONDS
        turns[f"fresh {kind.name}"] = Turns(_cycled(bare, fresh), seconds)
        if hot and is_judged:
            for one in hot:
                await (await bare(one))()
            turns[f"hot {kind.name}"] = Turns(_cycled(bare, hot), BESIDE_SECONDS)
        if is_judged:
            through = partial(_through, conn, kind.read)
            # From the other end: those who come last are not reached by the above.
            turns[f"rows {kind.name}"] = Turns(_cycled(through, fresh[::-1]), BESIDE_SECONDS)
    return turns


def _cycled(
    make: Callable[[Any], Awaitable[Query]], whom: Sequence[Any]
) -> Callable[[], Awaitable[Query]]:
    asked = 0

    def following() -> Awaitable[Query]:
        nonlocal asked
        one = whom[asked % len(whom)]
        asked += 1
        return make(one)

    return following


# What is asked -----------------------------------------------------------------------------------


def _kinds(drawn: Drawn) -> list[Kind]:
    even, skewed, paid, one = drawn.even.hand, drawn.skewed.hand, drawn.paid.hand, [drawn.busiest]
    some = even()
    hundreds = [some[at : at + 100] for at in range(0, len(some) - 99, 100)]
    return [
        Kind("agent by key, even", _agent, even(), KEY, True),
        Kind("agent by key, skewed", _agent, skewed(), KEY, True),
        Kind("agent by UUID, even", _agent, drawn.uuids, None, True),
        Kind("reputation summary, even", _reputation, even(), KEY, True),
        Kind("reputation summary, skewed", _reputation, skewed(), KEY, True),
        Kind("reputation summary, busiest agent", _reputation, one),
        Kind("stats, even", read_stats.of_agent, even(), KEY, True),
        Kind("stats, skewed", read_stats.of_agent, paid(), KEY, True),
        Kind("owner's agents, drawn by agent", _owned, drawn.owners, PAGE),
        Kind("owner's agents, largest owner", _owned, [drawn.largest_owner], PAGE),
        Kind("page of all agents, a fifth deep", _newest, drawn.places),
        Kind("feedback page, even", _given(), even(), PAGE),
        Kind("feedback page, skewed", _given(), skewed(), PAGE),
        Kind("feedback page, busiest agent", _given(), one, PAGE),
        Kind("feedback page, busiest agent, deep", _given(after=drawn.deep), one),
        Kind(
            "feedback page, busiest agent, one client",
            _given(feedback.Filter(client=drawn.client)),
            one,
        ),
        Kind(
            "feedback page, busiest agent, rare tag",
            _given(feedback.Filter(tag1=drawn.rare_tag)),
            one,
        ),
        Kind("payment page, even", _paid, even(), PAGE),
        Kind("payment page, skewed", _paid, paid(), PAGE),
        Kind("payment page, most paid agent", _paid, [drawn.most_paid], PAGE),
        *(Kind(f"leaderboard, {kind}", _board, [kind], BOARD) for kind in leaderboards.KINDS),
        Kind("history page, skewed", _told, skewed()),
        Kind("history page, busiest agent", _told, one),
        Kind("validations, even", _validated, even(), None, True),
        Kind("registration, even", _document, even(), None, True),
        Kind("endpoints, even", read_endpoints.declared, even(), None, True),
        Kind("metadata, even", _described, even(), None, True),
        Kind("batch of 100, even", _many, hundreds),
    ]


def _agent(conn: Conn, key: KeyArgs) -> Awaitable[Any]:
    return agents.one(conn, key, uri_cut_bytes=URI_CUT_BYTES)


def _reputation(conn: Conn, key: KeyArgs) -> Awaitable[Any]:
    return reads_reputation.kept(conn, key, limit=ROWS + 1, cut_bytes=LABEL_CUT_BYTES)


def _owned(conn: Conn, owner: bytes) -> Awaitable[Any]:
    return agents.of_owner(conn, owner, limit=ROWS + 1, uri_cut_bytes=LISTED_CUT_BYTES)


def _newest(conn: Conn, after: agents.After) -> Awaitable[Any]:
    return agents.newest(conn, after=after, limit=ROWS + 1, uri_cut_bytes=LISTED_CUT_BYTES)


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


class _Heard(Exception):
    """What a listening connection was asked for."""

    def __init__(self, how: str, statement: str, args: tuple[Any, ...]) -> None:
        self.how, self.statement, self.args = how, statement, args


class _Listening:
    """Stands for a connection; whoever asks it is stopped there."""

    async def fetch(self, statement: str, *args: Any) -> Any:
        raise _Heard("fetch", statement, args)

    async def fetchrow(self, statement: str, *args: Any) -> Any:
        raise _Heard("fetchrow", statement, args)


class _Overheard:
    """Stands for a connection, and counts what it is asked for."""

    def __init__(self, conn: Conn) -> None:
        self._conn = conn
        self.asked = 0

    async def fetch(self, statement: str, *args: Any) -> Any:
        self.asked += 1
        return await self._conn.fetch(statement, *args)

    async def fetchrow(self, statement: str, *args: Any) -> Any:
        self.asked += 1
        return await self._conn.fetchrow(statement, *args)


async def _one_statement(conn: Conn, kind: Kind) -> None:
    """A read of several statements would be measured by its first alone."""
    overheard = _Overheard(conn)
    await kind.read(cast(Conn, overheard), (kind.hot or kind.fresh)[0])
    if overheard.asked != 1:
        raise RuntimeError(f"{kind.name} takes {overheard.asked} statements")


_prepared: dict[tuple[int, str], Any] = {}


async def _bare(conn: Conn, read: Read, whom: Any) -> Query:
    """The one statement of `read`, prepared."""
    try:
        await read(cast(Conn, _Listening()), whom)
    except _Heard as heard:
        how, text, args = heard.how, heard.statement, heard.args
    place = (id(conn), text)
    if place not in _prepared:
        _prepared[place] = await conn.prepare(text)
    fetch = getattr(_prepared[place], how)
    return lambda: fetch(*args)


async def _through(conn: Conn, read: Read, whom: Any) -> Query:
    return lambda: read(conn, whom)
