"""What a search says beside the agents it found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from renown.api.answers.values import Count

TotalIs = Literal["exact", "at-least", "estimate"]


class FacetValue(msgspec.Struct, frozen=True):
    """A value of a facet, and how many of the matches have it."""

    value: str
    count: Count


class FacetCounts(msgspec.Struct, kw_only=True, frozen=True):
    """How the matches spread. An agent counts once for each value it has."""

    values: Annotated[
        dict[str, list[FacetValue]],
        Meta(description="By facet: its most frequent values, at most 20, highest count first."),
    ]
    approximate: Annotated[
        bool,
        Meta(description="Above 10,000 matches: counts kept from a while ago, or of a sample."),
    ]
    counted_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | UnsetType,
        Meta(description="Of kept counts: when they were made."),
    ] = UNSET


class Finds(msgspec.Struct, kw_only=True, frozen=True):
    """A search as a whole."""

    total: Annotated[Count, Meta(description="How many agents match; see `total_is`.")]
    total_is: TotalIs
    cut: Annotated[
        bool,
        Meta(
            description="More agents match than were ranked by text: those of the highest quality"
            " were; the others follow them, unranked."
        ),
    ]
    candidates: Annotated[
        Count | UnsetType, Meta(description="How many were ranked by text; on ranked pages only.")
    ] = UNSET
    misspelt: Annotated[
        list[str] | UnsetType,
        Meta(description="Names tried because the text found little. Their agents stand last."),
    ] = UNSET
    misspelt_too_slow: Annotated[
        bool | UnsetType, Meta(description="Names were not tried: it would have taken too long.")
    ] = UNSET
    facets: FacetCounts | UnsetType = UNSET
