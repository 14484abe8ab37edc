"""An agent's on-chain metadata; now and at a past block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from renown.api.answers.agents import identities_at
from renown.api.answers.answer import URI_CUT_BYTES, Answer, Page, more, present
from renown.api.answers.as_of import At, as_of, past
from renown.api.answers.values import Block, Cuttable, Hex, Text, TextHex, hex_text, joined, texts
from renown.derive.identity import Entry
from renown.spec.text import is_clean
from renown.store import agents as store
from renown.store.pool import Conn, transaction
from renown.store.reads import Head, key_args, no_such_agent, require_chain
from renown.types import AgentKey


class Metadata(Cuttable, kw_only=True):
    """One entry of an agent's on-chain metadata that is set."""

    key: Text
    key_hex: TextHex = msgspec.UNSET
    value_hex: Hex
    value_text: Annotated[
        str | None, Meta(description="The value as text; null where it is not clean UTF-8.")
    ]
    set_block: Block


class MetadataPage(Page[Metadata], kw_only=True):
    """A page of an agent's metadata, in the order of the keys' keccak-256."""


async def of_agent(
    conn: Conn,
    key: AgentKey,
    *,
    at: At | None = None,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[MetadataPage]:
    """An agent's on-chain metadata. The wallet is not among it unless it is no address.

    Raises:
        AgentNotFound, ChainNotFound, BlockBeyondHead, BadParameter.
    """
    start: bytes = after[0] if after else b""
    if at is not None:
        async with transaction(conn, "repeatable_read"):
            return await _past_metadata(conn, key, at, start, limit)
    found = await store.metadata(
        conn, key_args(key), after=start, limit=limit + 1, cut_bytes=URI_CUT_BYTES
    )
    head = require_chain(key, found.head if found else None)
    if found is None or found.agent_id is None:
        raise no_such_agent(key, head)
    version = f"{head.epoch:x}.{head.chain_id}.{found.agent_id}.{found.version}"
    answer = _metadata(head, found.rows, limit, version)
    return msgspec.structs.replace(answer, present=present(head, found.agent_id))


async def _past_metadata(
    conn: Conn, key: AgentKey, at: At, start: bytes, limit: int
) -> Answer[MetadataPage]:
    head = await past(conn, key, at)
    found = await store.one(conn, key_args(key), uri_cut_bytes=0)
    if found is None or found.agent is None:
        raise no_such_agent(key, head, past=True)
    agent_id = found.agent.agent_id
    fold = await identities_at(conn, head.chain_id, [agent_id], head.block_number)
    identity = fold.identities.get(agent_id)
    if identity is None:
        raise no_such_agent(key, head, past=True)
    rows = [
        _entry_row(key_hash, entry)
        for key_hash, entry in sorted(identity.entries.items())
        if key_hash > start
    ]
    return _metadata(
        head, rows, limit, f"{head.epoch:x}.{head.chain_id}.{agent_id}.{found.version}"
    )


def _entry_row(key_hash: bytes, entry: Entry) -> store.EntryRow:
    cut = URI_CUT_BYTES
    return store.EntryRow(
        *(key_hash, entry.key[:cut], len(entry.key), entry.value[:cut], len(entry.value)),
        *(entry.block_number, entry.log_index),
    )


def _metadata(
    head: Head, rows: Sequence[store.EntryRow], limit: int, version: str
) -> Answer[MetadataPage]:
    shown, last = more(rows, limit)
    block = as_of(head)
    page = MetadataPage(as_of=block, items=[_entry(row) for row in shown])
    return Answer(page, [block], version, (last.key_hash,) if last else None)


def _entry(row: store.EntryRow) -> Metadata:
    whole = row.value_bytes == len(row.value)
    fields = joined(
        texts(("key", row.key, row.key_bytes)),
        {} if whole else {"truncated": {"value_hex": row.value_bytes}},
    )
    return Metadata(
        **fields,
        value_hex=hex_text(row.value),
        value_text=row.value.decode() if whole and is_clean(row.value) else None,
        set_block=row.block_number,
    )
