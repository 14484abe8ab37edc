"""Searches: what the API asks for texts, filters and facets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bench.queries.model import Query
from bench.queries.sample import Sample
from renown.derive import filters
from renown.store import facets, names, search
from renown.store.pool import Conn
from renown.store.search_plan import BANDS, Plans
from renown.store.search_wanted import Order, Wanted

Build = Callable[[Conn, Sample], Awaitable[Any]]

_BANDS = tuple(f"agent_profile_words_{low}_{high}" for low, high, _ in BANDS)


def _wanted(w: Sample, tenth: int | None, terms: str = "", *, leads: bool = False) -> Wanted:
    """A word of that tenth of frequent ones, and a filter in which `{owner}` may stand."""
    text = "" if tenth is None else w.words[min(tenth, len(w.words) - 1)]
    where = filters.expression(terms.format(owner=w.usual_owner.hex())) if terms else ""
    return Wanted(text=text, terms=where, leads=leads)


def _ranked(tenth: int, terms: str = "") -> Build:
    async def build(conn: Conn, w: Sample) -> None:
        wanted = _wanted(w, tenth, terms)
        await search.by_rank(conn, Plans(), wanted, limit=20, uri_cut_bytes=1_024)

    return build


def _ordered(order: Order, terms: str = "", *, tenth: int | None = None) -> Build:
    async def build(conn: Conn, w: Sample) -> None:
        wanted = _wanted(w, tenth, terms)
        await search.in_order(conn, Plans(), wanted, order, limit=20, uri_cut_bytes=1_024)

    return build


async def _alike(conn: Conn, w: Sample) -> None:
    await names.alike(conn, w.misspelt, limit=5)


def _counted(tenth: int | None, terms: str = "") -> Build:
    async def build(conn: Conn, w: Sample) -> None:
        await facets.count(conn, Plans(), _wanted(w, tenth, terms), ["chain", "kind", "alive"])

    return build


QUERIES = (
    Query(
        "facets.kept",
        "api",
        "Facets of all agents, as last refreshed.",
        "the terms of the kinds asked for",
        args=lambda _: (["chain", "kind", "alive", "trust"], None),
        more={"of one chain": lambda w: (["chain", "kind"], [w.chain])},
    ),
    Query(
        "names.near",
        "api",
        "Words of names that somebody may have meant by these.",
        "300 words for each",
        indexes=("agent_name_word_near",),
        args=lambda w: ([w.misspelt.split()[0]], []),
    ),
    Query(
        "search_plan.size",
        "api",
        "How many agents there are, about.",
        "1 row of the catalogue",
        args=lambda _: (),
    ),
    Query(
        "search.by_rank, frequent word",
        "api",
        "The best matches of a frequent word.",
        "rows down the order until 101 match, or those of bands of quality",
        build=_ranked(0),
        rough={"*": "how many match among the best no statistics tell"},
    ),
    Query(
        "search.by_rank, middling word",
        "api",
        "The best matches of a middling word.",
        "the postings of the word in bands of quality",
        build=_ranked(4),
        rough={"*": "the words of a search are hidden from the planner"},
    ),
    Query(
        "search.by_rank, rare word",
        "api",
        "The best matches of a rare word.",
        "the postings of the word in bands of quality",
        build=_ranked(9),
        indexes=_BANDS,
        rough={"*": "the words of a search are hidden from the planner"},
    ),
    Query(
        "search.by_rank, word and filters",
        "api",
        "The best matches of a word among agents of a kind.",
        "the postings of word and terms in bands of quality",
        build=_ranked(2, "kind:mcp alive:yes"),
        rough={"*": "the words of a search are hidden from the planner"},
    ),
    Query(
        "search.in_order, quality",
        "api",
        "Agents under a filter, the best first.",
        "rows down the order until page + 1 match, or the postings of the terms",
        build=_ordered("quality", "kind:mcp alive:yes"),
        rough={"*": "the terms of a search are hidden from the planner"},
    ),
    Query(
        "search.in_order, quality, a filter that nearly all meet",
        "api",
        "Agents under a frequent filter, the best first.",
        "rows down the order until page + 1 match",
        build=_ordered("quality", "x402:unknown"),
        indexes=("agent_profile_by_quality",),
    ),
    Query(
        "search.in_order, newest",
        "api",
        "Agents under a filter, the newest first.",
        "rows down the order until page + 1 match, or the postings of the terms",
        build=_ordered("newest", "kind:mcp"),
        indexes=("agent_profile_by_age",),
    ),
    Query(
        "search.in_order, activity",
        "api",
        "Agents under a filter, the last active first.",
        "rows down the order until page + 1 match, or the postings of the terms",
        build=_ordered("activity", "kind:mcp"),
        indexes=("agent_profile_by_activity",),
    ),
    Query(
        "search.in_order, feedback",
        "api",
        "Agents under a filter, those with the most feedback first.",
        "rows down the order until page + 1 match, or the postings of the terms",
        build=_ordered("feedback", "kind:mcp"),
        indexes=("agent_profile_by_feedback",),
    ),
    Query(
        "search.in_order, owner",
        "api",
        "Agents of an owner as a filter, the best first.",
        "the postings of the owner in bands of quality",
        build=_ordered("quality", "owner:0x{owner}"),
        indexes=_BANDS,
        rough={"*": "the terms of a search are hidden from the planner"},
    ),
    Query(
        "search.in_order, owner, newest",
        "api",
        "Agents of an owner as a filter, the newest first.",
        "the postings of the owner",
        build=_ordered("newest", "owner:0x{owner}"),
        indexes=("agent_profile_words",),
    ),
    Query(
        "names.alike",
        "api",
        "Names with one of each of these sets of words, the likest first.",
        "300 names",
        build=_alike,
        indexes=("agent_name_by_words",),
    ),
    Query(
        "facets.count, few matches",
        "api",
        "Facets of few matches, each counted.",
        "10,001 matches",
        build=_counted(9),
        indexes=("agent_profile_words",),
        rough={"*": "how many terms are of the kinds asked for no statistics tell"},
    ),
    Query(
        "facets.count, many matches",
        "api",
        "Facets of many matches, from a sample.",
        "12,000 rows",
        build=_counted(0),
        rough={
            "*": "the match is hidden from the planner, so that it reads the sample and no index"
        },
    ),
)
