"""What the server's signer does for an account: as which wallets, and for how much."""

from __future__ import annotations

from collections.abc import Sequence

from renown.api.access.idempotent import HEADER
from renown.api.deps import Desk
from renown.chain.tx.signer import signs_for
from renown.errors import BadParameter, ChainNotWritable, SignerNotAllowed
from renown.spec.allowance import excess
from renown.spec.deployments import Deployment
from renown.spec.transactions import UnsignedTransaction
from renown.store.pool import Conn
from renown.store.signer_grants import granted_to, spent_wei
from renown.types import checksum_address


def require_key(idempotency_key: str | None) -> None:
    """Raises BadParameter where a request that the server signs could be done twice unnoticed."""
    if idempotency_key is None:
        raise BadParameter(
            f"`managed` needs the header `{HEADER}`: the server signs, so a request that is sent"
            " again would be done again",
            parameter=HEADER,
        )


async def managed_sender(
    desk: Desk, conn: Conn, account_id: int, on: Deployment, wanted: bytes | None
) -> bytes:
    """The wallet that the server signs with: `wanted`, else the first that acts for the account.

    Raises:
        SignerNotAllowed: none acts for it, or not that one.
        ChainNotWritable: there is no signer, or it does not sign for this chain.
    """
    granted = () if desk.signer_is_open else await granted_to(conn, account_id)
    if not (granted or desk.signer_is_open):
        raise SignerNotAllowed("no wallet of the server's signer acts for this account")
    signer = desk.signer
    if signer is None or not signer.addresses:
        raise ChainNotWritable("this installation has no signer: use `prepare` or `relay`")
    if signer.chains is not None and on.chain_id not in signer.chains:
        raise ChainNotWritable(
            f"the server's signer does not sign for {on.name}: use `prepare` or `relay`",
            chain_id=on.chain_id,
        )
    usable = [one for one in signer.addresses if desk.signer_is_open or one in granted]
    sender = next(iter(usable), None) if wanted is None else wanted
    if sender is None or sender not in usable:
        named = "it" if sender is None else checksum_address(sender)
        raise SignerNotAllowed(f"the server's signer does not act as {named} for this account")
    return sender


async def signs_typed_data_as(desk: Desk, account_id: int, on: Deployment, wallet: bytes) -> bool:
    """Whether the signer gives this wallet's consent when the account asks for it."""
    if desk.signer is None or not signs_for(desk.signer, on.chain_id, wallet):
        return False
    if desk.signer_is_open:
        return True
    async with desk.reading() as conn:
        return wallet in await granted_to(conn, account_id)


async def require_affordable(
    desk: Desk,
    account_id: int,
    chain_id: int,
    prepared: Sequence[UnsignedTransaction | None],
) -> None:
    """Raises SignerNotAllowed if these are more than the signer does for the account now."""
    spent = None
    if not desk.signer_is_open:
        async with desk.reading() as conn:
            spent = await spent_wei(conn, account_id, chain_id)
    wanted = [(one.gas, one.max_fee_wei) for one in prepared if one is not None]
    why = excess(desk.allowance, spent, wanted)
    if why is not None:
        raise SignerNotAllowed(why)
