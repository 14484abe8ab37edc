"""Validation requests of one agent and their answers; now and at a past block."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from renown.api.answers.answer import URI_CUT_BYTES, Answer, Page, more
from renown.api.answers.as_of import At, as_of
from renown.api.answers.attachments import AttachedFile, FileOrNone, of_validations, version_with
from renown.api.answers.moment import read_at
from renown.api.answers.values import (
    Address,
    Block,
    Count,
    Cuttable,
    Hash,
    Text,
    TextHex,
    Time,
    address,
    hex_or_none,
    hex_text,
    texts,
)
from renown.store import validations as store
from renown.store.pool import Conn
from renown.store.reads import key_args
from renown.store.validations import ValidationRow
from renown.types import AgentKey


class Validation(Cuttable, kw_only=True):
    """One request for validation and its latest answer. Experimental in the standard."""

    contract: Annotated[Address, Meta(description="The validation registry; there are several.")]
    request_hash: Hash
    validator: Address
    request_uri: Text
    request_uri_hex: TextHex = msgspec.UNSET
    requested_block: Block
    requested_at: Time | None
    pending: Annotated[bool, Meta(description="No answer yet; the answer's fields are null.")]
    response: Annotated[
        Annotated[int, Meta(ge=0, le=100)] | None,
        Meta(description="0 failed to 100 passed; null while pending. May be lowered later."),
    ]
    response_uri: Text | None
    response_uri_hex: TextHex = msgspec.UNSET
    response_hash: Hash | None
    tag: Text | None
    tag_hex: TextHex = msgspec.UNSET
    responded_block: Block | None
    request_document: FileOrNone
    response_document: FileOrNone
    answers: Annotated[Count, Meta(description="How often the validator answered.")]


class ValidationPage(Page[Validation], kw_only=True):
    """A page of one agent's validations, newest request first."""


async def of_agent(
    conn: Conn,
    key: AgentKey,
    *,
    at: At | None = None,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[ValidationPage]:
    """An agent's validation requests, newest first.

    Raises:
        AgentNotFound, ChainNotFound, BlockBeyondHead, BadParameter.
    """

    async def read(upto: int) -> store.Page | None:
        return await store.of_agent(
            conn,
            key_args(key),
            upto_block=upto,
            after=store.After(*after) if after else store.NEWEST,
            limit=limit + 1,
            cut_bytes=URI_CUT_BYTES,
        )

    page, head, version = await read_at(conn, key, at, read)
    shown, last = more(page.rows, limit)
    block = as_of(head)
    assert page.agent_id is not None
    requests, responses = await of_validations(conn, head.chain_id, page.agent_id, shown)
    version = version_with(version, [*requests, *responses])
    items = [_validation(*one) for one in zip(shown, requests, responses, strict=True)]
    body = ValidationPage(as_of=block, items=items)
    after_last = (last.requested_block, last.requested_log_index) if last else None
    return Answer(body, [block], version, after_last)


def _validation(
    row: ValidationRow, request: AttachedFile | None, response: AttachedFile | None
) -> Validation:
    return Validation(
        **texts(
            ("request_uri", row.request_uri, row.request_uri_bytes),
            ("response_uri", row.response_uri, row.response_uri_bytes),
            ("tag", row.tag, row.tag_bytes),
        ),
        contract=address(row.contract),
        request_hash=hex_text(row.request_hash),
        validator=address(row.validator),
        requested_block=row.requested_block,
        requested_at=row.requested_at,
        pending=row.response is None,
        response=row.response,
        response_hash=hex_or_none(row.response_hash),
        responded_block=row.responded_block,
        request_document=request,
        response_document=response,
        answers=row.response_count,
    )
