"""What the search of agents takes in a query, and how that becomes a search."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, TypeVar, get_args
from urllib.parse import urlencode

from fastapi import Query
from starlette.requests import Request

from renown.api.answers.as_of import parse_at
from renown.api.answers.search import Asked, FacetKind, Sort
from renown.api.deps import AtParam, CursorParam, LimitParam
from renown.api.routing import read_query
from renown.derive import filters
from renown.derive.terms import TERM_KINDS
from renown.errors import BadParameter
from renown.store.search_wanted import Wanted
from renown.types import MAX_BIGINT

F = TypeVar("F", bound=Callable[..., Any])

LONGEST_QUERY = 10_000
SORTS: tuple[str, ...] = get_args(Sort)
FACETS: tuple[str, ...] = get_args(FacetKind)
PLAIN = frozenset({"chain", "owner", "at", "include_hidden", "limit", "cursor"})
"""A query of these alone lists agents; anything else searches."""

_WAD = 10**18
_ABOUT: dict[str, str] = {
    "chain": "Id or short name.",
    "owner": "Address.",
    "wallet": "Address.",
    "state": "State of its file.",
    "kind": "Kind of one of its services.",
    "version": "Protocol and version that a service names: `mcp/2025-06-18`.",
    "tool": "Name of a tool, as its file or its endpoint says.",
    "skill": "OASF skill, or the head of its path.",
    "domain": "OASF domain, or the head of its path.",
    "trust": "Trust model it says it supports.",
    "tag": "Tag of its file.",
    "x402": "Whether it says it takes x402 payments.",
    "active": "Whether it says it is active.",
    "alive": "Whether an endpoint answers; `unknown` where none was probed.",
    "verified": "Whether a host confirms it.",
    "finding": "Code of a finding.",
    "host": "A host that confirms it.",
    "name": "Whether it has a name.",
}


def takes_search(route: F) -> F:
    """Give a function of `request` and `**asked` the parameters of a search as its signature."""
    parameters = [_parameter("request", Request, inspect.Parameter.empty)]
    parameters += [_parameter(name, type_, default) for name, type_, default in _parameters()]
    route.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return route


def is_search(asked: Mapping[str, Any]) -> bool:
    """Whether a query searches, or only lists the agents of a chain or an owner."""
    given = {name for name, value in asked.items() if value not in (None, False)}
    given -= {"highlights"}  # which says nothing of its own, and is on
    plain = given <= PLAIN
    return not plain or any(_combined(asked[name]) for name in ("chain", "owner"))


def parse_search(asked: Mapping[str, Any]) -> Asked:
    """The search that a query means. Raises BadParameter, BadAddress, ChainNotFound."""
    queries = [_terms(kind, text) for kind in TERM_KINDS for text in asked[kind] or ()]
    if asked["filter"]:
        queries.append(filters.expression(asked["filter"]))
    sort: Sort | None = _one_of("sort", asked["sort"], SORTS)
    q = asked["q"]
    if sort == "relevance" and not (q or "").strip():
        raise BadParameter("`sort=relevance` needs a text: `q`", parameter="sort")
    wanted = Wanted(
        terms=filters.all_of(queries),
        leads=asked["collapse"],
        feedback_least=asked["feedback_min"],
        feedback_most=asked["feedback_max"],
        registered_from=_time("registered_from", asked),
        registered_before=_time("registered_before", asked),
        active_from=_time("active_from", asked),
        active_before=_time("active_before", asked),
        tag1=_bytes(asked["tag1"]),
        tag2=_bytes(asked["tag2"]),
        average_least=_average("average_min", asked),
        average_most=_average("average_max", asked),
        hidden_too=asked["include_hidden"],
    )
    return Asked(
        q=q,
        wanted=wanted,
        only_chains=_only_chains(asked, wanted),
        sort=sort,
        facets=_facets(asked["facets"]),
        highlights=asked["highlights"],
    )


def from_texts(texts: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The parameters of a search out of names and texts, as a query has them.

    Raises:
        BadParameter: no such parameter, one given twice that is no list, or a value of wrong type.
    """
    return read_query(takes_search(_nothing), texts)


def scope_of(texts: Sequence[tuple[str, str]]) -> str:
    """What a cursor of this search is bound to; the same as that of the REST API."""
    return f"/v1/agents?{urlencode(sorted(texts), errors='replace')}"


def one_value(values: Sequence[str] | None) -> str | None:
    """The only value of a filter that lists agents."""
    return values[0] if values else None


# Parameters --------------------------------------------------------------------------------------


