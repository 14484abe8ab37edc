"""Write docs/reference/queries.md: every statement by name, with its plan and cost at two sizes.

`python -m tools.queries --small URL --large URL`, of worlds that `renown bench world` has filled;
without URLs those of `bench.worlds`. Writes are made and taken back, those that touch most of a
table are planned only. `--check` says, without a database, whether the page tells of the same
statements as the catalogue.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import re
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from bench.queries import CATALOGUE, Query, statements
from bench.queries.plans import Plan, Tables, planned, ran, sent, text_of
from bench.queries.sample import Sample, sample

from renown.store.pool import Conn, connect

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "queries.md"
ROUNDS, SECONDS = 7, 1.5
"""A call is made so often, less often where that takes longer."""
WIDEST, LONGEST = 150, 70
"""Characters of a line and lines of a plan on the page."""
SHOWN = (
    "agents.one",
    "agents.one_by_uuid",
    "agents.newest",
    "agents.of_owner",
    "agents.batch",
    "feedback.of_agent",
    "feedback.of_agent_by_client",
    "feedback.across_by_tag",
    "reads_reputation.kept",
    "reads_reputation.matched",
    "read_stats.stats",
    "read_payments.of_agent",
    "validations.of_agent",
    "history.newest_first",
    "read_documents.current",
    "read_versions.versions",
    "read_endpoints.declared",
    "search.by_rank, frequent word",
    "search.by_rank, rare word",
    "search.in_order, quality",
    "facets.count, few matches",
    "names.alike",
    "subjects.cells",
    "state.add_stats",
    "uris.claim",
    "profile_material.material",
    "payments.claims",
)
"""Those whose plans stand on the page whole."""
_ASKERS = {
    "api": ("The API", "What requests send, the explorer's pages and MCP included."),
    "indexer": ("The indexer", "One per chain: it stores, folds and takes back facts."),
    "crawler": ("The crawler", "It reads files and makes the rows that are searched."),
    "prober": ("The prober", "It asks endpoints whether they answer."),
    "payments": ("Payments", "Settle claims against the chains they name."),
    "watcher": ("The watcher of operations", "It sends what was signed and sees it into blocks."),
    "notary": ("The notary", "It sequences and signs the audit log."),
    "operator": ("Operators", "Commands, reports, exports, migrations."),
}


@dataclass(frozen=True, slots=True)
class Taken:
    """One call in one world."""

    milliseconds: float
    rows: int
    buffers: int
    plan: str
    text: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """What one world says: calls by query and what is special about them."""

    agents: int
    feedback: int
    payments: int
    server: str
    calls: dict[tuple[str, str], Taken]


async def look(url: str) -> World:
    """Make every call of the catalogue in one world."""
    conn = await connect(url)
    try:
        await conn.execute("SET statement_timeout = '60s'; SET lock_timeout = '2s'")
        w = await sample(conn)
        tables = await Tables.read(conn)
        calls = {}
        for query in CATALOGUE.values():
            async for case, taken in _calls(conn, query, w, tables):
                calls[query.name, case] = taken
        counts = await conn.fetchrow(_COUNTS)
        assert counts is not None
        agents, feedback, payments, server = counts
        return World(agents, feedback, payments, server, calls)
    finally:
        await conn.close()


_COUNTS = """
SELECT (SELECT count(*) FROM agent), (SELECT count(*) FROM feedback_given),
       (SELECT count(*) FROM payment), current_setting('server_version')
"""


async def _calls(conn: Conn, query: Query, w: Sample, tables: Tables) -> Any:
    text = statements().get(query.name, "") if not query.build else ""
    if query.template is not None:
        text = query.template(text)
    for case, args in query.calls():
        yield case, await _take(conn, query, text, args(w), tables)
    if query.build is not None:
        text, given = await sent(conn, query, w)
        yield "", await _take(conn, query, text, given, tables)


async def _take(
    conn: Conn, query: Query, text: str, args: tuple[Any, ...], tables: Tables
) -> Taken:
    if query.scans and not text.lstrip().startswith(("SELECT", "WITH")):
        return Taken(-1.0, 0, 0, (await planned(conn, text)).line(tables))
    found: list[Plan] = []
    until = time.monotonic() + SECONDS
    try:
        await ran(conn, text, args)  # what it reads is in memory then
        while len(found) < ROUNDS and (not found or time.monotonic() < until):
            found.append(await ran(conn, text, args))
        whole = await text_of(conn, text, args) if query.name in SHOWN else ""
    except asyncpg.PostgresError as failure:
        return Taken(-1.0, 0, 0, "", failure=str(failure))
    middle = statistics.median(plan.milliseconds for plan in found)
    plan = found[-1]
    return Taken(middle, plan.rows, plan.buffers, plan.line(tables), whole)


# The page ----------------------------------------------------------------------------------------


def page(small: World, large: World) -> str:
    """The page, in Markdown."""
    lines = [*_head(small, large)]
    for asker, (title, about) in _ASKERS.items():
        queries = [query for query in CATALOGUE.values() if query.asked_by == asker]
        lines += [f"## {title}", "", about, ""]
        lines += _measured([q for q in queries if q.args or q.build], small, large)
        lines += _listed([q for q in queries if not (q.args or q.build)])
    lines += _plans(small, large)
    return "\n".join(lines).rstrip() + "\n"


def _head(small: World, large: World) -> list[str]:
    rows = [
        f"| {name} | {world.agents:,} | {world.feedback:,} | {world.payments:,} | {world.server} |"
        for name, world in (("small", small), ("large", large))
    ]
    return _HEAD.format(count=len(CATALOGUE), rounds=ROUNDS, worlds="\n".join(rows)).splitlines()


_HEAD = """\
<!-- Made by `python -m tools.queries`. Do not edit. -->
# Queries

