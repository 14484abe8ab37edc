"""Payments: linked to an agent after the chain was asked, and read."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.idempotent import prepared_once
from renown.api.access.principal import Access, principal_of, wants
from renown.api.answers import linking, payments
from renown.api.answers.payments import ClaimWithPayments, LinkPayment, PaymentState
from renown.api.bodies import read_body, takes
from renown.api.deps import CursorParam, KeyParam, LimitParam, desk_of, page_reply, position
from renown.api.headers import TO_BE_FOUND
from renown.api.openapi import answers, own_answers
from renown.api.replies import JSON, reply
from renown.api.routing import StrictRoute
from renown.derive.payment import State
from renown.errors import (
    AgentNotFound,
    AlreadyLinked,
    BadAgentKey,
    BadBody,
    BadCursor,
    BodyTooLarge,
    ChainNotFound,
    IdempotencyInProgress,
    IdempotencyMismatch,
    NodeError,
    NodeTimeout,
    NotFound,
    PaymentRefused,
    TransactionNotFound,
    UnsupportedMediaType,
    WrongReceiver,
)
from renown.store.pool import Tx
from renown.types import parse_agent_key

router = APIRouter(route_class=StrictRoute, tags=["payments"])
OF_AGENT = (BadAgentKey, AgentNotFound, ChainNotFound)
LOOKED_FOR_SECONDS = 20.0
_LINKED = own_answers(
    ClaimWithPayments,
    *(BadBody, *OF_AGENT, TransactionNotFound, AlreadyLinked, IdempotencyInProgress),
    *(BodyTooLarge, UnsupportedMediaType, WrongReceiver, PaymentRefused),
    *(IdempotencyMismatch, NodeError),
    status=201,
)
_LINKED[201]["headers"] = TO_BE_FOUND
_NOTED = "Noted: it counts as soon as it is final, without being asked again."


@router.post(
    "/v1/agents/{key}/payments",
    status_code=201,
    responses={**_LINKED, 202: {**_LINKED[201], "description": _NOTED}},
    openapi_extra=takes(LinkPayment),
)
@wants(Access("link", "write"))
async def link_payment(request: Request, key: KeyParam) -> Response:
    """Link a payment to an agent, after looking at it on its chain.

    The transaction must have succeeded and moved a token that counts to the agent's wallet as it
    was at that block, or to an address at which it declared to be paid. The account must have
    proved the payer's or the receiver's wallet, unless the agent's wallet signed to be this agent's
    and is no other's. Each transfer counts once, for one agent. A transaction that is not final
    yet, or in no block, is kept and settles by itself.
    """
    wanted, asked = parse_agent_key(key), await read_body(request, LinkPayment)
    desk, principal = desk_of(request), principal_of(request)

    async def prepare() -> linking.Looked:
        async with desk.reading() as conn:
            meant = await linking.meant(conn, wanted, asked)
        try:
            async with asyncio.timeout(LOOKED_FOR_SECONDS):
                return await linking.look_for(meant, desk.writers)
        except TimeoutError:
            raise NodeTimeout("no node of that chain answered in time") from None

    async def work(tx: Tx, looked: linking.Looked) -> Response:
        assert principal.account_id is not None
        claim_id, state = await linking.link(
            tx, looked, account_id=principal.account_id, tokens=desk.tokens
        )
        answer = await payments.claim(tx, claim_id, tokens=desk.tokens)
        return Response(
            msgspec.json.encode(answer.body),
            201 if state == "confirmed" else 202,
            media_type=JSON,
            headers={"Location": f"/v1/payments/{claim_id}", "Cache-Control": "no-store"},
        )

    return await prepared_once(request, principal, prepare, work)


@router.get(
    "/v1/agents/{key}/payments", responses=answers(payments.PaymentPage, *OF_AGENT, BadCursor)
)
async def list_payments(
    request: Request,
    key: KeyParam,
    state: Annotated[
        PaymentState | None,
        Query(description="Only payments that are final (`confirmed`), or not yet (`included`)."),
    ] = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> Response:
    """What was paid to an agent, as found on the chains, newest first."""
    wanted, start, desk = parse_agent_key(key), position(request, cursor), desk_of(request)
    async with desk.reading() as conn:
        answer = await payments.of_agent(
            conn, wanted, tokens=desk.tokens, state=state, after=start, limit=limit
        )
    return page_reply(request, answer)


@router.get(
    "/v1/agents/{key}/payments/claims",
    responses=answers(payments.ClaimPage, *OF_AGENT, BadCursor),
)
async def list_claims(
    request: Request,
    key: KeyParam,
    state: Annotated[State | None, Query(description="Only claims that stand so.")] = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> Response:
    """What was claimed to have paid an agent, by accounts and feedback files, newest first."""
    wanted, start = parse_agent_key(key), position(request, cursor)
    async with desk_of(request).reading() as conn:
        answer = await payments.claims_of_agent(conn, wanted, state=state, after=start, limit=limit)
    return page_reply(request, answer)


@router.get("/v1/payments/{claim}", responses=answers(ClaimWithPayments, NotFound))
async def get_claim(
    request: Request, claim: Annotated[UUID, Path(description="Id of a claim of payment.")]
) -> Response:
    """One claim of payment, how it stands, and the payments behind it."""
    desk = desk_of(request)
    async with desk.reading() as conn:
        answer = await payments.claim(conn, claim, tokens=desk.tokens)
    return reply(request, answer)
