"""Wallets that accounts have proved to be theirs. One belongs to one account at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, LiteralString

import msgspec

from renown.errors import Conflict, WalletNotFound, WalletNotProved, WalletTaken
from renown.store.pool import Conn, Tx
from renown.types import checksum_address

Proof = Literal["signature", "erc1271", "erc6492"]

MOST_WALLETS = 100
EVERYWHERE = 0
"""`chain_id` of a wallet that proved itself by its own key, which acts on every chain."""


class WalletRow(msgspec.Struct, frozen=True):
    """One wallet of an account. `chain_id` 0: on every chain."""

    address: bytes
    chain_id: int
    proof: Proof
    proved_at: datetime


PROVED: LiteralString = """
SELECT EXISTS (SELECT FROM account_wallet
                WHERE address = $1 AND account_id = $2 AND chain_id IN (0, $3))
"""


async def require_wallet(conn: Conn, account_id: int, chain_id: int, address: bytes) -> None:
    """Raises WalletNotProved unless the account may speak for `address` on this chain."""
    if not await conn.fetchval(PROVED, address, account_id, chain_id):
        named = checksum_address(address)
        raise WalletNotProved(
            f"this account has not proved {named} on chain {chain_id}: "
            "do so with `renown wallet prove` or POST /v1/account/wallets/challenge",
            address=named,
            chain_id=chain_id,
        )


OF_ACCOUNT: LiteralString = """
SELECT address, chain_id, proof, proved_at FROM account_wallet
 WHERE account_id = $1 ORDER BY proved_at, address, chain_id
"""


async def wallets_of(conn: Conn, account_id: int) -> list[WalletRow]:
    """An account's wallets, the first proved first."""
    return [WalletRow(*row) for row in await conn.fetch(OF_ACCOUNT, account_id)]


IN_TURN: LiteralString = """
SELECT pg_advisory_xact_lock(hashtextextended('renown.wallet.' || encode($1, 'hex'), 0))
"""
HOLDER: LiteralString = "SELECT account_id FROM account_wallet WHERE address = $1 AND chain_id = $2"


async def holder_of(tx: Tx, address: bytes, chain_id: int) -> int | None:
    """The account that holds `address` by just this proof; None if none does.

    What a contract says on one chain opens nothing that the address's own key, or a contract on
    another chain, has proved: who answers under an address may differ. Nobody else can take the
    wallet until the transaction ends.

    Args:
        chain_id: where a contract said yes; 0 for a wallet with a key of its own.
    """
    await tx.execute(IN_TURN, address)
    holder: int | None = await tx.fetchval(HOLDER, address, chain_id)
    return holder


HOLD: LiteralString = (
    "SELECT closed_at IS NULL FROM account WHERE account_id = $1 FOR NO KEY UPDATE"
)
OTHERS: LiteralString = """
SELECT EXISTS (SELECT FROM account_wallet
                WHERE address = $1 AND account_id <> $2
                  AND (chain_id IN (0, $3) OR $3 = 0))
"""
COUNT: LiteralString = "SELECT count(*) FROM account_wallet WHERE account_id = $1"
ADD: LiteralString = """
INSERT INTO account_wallet (address, account_id, chain_id, proof) VALUES ($1, $2, $3, $4)
    ON CONFLICT (address, chain_id) DO UPDATE SET proof = excluded.proof, proved_at = now()
RETURNING address, chain_id, proof, proved_at
"""


async def add_wallet(
    tx: Tx, account_id: int, address: bytes, chain_id: int, proof: Proof
) -> WalletRow:
    """Give a wallet that was just proved to the account; proved again, it keeps it.

    Args:
        chain_id: where a contract said yes; 0 for a wallet with a key of its own.

    Raises:
        WalletTaken: another account holds it, there or on every chain.
        Conflict: the account is closed, or holds `MOST_WALLETS` already.
    """
    await tx.execute(IN_TURN, address)  # two accounts may prove it at once, for two chains
    if not await tx.fetchval(HOLD, account_id):
        raise Conflict("the account is closed")
    if await tx.fetchval(OTHERS, address, account_id, chain_id):
        named = checksum_address(address)
        raise WalletTaken(f"another account holds {named}; remove it there first", address=named)
    if await tx.fetchval(COUNT, account_id) >= MOST_WALLETS:
        raise Conflict(f"an account holds at most {MOST_WALLETS} wallets", most=MOST_WALLETS)
    row = await tx.fetchrow(ADD, address, account_id, chain_id, proof)
    assert row is not None
    return WalletRow(*row)


# An account without a wallet is reached by a lasting key that may manage it, or not at all.
LOCKED_OUT: LiteralString = """
SELECT NOT EXISTS (SELECT FROM account_wallet WHERE account_id = $1)
   AND NOT EXISTS (SELECT FROM api_key
                    WHERE account_id = $1 AND kind = 'key' AND 'admin' = any(scopes)
                      AND revoked_at IS NULL AND expires_at IS NULL)
"""
REMOVE: LiteralString = """
DELETE FROM account_wallet
 WHERE address = $1 AND account_id = $2 AND ($3::bigint IS NULL OR chain_id = $3)
"""


async def remove_wallet(
    tx: Tx, account_id: int, address: bytes, chain_id: int | None = None
) -> None:
    """Take a wallet from the account: for one chain, or wherever it holds it.

    Raises:
        WalletNotFound: it holds none such.
        Conflict: nobody could sign in to the account or manage it afterwards.
    """
    await tx.execute(HOLD, account_id)  # or two at once take the last two
    if await tx.execute(REMOVE, address, account_id, chain_id) == "DELETE 0":
        named = checksum_address(address)
        raise WalletNotFound(f"this account does not hold {named}", address=named)
    if await tx.fetchval(LOCKED_OUT, account_id):
        raise Conflict(
            "this is the account's last wallet, and it has no key with the scope `admin` that does "
            "not expire: make one first, or prove another wallet"
        )
