"""Which account a wallet of the server's signer acts for, and what was spent for it."""

from __future__ import annotations

from typing import LiteralString

import msgspec

from renown.errors import Conflict, NotFound
from renown.store.pool import Conn, Tx
from renown.types import checksum_address

HOLD: LiteralString = "SELECT closed_at IS NULL FROM account WHERE account_id = $1 FOR KEY SHARE"
GRANT: LiteralString = """
INSERT INTO signer_grant (address, account_id) VALUES ($1, $2)
    ON CONFLICT (address) DO UPDATE SET address = excluded.address
     WHERE signer_grant.account_id = $2
RETURNING address
"""


async def grant_wallet(tx: Tx, account_id: int, address: bytes) -> None:
    """Let a wallet of the signer act for this account and no other; again changes nothing.

    Raises:
        Conflict: it acts for another account, or this one is closed.
    """
    if not await tx.fetchval(HOLD, account_id):
        raise Conflict("the account is closed")
    if await tx.fetchval(GRANT, address, account_id) is None:
        raise Conflict(
            f"{checksum_address(address)} acts for another account: whoever acts by it controls the"
            " agents that it owns; `renown accounts revoke-signer` takes it away"
        )


REVOKE: LiteralString = "DELETE FROM signer_grant WHERE address = $1 AND account_id = $2"


async def revoke_wallet(tx: Tx, account_id: int, address: bytes) -> None:
    """Take a wallet from the account: nothing more is signed for it. Raises NotFound."""
    if await tx.execute(REVOKE, address, account_id) == "DELETE 0":
        raise NotFound(f"{checksum_address(address)} does not act for this account")


OF_ACCOUNT: LiteralString = """
SELECT address FROM signer_grant WHERE account_id = $1 ORDER BY granted_at, address
"""
ALL: LiteralString = "SELECT account_id, address FROM signer_grant ORDER BY granted_at, address"


async def granted_to(conn: Conn, account_id: int) -> tuple[bytes, ...]:
    """The wallets that act for the account, the first granted first."""
    return tuple(row[0] for row in await conn.fetch(OF_ACCOUNT, account_id))


async def all_grants(conn: Conn) -> dict[int, list[bytes]]:
    """Wallets by account."""
    found: dict[int, list[bytes]] = {}
    for account_id, address in await conn.fetch(ALL):
        found.setdefault(account_id, []).append(address)
    return found


# Of several transactions at one nonce one at most takes effect: the dearest counts.
SPENT: LiteralString = """
SELECT coalesce(sum(worst), 0)::text FROM (
    SELECT max(t.gas * t.max_fee_wei) AS worst
      FROM operation o JOIN operation_transaction t USING (operation_id)
     WHERE o.account_id = $1 AND o.chain_id = $2 AND o.mode = 'managed'
       AND o.updated_at > now() - interval '24 hours'
       AND t.signed_at > now() - interval '24 hours'
     GROUP BY t.sender, t.nonce) once
"""


async def spent_wei(conn: Conn, account_id: int, chain_id: int) -> int:
    """The most that what the signer signed for the account in the last 24 hours may cost, in wei
    of this chain: gas times the most offered, be it in a block or not."""
    return int(await conn.fetchval(SPENT, account_id, chain_id))


class Signing(msgspec.Struct, frozen=True):
    """What decides whether the signer signs for an account now."""

    is_granted: bool
    spent_wei: int


# One account's signatures in turn: two at once must not both spend the last of its allowance.
IN_TURN: LiteralString = """
SELECT pg_advisory_xact_lock(hashtextextended('renown.spending.' || $1::bigint, 0))
"""
GRANTED: LiteralString = """
SELECT EXISTS (SELECT FROM signer_grant WHERE address = $1 AND account_id = $2)
"""


async def before_signing(tx: Tx, account_id: int, chain_id: int, sender: bytes) -> Signing:
    """How things stand; nothing else is signed for the account until the transaction ends."""
    await tx.execute(IN_TURN, account_id)
    is_granted = await tx.fetchval(GRANTED, sender, account_id)
    return Signing(is_granted, await spent_wei(tx, account_id, chain_id))
