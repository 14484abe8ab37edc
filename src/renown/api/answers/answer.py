"""What every read returns, and the shape of every page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

from msgspec import Meta, Struct

from renown.api.answers.as_of import AsOf
from renown.store.reads import Head

B = TypeVar("B", bound=Struct)
T = TypeVar("T")

MOST_ROWS = 100
"""Rows of a page at most."""
URI_CUT_BYTES = 16_384
LISTED_URI_CUT_BYTES = 1_024

NextCursor = Annotated[
    str | None, Meta(description="Give it as `cursor` for the next page; null on the last.")
]


class Present(Struct, frozen=True):
    """Which agent's present an answer tells, and at which position of its chain's outbox it was
    read: what a cache needs to know when the answer ends to be true."""

    chain_id: int
    agent_id: int
    epoch: int
    position: int


class Answer(Struct, Generic[B], frozen=True):
    """A body, and what a transport needs beside it.

    Attributes:
        body: the answer; encodes to JSON as it is.
        as_of: the blocks it is true at, which stand in the body too.
        version: changes whenever the body may, but not when only the head moved; None where the
            transport must tell from the content.
        after: where the next page begins, None on the last; the transport makes a cursor of it.
        present: set where the answer says how one agent is now and may be kept; nothing may show in
            it that changes without a word, see `store.changes`.
    """

    body: B
    as_of: Sequence[AsOf]
    version: str | None = None
    after: tuple[Any, ...] | None = None
    present: Present | None = None


class Version(Struct, frozen=True):
    """The `version` that an answer about an agent would have, and the block it has it at."""

    version: str
    as_of: AsOf


class Page(Struct, Generic[T], kw_only=True):
    """One page of one chain's or one agent's rows."""

    as_of: AsOf
    items: list[T]
    next_cursor: NextCursor = None


class ChainsPage(Struct, Generic[T], kw_only=True):
    """One page of several chains' rows, with the block of each chain that was looked at."""

    as_of: list[AsOf]
    items: list[T]
    next_cursor: NextCursor = None


def present(head: Head, agent_id: int) -> Present:
    """The present of an agent of the chain of `head`, read in the snapshot of `head`."""
    return Present(head.chain_id, agent_id, head.epoch, head.position)


def more(rows: Sequence[T], limit: int) -> tuple[Sequence[T], T | None]:
    """A page of `limit` out of `limit + 1` rows asked for, and its last row if there are more."""
    if len(rows) > limit:
        return rows[:limit], rows[limit - 1]
    return rows, None
