"""What agents say of themselves off the chain: files, their history, findings, endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from renown.api import etag
from renown.api.answers import documents, endpoints, findings, registration
from renown.api.answers.answer import Answer
from renown.api.answers.as_of import AsOf, parse_at
from renown.api.answers.documents import MOST_VERSIONS
from renown.api.cache.dear import FACETS_SECONDS
from renown.api.deps import (
    AtParam,
    ChainParam,
    CursorParam,
    KeyParam,
    LimitParam,
    desk_of,
    page_reply,
    position,
)
from renown.api.headers import TO_BE_SAVED
from renown.api.openapi import answers, problem_answers
from renown.api.replies import JSON, REVALIDATE, as_of_header, reply
from renown.api.routes.agents import OF_AGENT
from renown.api.routing import StrictRoute
from renown.errors import (
    AgentNotFound,
    BadAgentKey,
    BadCursor,
    BadParameter,
    ChainNotFound,
    NotFound,
    StoreError,
)
from renown.spec.findings import Severity, Subject
from renown.types import parse_agent_key

router = APIRouter(route_class=StrictRoute, tags=["documents"])
NOW_ONLY = (BadAgentKey, AgentNotFound, ChainNotFound)
OCTETS = "application/octet-stream"
FOR_EVER = "public, max-age=31536000, immutable"
VersionsParam = Annotated[
    int, Query(ge=1, le=MOST_VERSIONS, description="Versions of a page at most.")
]
NumberParam = Annotated[int | None, Query(ge=1, le=10**6, description="Number of a version.")]
_BYTES: dict[str, Any] = {
    OCTETS: {"schema": {"type": "string", "description": "The bytes exactly as they were fetched."}}
}
_TAG: dict[str, Any] = {
    "ETag": {"description": "Strong: the hash. Of `json` none.", "schema": {"type": "string"}}
}


def _with_bytes(described: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    described[200]["content"].update(_BYTES)
    described[200]["headers"] = {**described[200]["headers"], **TO_BE_SAVED}
    return described


@router.get(
    "/v1/agents/{key}/registration",
    responses=_with_bytes(answers(registration.Registration, *OF_AGENT, NotFound)),
)
async def get_agent_registration(
    request: Request,
    key: KeyParam,
    form: Annotated[
        Literal["normalised", "raw", "served"],
        Query(
            description="`normalised`: one shape for every file. `raw`: its JSON as found,"
            " sanitised. `served`: the bytes; 404 where there are none."
        ),
    ] = "normalised",
    at: AtParam = None,
) -> Response:
    """The file behind an agent's URI, in whatever state it is, with findings.

    With `at`, the file of the URI that held then, by the two times that the body tells.
    """
    wanted, moment = parse_agent_key(key), parse_at(at)
    async with desk_of(request).reading_public() as conn:
        if form == "served":
            served = await registration.served(conn, wanted, at=moment)
            return _octets(request, served.raw, served.sha256.hex(), [served.as_of])
        answer = await registration.of_agent(conn, wanted, form=form, at=moment)
    return reply(request, answer)


@router.get(
    "/v1/agents/{key}/documents",
    responses=answers(documents.DocumentHistory, *NOW_ONLY, BadCursor),
)
async def list_agent_documents(
    request: Request,
    key: KeyParam,
    limit: VersionsParam = MOST_VERSIONS,
    cursor: CursorParam = None,
) -> Response:
    """The history of an agent's file: each URI and each document it led to, with what changed."""
    wanted, start = parse_agent_key(key), position(request, cursor)
    async with desk_of(request).reading_public() as conn:
        answer = await documents.history(conn, wanted, after=start, limit=limit)
    return page_reply(request, answer)


@router.get(
    "/v1/agents/{key}/documents/attempts",
    responses=answers(documents.ResolutionAttempts, *NOW_ONLY, BadCursor),
)
async def list_agent_document_attempts(
    request: Request, key: KeyParam, limit: LimitParam = 50, cursor: CursorParam = None
) -> Response:
    """Every attempt to read a URI that the agent said, newest first."""
    wanted, start = parse_agent_key(key), position(request, cursor)
    async with desk_of(request).reading_public() as conn:
        answer = await documents.attempts(conn, wanted, after=start, limit=limit)
    return page_reply(request, answer)


