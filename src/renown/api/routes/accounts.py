"""The account that a key belongs to, and its wallets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access import wallet_challenge
from renown.api.access.marks import WALLET
from renown.api.access.principal import Access, own_account, principal_of, wants
from renown.api.answers import accounts as shown
from renown.api.answers.accounts import Account, Challenge, ChallengeAsked, SignedMessage, Wallet
from renown.api.bodies import read_body, takes
from renown.api.deps import desk_of
from renown.api.openapi import own_answers
from renown.api.replies import nothing_left, own_reply
from renown.api.routes.keys import CHANGE_ACCOUNT, OF_BODY
from renown.api.routing import StrictRoute
from renown.errors import (
    BadAddress,
    Conflict,
    NodeError,
    WalletNotFound,
    WalletProofRefused,
    WalletTaken,
)
from renown.store import wallets
from renown.store.accounts import load_account
from renown.store.signer_grants import granted_to
from renown.types import MAX_BIGINT, parse_address

router = APIRouter(route_class=StrictRoute, tags=["account"])
ADD_WALLET = Access("admin", "auth")
"""A wallet signs in to all that its account may, so adding one is no less than making a key."""
WalletParam = Annotated[str, Path(max_length=100, description="0x and 40 hex digits.")]


@router.get("/v1/account", responses=own_answers(Account))
@wants(Access("read", "read"))
async def get_account(request: Request) -> Response:
    """The account that the key belongs to, with its wallets and limits."""
    desk, account_id = desk_of(request), own_account(request)
    async with desk.reading() as conn:
        row = await load_account(conn, account_id)
        held = await wallets.wallets_of(conn, account_id)
        granted = await granted_to(conn, account_id)
    return own_reply(shown.account(row, held, granted, desk.gate.limits[row.tier]))


@router.post(
    "/v1/account/wallets/challenge",
    responses=own_answers(Challenge, *OF_BODY, BadAddress),
    openapi_extra=takes(ChallengeAsked),
)
@wants(ADD_WALLET)
async def challenge_wallet(request: Request) -> Response:
    """A message for the wallet to sign: that it belongs to this account. Good for ten minutes and
    one try."""
    asked = await read_body(request, ChallengeAsked)
    principal = principal_of(request)
    given = await wallet_challenge.give(
        desk_of(request),
        parse_address(asked.address),
        asked.chain_id,
        account=principal.account,
        account_id=principal.account_id,
    )
    return own_reply(Challenge(given.message, given.nonce, given.expires_at))


@router.post(
    "/v1/account/wallets",
    status_code=201,
    responses=own_answers(
        Wallet, *OF_BODY, WalletProofRefused, WalletTaken, Conflict, NodeError, status=201
    ),
    openapi_extra=takes(SignedMessage),
)
@wants(ADD_WALLET)
async def add_wallet(request: Request) -> Response:
    """Give the wallet that signed to this account, which may speak for it from now on."""
    asked = await read_body(request, SignedMessage)
    desk, account_id = desk_of(request), own_account(request)
    proved = await wallet_challenge.prove(
        desk, asked.message, bytes.fromhex(asked.signature[2:]), account_id=account_id
    )
    request.scope[WALLET] = proved.address
    async with desk.writing() as tx:
        row = await wallets.add_wallet(
            tx, account_id, proved.address, proved.chain_id, proved.proof
        )
    return own_reply(shown.wallet(row), 201)


@router.delete(
    "/v1/account/wallets/{address}",
    status_code=204,
    responses=own_answers(None, BadAddress, WalletNotFound, Conflict),
)
@wants(CHANGE_ACCOUNT)
async def remove_wallet(
    request: Request,
    address: WalletParam,
    chain_id: Annotated[
        int | None,
        Query(ge=0, le=MAX_BIGINT, description="Only there; 0: only as a key on every chain."),
    ] = None,
) -> Response:
    """Take a wallet from this account; another may prove it then."""
    async with desk_of(request).writing() as tx:
        await wallets.remove_wallet(tx, own_account(request), parse_address(address), chain_id)
    return nothing_left()
