"""An account as it sees itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from renown.api.access.principal import CostClass
from renown.api.answers.keys import When
from renown.api.answers.values import Address, Count, address
from renown.store.accounts import AccountRow, AccountTier
from renown.store.wallets import EVERYWHERE, WalletRow

OnChain = Annotated[
    int | None, Meta(description="null: on every chain, for it signed with a key of its own.")
]


class Wallet(Struct):
    """A wallet that the account has proved to be its own."""

    address: Address
    chain_id: OnChain
    proof: Annotated[
        Literal["signature", "erc1271", "erc6492"],
        Meta(description="Its own key, a contract's word, or that of a contract not deployed yet."),
    ]
    proved_at: When


class Account(Struct):
    """The account that the key belongs to."""

    id: UUID
    name: str
    tier: AccountTier
    is_operator: Annotated[
        bool, Meta(description="Whether it sees all of the audit log, reviews it and marks agents.")
    ]
    signer_wallets: Annotated[
        list[Address],
        Meta(description="Wallets of the server's signer that the operator lets act for it."),
    ]
    created_at: When
    wallets: Annotated[list[Wallet], Meta(description="The first proved first.")]
    limits: Annotated[
        dict[CostClass, Count], Meta(description="Requests per minute of one key, by class.")
    ]


class Challenge(Struct):
    """A message to sign with the wallet, as it stands, byte for byte."""

    message: Annotated[str, Meta(description="Sign-In with Ethereum (EIP-4361).")]
    nonce: str
    expires_at: When


class ChallengeAsked(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which wallet is to sign."""

    address: Address
    chain_id: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=2**63 - 1,
                description="Where a contract wallet is; for others it does not matter.",
            ),
        ]
        | None
    ) = None


class SignedMessage(Struct, kw_only=True, forbid_unknown_fields=True):
    """A message that was given out, and the wallet's signature of it."""

    message: Annotated[str, Meta(max_length=4096)]
    signature: Annotated[
        str,
        Meta(
            pattern="^0x([0-9a-fA-F]{2})+$",
            max_length=10_242,
            description="As `personal_sign` gives it (EIP-191), or what a contract wallet takes"
            " (ERC-1271, ERC-6492).",
        ),
    ]


class Session(Struct, kw_only=True):
    """A key for an hour. Its text is shown here and never again."""

    key: Annotated[str, Meta(description="Send it as `Authorization: Bearer …`.")]
    key_id: str
    expires_at: When
    account: UUID
    is_new: Annotated[bool, Meta(description="Whether the account was made by this sign-in.")]


def account(
    row: AccountRow,
    wallets: Sequence[WalletRow],
    signer_wallets: Sequence[bytes],
    limits: Mapping[CostClass, int],
) -> Account:
    """The account as it is shown."""
    return Account(
        id=row.uuid,
        name=row.name,
        tier=row.tier,
        is_operator=row.is_operator,
        signer_wallets=[address(one) for one in signer_wallets],
        created_at=row.created_at,
        wallets=[wallet(one) for one in wallets],
        limits=dict(limits),
    )


def wallet(row: WalletRow) -> Wallet:
    """A wallet as it is shown."""
    chain_id = None if row.chain_id == EVERYWHERE else row.chain_id
    return Wallet(address(row.address), chain_id, row.proof, row.proved_at)
