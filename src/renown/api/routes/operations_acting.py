"""Operations of the account: looked at, and brought on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.idempotent import once, prepared_once
from renown.api.access.principal import Access, principal_of, wants
from renown.api.acting import going_on
from renown.api.acting.act import NO_STORE, account_of
from renown.api.acting.bodies import SignatureBody, TransactionsBody
from renown.api.acting.described import (
    OF_A_BODY,
    OF_A_KEY,
    operation_now,
)
from renown.api.acting.reading import hash_of
from renown.api.answers import operations as answers
from renown.api.bodies import read_body, takes
from renown.api.deps import CursorParam, LimitParam, desk_of, own_cursor, own_position
from renown.api.openapi import answers as answered
from renown.api.replies import JSON, as_of_header, reply
from renown.api.routing import StrictRoute
from renown.derive.operation import State
from renown.errors import (
    BadCursor,
    CallWouldFail,
    ChainNotWritable,
    NodeError,
    OperationConflict,
    OperationNotFound,
    SignerError,
    TransactionRefused,
)
from renown.store import operations
from renown.store.pool import Tx

router = APIRouter(route_class=StrictRoute, tags=["acting"])
READ = Access("read", "read")
WRITE = Access("write", "write")

P = TypeVar("P")
OperationParam = Annotated[UUID, Path(description="The operation's id.")]
StateParam = Annotated[State | None, Query(description="Only those in this state.")]


@router.get(
    "/v1/operations",
    responses=answered(answers.OperationPage, BadCursor, not_modified=False),
)
@wants(READ)
async def list_operations(
    request: Request,
    state: StateParam = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> Response:
    """The account's operations, newest first, in brief: what is to be signed stands in each
    operation itself."""
    start, account_id = own_position(request, cursor), account_of(principal_of(request))
    async with desk_of(request).reading() as conn:
        answer = await answers.page(conn, account_id, state=state, after=start, limit=limit)
    answer.body.next_cursor = own_cursor(request, answer.after)
    return reply(request, answer, cache=NO_STORE, tagged=False)


@router.get("/v1/operations/{operation_id}", responses=operation_now(OperationNotFound))
@wants(READ)
async def get_operation(request: Request, operation_id: OperationParam) -> Response:
    """One operation of the account: how far it is, and what comes next."""
    account_id = account_of(principal_of(request))
    async with desk_of(request).reading() as conn:
        answer = await answers.one(conn, operation_id, account_id)
    return reply(request, answer, cache=NO_STORE, tagged=False)


@router.post(
    "/v1/operations/{operation_id}/transactions",
    responses=operation_now(
        *OF_A_BODY, *OF_A_KEY, OperationNotFound, OperationConflict, TransactionRefused
    ),
    openapi_extra=takes(TransactionsBody),
)
@wants(WRITE)
async def relay_transactions(request: Request, operation_id: OperationParam) -> Response:
    """Hand over signed transactions of an operation, to be broadcast and watched. Nonce, gas and
    fees are the signer's choice; a second one at the same nonce replaces the first."""
    body = await read_body(request, TransactionsBody)
    signed = going_on.read_all(body.transactions)
    principal = principal_of(request)
    account_id = account_of(principal)

    async def work(tx: Tx) -> Response:
        await going_on.take_signed(tx, operation_id, account_id, signed)
        return await _as_it_is(tx, operation_id, account_id)

    return await once(request, principal, work)


@router.post(
    "/v1/operations/{operation_id}/signature",
    responses=operation_now(
        *(*OF_A_BODY, *OF_A_KEY, OperationNotFound, OperationConflict, ChainNotWritable),
        *(CallWouldFail, NodeError),
    ),
    openapi_extra=takes(SignatureBody),
)
@wants(WRITE)
async def give_signature(request: Request, operation_id: OperationParam) -> Response:
    """Hand over the new wallet's signature of an operation's typed data."""
    body = await read_body(request, SignatureBody)
    signature = hash_of(body.signature)
    desk, account_id = desk_of(request), account_of(principal_of(request))

    async def prepare() -> going_on.Filled:
        async with desk.reading() as conn:
            row = await going_on.owned(conn, operation_id, account_id)
        return await going_on.with_wallet_signature(desk, row, signature)

    async def work(tx: Tx, filled: going_on.Filled) -> None:
        await operations.fill_step(tx, operation_id, filled.step, filled.calldata, filled.prepared)

    return await _brought_on(request, operation_id, prepare, work)


@router.post(
    "/v1/operations/{operation_id}/resume",
    responses=operation_now(
        *(*OF_A_KEY, OperationNotFound, OperationConflict, ChainNotWritable),
        *(CallWouldFail, NodeError, SignerError),
    ),
)
@wants(WRITE)
async def resume_operation(request: Request, operation_id: OperationParam) -> Response:
    """Try again what is left of an operation: new fees, new nonces, a new deadline."""
    desk, account_id = desk_of(request), account_of(principal_of(request))

    async def prepare() -> going_on.Again:
        async with desk.reading() as conn:
            row = await going_on.owned(conn, operation_id, account_id)
        return await going_on.tried_again(desk, row)

    async def work(tx: Tx, again: going_on.Again) -> None:
        await operations.prepare_again(tx, operation_id, again.prepared, again.templates)

    return await _brought_on(request, operation_id, prepare, work)


async def _brought_on(
    request: Request,
    operation_id: UUID,
    prepare: Callable[[], Awaitable[P]],
    work: Callable[[Tx, P], Awaitable[None]],
) -> Response:
    principal = principal_of(request)
    account_id = account_of(principal)

    async def then(tx: Tx, found: P) -> Response:
        await work(tx, found)
        return await _as_it_is(tx, operation_id, account_id)

    return await prepared_once(request, principal, prepare, then)


async def _as_it_is(tx: Tx, operation_id: UUID, account_id: int) -> Response:
    answer = await answers.one(tx, operation_id, account_id)
    headers = {"Cache-Control": NO_STORE, "Renown-As-Of": as_of_header(answer.as_of)}
    return Response(msgspec.json.encode(answer.body), headers=headers, media_type=JSON)
