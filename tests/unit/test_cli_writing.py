"""Whom and where the server signs for, as the commands set it up."""

from __future__ import annotations

from pathlib import Path

import pytest

from renown.chain.devnet.wallets import devnet_wallet
from renown.chain.tx.signer import signs_for
from renown.cli.writing import writing
from renown.errors import SignerError
from renown.settings import load_settings
from renown.spec.deployments import DEPLOYMENTS, DEVNET_CHAIN_ID
from renown.spec.transactions import UnsignedTransaction
from renown.spec.typed_data import agent_wallet_set

BASE = 8453


async def test_public_devnet_keys__with_a_node_of_a_real_chain__sign_for_the_devnet_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RENOWN_RPC_URLS", '{"base": ["http://127.0.0.1:9"]}')
    monkeypatch.setenv("RENOWN_DATA_DIR", str(tmp_path))
    sender = bytes(devnet_wallet(0).address)
    async with writing(load_settings(), own_devnet=True) as found:
        assert BASE in found.writers
        assert found.signer is not None
        assert signs_for(found.signer, DEVNET_CHAIN_ID, sender)
        assert not signs_for(found.signer, BASE, sender)
        for chain_id, refuses in ((DEVNET_CHAIN_ID, False), (BASE, True)):
            wanted = UnsignedTransaction(
                chain_id=chain_id,
                sender=sender,
                to=DEPLOYMENTS[chain_id].identity,
                calldata=b"",
                nonce=0,
                gas=21_000,
                max_fee_wei=1,
                priority_fee_wei=1,
            )
            typed = agent_wallet_set(chain_id, DEPLOYMENTS[chain_id].identity, 1, sender, sender, 9)
            for sign in (
                found.signer.sign(wanted),
                found.signer.sign_typed_data(sender, typed),
            ):
                if refuses:
                    with pytest.raises(SignerError, match="does not sign for chain 8453"):
                        await sign
                else:
                    assert await sign
