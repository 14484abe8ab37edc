"""Chains, how far each is indexed, how complete it is known to be, and counts of each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from renown.api.answers.answer import Answer
from renown.api.answers.as_of import AsOf, as_of
from renown.api.answers.values import Address, Block, Count, address
from renown.errors import ChainNotFound
from renown.store import chains as store
from renown.store import network as network_store
from renown.store.chains import ChainRow, StatusRow
from renown.store.network import NetworkRow
from renown.store.pool import Conn
from renown.store.reads import Head

CoverageState = Literal["proven", "single-source", "gap", "unknown"]
Phase = Literal["new", "backfill", "follow", "stopped"]
Moment = Annotated[datetime, Meta(tz=True, description="The index's own clock, UTC.")]


class ListedChain(Struct, kw_only=True):
    """A chain that this index holds, and its registries."""

    chain_id: int
    slug: Annotated[str, Meta(description="Short name, taken wherever a chain is asked for.")]
    name: str
    testnet: bool
    identity: Address
    reputation: Address
    validations: Annotated[list[Address], Meta(description="Experimental; may be several.")]
    explorer: Annotated[str | None, Meta(description="A block explorer; null if none is known.")]
    start_block: Annotated[Block, Meta(description="Indexing begins here.")]


class Chain(ListedChain, kw_only=True):
    """One chain."""

    as_of: AsOf


class Chains(Struct, kw_only=True):
    """All chains of this index, by id."""

    as_of: list[AsOf]
    items: list[ListedChain]


class Coverage(Struct, kw_only=True):
    """How complete a chain's index was found when it was last checked against the chain."""

    state: Annotated[
        CoverageState,
        Meta(
            description="`proven`: gapless ids, counts agreed by two independent nodes."
            " `single-source`: by one node. `gap`: something provably lacks. `unknown`: unchecked."
        ),
    ]
    checked_block: Block | None
    checked_at: Moment | None
    agents_held: Count | None
    agents_on_chain: Annotated[Count | None, Meta(description="Null: could not be asked.")]


class ChainStatus(Struct, kw_only=True):
    """How one chain's indexing stands."""

    chain_id: int
    slug: str
    name: str
    testnet: bool
    phase: Phase
    writer_alive: Annotated[
        bool, Meta(description="Whether a process holds the chain's lease now.")
    ]
    block_number: Annotated[Block | None, Meta(description="Indexed up to; null: nothing yet.")]
    final_block: Annotated[Block | None, Meta(description="Null: not known yet.")]
    safe_block: Block | None
    head_block: Annotated[Block | None, Meta(description="The nodes' head; null: not seen yet.")]
    head_seen_at: Moment | None
    blocks_to_go: Annotated[Count | None, Meta(description="Null while no head was seen.")]
    lag_seconds: Annotated[
        Count | None,
        Meta(
            description="Age of the last indexed block by the database's clock; null: nothing yet."
        ),
    ]
    events: Annotated[Count, Meta(description="Facts held, quarantined logs not among them.")]
    events_per_second: float | None
    position: Annotated[Count, Meta(description="Last position of the chain's outbox.")]
    quarantined: Count
    unattached: Count
    problem: Annotated[str | None, Meta(description="Why it stopped; null while nothing is wrong.")]
    coverage: Coverage
    updated_at: Moment


class Status(Struct, kw_only=True):
    """How the indexing of every chain stands."""

    as_of: list[AsOf]
    items: list[ChainStatus]


class ChainCounts(Struct, kw_only=True):
    """Counts of one chain."""

    chain_id: int
    slug: str
    name: str
    testnet: bool
    agents: Count
    owners: Annotated[Count, Meta(description="Distinct owners of agents.")]
    rated_agents: Annotated[Count, Meta(description="With feedback that is not revoked.")]
    feedback: Count
    revoked: Count
    responses: Count
    validations: Count
    quarantined: Count
    unattached: Count


class Network(Struct, kw_only=True):
    """Counts per chain as of the last count. `as_of` are the blocks of that count."""

    as_of: list[AsOf]
    counted_at: Annotated[Moment | None, Meta(description="Null: not counted yet.")]
    age_seconds: Annotated[Count | None, Meta(description="Null: not counted yet.")]
    items: list[ChainCounts]


async def chains(conn: Conn) -> Answer[Chains]:
    """All chains, by id."""
    rows = await store.chains(conn)
    blocks = [as_of(row.head) for row in rows]
    return Answer(Chains(as_of=blocks, items=[_listed(row) for row in rows]), blocks)


