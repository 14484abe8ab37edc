"""Signing in with a wallet: a key for an hour, without having one before."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access import wallet_challenge
from renown.api.access.marks import WALLET
from renown.api.access.principal import SIGN_IN, Scope, wants
from renown.api.access.wallet_challenge import ProvedWallet
from renown.api.answers.accounts import Challenge, ChallengeAsked, Session, SignedMessage
from renown.api.bodies import read_body, takes
from renown.api.deps import desk_of
from renown.api.openapi import own_answers
from renown.api.replies import own_reply
from renown.api.routes.keys import OF_BODY
from renown.api.routing import StrictRoute
from renown.errors import (
    BadAddress,
    Conflict,
    NodeError,
    SignUpClosed,
    WalletProofRefused,
    WalletTaken,
)
from renown.store.accounts import AccountRow, create_account, load_account
from renown.store.api_keys import Wanted, issue_key, prune_sessions
from renown.store.pool import Tx
from renown.store.wallets import add_wallet, holder_of
from renown.types import checksum_address, parse_address

router = APIRouter(route_class=StrictRoute, tags=["account"])
LIFETIME = timedelta(hours=1)
SCOPES: tuple[Scope, ...] = ("admin", "link", "read", "write")


@router.post(
    "/v1/sessions/challenge",
    responses=own_answers(Challenge, *OF_BODY, BadAddress),
    openapi_extra=takes(ChallengeAsked),
)
@wants(SIGN_IN)
async def challenge_sign_in(request: Request) -> Response:
    """A message for the wallet to sign, to sign in with it. Good for ten minutes and one try."""
    asked = await read_body(request, ChallengeAsked)
    given = await wallet_challenge.give(
        desk_of(request), parse_address(asked.address), asked.chain_id
    )
    return own_reply(Challenge(given.message, given.nonce, given.expires_at))


@router.post(
    "/v1/sessions",
    status_code=201,
    responses=own_answers(
        Session,
        *OF_BODY,
        *(WalletProofRefused, SignUpClosed, WalletTaken, Conflict, NodeError),
        status=201,
    ),
    openapi_extra=takes(SignedMessage),
)
@wants(SIGN_IN)
async def sign_in(request: Request) -> Response:
    """A key for an hour, of the account that holds the wallet. Where the installation lets people
    sign up, a wallet nobody holds gets an account."""
    asked = await read_body(request, SignedMessage)
    desk = desk_of(request)
    proved = await wallet_challenge.prove(desk, asked.message, bytes.fromhex(asked.signature[2:]))
    request.scope[WALLET] = proved.address
    async with desk.writing() as tx:
        account, is_new = await _account_of(tx, proved, sign_up=desk.sign_up)
        await prune_sessions(tx, account.account_id)
        wanted = Wanted(
            account_id=account.account_id, kind="session", scopes=SCOPES, lifetime=LIFETIME
        )
        made = await issue_key(tx, desk.gate.peppers, wanted)
    assert made.row.expires_at is not None
    session = Session(
        key=made.text,
        key_id=made.row.key_id,
        expires_at=made.row.expires_at,
        account=account.uuid,
        is_new=is_new,
    )
    return own_reply(session, 201)


async def _account_of(tx: Tx, proved: ProvedWallet, *, sign_up: bool) -> tuple[AccountRow, bool]:
    holder = await holder_of(tx, proved.address, proved.chain_id)
    if holder is not None:
        return await load_account(tx, holder), False
    named = checksum_address(proved.address)
    if not sign_up:
        raise SignUpClosed(f"no account here holds {named}; ask the operator for one")
    account = await create_account(tx, named)
    await add_wallet(tx, account.account_id, proved.address, proved.chain_id, proved.proof)
    return account, True
