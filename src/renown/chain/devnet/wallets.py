"""Ten wallets that the devnet gives ether and dollars to.

THEIR KEYS ARE PUBLIC. They follow from the mnemonic that every development chain (anvil, Hardhat,
Ganache) starts with, and on public chains programs wait to take whatever is sent to them. Nothing
here may ever sign for a chain other than the devnet: nobody knows these wallets from anybody
else's there.
"""

from __future__ import annotations

from functools import cache

import coincurve

from renown.chain.devnet.cast import Signer
from renown.chain.signatures import address_of
from renown.types import Address

MNEMONIC = "test test test test test test test test test test test junk"
_KEYS = (
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
)
"""Of accounts 0 to 9 of the mnemonic (BIP-44, `m/44'/60'/0'/0/{number}`): deriving them takes a
second, and they never change."""
COUNT = len(_KEYS)


@cache
def devnet_wallet(number: int) -> Signer:
    """Wallet 0 to 9, as anvil numbers its accounts (BIP-44, `m/44'/60'/0'/0/{number}`).

    Raises:
        ValueError: there are ten.
    """
    if not 0 <= number < COUNT:
        raise ValueError(f"the devnet has wallets 0 to {COUNT - 1}")
    private_key = bytes.fromhex(_KEYS[number])
    return Signer(private_key, Address(address_of(coincurve.PrivateKey(private_key).public_key)))


def devnet_wallets() -> tuple[Signer, ...]:
    """All ten, in order."""
    return tuple(map(devnet_wallet, range(COUNT)))
