"""Accounts: who may act, and at which tier."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal, LiteralString
from uuid import UUID

import msgspec

from renown.errors import Conflict, NotFound
from renown.store.changes import KEY_CHANNEL, NOTIFY
from renown.store.pool import Conn, Tx

AccountTier = Literal["free", "pro", "enterprise"]
TIERS: tuple[AccountTier, ...] = ("free", "pro", "enterprise")


class AccountRow(msgspec.Struct, frozen=True):
    """One account. `uuid` is how the outside names it; `is_operator`: it runs this installation."""

    account_id: int
    uuid: UUID
    name: str
    tier: AccountTier
    created_at: datetime
    closed_at: datetime | None
    is_operator: bool = False


_COLUMNS: LiteralString = "account_id, uuid, name, tier, created_at, closed_at, is_operator"

CREATE: LiteralString = f"""
INSERT INTO account (name, tier) VALUES ($1, $2) RETURNING {_COLUMNS}
"""


async def create_account(tx: Tx, name: str, *, tier: AccountTier = "free") -> AccountRow:
    """A new account. `name` is 1 to 100 characters and need not be unique."""
    row = await tx.fetchrow(CREATE, name, tier)
    assert row is not None
    return AccountRow(*row)


LOAD: LiteralString = f"SELECT {_COLUMNS} FROM account WHERE account_id = $1"
FIND: LiteralString = f"SELECT {_COLUMNS} FROM account WHERE uuid = $1"


async def load_account(conn: Conn, account_id: int) -> AccountRow:
    """One account by our own number, which must exist."""
    row = await conn.fetchrow(LOAD, account_id)
    assert row is not None
    return AccountRow(*row)


async def find_account(conn: Conn, uuid: UUID) -> AccountRow:
    """One account by its name for the outside. Raises NotFound."""
    row = await conn.fetchrow(FIND, uuid)
    if row is None:
        raise NotFound(f"no account {uuid}")
    return AccountRow(*row)


NAMED: LiteralString = f"""
SELECT {_COLUMNS} FROM account WHERE name = $1 AND closed_at IS NULL ORDER BY account_id LIMIT 2
"""


async def named_accounts(conn: Conn, name: str) -> list[AccountRow]:
    """The first two open accounts of that name: enough to see that it names one."""
    return [AccountRow(*row) for row in await conn.fetch(NAMED, name)]


PAGE: LiteralString = f"""
SELECT {_COLUMNS} FROM account WHERE account_id > $1 ORDER BY account_id LIMIT $2
"""


async def all_accounts(conn: Conn, *, page_rows: int = 1000) -> AsyncIterator[AccountRow]:
    """Accounts in the order they were made, closed ones too."""
    after = 0
    while rows := await conn.fetch(PAGE, after, page_rows):
        for row in rows:
            yield AccountRow(*row)
        after = rows[-1][0]


# Every key of the account answers differently from now on.
ANNOUNCE: LiteralString = """
SELECT pg_notify($2, key_id) FROM api_key
 WHERE account_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""
SET_TIER: LiteralString = f"""
UPDATE account SET tier = $2 WHERE account_id = $1 AND closed_at IS NULL RETURNING {_COLUMNS}
"""


async def set_tier(tx: Tx, account_id: int, tier: AccountTier) -> AccountRow:
    """Put an account on a tier; its keys have that tier's limits at once. Raises Conflict."""
    row = await tx.fetchrow(SET_TIER, account_id, tier)
    if row is None:
        raise Conflict("the account is closed")
    await tx.execute(ANNOUNCE, account_id, KEY_CHANNEL)
    return AccountRow(*row)


SET_OPERATOR: LiteralString = f"""
UPDATE account SET is_operator = $2 WHERE account_id = $1 AND closed_at IS NULL RETURNING {_COLUMNS}
"""


async def set_operator(tx: Tx, account_id: int, is_operator: bool) -> AccountRow:
    """Make an account an operator's, or not; its keys are one's at once. Raises Conflict."""
    row = await tx.fetchrow(SET_OPERATOR, account_id, is_operator)
    if row is None:
        raise Conflict("the account is closed")
    await tx.execute(ANNOUNCE, account_id, KEY_CHANNEL)
    return AccountRow(*row)


CLOSE: LiteralString = f"""
UPDATE account SET closed_at = now() WHERE account_id = $1 AND closed_at IS NULL
RETURNING {_COLUMNS}
"""
FREE_WALLETS: LiteralString = "DELETE FROM account_wallet WHERE account_id = $1"
FREE_SIGNER: LiteralString = "DELETE FROM signer_grant WHERE account_id = $1"
REVOKE_ALL: LiteralString = """
UPDATE api_key SET revoked_at = now() WHERE account_id = $1 AND revoked_at IS NULL
RETURNING key_id
"""


async def close_account(tx: Tx, account_id: int) -> AccountRow:
    """Close an account for good: its keys are revoked, its wallets are free for others.

    What it did stays: operations on their way are followed to their end. The server's signer signs
    nothing more for it.

    Raises:
        Conflict: it is closed already.
    """
    row = await tx.fetchrow(CLOSE, account_id)
    if row is None:
        raise Conflict("the account is closed already")
    await tx.execute(FREE_WALLETS, account_id)
    await tx.execute(FREE_SIGNER, account_id)
    for (key_id,) in await tx.fetch(REVOKE_ALL, account_id):
        await tx.execute(NOTIFY, KEY_CHANNEL, key_id)
    return AccountRow(*row)
