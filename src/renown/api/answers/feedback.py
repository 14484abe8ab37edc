"""Feedback of one agent, of one reviewer, and what was answered to it; now and at a past block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from renown.api.answers.answer import URI_CUT_BYTES, Answer, ChainsPage, Page, more
from renown.api.answers.as_of import AsOf, At, as_of, as_of_all, past_of_chains
from renown.api.answers.attachments import (
    AttachedFile,
    Beside,
    FileOrNone,
    of_feedback,
    of_responses,
    version_with,
)
from renown.api.answers.moment import read_at
from renown.api.answers.payments import ProofOrNone
from renown.api.answers.values import (
    Address,
    Block,
    Count,
    Cuttable,
    Hash,
    Id,
    Key,
    Text,
    TextHex,
    Time,
    Whole,
    address,
    agent_key,
    hex_text,
    texts,
)
from renown.errors import ChainNotFound, NotFound
from renown.store import feedback as store
from renown.store import reads_responses
from renown.store.feedback import AcrossRow, FeedbackRow, Filter
from renown.store.pool import Conn, transaction
from renown.store.reads import UNCUT, key_args, key_text
from renown.store.reads_responses import ResponseRow
from renown.types import AgentKey


class Feedback(Cuttable, kw_only=True):
    """One feedback about an agent, and what has happened to it since."""

    client: Annotated[Address, Meta(description="Who gave it.")]
    index: Annotated[Id, Meta(description="Counts from 1 per agent and client.")]
    value: Annotated[Whole, Meta(description="Read as value / 10^decimals; its unit is `tag1`'s.")]
    decimals: Annotated[int, Meta(ge=0, le=18)]
    tag1: Text
    tag1_hex: TextHex = msgspec.UNSET
    tag2: Text
    tag2_hex: TextHex = msgspec.UNSET
    endpoint: Text
    endpoint_hex: TextHex = msgspec.UNSET
    uri: Text
    uri_hex: TextHex = msgspec.UNSET
    content_hash: Annotated[Hash, Meta(description="As the client said; zero for none.")]
    revoked: bool
    revoked_block: Block | None
    superseded: Annotated[
        bool, Meta(description="The registry restarted its indexes and gave this one again.")
    ]
    superseded_block: Block | None
    responses: Count
    document: FileOrNone
    payment: ProofOrNone
    block_number: Block
    log_index: Count
    time: Time | None
    tx_hash: Hash


class FeedbackPage(Page[Feedback], kw_only=True):
    """A page of one agent's feedback, newest first."""


class SaidFeedback(Feedback, kw_only=True):
    """One feedback, with the agent it is about."""

    agent: Key
    chain_id: int
    agent_id: Id
    attached: Annotated[
        bool, Meta(description="False where the agent was not known when it was given.")
    ]


class SaidFeedbackPage(ChainsPage[SaidFeedback], kw_only=True):
    """A page of feedback about any agents: by chain, highest id first, and newest first."""


class FeedbackRecords(msgspec.Struct, kw_only=True):
    """All records under one agent, client and index, newest first, strings whole. Several only
    where a registry restarted its indexes."""

    as_of: AsOf
    items: list[Feedback]


class Response(Cuttable, kw_only=True):
    """One response to a feedback; anyone may give any number."""

    responder: Address
    uri: Text
    uri_hex: TextHex = msgspec.UNSET
    content_hash: Annotated[Hash, Meta(description="As the responder said; zero for none.")]
    to_block: Annotated[
        Block | None, Meta(description="Where the answered record stands; null: unattached.")
    ]
    to_log_index: Count | None
    document: FileOrNone
    block_number: Block
    log_index: Count
    time: Time | None
    tx_hash: Hash


class ResponsePage(Page[Response], kw_only=True):
    """A page of the responses to one feedback, oldest first."""


