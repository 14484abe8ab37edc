"""The outbox, for those who replay the index, and the quarantine, for those who look after it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from renown.api.answers.answer import Answer, ChainsPage, Page, more
from renown.api.answers.as_of import as_of, as_of_all
from renown.api.answers.chains import Moment
from renown.api.answers.values import (
    Address,
    Block,
    Count,
    Cuttable,
    Hash,
    Hex,
    Time,
    address,
    hex_or_none,
    hex_text,
)
from renown.errors import ChainNotFound
from renown.store import reads_stream as store
from renown.store.pool import Conn
from renown.store.reads_stream import OutboxRow, QuarantineRow

PAYLOAD_CUT_BYTES = 4_096


class OutboxEntry(msgspec.Struct, kw_only=True):
    """One commit of a chain's writer, or what one took back.

    `extend`: the facts of these blocks were stored. `retract`: everything at or above `from_block`
    is taken back; `retracted` carries it. `refold`: state was folded again from `from_block` on.
    """

    position: Annotated[Count, Meta(description="Gapless per chain.")]
    kind: Literal["extend", "retract", "refold"]
    from_block: Block
    to_block: Annotated[int, Meta(ge=-1, description="Inclusive.")]
    block_hash: Hash | None
    facts: Count
    retracted: Annotated[
        Any, Meta(description="What a retraction takes back; null for the other kinds.")
    ]
    written_at: Moment


class OutboxPage(Page[OutboxEntry], kw_only=True):
    """A page of a chain's outbox, in order."""

    last_position: Annotated[Count, Meta(description="Of the whole outbox.")]
    oldest_position: Annotated[
        Count | None,
        Meta(description="The oldest still kept; a reader from before it starts anew."),
    ]


class QuarantinedLog(Cuttable, kw_only=True):
    """A log that is kept with its bytes because it cannot be a fact."""

    chain_id: int
    block_number: Block
    log_index: Count
    time: Time | None
    tx_hash: Hash
    contract: Address
    reason: Annotated[str, Meta(description="A stable code.")]
    event: Annotated[str | None, Meta(description="The signature it seems to have.")]
    topics: list[Hex]
    payload: Hex
    stored_at: Moment


class QuarantinePage(ChainsPage[QuarantinedLog], kw_only=True):
    """A page of quarantined logs: by chain, highest id first, and newest first."""


async def outbox(conn: Conn, chain_id: int, *, after: int, limit: int) -> Answer[OutboxPage]:
    """Entries of a chain's outbox after position `after`. Raises ChainNotFound."""
    found = await store.outbox(conn, chain_id, after=after, limit=limit + 1)
    if found is None:
        raise ChainNotFound("this index does not hold that chain", chain_id=chain_id)
    shown, last = more(found.rows, limit)
    block = as_of(found.head)
    body = OutboxPage(
        as_of=block,
        items=[_outbox_entry(row) for row in shown],
        last_position=found.last,
        oldest_position=found.oldest,
    )
    return Answer(body, [block], after=(last.position,) if last else None)


async def quarantine(
    conn: Conn,
    *,
    chain_id: int | None = None,
    reason: str | None = None,
    contract: bytes | None = None,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[QuarantinePage]:
    """Quarantined logs of one chain or all. Raises ChainNotFound."""
    found = await store.quarantine(
        conn,
        chain_id=chain_id,
        reason=reason,
        contract=contract,
        after=store.After(*after) if after else store.NEWEST,
        limit=limit + 1,
        cut_bytes=PAYLOAD_CUT_BYTES,
    )
    if chain_id is not None and not found.heads:
        raise ChainNotFound("this index does not hold that chain", chain_id=chain_id)
    shown, last = more(found.rows, limit)
    blocks = as_of_all(found.heads)
    body = QuarantinePage(as_of=blocks, items=[_quarantined(row) for row in shown])
    after_last = (last.chain_id, last.block_number, last.log_index) if last else None
    return Answer(body, blocks, after=after_last)


def _outbox_entry(row: OutboxRow) -> OutboxEntry:
    return OutboxEntry(
        position=row.position,
        kind=row.kind,  # type: ignore[arg-type]
        from_block=row.from_block,
        to_block=row.to_block,
        block_hash=hex_or_none(row.block_hash),
        facts=row.fact_count,
        retracted=msgspec.Raw(row.retracted.encode()) if row.retracted is not None else None,
        written_at=row.written_at,
    )


def _quarantined(row: QuarantineRow) -> QuarantinedLog:
    cut = row.payload_bytes > len(row.payload)
    return QuarantinedLog(
        truncated={"payload": row.payload_bytes} if cut else msgspec.UNSET,
        chain_id=row.chain_id,
        block_number=row.block_number,
        log_index=row.log_index,
        time=row.time,
        tx_hash=hex_text(row.tx_hash),
        contract=address(row.contract),
        reason=row.reason,
        event=row.event,
        topics=[hex_text(topic) for topic in row.topics],
        payload=hex_text(row.payload),
        stored_at=row.stored_at,
    )
