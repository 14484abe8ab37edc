"""Ten wallets that the devnet gives ether and dollars to.

THEIR KEYS ARE PUBLIC. They follow from the mnemonic that every development chain (anvil, Hardhat,
Ganache) starts with, and on public chains programs wait to take whatever is sent to them. Nothing
here may ever sign for a chain other than the devnet: nobody knows these wallets from anybody
else's there.
"""

from __future__ import annotations

from functools import cache

from renown.chain.accounts import Account
from renown.chain.devnet.cast import Signer
from renown.types import Address

MNEMONIC = "test test test test test test test test test test test junk"
COUNT = 10


@cache
def devnet_wallet(number: int) -> Signer:
    """Wallet 0 to 9, as anvil numbers its accounts (BIP-44, `m/44'/60'/0'/0/{number}`).

    Raises:
        ValueError: there are ten.
    """
    if not 0 <= number < COUNT:
        raise ValueError(f"the devnet has wallets 0 to {COUNT - 1}")
    Account.enable_unaudited_hdwallet_features()
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}")
    return Signer(bytes(account.key), Address(bytes.fromhex(account.address[2:])))


def devnet_wallets() -> tuple[Signer, ...]:
    """All ten, in order."""
    return tuple(map(devnet_wallet, range(COUNT)))
