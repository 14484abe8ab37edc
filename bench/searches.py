"""What people search for, asked of a world: kinds of searches, each of many of its own making.

All is drawn from the world itself, evenly from the distinct words of a class, so that each world
is asked for what is common, middling or rare in it. No search of a kind comes twice before all of
them were asked. The same world and seed give the same searches.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import product
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
DISTINCT = 600
"""Searches of a kind, or as many as there are different ones of it."""
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
       SELECT format('(%s,1)', i * number / 2000)::tid FROM pages, generate_series(0, 1999) AS i))
"""
_CHAINS: LiteralString = """
SELECT substr(term, 7)::bigint FROM term_count WHERE term LIKE 'chain=%'
 ORDER BY agent_count DESC
"""
_TAGS: LiteralString = """
SELECT DISTINCT tag1 FROM agent_tag_stats TABLESAMPLE SYSTEM (1) REPEATABLE (1) WHERE tag1 <> ''
 ORDER BY 1
"""


class Drawn(msgspec.Struct, frozen=True):
    """What searches are made of.

    Attributes:
        common: the hundred words that most agents have.
        middling: the words of the ranks 100 to 700, as far as statistics go.
        rare: words that are in no statistics, as they stand in agents drawn evenly.
        terms: the kinds and values that statistics know, by share of agents, highest first.
        owners: of agents drawn evenly: the large ones are among them more often.
        names: name keys of agents drawn evenly, with a misspelling of each.
        chains: largest first.
        tags: first ones that feedback has, as they stand in agents' counts drawn evenly.
    """

    common: list[str]
    middling: list[str]
    rare: list[str]
    terms: list[tuple[str, float]]
    owners: list[str]
    names: list[tuple[str, str]]
    chains: list[int]
    tags: list[bytes]


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
        common=words[:100],
        middling=words[100:700],
        rare=sorted(set(rare)),
        terms=[(word, share) for word, share in shares if "=" in word],
        owners=[owner.hex() for _, owner, _ in rows],
        names=[(name, misspelt(name, chance)) for name in named],
        chains=[row[0] for row in await conn.fetch(_CHAINS)],
        tags=[row[0] for row in await conn.fetch(_TAGS)],
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


async def mix(conn: Conn, asking: Asking, world: Drawn, seed: int = 3) -> dict[str, list[Query]]:
    """The stated mix: kinds of searches by name, in the order in which they are reported."""
    chance = random.Random(seed)
    ask = asking
    common, middling, rare = world.common, world.middling, world.rare
    largest = world.chains[0]
    mixes = (
        f"kind:mcp chain:{largest}",
        "kind:a2a NOT x402:yes",
        "state:strict trust:reputation",
    )
    skills = [term[6:] for term, _ in world.terms if term.startswith("skill=")]

    def some(kinds: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
        found = sorted({tuple(one) for one in kinds})
        return chance.sample(found, min(DISTINCT, len(found)))

    owners = [f"owner:0x{owner}" for owner in world.owners]
    return {
        "common word": [ask.ranked(word) for (word,) in some(zip(common, strict=True))],
        "middling word": [ask.ranked(word) for (word,) in some(zip(middling, strict=True))],
        "rare word": [ask.ranked(word) for (word,) in some(zip(rare, strict=True))],
        "two words": [ask.ranked(" ".join(two)) for two in some(product(common, middling))],
        "text and filters": [ask.ranked(*two) for two in some(product(common, mixes))],
        "filters": [ask.ordered(terms) for (terms,) in some(zip(_alone(world), strict=True))],
        "skill and alive": [
            ask.ordered(f'skill:"{skill}" alive:yes') for (skill,) in some(zip(skills, strict=True))
        ],
        "owner": [ask.ordered(owner) for (owner,) in some(zip(owners, strict=True))],
        "owner and common word": [ask.ranked(*two) for two in some(product(common, owners))],
        "newest with a text": [
            ask.ordered("", word, "newest") for (word,) in some(zip(common, strict=True))
        ],
        "deep page": [await _deep(conn, ask, word) for word in chance.sample(common, 20)],
        "typo": [ask.alike(typed) for _, typed in world.names[:DISTINCT]],
        "facets, few matches": [
            ask.counted(word, "kind:mcp alive:yes") for (word,) in some(zip(middling, strict=True))
        ],
        "facets, many matches": [ask.counted(word) for (word,) in some(zip(common, strict=True))],
        "facets, all agents": [lambda: facets.kept(conn, KINDS, None)],
    }


def _alone(world: Drawn) -> list[str]:
    """Filters without a text: each of the frequent conditions, and pairs of them on each chain."""
    chains = [f"chain:{chain}" for chain in world.chains]
    findings = [f"finding:{code}" for term, _ in world.terms if (code := term[8:]) in FINDINGS]
    others = (
        *("kind:mcp", "kind:a2a", "kind:web", "kind:mcp kind:a2a", "kind:a2a alive:yes"),
        *("alive:yes", "alive:no", "alive:yes x402:yes", "NOT alive:yes", "NOT x402:yes"),
        *("state:strict", "state:tolerant", "state:none", "verified:yes", "x402:yes"),
        *("trust:reputation", "trust:tee-attestation kind:mcp", "active:yes", "active:no"),
        *findings[:20],
    )
    pairs = (f"{one} {chain}" for one, chain in product(others, chains))
    return sorted({*chains, *others, *pairs})


class Asking:
    """Searches as the API makes them, on one connection, with what a process learns of them."""

    def __init__(self, conn: Conn) -> None:
        self._conn, self._plans = conn, Plans()

    async def forget(self) -> None:
        """Be a process that has just read how large the table and its indexes are, and no more."""
        self._plans = Plans()
        await self._plans.rows(self._conn)

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


async def _deep(conn: Conn, ask: Asking, text: str) -> Query:
    """The page behind a thousand rows."""
    wanted, place = Wanted(text=text), None
    plans = Plans()
    for _ in range(10):
        page = await search.in_order(conn, plans, wanted, after=place, limit=100, uri_cut_bytes=0)
        if len(page.found) <= 100:
            break
        place = page.found[-2].place
    return ask.ordered("", text, after=place)
