"""Leaderboards: the agents with most clients, most payers, most events, and the newest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from renown.api.answers import chains
from renown.api.answers.answer import Answer, NextCursor, more
from renown.api.answers.as_of import AsOf, as_of, as_of_all
from renown.api.answers.payments import token_of
from renown.api.answers.stats import Total
from renown.api.answers.values import Count, Id, Key, Time, agent_key
from renown.spec.tokens import Tokens
from renown.store import leaderboards as store
from renown.store.leaderboards import ALL_MAINNETS, ALL_TESTNETS, Kind, PlaceRow
from renown.store.pool import Conn

Moment = Annotated[datetime, Meta(tz=True, description="The index's own clock, UTC.")]

RANKED_BY: dict[Kind, str] = {
    "clients": "Distinct addresses that gave feedback, then feedback that is not revoked.",
    "paid": (
        "Distinct payers of final payments, then how many payments. Amounts do not rank: they are "
        "of several tokens, and one who pays himself much is still one."
    ),
    "newest": "Time of registration, the newest first.",
    "busiest": "Events about the agent in the 30 days before its chain's last block.",
}
"""What each leaderboard is ranked by, in a sentence or two."""


class Leaderboard(Struct, kw_only=True, frozen=True):
    """A leaderboard there is."""

    kind: Kind
    ranked_by: str
    counted_at: Moment
    age_seconds: Count


class Leaderboards(Struct, kw_only=True):
    """The leaderboards there are, and when each was counted."""

    as_of: list[AsOf]
    items: list[Leaderboard]


class Place(Struct, kw_only=True, frozen=True):
    """An agent and its place. Numbers that this leaderboard does not count are left out."""

    rank: Annotated[int, Meta(ge=1, description="Agents that are hidden here leave a gap.")]
    key: Key
    chain_id: int
    agent_id: Id
    name: Annotated[
        str | None, Meta(description="The agent's own word, as it was when this was counted.")
    ]
    clients: Annotated[Count | UnsetType, Meta(description="Distinct, of `clients`.")] = UNSET
    feedback: Annotated[Count | UnsetType, Meta(description="Not revoked, of `clients`.")] = UNSET
    payers: Annotated[Count | UnsetType, Meta(description="Distinct, of `paid`.")] = UNSET
    payments: Annotated[Count | UnsetType, Meta(description="Final ones, of `paid`.")] = UNSET
    totals: Annotated[
        list[Total] | UnsetType, Meta(description="Of final payments, by token, of `paid`.")
    ] = UNSET
    registered_at: Annotated[Time | UnsetType, Meta(description="Of `newest`.")] = UNSET
    events: Annotated[Count | UnsetType, Meta(description="In 30 days, of `busiest`.")] = UNSET


class PlacesPage(Struct, kw_only=True):
    """A page of a leaderboard as it was counted last. `as_of` are the blocks of that count."""

    as_of: list[AsOf]
    kind: Kind
    counted_at: Annotated[Moment | None, Meta(description="Null: not counted yet.")]
    items: list[Place]
    next_cursor: NextCursor = None


async def kinds(conn: Conn) -> Answer[Leaderboards]:
    """The leaderboards there are."""
    blocks = (await chains.chains(conn)).as_of
    items = [
        Leaderboard(
            kind=row.kind,
            ranked_by=RANKED_BY[row.kind],
            counted_at=row.counted_at.astimezone(UTC),
            age_seconds=int(row.age_seconds),
        )
        for row in await store.ages(conn)
    ]
    return Answer(Leaderboards(as_of=list(blocks), items=items), blocks)


async def places(
    conn: Conn,
    kind: Kind,
    *,
    tokens: Tokens,
    chain_id: int | None = None,
    testnets: bool = False,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[PlacesPage]:
    """A page of one leaderboard: of one chain, of all main networks, or of all test networks.

    Raises:
        ChainNotFound.
    """
    scope = chain_id if chain_id is not None else ALL_TESTNETS if testnets else ALL_MAINNETS
    board = None
    if chain_id is None or chain_id > 0:  # what is below are scopes, and no chain's id
        board = await store.page(
            conn, kind, scope, after_rank=after[0] if after else 0, limit=limit + 1
        )
    if board is None:  # no such chain, or one that came after the count
        block = (await chains.chain(conn, str(chain_id))).body.as_of
        return Answer(PlacesPage(as_of=[block], kind=kind, counted_at=None, items=[]), [block])
    registries = {head.chain_id: head.registry for head in board.heads}
    shown, last = more(board.places, limit)
    blocks = [as_of(board.heads[0])] if chain_id is not None else as_of_all(board.heads)
    body = PlacesPage(
        as_of=blocks,
        kind=kind,
        counted_at=board.counted_at,
        items=[_place(kind, row, registries[row.chain_id], tokens) for row in shown],
    )
    return Answer(body, blocks, after=(last.rank,) if last else None)


def _place(kind: Kind, row: PlaceRow, registry: bytes, tokens: Tokens) -> Place:
    place = Place(
        rank=row.rank,
        key=agent_key(row.chain_id, registry, row.agent_id),
        chain_id=row.chain_id,
        agent_id=str(row.agent_id),
        name=row.name,
    )
    if kind == "clients":
        return replace(place, clients=row.score, feedback=row.second)
    if kind == "paid":
        totals = [_total(one, tokens) for one in _read_totals(row.totals or "[]")]
        return replace(place, payers=row.score, payments=row.second, totals=totals)
    if kind == "newest":
        return replace(place, registered_at=datetime.fromtimestamp(row.score, UTC))
    return replace(place, events=row.score)


class _Total(Struct):
    chain_id: int
    token: str
    amount: str
    count: int


_read_totals = msgspec.json.Decoder(list[_Total]).decode


def _total(one: _Total, tokens: Tokens) -> Total:
    return Total(
        chain_id=one.chain_id,
        token=token_of(tokens, one.chain_id, bytes.fromhex(one.token[2:])),
        amount=one.amount,
        payments=one.count,
    )