async def of_agent(
    conn: Conn,
    key: AgentKey,
    wanted: Filter,
    *,
    at: At | None = None,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[FeedbackPage]:
    """An agent's feedback, newest first.

    Raises:
        AgentNotFound, ChainNotFound, BlockBeyondHead, BadParameter.
    """

    async def read(upto: int) -> store.Page | None:
        return await store.of_agent(
            conn,
            key_args(key),
            wanted,
            upto_block=upto,
            after=store.After(*after) if after else store.NEWEST,
            limit=limit + 1,
            uri_cut_bytes=URI_CUT_BYTES,
        )

    page, head, version = await read_at(conn, key, at, read)
    shown, last = more(page.rows, limit)
    block, beside = as_of(head), await of_feedback(conn, head.chain_id, shown)
    items = [_feedback(Feedback, row, beside) for row in shown]
    body = FeedbackPage(as_of=block, items=items)
    version = _version_of(version, items)
    return Answer(body, [block], version, (last.block_number, last.log_index) if last else None)


async def records(
    conn: Conn, key: AgentKey, client: bytes, index: int, *, at: At | None = None
) -> Answer[FeedbackRecords]:
    """The records under one (agent, client, index), strings whole.

    Raises:
        NotFound: none was given. And as `of_agent`.
    """

    async def read(upto: int) -> store.Page | None:
        return await store.record(
            conn, key_args(key), client, index, upto_block=upto, cut_bytes=UNCUT
        )

    page, head, version = await read_at(conn, key, at, read)
    if not page.rows:
        raise _no_feedback(key, client, index)
    block, beside = as_of(head), await of_feedback(conn, head.chain_id, page.rows)
    items = [_feedback(Feedback, row, beside) for row in page.rows]
    body = FeedbackRecords(as_of=block, items=items)
    return Answer(body, [block], _version_of(version, items))


async def responses(
    conn: Conn,
    key: AgentKey,
    client: bytes,
    index: int,
    *,
    at: At | None = None,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[ResponsePage]:
    """The responses to one feedback, oldest first.

    Raises:
        NotFound: there is no such feedback. And as `of_agent`.
    """

    async def read(upto: int) -> reads_responses.Responses | None:
        return await reads_responses.responses(
            conn,
            key_args(key),
            client,
            index,
            upto_block=upto,
            after=reads_responses.After(*after) if after else reads_responses.OLDEST,
            limit=limit + 1,
            uri_cut_bytes=URI_CUT_BYTES,
        )

    page, head, version = await read_at(conn, key, at, read)
    if not page.given:
        raise _no_feedback(key, client, index)
    shown, last = more(page.rows, limit)
    block, files = as_of(head), await of_responses(conn, head.chain_id, shown)
    items = [_response(row, files.get((row.block_number, row.log_index))) for row in shown]
    body = ResponsePage(as_of=block, items=items)
    version = version_with(version, files.values())
    return Answer(body, [block], version, (last.block_number, last.log_index) if last else None)


async def across(
    conn: Conn,
    wanted: Filter,
    *,
    chain_id: int | None = None,
    at: At | None = None,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[SaidFeedbackPage]:
    """Feedback about any agents: what else a reviewer said, what else has a tag.

    Raises:
        ChainNotFound, BlockBeyondHead, BadParameter.
    """
    start = store.After(after[1], after[2], after[0]) if after else store.NEWEST
    if at is None:
        found = await store.across(
            conn,
            wanted,
            chain_id=chain_id,
            after=start,
            limit=limit + 1,
            uri_cut_bytes=URI_CUT_BYTES,
        )
        heads = found.heads
    else:
        async with transaction(conn, "repeatable_read"):
            heads = list(await past_of_chains(conn, chain_id, at))
            found = await store.across(
                conn,
                wanted,
                chain_id=chain_id,
                upto_blocks={head.chain_id: head.block_number for head in heads},
                after=start,
                limit=limit + 1,
                uri_cut_bytes=URI_CUT_BYTES,
            )
    if chain_id is not None and not heads:
        raise ChainNotFound("this index does not hold that chain", chain_id=chain_id)
    shown, last = more(found.rows, limit)
    items: list[SaidFeedback] = []
    for chain, of_chain in groupby(shown, attrgetter("chain_id")):
        rows = list(of_chain)
        beside = await of_feedback(conn, chain, [row.feedback for row in rows])
        items += [_said(row, beside) for row in rows]
    blocks = as_of_all(heads)
    body = SaidFeedbackPage(as_of=blocks, items=items)
    after_last = None
    if last:
        after_last = (last.chain_id, last.feedback.block_number, last.feedback.log_index)
    return Answer(body, blocks, after=after_last)


F = TypeVar("F", bound=Feedback)
_NOTHING = (None, None)


def _feedback(make: Callable[..., F], row: FeedbackRow, beside: Beside) -> F:
    """A `Feedback` of a row; `make` is its type, or one with what else it needs."""
    document, payment = beside.get((row.block_number, row.log_index), _NOTHING)
    said: dict[str, Any] = {}
    try:
        tag1, tag2, endpoint, uri = (
            *(row.tag1.decode(), row.tag2.decode()),
            *(row.endpoint.decode(), row.uri.decode()),
        )
        is_plain = row.lengths is None and "\0" not in tag1 + tag2 + endpoint + uri
    except UnicodeDecodeError:
        is_plain = False
    if not is_plain:
        said = _with_what_is_missing(row)
        tag1, tag2 = said.pop("tag1"), said.pop("tag2")
        endpoint, uri = said.pop("endpoint"), said.pop("uri")
    found = make(
        client=address(row.client),
        index=str(row.feedback_index),
        value=row.value,
        decimals=row.decimals,
        tag1=tag1,
        tag2=tag2,
        endpoint=endpoint,
        uri=uri,
        content_hash=hex_text(row.content_hash),
        revoked=row.revoked_block is not None,
        revoked_block=row.revoked_block,
        superseded=row.superseded_block is not None,
        superseded_block=row.superseded_block,
        responses=row.response_count,
        document=document,
        payment=payment,
        block_number=row.block_number,
        log_index=row.log_index,
        time=row.time,
        tx_hash=hex_text(row.tx_hash),
    )
    for name, value in said.items():
        setattr(found, name, value)
    return found


def _with_what_is_missing(row: FeedbackRow) -> dict[str, Any]:
    """Strings of which some are cut or no clean text, and what has to be said beside them."""
    strings = (row.tag1, row.tag2, row.endpoint, row.uri)
    lengths = row.lengths or map(len, strings)
    return texts(*zip(("tag1", "tag2", "endpoint", "uri"), strings, lengths, strict=True))


def _version_of(version: str, items: Sequence[Feedback]) -> str:
    return version_with(version, [one for item in items for one in (item.document, item.payment)])


def _said(row: AcrossRow, beside: Beside) -> SaidFeedback:
    make = partial(
        SaidFeedback,
        agent=agent_key(row.chain_id, row.registry, row.agent_id),
        chain_id=row.chain_id,
        agent_id=str(row.agent_id),
        attached=row.attached,
    )
    return _feedback(make, row.feedback, beside)


def _response(row: ResponseRow, file: AttachedFile | None) -> Response:
    return Response(
        **texts(("uri", row.uri, row.uri_bytes)),
        responder=address(row.responder),
        content_hash=hex_text(row.content_hash),
        to_block=row.to_block,
        to_log_index=row.to_log_index,
        document=file,
        block_number=row.block_number,
        log_index=row.log_index,
        time=row.time,
        tx_hash=hex_text(row.tx_hash),
    )


def _no_feedback(key: AgentKey, client: bytes, index: int) -> NotFound:
    return NotFound(
        "that client gave this agent no feedback of that index",
        key=key_text(key),
        client=address(client),
        index=str(index),
    )
