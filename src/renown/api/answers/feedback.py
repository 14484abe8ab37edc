"""Feedback of one agent, of one reviewer, and what was answered to it; now and at a past block."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from renown.api.answers.answer import URI_CUT_BYTES, Answer, ChainsPage, Page, more
from renown.api.answers.as_of import AsOf, At, as_of, as_of_all, past_of_chains
from renown.api.answers.attachments import (
    AttachedFile,
    FileOrNone,
    Files,
    of_feedback,
    of_responses,
    version_with,
)
from renown.api.answers.moment import read_at
from renown.api.answers.payments import ProofOrNone, Proofs
from renown.api.answers.payments import of_feedback as payments_of
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
    block, files = as_of(head), await of_feedback(conn, shown)
    proofs = await payments_of(conn, shown)
    items = [Feedback(**_fields(row, files, proofs)) for row in shown]
    body = FeedbackPage(as_of=block, items=items)
    version = version_with(version, [*files.values(), *proofs.values()])
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
    block, files = as_of(head), await of_feedback(conn, page.rows)
    proofs = await payments_of(conn, page.rows)
    items = [Feedback(**_fields(row, files, proofs)) for row in page.rows]
    body = FeedbackRecords(as_of=block, items=items)
    version = version_with(version, [*files.values(), *proofs.values()])
    return Answer(body, [block], version)


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
    items = [
        _response(row, files.get((head.chain_id, row.block_number, row.log_index))) for row in shown
    ]
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
    given = [row.feedback for row in shown]
    blocks, files = as_of_all(heads), await of_feedback(conn, given)
    proofs = await payments_of(conn, given)
    body = SaidFeedbackPage(as_of=blocks, items=[_said(row, files, proofs) for row in shown])
    after_last = None
    if last:
        row = last.feedback
        after_last = (row.chain_id, row.block_number, row.log_index)
    return Answer(body, blocks, after=after_last)


def _fields(row: FeedbackRow, files: Files, proofs: Proofs) -> dict[str, Any]:
    place = (row.chain_id, row.block_number, row.log_index)
    return {
        **_strings(row),
        "client": address(row.client),
        "index": str(row.feedback_index),
        "value": str(int(row.value)),
        "decimals": row.decimals,
        "content_hash": hex_text(row.content_hash),
        "revoked": row.revoked_block is not None,
        "revoked_block": row.revoked_block,
        "superseded": row.superseded_block is not None,
        "superseded_block": row.superseded_block,
        "responses": row.response_count,
        "document": files.get(place),
        "payment": proofs.get(place),
        "block_number": row.block_number,
        "log_index": row.log_index,
        "time": row.time,
        "tx_hash": hex_text(row.tx_hash),
    }


def _strings(row: FeedbackRow) -> dict[str, Any]:
    # Nearly always all are whole and clean: then nothing has to be said beside them.
    try:
        tag1, tag2, endpoint, uri = (
            *(row.tag1.decode(), row.tag2.decode()),
            *(row.endpoint.decode(), row.uri.decode()),
        )
    except UnicodeDecodeError:
        pass
    else:
        if (
            len(row.uri) == row.uri_bytes
            and len(row.tag1) == row.tag1_bytes
            and len(row.tag2) == row.tag2_bytes
            and len(row.endpoint) == row.endpoint_bytes
            and "\0" not in tag1 + tag2 + endpoint + uri
        ):
            return {"tag1": tag1, "tag2": tag2, "endpoint": endpoint, "uri": uri}
    return texts(
        ("tag1", row.tag1, row.tag1_bytes),
        ("tag2", row.tag2, row.tag2_bytes),
        ("endpoint", row.endpoint, row.endpoint_bytes),
        ("uri", row.uri, row.uri_bytes),
    )


def _said(row: AcrossRow, files: Files, proofs: Proofs) -> SaidFeedback:
    given = row.feedback
    return SaidFeedback(
        agent=agent_key(given.chain_id, row.registry, given.agent_id),
        chain_id=given.chain_id,
        agent_id=str(given.agent_id),
        attached=row.attached,
        **_fields(given, files, proofs),
    )


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
