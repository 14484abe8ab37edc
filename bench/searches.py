"""What people search for, asked of a world: kinds of searches, each of many of its own making.

All is drawn from the world itself, evenly from the distinct words of a class, so that each world
is asked for what is common, middling or rare in it. The same world and seed give the same searches.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, LiteralString

import msgspec

from bench.baseline import Query
from renown.derive import filters
from renown.spec.findings import FINDINGS
from renown.store import facets, names, search
from renown.store.pool import Conn
from renown.store.search_plan import Plans
from renown.store.search_wanted import Order, Wanted

ROWS = 20
"""Rows of a page."""
DISTINCT = 40
"""Searches of each kind, each asked several times."""
KINDS = ("chain", "kind", "alive", "trust")

_WORDS: LiteralString = """
SELECT most_common_elems::text::text[], most_common_elem_freqs FROM pg_stats
 WHERE tablename = 'agent_profile' AND attname = 'words'
"""
# Some pages of rows at random: enough for `DISTINCT` of everything, at any size.
_SOME: LiteralString = """
WITH pages AS (SELECT greatest(relpages, 1) AS number FROM pg_class WHERE relname = 'agent_profile')
SELECT tsvector_to_array(p.words), p.owner, p.name_key
  FROM agent_profile p
 WHERE p.ctid = any (ARRAY(
       SELECT format('(%s,1)', i * number / 1000)::tid FROM pages, generate_series(0, 999) AS i))
"""
_CHAINS: LiteralString = """
SELECT substr(term, 7)::bigint FROM term_count WHERE term LIKE 'chain=%'
 ORDER BY agent_count DESC
