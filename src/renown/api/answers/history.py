"""Everything an agent's registries ever said about it, in order."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from renown.api.answers.answer import URI_CUT_BYTES, Answer, Page, more
from renown.api.answers.as_of import At, as_of, past
from renown.api.answers.values import Block, Count, Hash, Time, address, hex_text, texts
from renown.store import history as store
from renown.store.history import Cut, HistoryRow
from renown.store.pool import Conn, transaction
from renown.store.reads import NOW, Head, key_args, no_such_agent, require_chain
from renown.types import AgentKey

Kind = Literal[
    "agent_registered",
    "uri_updated",
    "metadata_set",
    "agent_transferred",
    "agent_approved",
    "metadata_refreshed",
    "feedback_given",
    "feedback_revoked",
    "response_appended",
    "validation_requested",
    "validation_responded",
    "legacy_event",
]
Standing = Literal["folded", "unattached", "legacy", "notice"]
Order = Literal["oldest", "newest"]

_ADDRESSES = frozenset(
    {
        *("owner", "updated_by", "from_address", "to_address", "approved", "client", "responder"),
        *("contract", "validator"),
    }
)
_BYTES = frozenset({"value", "topics", "payload"})
_WHOLE = frozenset({"feedback_index", "value", "first_agent_id", "last_agent_id"})


class HistoryEntry(Struct, kw_only=True):
    """One event about an agent."""

    kind: Kind
    standing: Annotated[
        Standing,
        Meta(
            description="`folded`: it made the state. `unattached`: a good event whose subject was"
            " not there, see `reason`. `legacy`: of an older contract, shown only. `notice`:"
            " changes nothing by itself."
        ),
    ]
    reason: Annotated[str | None, Meta(description="Why it is unattached; null otherwise.")]
    block_number: Block
    log_index: Count
    time: Time | None
    tx_hash: Hash
    fields: Annotated[
        dict[str, Any],
        Meta(
            description="The event's own fields, by kind: addresses checksummed, integers as"
            " strings, foreign strings as elsewhere (`_hex` twins, `truncated`), other bytes in"
            " hexadecimal."
        ),
    ]


class HistoryPage(Page[HistoryEntry], kw_only=True):
    """A page of an agent's history, in the order of block and log index."""


async def of_agent(
    conn: Conn,
    key: AgentKey,
    *,
    order: Order = "oldest",
    at: At | None = None,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[HistoryPage]:
    """All events about an agent, also those that found no subject or are of older contracts.

    An id that nobody minted has a history if events name it.

    Raises:
        AgentNotFound, ChainNotFound, BlockBeyondHead, BadParameter.
    """

    async def read(upto: int) -> store.Page | None:
        return await store.of_agent(
            conn,
            key_args(key),
            newest_first=order == "newest",
            upto_block=upto,
            after=store.After(*after) if after else None,
            limit=limit + 1,
            cut_bytes=URI_CUT_BYTES,
        )

    head: Head | None = None
    if at is None:
        page = await read(NOW)
        head = require_chain(key, page.head if page else None)
    else:
        async with transaction(conn, "repeatable_read"):
            head = await past(conn, key, at)
            page = await read(head.block_number)
    if page is None or not (page.rows or page.known):
        raise no_such_agent(key, head, past=at is not None)
    shown, last = more(page.rows, limit)
    block = as_of(head)
    body = HistoryPage(as_of=block, items=[_entry(row) for row in shown])
    return Answer(body, [block], after=(last.block_number, last.log_index) if last else None)


def _entry(row: HistoryRow) -> HistoryEntry:
    standing: Standing = "folded"
    if row.unattached is not None:
        standing = "unattached"
    elif row.kind == "legacy_event":
        standing = "legacy"
    elif row.kind == "metadata_refreshed":
        standing = "notice"
    return HistoryEntry(
        kind=row.kind,  # type: ignore[arg-type]
        standing=standing,
        reason=row.unattached,
        block_number=row.block_number,
        log_index=row.log_index,
        time=row.time,
        tx_hash=hex_text(row.tx_hash),
        fields=_fields(row.detail),
    )


def _fields(detail: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    truncated: dict[str, int] = {}
    for name, value in detail.items():
        if isinstance(value, Cut):
            if name in _BYTES:
                fields[name] = hex_text(value.raw)
                if value.length_bytes > len(value.raw):
                    truncated[name] = value.length_bytes
            else:
                made = texts((name, value.raw, value.length_bytes))
                truncated.update(made.pop("truncated", {}))
                fields.update(made)
        elif value is None:
            fields[name] = None
        elif name in _ADDRESSES:
            fields[name] = address(value)
        elif name in _WHOLE:
            fields[name] = str(value)
        elif isinstance(value, bytes):
            fields[name] = hex_text(value)
        else:
            fields[name] = value
    if truncated:
        fields["truncated"] = truncated
    return fields
