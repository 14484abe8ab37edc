"""Agents found by what they say of themselves, and what else a search answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from renown.api.answers.agents import AgentPage, FoundAgent, listed_agent
from renown.api.answers.answer import LISTED_URI_CUT_BYTES, Answer
from renown.api.answers.as_of import as_of_all
from renown.api.answers.finds import FacetCounts, FacetValue, Finds
from renown.derive.terms import TermKind
from renown.errors import BadCursor
from renown.spec.highlights import Fragment, fragments, lexemes_of
from renown.spec.names import name_key, skeleton
from renown.spec.words import query_text
from renown.store import facets, names, search
from renown.store.agents import Listed
from renown.store.pool import Conn
from renown.store.search import Page, Place, Ranked
from renown.store.search_plan import Plans
from renown.store.search_wanted import Order, Wanted

Sort = Literal["relevance", "quality", "newest", "activity", "feedback"]
FacetKind = Literal[
    "chain", "state", "kind", "version", "skill", "domain", "tool", "trust", "tag", "x402",
    "active", "alive", "verified", "finding", "host", "name",
]  # fmt: skip
FEW = 3
"""With fewer matches than this, names that look alike are searched too."""
_MOST_NAMES = 5
_SHOWN_TERMS: tuple[TermKind, ...] = ("tool", "skill", "domain", "tag")
_SHOWN = ("name", "description", *_SHOWN_TERMS)
_MOST_SHOWN = 5


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One search.

    Attributes:
        q: as typed; None or blank for a search by conditions alone.
        wanted: the conditions; its text is made of `q`.
        only_chains: the chains that are all the conditions there are, () for none at all; None
            where there are others, so that kept counts do not tell.
    """

    q: str | None = None
    wanted: Wanted = Wanted()
    only_chains: tuple[int, ...] | None = None
    sort: Sort | None = None
    facets: tuple[FacetKind, ...] = ()
    highlights: bool = True

    @property
    def order(self) -> Sort:
        """The order that is meant."""
        return self.sort or ("relevance" if self.typed else "quality")

    @property
    def typed(self) -> str:
        """`q` without NUL, which PostgreSQL takes in no text, and without space around it."""
        return (self.q or "").replace("\0", " ").strip()