@router.get(
    "/v1/agents/{key}/documents/diff",
    responses=answers(documents.DocumentDiff, *NOW_ONLY, NotFound),
)
async def get_agent_document_diff(
    request: Request, key: KeyParam, before: NumberParam = None, after: NumberParam = None
) -> Response:
    """What changed between two versions of an agent's file; by default, at the last change."""
    wanted = parse_agent_key(key)
    async with desk_of(request).reading_public() as conn:
        answer = await documents.compare(conn, wanted, before=before, after=after)
    return reply(request, answer)


@router.get("/v1/agents/{key}/findings", responses=answers(findings.AgentFindings, *NOW_ONLY))
async def get_agent_findings(request: Request, key: KeyParam) -> Response:
    """What was found about one agent's file, identity, URI and endpoints, worst first."""
    wanted = parse_agent_key(key)
    async with desk_of(request).reading_public() as conn:
        answer = await findings.of_agent(conn, wanted)
    return reply(request, answer)


@router.get(
    "/v1/agents/{key}/endpoints",
    responses=answers(endpoints.AgentEndpoints, *NOW_ONLY, BadCursor),
)
async def list_agent_endpoints(
    request: Request, key: KeyParam, limit: LimitParam = 50, cursor: CursorParam = None
) -> Response:
    """The services that an agent declares, how their endpoints were found, and its hosts."""
    wanted, start = parse_agent_key(key), position(request, cursor)
    async with desk_of(request).reading_public() as conn:
        answer = await endpoints.of_agent(conn, wanted, after=start, limit=limit)
    return page_reply(request, answer)


@router.get("/v1/findings", responses=answers(findings.FindingCounts, ChainNotFound))
async def list_findings(
    request: Request,
    chain: ChainParam = None,
    severity: Annotated[Severity | None, Query(description="Only of this severity.")] = None,
    subject: Annotated[Subject | None, Query(description="Only about this.")] = None,
) -> Response:
    """Every finding there is, what it means, and how many agents have it."""
    desk = desk_of(request)

    async def read() -> Answer[findings.FindingCounts]:
        async with desk.reading_public() as conn:
            chain_id = await desk.chain_id(conn, chain)
            return await findings.counts(
                conn, chain_id=chain_id, severity=severity, subject=subject
            )

    return await desk.dear.answer(request, read, ttl_seconds=FACETS_SECONDS)


@router.get("/v1/findings/{code}", responses=answers(findings.FindingMeaning, NotFound))
async def get_finding(
    request: Request,
    code: Annotated[str, Path(max_length=100, description="A finding's code.")],
) -> Response:
    """What one finding means; `GET /v1/agents?finding={code}` gives the agents that have it."""
    async with desk_of(request).reading_public() as conn:
        answer = await findings.meaning(conn, code)
    return reply(request, answer)


@router.get(
    "/v1/documents/{sha256}",
    response_class=Response,
    responses={
        200: {
            "description": "The bytes, or their JSON, sanitised.",
            "headers": {**_TAG, **TO_BE_SAVED},
            "content": {**_BYTES, JSON: {"schema": {}}},
        },
        304: {"description": "You have it already.", "headers": _TAG},
        **problem_answers(BadParameter, NotFound, StoreError),
    },
)
async def get_document(
    request: Request,
    sha256: Annotated[str, Path(max_length=100, description="Of the bytes: 64 hex digits.")],
    form: Annotated[
        Literal["served", "json"],
        Query(description="`served`: the bytes. `json`: their JSON, sanitised."),
    ] = "served",
) -> Response:
    """A document by the hash of its bytes, whoever served it."""
    async with desk_of(request).reading_public() as conn:
        content = await documents.by_sha256(conn, sha256, form=form)
    digest = sha256.removeprefix("0x").lower()
    if form == "json":
        return Response(content, media_type=JSON, headers={"Cache-Control": REVALIDATE})
    return _octets(request, content, digest, (), cache=FOR_EVER)


def _octets(
    request: Request,
    content: bytes,
    digest: str,
    blocks: Sequence[AsOf],
    *,
    cache: str = REVALIDATE,
) -> Response:
    """Bytes of strangers: to be saved, never to be shown as what they claim to be."""
    tag = f'"{digest}"'
    headers = {"ETag": tag, "Cache-Control": cache}
    if blocks:
        headers["Renown-As-Of"] = as_of_header(blocks)
    known = request.headers.get("if-none-match")
    if known is not None and etag.matches(tag, known):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{digest[:16]}.bin"'
    return Response(content, media_type=OCTETS, headers=headers)
