"""The devnet's wallets are those that every development chain has."""

from __future__ import annotations

from renown.chain.accounts import Account
from renown.chain.devnet.wallets import MNEMONIC, devnet_wallets


def test_devnet_wallets__ten__are_those_of_the_mnemonic():
    Account.enable_unaudited_hdwallet_features()
    for number, wallet in enumerate(devnet_wallets()):
        path = f"m/44'/60'/0'/0/{number}"
        account = Account.from_mnemonic(MNEMONIC, account_path=path)
        assert (bytes(account.key), account.address.lower()) == (
            wallet.private_key,
            f"0x{wallet.address.hex()}",
        )