async def agents(
    conn: Conn,
    plans: Plans,
    asked: Asked,
    *,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[AgentPage]:
    """A page of the agents that are asked for.

    By relevance a bounded number of candidates, the first matches in the order of quality, is
    ranked by text; the matches behind them follow in the order of quality. Whatever is written
    meanwhile, pages give an agent that does not change exactly once.

    Raises:
        BadCursor: `after` is of another kind of search.
        StoreError: the search took too long.
    """
    wanted = asked.wanted
    if asked.typed:
        # A text without a word must find nobody, not everybody.
        wanted = msgspec.structs.replace(wanted, text=query_text(asked.typed) or '""')
    start = _Start.read(asked, after)
    page = await start.page(conn, plans, wanted, limit)
    shown, following = start.following(page, limit)
    exact = start.after is None and following is None and page.last is None
    found = [one.listed for one in shown]
    names_tried: list[str] | None = None
    similar: list[Listed] = []
    looks = asked.typed and after is None and exact and len(found) < FEW
    if looks and asked.order == "relevance":
        names_tried, similar = await _by_similar_names(
            conn, plans, wanted, asked.typed, found, limit - len(found)
        )
    counted = len(found) if exact else None
    if start.ranks and page.last is None and not start.cut:
        counted = page.candidates  # all that match were ranked
    counts = await _facets(conn, plans, asked, wanted) if asked.facets else None
    lexemes = lexemes_of(page.said) if asked.typed and asked.highlights else frozenset()
    block = as_of_all(page.heads)
    body = AgentPage(
        as_of=block,
        items=[_item(one, lexemes) for one in found]
        + [_item(one, frozenset(), similar=True) for one in similar],
        search=Finds(
            **_total(page, counts, counted),
            cut=page.last is not None or start.cut,
            candidates=page.candidates if start.ranks else UNSET,
            misspelt=names_tried if looks and names_tried is not None else UNSET,
            misspelt_too_slow=True if looks and names_tried is None else UNSET,
            facets=_facet_counts(counts) if counts else UNSET,
        ),
    )
    return Answer(body, block, after=following)


# Where pages begin -------------------------------------------------------------------------------


class _Start(msgspec.Struct, frozen=True):
    """Where a page begins: at the top, within the candidates, or at a place of a kept order."""

    order: Order
    ranks: bool
    after: Place | Ranked | None = None
    behind_candidates: bool = False

    @classmethod
    def read(cls, asked: Asked, after: tuple[Any, ...] | None) -> _Start:
        """Raises BadCursor."""
        by_rank = asked.order == "relevance" and bool(asked.typed)
        order: Order = "quality" if asked.order == "relevance" else asked.order
        if after is None:
            return cls(order, by_rank)
        match after:
            case ("rank", score, value, chain_id, agent_id, *last) if by_rank:
                floor = Place(*last) if last else None
                return cls(order, True, Ranked(score, Place(value, chain_id, agent_id), floor))
            case ("order", value, chain_id, agent_id):
                return cls(order, False, Place(value, chain_id, agent_id), by_rank)
        raise BadCursor("the cursor is of another kind of search", parameter="cursor")

    @property
    def cut(self) -> bool:
        """Whether the pages before said that not all that match were ranked."""
        return self.behind_candidates or (
            isinstance(self.after, Ranked) and self.after.last is not None
        )

    async def page(self, conn: Conn, plans: Plans, wanted: Wanted, limit: int) -> Page:
        cut = LISTED_URI_CUT_BYTES
        if self.ranks:
            ranked = self.after if isinstance(self.after, Ranked) else None
            return await search.by_rank(
                conn, plans, wanted, after=ranked, limit=limit, uri_cut_bytes=cut
            )
        place = self.after if isinstance(self.after, Place) else None
        return await search.in_order(
            conn, plans, wanted, self.order, after=place, limit=limit, uri_cut_bytes=cut
        )

    def following(
        self, page: Page, limit: int
    ) -> tuple[Sequence[search.Found], tuple[Any, ...] | None]:
        """What the page shows, and where the next one begins."""
        shown = page.found[:limit]
        more = len(page.found) > limit
        floor = self.after.last if isinstance(self.after, Ranked) else page.last
        if not self.ranks:
            return shown, ("order", *_flat(shown[-1].place)) if more else None
        if more:
            last = shown[-1]
            return shown, ("rank", last.score, *_flat(last.place), *(_flat(floor) if floor else ()))
        return shown, ("order", *_flat(floor)) if floor else None


def _flat(place: Place) -> tuple[Any, ...]:
    return place.value, place.chain_id, place.agent_id


# Parts of the answer -----------------------------------------------------------------------------


def _item(listed: Listed, lexemes: frozenset[str], *, similar: bool = False) -> FoundAgent:
    row, counts, profile = listed
    item = listed_agent(FoundAgent, row, counts, profile)
    if similar:
        item.similar_name = True
    if lexemes and item.profile is not None and profile is not None:
        marked: dict[str, list[list[Fragment]]] = {}
        texts: dict[str, list[str]] = {kind: [] for kind in _SHOWN}
        for term in profile.terms.split("\n"):
            kind, _, value = term.partition("=")
            if kind in _SHOWN_TERMS:
                texts[kind].append(value)
        texts["name"].append(item.profile.name or "")
        texts["description"].append(item.profile.description or "")
        for field, values in texts.items():
            if len(values) > 1 and fragments("\n".join(values), lexemes) is None:
                continue  # nearly always: one look at all of them
            hits = [hit for value in values if (hit := fragments(value, lexemes))]
            if hits:
                marked[field] = hits[:_MOST_SHOWN]
        item.highlights = marked
    return item


def _total(page: Page, counts: facets.Facets | None, exact: int | None) -> dict[str, Any]:
    if exact is not None:
        return {"total": exact, "total_is": "exact"}
    if counts is not None:
        how = {"exact": "exact", "kept": "estimate", "estimate": "estimate"}[counts.how]
        return {"total": max(counts.total, page.candidates), "total_is": how}
    if page.expected > page.candidates:
        return {"total": round(page.expected), "total_is": "estimate"}
    return {"total": page.candidates, "total_is": "at-least"}


async def _by_similar_names(
    conn: Conn, plans: Plans, wanted: Wanted, typed: str, found: Sequence[Listed], limit: int
) -> tuple[list[str] | None, list[Listed]]:
    """The names tried (None: too slow), and the agents of these names that were not found yet."""
    tried = await names.alike(conn, name_key(typed), limit=_MOST_NAMES)
    if not tried or limit < 1:
        return tried, []
    looks = tuple(dict.fromkeys(skeleton(name) for name in tried))
    page = await search.in_order(
        conn,
        plans,
        msgspec.structs.replace(wanted, text="", skeletons=looks, name_keys=tuple(tried)),
        limit=limit,
        uri_cut_bytes=LISTED_URI_CUT_BYTES,
        few=True,
    )
    held = {(row.chain_id, row.agent_id) for row, _, _ in found}
    rows = [one.listed for one in page.found]
    return tried, [o for o in rows if (o[0].chain_id, o[0].agent_id) not in held][:limit]


async def _facets(conn: Conn, plans: Plans, asked: Asked, wanted: Wanted) -> facets.Facets:
    if asked.only_chains is not None and not asked.typed:
        known = await facets.kept(conn, asked.facets, asked.only_chains or None)
        if known is not None and known.total > facets.MOST_COUNTED:
            return known
    return await facets.count(conn, plans, wanted, asked.facets)


def _facet_counts(counts: facets.Facets) -> FacetCounts:
    return FacetCounts(
        approximate=counts.how != "exact",
        counted_at=_or_unset(counts.counted_at),
        values={
            kind: [FacetValue(value, number) for value, number in found]
            for kind, found in counts.values.items()
        },
    )


def _or_unset(time: datetime | None) -> datetime | UnsetType:
    return UNSET if time is None else time