async def chain(conn: Conn, name: str) -> Answer[Chain]:
    """The chain whose slug or id is `name`. Raises ChainNotFound."""
    row = await _chain_row(conn, name)
    block = as_of(row.head)
    listed = _listed(row)
    fields = {field: getattr(listed, field) for field in listed.__struct_fields__}
    return Answer(Chain(**fields, as_of=block), [block])


async def chain_id(conn: Conn, name: str) -> int:
    """The id of the chain whose slug or id is `name`. Raises ChainNotFound."""
    return (await _chain_row(conn, name)).head.chain_id


async def status(conn: Conn) -> Answer[Status]:
    """How the indexing of every chain stands, by chain id."""
    rows = await store.status(conn)
    blocks = [as_of(row.head) for row in rows]
    return Answer(Status(as_of=blocks, items=[_status(row) for row in rows]), blocks)


async def network(conn: Conn) -> Answer[Network]:
    """Counts per chain, by chain id; empty before the first count."""
    rows = await network_store.network(conn)
    blocks = [as_of(_counted_head(row)) for row in rows]
    oldest = min(rows, key=lambda row: row.counted_at, default=None)
    body = Network(
        as_of=blocks,
        counted_at=oldest.counted_at if oldest else None,
        age_seconds=int((oldest.asked_at - oldest.counted_at).total_seconds()) if oldest else None,
        items=[_counts(row) for row in rows],
    )
    # Not by content: `age_seconds` goes on between two counts.
    version = f"network.{body.counted_at.timestamp()}" if body.counted_at else None
    return Answer(body, blocks, version)


async def _chain_row(conn: Conn, name: str) -> ChainRow:
    rows = await store.chains(conn, name) if name.isascii() and name.isprintable() else []
    if not rows:
        raise ChainNotFound("this index does not hold that chain", chain=name[:100])
    return rows[0]


def _listed(row: ChainRow) -> ListedChain:
    return ListedChain(
        chain_id=row.head.chain_id,
        slug=row.slug,
        name=row.name,
        testnet=row.testnet,
        identity=address(row.head.registry),
        reputation=address(row.reputation),
        validations=[address(contract) for contract in row.validations],
        explorer=row.explorer or None,
        start_block=row.head.start_block,
    )


def _status(row: StatusRow) -> ChainStatus:
    head = row.head
    begun = head.block_number >= head.start_block
    seen = row.head_block >= 0
    lag = None
    if begun and head.block_time is not None:
        lag = max(0, int((row.asked_at - head.block_time).total_seconds()))
    return ChainStatus(
        chain_id=head.chain_id,
        slug=row.slug,
        name=row.name,
        testnet=row.testnet,
        phase=row.phase,  # type: ignore[arg-type]
        writer_alive=row.writer_alive,
        block_number=head.block_number if begun else None,
        final_block=head.final_block if head.final_block >= 0 else None,
        safe_block=head.safe_block,
        head_block=row.head_block if seen else None,
        head_seen_at=row.head_seen_at,
        blocks_to_go=max(0, row.head_block - head.block_number) if seen else None,
        lag_seconds=lag,
        events=row.events,
        events_per_second=row.events_per_second,
        position=row.position,
        quarantined=row.quarantined_count,
        unattached=row.unattached_count,
        problem=row.problem,
        coverage=Coverage(
            state=row.coverage_state or "unknown",  # type: ignore[arg-type]
            checked_block=row.coverage_block,
            checked_at=row.coverage_checked_at,
            agents_held=row.agents_held,
            agents_on_chain=row.agents_on_chain,
        ),
        updated_at=row.updated_at,
    )


def _counted_head(row: NetworkRow) -> Head:
    return Head(
        *(row.chain_id, b"", row.start_block, row.block_number, row.block_hash, row.block_time),
        *(row.final_block, row.safe_block, 0),
    )


def _counts(row: NetworkRow) -> ChainCounts:
    return ChainCounts(
        chain_id=row.chain_id,
        slug=row.slug,
        name=row.name,
        testnet=row.testnet,
        agents=row.agent_count,
        owners=row.owner_count,
        rated_agents=row.rated_agent_count,
        feedback=row.feedback_count,
        revoked=row.revoked_count,
        responses=row.response_count,
        validations=row.validation_count,
        quarantined=row.quarantined_count,
        unattached=row.unattached_count,
    )
