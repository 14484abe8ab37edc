"""What an agent's feedback adds up to: kept counts and sums, and the contract's own summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from renown.api.answers.agents import Counts, counts_of
from renown.api.answers.answer import Answer, NextCursor, more, present
from renown.api.answers.as_of import AsOf, At, as_of, past
from renown.api.answers.values import Count, Cuttable, Key, Text, TextHex, Whole, agent_key, texts
from renown.derive.ratings import SCALE_DECIMALS, tags_hash
from renown.derive.summary import Group, summarize
from renown.store import reads_reputation as store
from renown.store.feedback import LABEL_CUT_BYTES
from renown.store.pool import Conn, transaction
from renown.store.reads import NOW, Head, key_args, no_such_agent, require_chain
from renown.store.reads_reputation import Kept, TagsRow
from renown.types import AgentKey

MOST_CLIENTS = 1_000


class Tags(Cuttable, kw_only=True):
    """An agent's feedback under one pair of tags, from all clients."""

    tag1: Text
    tag1_hex: TextHex = msgspec.UNSET
    tag2: Text
    tag2_hex: TextHex = msgspec.UNSET
    given: Annotated[Count, Meta(description="Not superseded; revoked ones too.")]
    live: Annotated[Count, Meta(description="Neither superseded nor revoked.")]
    live_sum: Annotated[Whole, Meta(description="Exact sum of the live values, times 10^18.")]


class Summary(msgspec.Struct, kw_only=True):
    """What the reputation registry's `getSummary` answers for these clients and tags."""

    clients: Annotated[Count, Meta(description="How many were named; a repeated one counts again.")]
    count: Count
    summary_value: Annotated[Whole, Meta(description="Read as value / 10^decimals.")]
    summary_value_decimals: Annotated[int, Meta(ge=0, le=18)]
    wrapped: Annotated[
        bool,
        Meta(
            description="The mean does not fit int128: the contract returns its low 128 bits, and"
            " so does this."
        ),
    ]


class Reputation(msgspec.Struct, kw_only=True):
    """An agent's counts, its tags in the order of a hash of them, and a summary if asked for.

    Tags have no common unit: nothing here is added across them except in `summary`, as the
    contract does.
    """

    key: Key
    counts: Counts
    tags: list[Tags]
    next_cursor: NextCursor = None
    summary: Annotated[Summary | None, Meta(description="Null unless `clients` were named.")] = None
    as_of: AsOf


class Asked(msgspec.Struct, frozen=True):
    """Whose feedback to summarise as the contract does. An empty tag is none, as on chain."""

    clients: Sequence[bytes]
    tag1: bytes = b""
    tag2: bytes = b""


async def of_agent(
    conn: Conn,
    key: AgentKey,
    *,
    asked: Asked | None = None,
    at: At | None = None,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[Reputation]:
    """What an agent's feedback adds up to.

    Raises:
        AgentNotFound, ChainNotFound, BlockBeyondHead, BadParameter.
    """
    start: bytes = after[0] if after else b""
    if asked is None and at is None:
        kept, head = await _now(conn, key, start, limit)
        return _present(kept, head, limit)
    async with transaction(conn, "repeatable_read"):
        if at is None:
            kept, head = await _now(conn, key, start, limit)
        else:
            kept, head = await _past(conn, key, at, start)
        summary = None
        if asked is not None:
            upto = NOW if at is None else head.block_number
            summary = await _summary(conn, kept, asked, upto)
    return _answer(kept, head, limit, summary)


def answer_of(key: AgentKey, kept: Kept | None, limit: int) -> Answer[Reputation]:
    """The first page of `of_agent` as it is now, of what was read for it, one row beyond `limit`.

    Raises:
        AgentNotFound, ChainNotFound.
    """
    return _present(*_found(key, kept), limit)


def _present(kept: Kept, head: Head, limit: int) -> Answer[Reputation]:
    assert kept.agent_id is not None
    return msgspec.structs.replace(
        _answer(kept, head, limit, None), present=present(head, kept.agent_id)
    )


async def _now(conn: Conn, key: AgentKey, start: bytes, limit: int) -> tuple[Kept, Head]:
    kept = await store.kept(
        conn, key_args(key), after=start, limit=limit + 1, cut_bytes=LABEL_CUT_BYTES
    )
    return _found(key, kept)


def _found(key: AgentKey, kept: Kept | None) -> tuple[Kept, Head]:
    head = require_chain(key, kept.head if kept else None)
    if kept is None or kept.agent_id is None:
        raise no_such_agent(key, head)
    return kept, head


async def _past(conn: Conn, key: AgentKey, at: At, start: bytes) -> tuple[Kept, Head]:
    head = await past(conn, key, at)
    today = await store.kept(conn, key_args(key), limit=0, cut_bytes=0)
    if today is None or today.agent_id is None:
        raise no_such_agent(key, head, past=True)
    chain_id, agent_id, upto = head.chain_id, today.agent_id, head.block_number
    counts = (await store.counts_at(conn, chain_id, [agent_id], upto)).get(agent_id)
    if counts is None:
        raise no_such_agent(key, head, past=True)
    sums: dict[tuple[bytes, bytes], list[int]] = {}
    for group in await store.tags_at(conn, chain_id, agent_id, upto):
        kept = sums.setdefault((group.tag1, group.tag2), [0, 0, 0])
        kept[0] += group.given_count
        kept[1] += group.live_count
        kept[2] += group.live_total * 10 ** (SCALE_DECIMALS - group.decimals)
    tags = [_tags_row(tag1, tag2, sum_) for (tag1, tag2), sum_ in sums.items()]
    tags.sort(key=lambda row: row.tags_hash)
    rows = [row for row in tags if row.tags_hash > start]
    return msgspec.structs.replace(today, counts=counts, tags=rows), head


def _tags_row(tag1: bytes, tag2: bytes, sums: Sequence[int]) -> TagsRow:
    cut = LABEL_CUT_BYTES
    return TagsRow(*(tags_hash(tag1, tag2), tag1[:cut], len(tag1), tag2[:cut], len(tag2)), *sums)


async def _summary(conn: Conn, kept: Kept, asked: Asked, upto_block: int) -> Summary:
    assert kept.agent_id is not None
    groups = await store.matched(
        conn,
        kept.head.chain_id,
        kept.agent_id,
        asked.clients,
        tag1=asked.tag1 or None,
        tag2=asked.tag2 or None,
        upto_block=upto_block,
    )
    made = summarize(Group(g.decimals, g.count, g.total) for g in groups)
    return Summary(
        clients=len(asked.clients),
        count=made.count,
        summary_value=str(made.value),
        summary_value_decimals=made.decimals,
        wrapped=made.wrapped,
    )


def _answer(kept: Kept, head: Head, limit: int, summary: Summary | None) -> Answer[Reputation]:
    assert kept.agent_id is not None
    shown, last = more(kept.tags, limit)
    block = as_of(head)
    body = Reputation(
        key=agent_key(head.chain_id, head.registry, kept.agent_id),
        counts=counts_of(kept.counts),
        tags=[_tags(row) for row in shown],
        summary=summary,
        as_of=block,
    )
    version = f"{head.epoch:x}.{head.chain_id}.{kept.agent_id}.{kept.version}"
    return Answer(body, [block], version, (last.tags_hash,) if last else None)


def _tags(row: TagsRow) -> Tags:
    return Tags(
        **texts(("tag1", row.tag1, row.tag1_bytes), ("tag2", row.tag2, row.tag2_bytes)),
        given=row.given_count,
        live=row.live_count,
        live_sum=str(int(row.live_sum)),
    )
