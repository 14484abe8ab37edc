"""The parts of a world, and making one: in one transaction that also notes that it is done."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from renown.ingest.world.answers import ENDED_AT
from renown.ingest.world.order import Stage
from renown.ingest.world.payments import accounts
from renown.ingest.world.profiles import Profiles, make_shared
from renown.ingest.world.sayings import TAG_PAIRS
from renown.ingest.world.size import BEGAN_AT, CHUNK_AGENTS, ChainPart, WorldSize, chain_parts
from renown.ingest.world.storing import store_span
from renown.store import facts, world, world_found, world_indexes, world_profiles
from renown.store.pool import Conn, Tx, transaction
from renown.store.world import NewChain

FIRST = "chains"
"""The part before which nothing is there, and after which indexes are away."""

AFTER_ANALYZE, AFTER_FOLDS, AFTER_PROFILES = 3, 4, 6
"""Numbers of the stages of `stages` that begin then."""


def stages(size: WorldSize) -> list[Stage]:
    """The parts that put rows in, in stages: one begins when the one before is done."""
    chains = chain_parts(size)
    spans = [
        (f"span {part.number} {n}", _span_rows(part, n))
        for n in range(max(part.spans for part in chains))
        for part in chains
        if n < part.spans
    ]
    folds = [(f"{what} {part.number}", part.feedbacks // 4) for what in _FOLDS for part in chains]
    rows = [
        (f"profiles {part.number} {first}", 8 * min(CHUNK_AGENTS, part.agents - first))
        for part in chains
        for first in range(0, part.agents, CHUNK_AGENTS)
    ]
    return [
        [(FIRST, 1)],
        [("shared", size.agents // 20), *spans],
        [("analyze", 1)],
        [("payments", size.paid // 2), *folds],  # the longest first
        [("guard", size.agents)],
        rows,
        [("names", size.agents // 2), *((f"settle {part.number}", 1) for part in chains)],
    ]


def ending(size: WorldSize, views: Iterable[str]) -> list[Stage]:
    """The parts that come when rows and indexes are whole, in stages."""
    weight = size.agents // 8
    # Terms of the whole network are counted longest: their view is the last by name.
    counted = [(f"view {view}", weight) for view in sorted(views, reverse=True)]
    return [counted, [(VACUUM, 6 * weight)]]


VACUUM = "vacuum"
_FOLDS = ("tags", "counts")


def _span_rows(part: ChainPart, number: int) -> int:
    before, upto = part.agents_before(number), part.agents_before(number + 1)
    feedbacks = part.span_share(part.feedbacks, number)
    return 4 * (upto - before) + feedbacks + 2 * part.span_share(part.payments, number)


async def make(conn: Conn, size: WorldSize, name: str) -> None:
    """Make the part of that name on a connection that was prepared for it."""
    began = time.monotonic()
    if name == VACUUM:  # in no transaction, and the same when done twice
        await world.gather_statistics(conn)
    async with transaction(conn) as tx:
        if name != VACUUM:
            await _make(tx, size, name)
        await world.note_done(tx, name, time.monotonic() - began)


async def _make(tx: Tx, size: WorldSize, name: str) -> None:
    what, *places = name.split()
    if what == "index":
        await world_indexes.put_back(tx, places[0])
    elif what == "view":
        await world.refresh_view(tx, places[0])
    elif what in _OF_WORLD:
        await _OF_WORLD[what](tx, size)
    else:
        number, *rest = map(int, places)
        await _OF_CHAIN[what](tx, size, chain_parts(size)[number], *rest)


async def _begin(tx: Tx, size: WorldSize) -> None:
    chains = chain_parts(size)
    await world_indexes.take_indexes(tx)
    await world.add_chains(
        tx,
        [
            NewChain(
                chain_id=part.chain_id,
                slug=part.deployment.slug,
                name=part.deployment.name,
                testnet=part.deployment.testnet,
                identity=part.deployment.identity,
                reputation=part.deployment.reputation,
                validations=list(part.deployment.validation),
                explorer=part.deployment.explorer,
                start_block=part.start_block,
                epoch=1 + part.number,
            )
            for part in chains
        ],
        accounts=accounts(size),
        at=BEGAN_AT,
        tag_pairs=TAG_PAIRS,
    )
    for part in chains:
        await facts.ensure_partitions(tx, part.chain_id, part.start_block, part.last_block)


async def _add_profiles(tx: Tx, size: WorldSize, part: ChainPart, first: int) -> None:
    behind = min(first + CHUNK_AGENTS, part.agents)
    holders, guarded = await world_profiles.holders(tx), await world_profiles.guarded(tx)
    making = Profiles(size, part, holders, guarded)
    for now in await world_profiles.agents(tx, part.chain_id, first, behind):
        making.add(now)
    await world_found.keep(tx, making.found)
    await world_profiles.keep(tx, part.chain_id, making.rows, changed_at=ENDED_AT)


async def _add_shared(tx: Tx, size: WorldSize) -> None:
    await world_found.keep(tx, make_shared(size))


async def _settle_names(tx: Tx, _size: WorldSize) -> None:
    await world.count_names(tx)
    await world.settle_sequences(tx)


async def _settle(tx: Tx, _size: WorldSize, part: ChainPart) -> None:
    await world.settle_chain(tx, part.chain_id, head=part.last_block, final=part.final_block)


_OF_WORLD: dict[str, Callable[[Tx, WorldSize], Awaitable[None]]] = {
    FIRST: _begin,
    "shared": _add_shared,
    "analyze": lambda tx, _: world.analyze_facts(tx),
    "payments": lambda tx, _: world.recount_payments(tx),
    "guard": lambda tx, _: world_profiles.guard(tx),
    "names": _settle_names,
}
_OF_CHAIN: dict[str, Callable[..., Awaitable[None]]] = {
    "span": store_span,
    "counts": lambda tx, _, part: world.fold_counts(tx, part.chain_id),
    "tags": lambda tx, _, part: world.fold_tags(tx, part.chain_id),
    "profiles": _add_profiles,
    "settle": _settle,
}


def size_text(size: WorldSize) -> str:
    """A size as it is noted, with what follows from it: equal for equal worlds."""
    whole = WorldSize(size.agents, size.feedbacks, size.paid, size.chains, size.seed)
    return msgspec.json.encode(whole).decode()
