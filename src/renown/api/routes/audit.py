"""The audit log: entries of the account, or for operators all; proofs and checkpoints for all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from renown.api.access.idempotent import once
from renown.api.access.principal import (
    Access,
    Principal,
    own_account,
    principal_of,
    require_operator,
    wants,
)
from renown.api.acting.described import OF_A_BODY, OF_A_KEY
from renown.api.answers import audit as shown
from renown.api.bodies import read_body, takes
from renown.api.deps import (
    CursorParam,
    LimitParam,
    desk_of,
    next_cursor,
    own_cursor,
    own_position,
    position,
)
from renown.api.openapi import own_answers, problem_answers
from renown.api.replies import JSON, own_reply
from renown.api.routing import StrictRoute
from renown.errors import (
    BadCursor,
    BadParameter,
    EntryNotFound,
    NotFound,
    NotOperator,
    StoreError,
)
from renown.store import audit_review
from renown.store.accounts import find_account, load_account
from renown.store.audit_reading import ReviewState, Wanted, statuses
from renown.store.pool import Conn, Tx
from renown.types import MAX_BIGINT

router = APIRouter(route_class=StrictRoute, tags=["audit"])
READ = Access("audit", "read")
REVIEW = Access("audit", "write")
FRESH = "public, no-cache"

EntryParam = Annotated[int, Path(ge=0, le=MAX_BIGINT, description="The entry's id.")]


@router.get("/v1/audit", responses=own_answers(shown.AuditPage, BadCursor))
@wants(READ)
async def list_entries(
    request: Request,
    account: Annotated[
        str | None,
        Query(
            max_length=100, description="Whose key acted: its UUID, or our number. For operators."
        ),
    ] = None,
    key: Annotated[str | None, Query(max_length=100, description="Id of the key.")] = None,
    action: Annotated[str | None, Query(max_length=100, description="Such as `update`.")] = None,
    subject: Annotated[
        str | None,
        Query(max_length=300, description="A table, a route's pattern, or `chain:{id}`."),
    ] = None,
    subject_key: Annotated[
        str | None, Query(max_length=300, description="Which row of the table.")
    ] = None,
    status: Annotated[
        str | None,
        Query(pattern="^[1-5]([0-9][0-9]|xx)$", description="`404`, or a class as `4xx`."),
    ] = None,
    since: Annotated[
        AwareDatetime | None, Query(description="From this time on, with its offset from UTC.")
    ] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before this time.")] = None,
    request_id: Annotated[UUID | None, Query(description="Entries of one request.")] = None,
    review: Annotated[
        ReviewState | None, Query(description="Whether a person has to look, or has.")
    ] = None,
    rule: Annotated[
        str | None, Query(max_length=100, description="That wants a person to look.")
    ] = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> Response:
    """The account's entries, newest first; for operators those of everybody and everything."""
    start, principal = own_position(request, cursor), principal_of(request)
    least, most = statuses(status)
    async with desk_of(request).reading() as conn:
        wanted = Wanted(
            account_id=await _whose(conn, principal, account),
            key_id=_held(key),
            action=_held(action),
            subject=_held(subject),
            subject_key=_held(subject_key),
            status_least=least,
            status_most=most,
            since=_utc(since, "since"),
            until=_utc(until, "until"),
            request_id=request_id,
            review=review,
            rule=_held(rule),
        )
        body, after = await shown.page(conn, wanted, after=start, limit=limit)
    body.next_cursor = own_cursor(request, after)
    return own_reply(body)


@router.get("/v1/audit/summary", responses=own_answers(shown.AuditSummary))
@wants(READ)
async def summarise(request: Request) -> Response:
    """The last 24 hours by hour, action and status: the account's, for operators all."""
    of = _own_only(principal_of(request))
    async with desk_of(request).reading() as conn:
        return own_reply(await shown.summary(conn, of))


_NOTE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The note.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    },
    **problem_answers(BadParameter, NotFound, StoreError),
}


@router.get("/v1/audit/checkpoint", response_class=PlainTextResponse, responses=_NOTE)
async def latest_checkpoint(request: Request) -> Response:
    """The newest signed checkpoint of the log, as it stands: for whoever keeps them as a
    witness."""
    async with desk_of(request).reading_public() as conn:
        note = await shown.latest_note(conn)
    return PlainTextResponse(note, headers={"Cache-Control": FRESH})


