"""Proving a wallet: a message of ours, signed once (EIP-4361)."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

import msgspec

from renown.api.deps import Desk
from renown.chain.wallet_proof import proves
from renown.errors import WalletProofRefused
from renown.spec import siwe
from renown.store.challenges import LIFETIME, ChallengeRow, keep_challenge, take_challenge
from renown.store.clock import clock
from renown.store.wallets import EVERYWHERE, Proof

SIGN_IN = "Sign in to Renown."
_LINK = "Link this wallet to the Renown account {account}."
_NONCE_BYTES = 16


class Given(msgspec.Struct, frozen=True):
    """A message that was given out, and until when it can be used."""

    message: str
    nonce: str
    expires_at: datetime


class ProvedWallet(msgspec.Struct, frozen=True):
    """A wallet that signed. `chain_id` 0: it did so with a key of its own, which acts on every
    chain."""

    address: bytes
    chain_id: int
    proof: Proof


async def give(
    desk: Desk,
    address: bytes,
    chain_id: int | None,
    *,
    account: UUID | None = None,
    account_id: int | None = None,
) -> Given:
    """Make a message for `address` to sign, and remember it until it is used.

    Args:
        chain_id: where a contract at `address` is to be asked; for a wallet with a key of its own
            any will do.
        account, account_id: whose wallet it would become; None: it signs somebody in.
    """
    asks = siwe.site(desk.public_url)
    async with desk.reading() as conn:
        now = await clock(conn)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    message = siwe.Message(
        domain=asks.domain,
        address=address,
        statement=SIGN_IN if account is None else _LINK.format(account=account),
        uri=asks.uri,
        chain_id=min(desk.writers, default=1) if chain_id is None else chain_id,
        nonce=secrets.token_hex(_NONCE_BYTES),
        issued_at=now,
        expiration_time=now + LIFETIME,
    )
    text = siwe.write(message)
    async with desk.reading() as conn:
        row = ChallengeRow(message.nonce, account_id, address, message.chain_id, text)
        await keep_challenge(conn, row)
    return Given(text, message.nonce, now + LIFETIME)


async def prove(
    desk: Desk, text: str, signature: bytes, *, account_id: int | None = None
) -> ProvedWallet:
    """The wallet that signed a message of ours, which cannot be used again, right or wrong.

    Raises:
        WalletProofRefused: it is not a message that was given out here for this purpose and
            account and waits still; or the signature is not the wallet's.
    """
    try:
        said = siwe.parse(text)
        async with desk.reading() as conn:
            now = await clock(conn)
        siwe.check(said, siwe.site(desk.public_url), now)
    except ValueError as exc:
        raise WalletProofRefused(f"the message cannot be taken: {exc}") from None
    async with desk.reading() as conn:
        given = await take_challenge(conn, said.nonce)
    if given is None or (given.message, given.account_id) != (text, account_id):
        raise WalletProofRefused(
            "no such message waits to be signed: it was used, has expired, or was changed; "
            "ask for a new one"
        )
    writer = desk.writers.get(said.chain_id)
    proof = await proves(writer, said.address, text.encode(), signature)
    return ProvedWallet(said.address, EVERYWHERE if proof == "signature" else said.chain_id, proof)
