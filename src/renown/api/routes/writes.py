"""Writes: each makes an operation of one or more transactions, for whoever signs them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.principal import Access, wants
from renown.api.acting.act import act
from renown.api.acting.bodies import (
    FeedbackBody,
    RegisterBody,
    ResponseBody,
    RevokeBody,
    UpdateBody,
    ValidationBody,
    ValidationResponseBody,
    WalletBody,
)
from renown.api.acting.described import OF_A_WRITE, operation_answers
from renown.api.acting.reading import (
    feedback_of,
    hash_of,
    register_of,
    response_of,
    update_of,
    validation_of,
    validation_response_of,
)
from renown.api.acting.subject import Subject, Target
from renown.api.acting.wallet import wallet_of
from renown.api.bodies import raw_body, read_body, takes
from renown.api.deps import ClientParam, IndexParam, KeyParam, desk_of
from renown.api.routing import StrictRoute
from renown.derive.writes import RevokeFeedback, Write
from renown.errors import (
    AgentNotFound,
    BadAgentKey,
    FeedbackNotFound,
    RegistrationRefused,
    ValidationNotFound,
)
from renown.types import parse_address, parse_agent_key

router = APIRouter(route_class=StrictRoute, tags=["acting"])
WRITE = Access("write", "write")

HashParam = Annotated[
    str, Path(pattern="^0x[0-9a-fA-F]{64}$", description="The request's hash, in hexadecimal.")
]


@router.post(
    "/v1/agents",
    status_code=201,
    responses=operation_answers(*OF_A_WRITE, RegistrationRefused),
    openapi_extra=takes(RegisterBody),
)
@wants(WRITE)
async def register_agent(request: Request) -> Response:
    """Register an agent."""
    body = await read_body(request, RegisterBody)
    base_url = desk_of(request).public_url

    async def make(_: Subject) -> Write:
        return register_of(body, base_url)

    return await act(request, body, Target(kind="register", chain=str(body.chain)), make)


@router.patch(
    "/v1/agents/{key}",
    status_code=201,
    responses=operation_answers(*OF_A_WRITE, BadAgentKey, AgentNotFound, RegistrationRefused),
    openapi_extra=takes(UpdateBody),
)
@wants(WRITE)
async def update_agent(request: Request, key: KeyParam) -> Response:
    """Change an agent's URI and metadata."""
    body = await read_body(request, UpdateBody)
    base_url = desk_of(request).public_url

    async def make(subject: Subject) -> Write:
        return update_of(body, base_url, subject.on, subject.known_agent.agent_id)

    return await act(request, body, Target(kind="update", key=parse_agent_key(key)), make)


@router.post(
    "/v1/agents/{key}/wallet",
    status_code=201,
    responses=operation_answers(*OF_A_WRITE, BadAgentKey, AgentNotFound),
    openapi_extra=takes(WalletBody),
)
@wants(WRITE)
async def set_wallet(request: Request, key: KeyParam) -> Response:
    """Set an agent's wallet, once the new wallet has signed, or take it away."""
    body = await read_body(request, WalletBody)

    async def make(subject: Subject) -> Write:
        return await wallet_of(desk_of(request), body, subject)

    return await act(request, body, Target(kind="wallet", key=parse_agent_key(key)), make)


@router.post(
    "/v1/agents/{key}/feedback",
    status_code=201,
    responses=operation_answers(*OF_A_WRITE, BadAgentKey, AgentNotFound),
    openapi_extra=takes(FeedbackBody),
)
@wants(WRITE)
async def give_feedback(request: Request, key: KeyParam) -> Response:
    """Rate an agent."""
    body = await read_body(request, FeedbackBody)
    base_url = desk_of(request).public_url

    async def make(subject: Subject) -> Write:
        return feedback_of(
            body,
            base_url,
            subject.on,
            subject.known_agent.agent_id,
            client=subject.sender,
            wallet=subject.known_agent.wallet,
            created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )

    return await act(request, body, Target(kind="feedback", key=parse_agent_key(key)), make)


@router.delete(
    "/v1/agents/{key}/feedback/{client}/{index}",
    status_code=201,
    responses=operation_answers(*OF_A_WRITE, BadAgentKey, AgentNotFound, FeedbackNotFound),
    openapi_extra=takes(RevokeBody, required=False),
)
@wants(WRITE)
async def revoke_feedback(
    request: Request, key: KeyParam, client: ClientParam, index: IndexParam
) -> Response:
    """Revoke a feedback, for good. Its client is who sends that."""
    empty = not await raw_body(request)
    body = RevokeBody() if empty else await read_body(request, RevokeBody)
    by = parse_address(client)

    async def make(_: Subject) -> Write:
        return RevokeFeedback(index)

    target = Target(kind="revoke", key=parse_agent_key(key), feedback=(by, index), sender=by)
    return await act(request, body, target, make, {"index": index})


@router.post(
    "/v1/agents/{key}/feedback/{client}/{index}/responses",
    status_code=201,
    responses=operation_answers(*OF_A_WRITE, BadAgentKey, AgentNotFound, FeedbackNotFound),
    openapi_extra=takes(ResponseBody),
)
@wants(WRITE)
async def answer_feedback(
    request: Request, key: KeyParam, client: ClientParam, index: IndexParam
) -> Response:
    """Answer a feedback. Anybody may."""
    body = await read_body(request, ResponseBody)
    by = parse_address(client)
    base_url = desk_of(request).public_url

    async def make(_: Subject) -> Write:
        return response_of(body, base_url, by, index)

    target = Target(kind="response", key=parse_agent_key(key), feedback=(by, index))
    return await act(request, body, target, make, {"client": by, "index": index})


@router.post(
    "/v1/agents/{key}/validations",
    status_code=201,
    responses=operation_answers(*OF_A_WRITE, BadAgentKey, AgentNotFound),
    openapi_extra=takes(ValidationBody),
)
@wants(WRITE)
async def request_validation(request: Request, key: KeyParam) -> Response:
    """Ask a validator to validate the agent."""
    body = await read_body(request, ValidationBody)
    base_url, salt = desk_of(request).public_url, secrets.token_hex(16)

    async def make(subject: Subject) -> Write:
        agent_id = subject.known_agent.agent_id
        return validation_of(body, base_url, subject.on, agent_id, salt=salt)

    target = Target(kind="validation-request", key=parse_agent_key(key))
    return await act(request, body, target, make)


@router.post(
    "/v1/validations/{request_hash}/response",
    status_code=201,
    responses=operation_answers(*OF_A_WRITE, ValidationNotFound),
    openapi_extra=takes(ValidationResponseBody),
)
@wants(WRITE)
async def answer_validation(request: Request, request_hash: HashParam) -> Response:
    """Answer a validation request, as the validator that it names."""
    body = await read_body(request, ValidationResponseBody)
    base_url, asked_under = desk_of(request).public_url, hash_of(request_hash)

    async def make(subject: Subject) -> Write:
        assert subject.contract is not None
        return validation_response_of(body, base_url, subject.contract, asked_under)

    target = Target(
        kind="validation-response",
        request_hash=asked_under,
        chain=None if body.chain is None else str(body.chain),
        contract=None if body.contract is None else parse_address(body.contract),
    )
    return await act(request, body, target, make, {"request_hash": asked_under})