def _parameters() -> list[tuple[str, Any, Any]]:
    time = "A time such as `2026-03-01T12:00:00Z`, or `@1772366400`."
    words = 'Words to search for. `"a phrase"`, `OR` and `-not` work.'
    sorts = f"One of: {', '.join(SORTS)}. Default: `relevance` with `q`, else `quality`."
    return [
        ("q", _text(words, LONGEST_QUERY), None),
        *((kind, _listed(_about(kind)), None) for kind in TERM_KINDS),
        (
            "filter",
            _text(
                "Conditions combined: `kind:mcp AND (skill:a OR NOT trust:tee)`. The names are"
                " those of the filters.",
                filters.LONGEST_EXPRESSION,
            ),
            None,
        ),
        ("feedback_min", _whole("Live feedback it has at least."), None),
        ("feedback_max", _whole("Live feedback it has at most."), None),
        ("tag1", _text("It has live feedback with exactly this `tag1`.", 10_000), None),
        ("tag2", _text("It has live feedback with exactly this `tag2`.", 10_000), None),
        (
            "average_min",
            _text("The mean of its live feedback (of `tag1`, `tag2`) is at least this.", 60),
            None,
        ),
        ("average_max", _text("The mean of that feedback is at most this.", 60), None),
        ("registered_from", _text(f"Registered at or after. {time}", 64), None),
        ("registered_before", _text(f"Registered before. {time}", 64), None),
        ("active_from", _text(f"Newest event at or after. {time}", 64), None),
        ("active_before", _text(f"Newest event before. {time}", 64), None),
        (
            "collapse",
            Annotated[
                bool, Query(description="Of files made of one template, only the first agent.")
            ],
            False,
        ),
        ("sort", _text(sorts, 20), None),
        ("facets", _text(f"Counts of matches to add, of: {', '.join(FACETS)}.", 300), None),
        (
            "highlights",
            Annotated[bool, Query(description="Mark where the words of `q` were found.")],
            True,
        ),
        (
            "include_hidden",
            Annotated[bool, Query(description="Also agents that this installation hides.")],
            False,
        ),
        ("at", AtParam, None),
        ("limit", LimitParam, 50),
        ("cursor", CursorParam, None),
    ]


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _about(kind: str) -> str:
    values = filters.VOCABULARIES.get(kind, ())
    known = f" One of: {', '.join(values)}." if 0 < len(values) < 15 else ""
    more = " Several with commas: any of them; `!` before: none of them; given again: and."
    return _ABOUT[kind] + known + more


def _listed(description: str) -> Any:
    return Annotated[list[str] | None, Query(max_length=20, description=description)]


def _text(description: str, longest: int) -> Any:
    return Annotated[str | None, Query(max_length=longest, description=description)]


def _whole(description: str) -> Any:
    return Annotated[int | None, Query(ge=0, le=MAX_BIGINT, description=description)]


def _nothing(**_: Any) -> None:
    """A function to carry the signature."""


# Values ------------------------------------------------------------------------------------------


def _combined(values: Sequence[str] | None) -> bool:
    return bool(values) and (
        len(values or ()) > 1 or any("," in v or "!" in v for v in values or ())
    )


def _terms(kind: str, text: str) -> str:
    text = text.strip()
    turned = text.startswith("!")
    query = filters.any_of(kind, text.removeprefix("!").split(","))
    return filters.negated(query) if turned else query


def _only_chains(asked: Mapping[str, Any], wanted: Wanted) -> tuple[int, ...] | None:
    if not wanted.only_terms or (asked["q"] or "").strip():
        return None
    if any(asked[name] for name in (*TERM_KINDS, "filter") if name != "chain"):
        return None
    given = asked["chain"] or ()
    if len(given) > 1 or any("!" in text for text in given):
        return None
    quoted = (filters.condition("chain", name) for text in given for name in text.split(","))
    return tuple({int(one.strip("'").partition("=")[2]) for one in quoted})


def _one_of(name: str, text: str | None, known: Sequence[str]) -> Any:
    if text is None:
        return None
    if text not in known:
        raise BadParameter(
            f"`{name}` takes one of: {', '.join(known)}", parameter=name, known=list(known)
        )
    return text


def _facets(text: str | None) -> tuple[FacetKind, ...]:
    kinds = [part.strip() for part in (text or "").split(",") if part.strip()]
    return tuple(dict.fromkeys(_one_of("facets", kind, FACETS) for kind in kinds))


def _time(name: str, asked: Mapping[str, Any]) -> datetime | None:
    text = asked[name]
    try:
        moment = parse_at(text)
    except BadParameter:
        moment = 0
    if moment is None or isinstance(moment, datetime):
        return moment
    raise BadParameter(
        f"`{name}` takes a time (2026-03-01T12:00:00Z) or Unix seconds (@1772366400)",
        parameter=name,
        value=text[:64],
    )


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "replace")


def _average(name: str, asked: Mapping[str, Any]) -> int | None:
    text = asked[name]
    if text is None:
        return None
    try:
        scaled = Decimal(text) * _WAD
        if scaled.is_finite() and scaled == int(scaled) and abs(scaled) < 10**60:
            return int(scaled)
    except (InvalidOperation, ValueError, OverflowError):
        pass
    raise BadParameter(
        f"`{name}` takes a decimal number with at most 18 digits behind the point", parameter=name
    )