@router.get("/v1/audit/checkpoints", responses=own_answers(shown.AuditCheckpoints, BadCursor))
async def list_checkpoints(
    request: Request, limit: LimitParam = 50, cursor: CursorParam = None
) -> Response:
    """All checkpoints, the oldest first."""
    start = position(request, cursor)
    async with desk_of(request).reading_public() as conn:
        body, after = await shown.checkpoints(conn, after=start, limit=limit)
    body.next_cursor = next_cursor(request, after)
    return _public(body)


@router.get("/v1/audit/consistency", responses=own_answers(shown.AuditConsistency, NotFound))
async def prove_consistency(
    request: Request,
    old: Annotated[int, Query(ge=0, le=MAX_BIGINT, description="Size of the older tree.")],
    new: Annotated[
        int | None,
        Query(
            ge=0,
            le=MAX_BIGINT,
            description="Size of the newer tree. Default: that of the newest checkpoint.",
        ),
    ] = None,
) -> Response:
    """A proof that the log only grew between two sizes."""
    async with desk_of(request).reading_public() as conn:
        return _public(await shown.consistency(conn, old, new))


@router.get("/v1/audit/{entry_id}", responses=own_answers(shown.WholeAuditEntry, EntryNotFound))
@wants(READ)
async def get_entry(request: Request, entry_id: EntryParam) -> Response:
    """One entry, whole: what was hashed of it, and its reviews."""
    of = _own_only(principal_of(request))
    async with desk_of(request).reading() as conn:
        return own_reply(await shown.entry(conn, entry_id, of))


@router.get(
    "/v1/audit/{entry_id}/proof", responses=own_answers(shown.AuditProof, EntryNotFound, NotFound)
)
@wants(READ)
async def prove_entry(
    request: Request,
    entry_id: EntryParam,
    size: Annotated[
        int | None,
        Query(
            ge=1,
            le=MAX_BIGINT,
            description="Size of the tree. Default: that of the newest checkpoint.",
        ),
    ] = None,
) -> Response:
    """A proof that the entry is in the log. Operators can prove entries that went by retention,
    too."""
    of = _own_only(principal_of(request))
    async with desk_of(request).reading() as conn:
        return own_reply(await shown.proof(conn, entry_id, of, size=size))


@router.post(
    "/v1/audit/{entry_id}/review",
    status_code=201,
    responses=own_answers(
        shown.AuditReview, *OF_A_BODY, *OF_A_KEY, NotOperator, EntryNotFound, status=201
    ),
    openapi_extra=takes(shown.ReviewAsked),
)
@wants(REVIEW)
async def review_entry(request: Request, entry_id: EntryParam) -> Response:
    """Say that a person looked at this entry. For operators. Reviews are never changed; there may
    be several."""
    principal, account_id = require_operator(request), own_account(request)
    asked = await read_body(request, shown.ReviewAsked)

    async def work(tx: Tx) -> Response:
        reviewer = asked.reviewer or (await load_account(tx, account_id)).name
        row = await audit_review.review(
            tx, entry_id, account_id=account_id, reviewer=reviewer, note=asked.note
        )
        return own_reply(shown.review(row), 201)

    return await once(request, principal, work)


def _own_only(principal: Principal) -> int | None:
    """Whose entries may be seen; None: everybody's."""
    return None if principal.is_operator else principal.account_id


async def _whose(conn: Conn, principal: Principal, account: str | None) -> int | None:
    own = _own_only(principal)
    if account is None:
        return own
    if own is None and account.isascii() and account.isdigit() and int(account) <= MAX_BIGINT:
        return int(account)
    try:
        uuid = UUID(account)
    except ValueError:
        raise BadParameter("`account` is an account's UUID", parameter="account") from None
    if own is not None:
        return own if uuid == principal.account else _NOBODY
    try:
        return (await find_account(conn, uuid)).account_id
    except NotFound:
        return _NOBODY


_NOBODY = -1
"""No account has this number."""


def _utc(time: datetime | None, name: str) -> datetime | None:
    try:
        return None if time is None else time.astimezone(UTC)
    except OverflowError:
        raise BadParameter(f"`{name}` is out of range", parameter=name) from None


def _held(text: str | None) -> str | None:
    """As entries hold it: without NUL."""
    return None if text is None else text.replace("\0", "\ufffd")


def _public(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type=JSON, headers={"Cache-Control": FRESH})