"""


class Drawn(msgspec.Struct, frozen=True):
    """What searches are made of.

    Attributes:
        common: the twenty words that most agents have.
        middling: the words of the ranks 100 to 400.
        rare: words that are in no statistics, as they stand in agents drawn evenly.
        terms: the kinds and values that statistics know, by share of agents, highest first.
        owners: of agents drawn evenly: the large ones are among them more often.
        names: name keys of agents drawn evenly, with a misspelling of each.
        chains: largest first.
    """

    common: list[str]
    middling: list[str]
    rare: list[str]
    terms: list[tuple[str, float]]
    owners: list[str]
    names: list[tuple[str, str]]
    chains: list[int]


async def drawn(conn: Conn, seed: int = 2) -> Drawn:
    """Look at a world."""
    chance = random.Random(seed)
    row = await conn.fetchrow(_WORDS)
    assert row is not None, "the world is not analyzed"
    shares = sorted(
        ((word, share) for word, share in zip(row[0], row[1], strict=False) if word),
        key=lambda one: -one[1],
    )
    words = [word for word, _ in shares if "=" not in word and word.isalpha()]
    known = {word for word, _ in shares}
    rows = [tuple(one) for one in await conn.fetch(_SOME)]
    chance.shuffle(rows)
    rare = [
        chance.choice(found)
        for lexemes, _, _ in rows
        if (found := [w for w in lexemes if w not in known and w.isalpha()])
    ]
    named = sorted({name for _, _, name in rows if name and _can_be_misspelt(name)})
    chance.shuffle(named)
    return Drawn(
        common=words[:20],
        middling=words[100:400],
        rare=rare[: 2 * DISTINCT],
        terms=[(word, share) for word, share in shares if "=" in word],
        owners=[owner.hex() for _, owner, _ in rows[: 2 * DISTINCT]],
        names=[(name, misspelt(name, chance)) for name in named[: 2 * DISTINCT]],
        chains=[row[0] for row in await conn.fetch(_CHAINS)],
    )


def misspelt(name: str, chance: random.Random) -> str:
    """One letter of a word left out, doubled, another, or changed places with the next."""
    while True:
        at = chance.choice([n for n in range(1, len(name) - 1) if name[n - 1 : n + 2].isalpha()])
        wrong = chance.choice(
            (
                name[:at] + name[at + 1 :],
                name[:at] + name[at] + name[at:],
                name[:at] + chance.choice("aeiorstln") + name[at + 1 :],
                name[:at] + name[at + 1] + name[at] + name[at + 2 :],
            )
        )
        if wrong != name:
            return wrong


def _can_be_misspelt(name: str) -> bool:
    return name.isascii() and any(name[n : n + 4].isalpha() for n in range(len(name) - 3))


async def mix(conn: Conn, plans: Plans, world: Drawn, seed: int = 3) -> dict[str, list[Query]]:
    """The stated mix: kinds of searches by name, in the order in which they are reported."""
    chance = random.Random(seed)
    ask = Asking(conn, plans)
    every = range(DISTINCT)

    def pick(words: Sequence[str]) -> str:
        return chance.choice(words)

    largest, smallest = world.chains[0], world.chains[-1]
    mixes = (
        f"kind:mcp chain:{largest}",
        "kind:a2a NOT x402:yes",
        "state:strict trust:reputation",
    )
    skills = [term[6:] for term, _ in world.terms if term.startswith("skill=")][:DISTINCT]
    findings = [code for term, _ in world.terms if (code := term[8:]) in FINDINGS]
    alone = (
        *(f"chain:{chain}" for chain in world.chains),
        *("kind:mcp", "kind:a2a alive:yes", "alive:yes", f"alive:yes chain:{smallest}"),
        *(f"finding:{finding}" for finding in findings[:8]),
    )
    return {
        "common word": [ask.ranked(pick(world.common)) for _ in every],
        "middling word": [ask.ranked(pick(world.middling)) for _ in every],
        "rare word": [ask.ranked(pick(world.rare)) for _ in every],
        "two words": [ask.ranked(f"{pick(world.common)} {pick(world.middling)}") for _ in every],
        "text and filters": [ask.ranked(pick(world.common), mixes[n % 3]) for n in every],
        "filters": [ask.ordered(pick(alone)) for _ in every],
        "skill and alive": [ask.ordered(f'skill:"{pick(skills)}" alive:yes') for _ in every],
        "owner": [ask.ordered(f"owner:0x{pick(world.owners)}") for _ in every],
        "owner and common word": [
            ask.ranked(pick(world.common), f"owner:0x{pick(world.owners)}") for _ in every
        ],
        "newest with a text": [ask.ordered("", pick(world.common), "newest") for _ in every],
        "deep page": [await _deep(conn, plans, pick(world.common)) for _ in range(10)],
        "typo": [ask.alike(typed) for _, typed in world.names[:DISTINCT]],
        "facets, few matches": [
            ask.counted(pick(world.middling), "kind:mcp alive:yes") for _ in every
        ],
        "facets, many matches": [ask.counted(pick(world.common)) for _ in every],
        "facets, all agents": [lambda: facets.kept(conn, KINDS, None)],
    }


class Asking:
    """Searches as the API makes them, on one connection."""

    def __init__(self, conn: Conn, plans: Plans) -> None:
        self._conn, self._plans = conn, plans

    def ranked(self, text: str, terms: str = "") -> Query:
        wanted = self._wanted(text, terms)
        return lambda: search.by_rank(
            self._conn, self._plans, wanted, limit=ROWS, uri_cut_bytes=1_024
        )

    def ordered(
        self,
        terms: str,
        text: str = "",
        order: Order = "quality",
        after: search.Place | None = None,
        **more: Any,
    ) -> Query:
        wanted = msgspec.structs.replace(self._wanted(text, terms), **more)
        return lambda: search.in_order(
            self._conn, self._plans, wanted, order, after=after, limit=ROWS, uri_cut_bytes=1_024
        )

    def counted(self, text: str, terms: str = "") -> Query:
        wanted = self._wanted(text, terms)
        return lambda: facets.count(self._conn, self._plans, wanted, KINDS)

    def alike(self, name: str) -> Query:
        return lambda: names.alike(self._conn, name, limit=5)

    def _wanted(self, text: str, terms: str) -> Wanted:
        return Wanted(text=text, terms=filters.expression(terms) if terms else "")


async def _deep(conn: Conn, plans: Plans, text: str) -> Query:
    """The page behind a thousand rows."""
    wanted, place = Wanted(text=text), None
    for _ in range(10):
        page = await search.in_order(conn, plans, wanted, after=place, limit=100, uri_cut_bytes=0)
        if len(page.found) <= 100:
            break
        place = page.found[-2].place
    return Asking(conn, plans).ordered("", text, after=place)
