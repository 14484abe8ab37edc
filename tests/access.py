"""Accounts, keys and wallets of the tests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import coincurve
import httpx
import msgspec
from fastapi import FastAPI

from renown.api.app import create_app
from renown.chain.signatures import address_of, personal_digest
from renown.settings import Settings
from renown.spec.api_keys import Peppers
from renown.store.accounts import AccountRow, AccountTier, create_account
from renown.store.api_keys import Issued, Wanted, issue_key
from renown.store.pool import Pool, connect_pool
from renown.types import checksum_address

_MANY = dict.fromkeys(("read", "search", "write", "auth"), 100_000)
PLENTY = json.dumps(dict.fromkeys(("anonymous", "free", "pro", "enterprise"), _MANY))
"""Limits for tests of something else: more than any of them asks."""
PEPPER = "a secret of the tests"
PUBLIC_URL = "https://renown.example"
ALL_SCOPES = ("read", "write", "link", "audit", "admin")
SETTINGS: dict[str, Any] = {
    "cursor_secret": "a secret of the tests",
    "key_pepper": PEPPER,
    "public_url": PUBLIC_URL,
    "limits_json": PLENTY,
}


class Signer:
    """A wallet with a key of its own."""

    def __init__(self, secret: int) -> None:
        self._key = coincurve.PrivateKey.from_int(secret)
        self.raw = address_of(self._key.public_key)
        self.address = checksum_address(self.raw)

    def sign(self, message: str) -> str:
        """`personal_sign`."""
        digest = personal_digest(message.encode())
        raw = self._key.sign_recoverable(digest, hasher=None)
        return "0x" + (raw[:64] + bytes([27 + raw[64]])).hex()


class Holder(msgspec.Struct):
    """An account with one key."""

    account: AccountRow
    key: str
    key_id: str

    @property
    def headers(self) -> dict[str, str]:
        """That present the key."""
        return bearer(self.key)


def bearer(key: str) -> dict[str, str]:
    """Headers that present a key."""
    return {"Authorization": f"Bearer {key}"}


async def give_key(
    pool: Pool,
    account_id: int,
    scopes: Sequence[str] = ALL_SCOPES,
    *,
    pepper: str = PEPPER,
    lifetime: timedelta | None = None,
) -> Issued:
    """One more key of an account."""
    wanted = Wanted(account_id=account_id, scopes=scopes, name="test", lifetime=lifetime)
    async with pool.transaction() as tx:
        return await issue_key(tx, Peppers.from_setting(pepper), wanted)


async def give_account(
    pool: Pool,
    scopes: Sequence[str] = ALL_SCOPES,
    *,
    tier: AccountTier = "free",
    name: str = "test",
) -> Holder:
    """A new account with a key of these scopes."""
    async with pool.transaction() as tx:
        account = await create_account(tx, name, tier=tier)
    made = await give_key(pool, account.account_id, scopes)
    return Holder(account, made.text, made.row.key_id)


class Api(msgspec.Struct):
    """The app on a test database, and a client of it."""

    app: FastAPI
    client: httpx.AsyncClient
    pool: Pool


@asynccontextmanager
async def acting_api(url: str, **given: Any) -> AsyncIterator[Api]:
    """The app on the database at `url`, with `given` settings; through `pool`, if one is given,
    which is closed at the end."""
    pool: Pool = given.pop("pool", None) or await connect_pool(url, min_size=1, max_size=4)
    try:
        app = create_app(Settings(**(SETTINGS | given)), pool=pool)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield Api(app, client, pool)
            await app.state.desk.gate.close()
    finally:
        await pool.close(grace_seconds=2)