Every statement that Renown sends, {count} by name: who asks it, what for, the indexes of large
tables that its plan uses, and what it reads at most. A test plans each of them on a world of 50,000
agents and fails where a large table is read whole, an index that stands here is not used, or the
planner is wrong by a factor of 100. [Indexes](../explanation/indexes.md) says what each index buys
and costs. The names are those of the metric `renown_db_query_seconds` and of traces; a statement
that is put together as it is needed has the name of the function that does it, and what is special.

Measured in two worlds of `renown bench world`, called small and large below:

| | agents | feedback | payments | PostgreSQL |
|---|---:|---:|---:|---|
{worlds}

Each call was made {rounds} times after one that was not counted, with `EXPLAIN (ANALYZE, BUFFERS,
TIMING OFF)`: *ms* is the median of the execution, *rows* what it gives, *pages* what it touches of
tables and indexes, 8 kB each, in memory. Keys are skewed as users' are: the agent with the most
feedback stands beside a usual one. Plans name where rows come from, small tables left out; an index
is missing where this call did not need it. A dash is a statement that was planned only, for it
touches most of a table.
"""


def _measured(queries: Sequence[Query], small: World, large: World) -> list[str]:
    if not queries:
        return []
    lines = [
        "| query | for | reads at most | small: ms, rows, pages | large: ms, rows, pages | plan |",
        "|---|---|---|---|---|---|",
    ]
    for query in queries:
        cases = [case for case, _ in query.calls()] or [""]
        for case in cases:
            name = f"`{query.name}`" if not case else f"- {case}"
            about = (_for(query), query.bound) if case == cases[0] else ("", "")
            there = large.calls.get((query.name, case))
            figures = [_figures(w.calls.get((query.name, case))) for w in (small, large)]
            plan = f"`{there.plan}`" if there and there.plan else ""
            lines.append(f"| {name} | {' | '.join((*about, *figures))} | {plan} |")
    return [*lines, ""]


def _for(query: Query) -> str:
    said = query.purpose
    if query.scans:
        tables = ", ".join(f"`{table}`: {reason}" for table, reason in query.scans.items())
        said += f" May read whole {tables}."
    if query.indexes:
        said += f" Uses {', '.join(f'`{index}`' for index in query.indexes)}."
    return said


def _figures(taken: Taken | None) -> str:
    if taken is None:
        return ""
    if taken.failure:
        return f"failed: {taken.failure}".replace("|", "\\|")
    if taken.milliseconds < 0:
        return "-"
    return f"{taken.milliseconds:,.3f}, {taken.rows:,}, {taken.buffers:,}"


def _listed(queries: Sequence[Query]) -> list[str]:
    """Those that a world's data does not serve: their tables are small, or not of the chains."""
    if not queries:
        return []
    lines = ["| query | for | reads at most |", "|---|---|---|"]
    lines += [f"| `{query.name}` | {_for(query)} | {query.bound} |" for query in queries]
    return [*lines, ""]


def _plans(small: World, large: World) -> list[str]:
    lines = ["## Plans in full", "", "Of the statements that matter most, in both worlds.", ""]
    for name, (title, world) in itertools.product(SHOWN, (("small", small), ("large", large))):
        taken = world.calls.get((name, ""))
        if taken is None or not taken.text:
            continue
        lines += [
            f"<details><summary><code>{name}</code>, {title}</summary>",
            "",
            "```text",
            _for_reading(taken.text),
            "```",
            "",
            "</details>",
            "",
        ]
    return lines


def _for_reading(plan: str) -> str:
    """A plan without what says little: long values, and what each step alone touched."""
    lines = plan.splitlines()
    shown = [
        line if len(line) <= WIDEST else f"{line[: WIDEST - 2]} …"
        for n, line in enumerate(lines)
        if n < 2 or not line.lstrip().startswith(("Buffers:", "Index Searches:", "Heap Fetches:"))
    ]
    if len(shown) > LONGEST:
        shown = [*shown[: LONGEST - 4], "  … and so on", *shown[-3:]]
    return "\n".join(shown)


def listed_on(text: str) -> set[str]:
    """The queries that a page tells of."""
    return set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))


def check(text: str) -> list[str]:
    """How a page and the catalogue differ, in words."""
    there, wanted = listed_on(text), set(CATALOGUE)
    return [f"not on the page: {name}" for name in sorted(wanted - there)] + [
        f"on the page, but no query: {name}" for name in sorted(there - wanted)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", help="URL of the small world")
    parser.add_argument("--large", help="URL of the large world")
    parser.add_argument("--check", action="store_true", help="compare the page with the catalogue")
    asked = parser.parse_args()
    if asked.check:
        differences = check(PAGE.read_text())
        print("\n".join(differences) or f"{PAGE.name} tells of {len(CATALOGUE)} queries")
        return 1 if differences else 0
    from bench import worlds  # starts a server, which a check does not need

    sizes = worlds.sizes()
    urls = asked.small or worlds.dsn(sizes[0]), asked.large or worlds.dsn(sizes[-1])
    small, large = (asyncio.run(look(url)) for url in urls)
    PAGE.write_text(page(small, large))
    for world in (small, large):
        for (name, case), taken in world.calls.items():
            if taken.failure:
                print(f"{name} ({case or 'usual'}): {taken.failure}", file=sys.stderr)
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
