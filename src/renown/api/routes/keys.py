"""The account's API keys. A key cannot give what it does not have."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.principal import Access, Principal, own_account, principal_of, wants
from renown.api.answers.keys import (
    ApiKeyAsked,
    ApiKeyMade,
    ApiKeys,
    RotationAsked,
    api_key,
    api_key_made,
)
from renown.api.bodies import raw_body, read_body, takes
from renown.api.deps import CursorParam, LimitParam, desk_of, own_cursor, own_position
from renown.api.openapi import own_answers
from renown.api.replies import nothing_left, own_reply
from renown.api.routing import StrictRoute
from renown.errors import (
    BadBody,
    BadCursor,
    BodyTooLarge,
    Conflict,
    KeyNotFound,
    ScopeMissing,
    UnsupportedMediaType,
)
from renown.store import api_keys

router = APIRouter(route_class=StrictRoute, tags=["account"])
READ_ACCOUNT = Access("admin", "read")
CHANGE_ACCOUNT = Access("admin", "write")
OF_BODY = (BadBody, BodyTooLarge, UnsupportedMediaType)
KeyIdParam = Annotated[
    str, Path(pattern="^[0-9a-z]{8}$", description="The key's id, 8 characters.")
]


@router.get("/v1/keys", responses=own_answers(ApiKeys, BadCursor))
@wants(READ_ACCOUNT)
async def list_keys(
    request: Request,
    over: Annotated[
        bool, Query(description="Also those that were revoked or have expired.")
    ] = False,
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Response:
    """The account's keys, the newest first, without their secrets."""
    after = own_position(request, cursor)
    async with desk_of(request).reading() as conn:
        rows = await api_keys.keys_of(
            conn,
            own_account(request),
            over_too=over,
            after=None if after is None else (after[0], after[1]),
            limit=limit + 1,
        )
    shown = rows[:limit]
    last = (shown[-1].created_at, shown[-1].key_id) if len(rows) > limit else None
    items = [api_key(row) for row in shown]
    return own_reply(ApiKeys(items=items, next_cursor=own_cursor(request, last)))


@router.post(
    "/v1/keys",
    status_code=201,
    responses=own_answers(ApiKeyMade, *OF_BODY, Conflict, status=201),
    openapi_extra=takes(ApiKeyAsked),
)
@wants(CHANGE_ACCOUNT)
async def create_key(request: Request) -> Response:
    """Make a key, of scopes that the key which asks has. Its text is in this answer only; the
    answer is not kept for an `Idempotency-Key`."""
    asked = await read_body(request, ApiKeyAsked)
    _must_have(principal_of(request), asked.scopes)
    wanted = api_keys.Wanted(
        account_id=own_account(request),
        name=asked.name,
        scopes=sorted(set(asked.scopes)),
        lifetime=None if asked.expires_in_days is None else timedelta(days=asked.expires_in_days),
    )
    desk = desk_of(request)
    async with desk.writing() as tx:
        made = await api_keys.issue_key(tx, desk.gate.peppers, wanted)
    return own_reply(api_key_made(made.row, made.text), 201)


@router.post(
    "/v1/keys/{id}/rotate",
    status_code=201,
    responses=own_answers(ApiKeyMade, *OF_BODY, KeyNotFound, Conflict, status=201),
    openapi_extra=takes(RotationAsked, required=False),
)
@wants(CHANGE_ACCOUNT)
async def rotate_key(request: Request, id: KeyIdParam) -> Response:
    """Make a new key like this one, which ends after the overlap: time to put the new one in its
    place. The new text is in this answer only."""
    empty = not await raw_body(request)
    asked = RotationAsked() if empty else await read_body(request, RotationAsked)
    desk = desk_of(request)
    async with desk.writing() as tx:
        old = await api_keys.load_key(tx, id, own_account(request))
        _must_have(principal_of(request), old.scopes)
        overlap = timedelta(seconds=asked.overlap_seconds)
        made = await api_keys.rotate_key(tx, desk.gate.peppers, old, overlap)
    desk.gate.authenticator.forget(old.key_id)
    return own_reply(api_key_made(made.row, made.text), 201)


@router.delete("/v1/keys/{id}", status_code=204, responses=own_answers(None, KeyNotFound))
@wants(CHANGE_ACCOUNT)
async def revoke_key(request: Request, id: KeyIdParam) -> Response:
    """Revoke a key or end a session, for good and at once; also the one that asks."""
    desk = desk_of(request)
    async with desk.writing() as tx:
        revoked = await api_keys.revoke_key(tx, id, own_account(request))
    desk.gate.authenticator.forget(revoked.key_id)
    return nothing_left()


def _must_have(principal: Principal, scopes: Iterable[str]) -> None:
    lacking = sorted(set(scopes) - principal.scopes)
    if lacking:
        raise ScopeMissing(f"a key cannot give what it lacks: {', '.join(lacking)}", scopes=lacking)
