"""Proofs of wallets on a real chain, where the wallets may be hostile contracts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from eth_abi.abi import encode

from renown.chain.accounts import Account
from renown.chain.devnet.addresses import DEPLOYER, deployed_address, smart_wallet
from renown.chain.devnet.wallets import devnet_wallets
from renown.chain.signatures import personal_digest
from renown.chain.wallet_proof import (
    MAX_SIGNATURE_BYTES,
    UNDEPLOYED_SUFFIX,
    proves,
)
from renown.errors import WalletProofRefused
from tests.acting import Acting, acting

MESSAGE = b"renown.example wants you to sign in"
WALLET, OTHER = devnet_wallets()[:2]


def signed_by(wallet: Any, message: bytes = MESSAGE) -> bytes:
    digest = personal_digest(message)
    return bytes(Account.unsafe_sign_hash(digest, wallet.private_key).signature)


def compact(signature: bytes) -> bytes:
    """EIP-2098."""
    s = int.from_bytes(signature[32:64]) | (signature[64] - 27) << 255
    return signature[:32] + s.to_bytes(32)


def undeployed(factory: bytes, calldata: bytes, signature: bytes) -> bytes:
    """A signature of a wallet that is still to be deployed (ERC-6492)."""
    return encode(["address", "bytes", "bytes"], [factory, calldata, signature]) + UNDEPLOYED_SUFFIX


@pytest.fixture
async def chain() -> AsyncIterator[Acting]:
    async with acting() as running:
        yield running


async def test_proves__an_accounts_own_signature__asks_no_node():
    signature = signed_by(WALLET)
    forms = [signature, signature[:64] + bytes([signature[64] - 27]), compact(signature)]

    for form in forms:
        assert await proves(None, WALLET.address, MESSAGE, form) == "signature"


@pytest.mark.parametrize(
    "signature",
    [signed_by(OTHER), signed_by(WALLET, b"another message"), b"", bytes(65), b"\xff" * 65],
    ids=["another wallet", "another message", "empty", "zeros", "ones"],
)
async def test_proves__somebody_elses_signature__is_refused(signature):
    with pytest.raises(WalletProofRefused):
        await proves(None, WALLET.address, MESSAGE, signature)


async def test_proves__contract_wallet__is_asked(chain):
    made = smart_wallet(WALLET.address, salt=1)
    contract = deployed_address(made)
    with pytest.raises(WalletProofRefused, match="not by the key"):
        await proves(chain.writer, contract, MESSAGE, signed_by(WALLET))
    await chain.act(OTHER.address, DEPLOYER, made)

    assert await proves(chain.writer, contract, MESSAGE, signed_by(WALLET)) == "erc1271"
    with pytest.raises(WalletProofRefused, match="does not accept"):
        await proves(chain.writer, contract, MESSAGE, signed_by(OTHER))
    with pytest.raises(WalletProofRefused, match="cannot be asked here"):
        await proves(None, contract, MESSAGE, signed_by(WALLET))
    # An account with code signs for itself as well (EIP-7702).
    await chain.put_code(WALLET.address, "00")
    assert await proves(chain.writer, WALLET.address, MESSAGE, signed_by(WALLET)) == "signature"


HOSTILE = {
    "reverts": "60006000fd",
    "reverts with a megabyte": "620f42406000fd",
    "burns all its gas": "fe",
    "loops": "5b600056",
    "answers a megabyte": "620f42406000f3",
    "wants more memory than there is": "63ffffffff6000f3",
    "answers nothing": "00",
    "answers yes as a number": "60016000526020" + "6000f3",
    "answers four bytes only": "631626ba7e60e01b60005260046000f3",
    "answers with the selector at the wrong end": "631626ba7e60005260206000f3",
    "writes": "6001600055631626ba7e60e01b60005260206000f3",
}


async def test_proves__hostile_contracts__are_refused_in_bounded_time(chain):
    address = b"\xaa" * 20
    began = time.monotonic()

    for what, code in HOSTILE.items():
        await chain.put_code(address, code)
        if what == "writes":  # an eth_call may: nothing of it stays
            assert await proves(chain.writer, address, MESSAGE, b"any") == "erc1271"
            continue
        with pytest.raises(WalletProofRefused):
            await proves(chain.writer, address, MESSAGE, b"any")
        proof = undeployed(DEPLOYER, b"", b"any")
        with pytest.raises(WalletProofRefused):
            await proves(chain.writer, address, MESSAGE, proof)
    assert time.monotonic() - began < 30
    (status,) = chain.writer.pool.status()
    assert (status.state, status.failures) == ("ok", 0)  # the node is not blamed


async def test_proves__wallet_not_deployed_yet__is_simulated_and_never_deployed(chain):
    made = smart_wallet(WALLET.address, salt=2)
    wallet = deployed_address(made)
    height, count = await chain.writer.head(), await chain.writer.nonce(WALLET.address)

    proof = undeployed(DEPLOYER, made, signed_by(WALLET))
    assert await proves(chain.writer, wallet, MESSAGE, proof) == "erc6492"

    assert await chain.writer.code(wallet) == b""
    assert await chain.writer.head() == height
    assert await chain.writer.nonce(WALLET.address) == count
    refused = {
        "another owner": undeployed(DEPLOYER, made, signed_by(OTHER)),
        "another message": undeployed(DEPLOYER, made, signed_by(WALLET, b"x")),
        "another wallet": undeployed(
            DEPLOYER, smart_wallet(WALLET.address, salt=3), signed_by(WALLET)
        ),
        "no factory": undeployed(b"\xbb" * 20, made, signed_by(WALLET)),
        "factory that fails": undeployed(DEPLOYER, b"", signed_by(WALLET)),
        "nothing to read": UNDEPLOYED_SUFFIX,
        "hostile offsets": b"\xff" * 96 + UNDEPLOYED_SUFFIX,
        "too long": bytes(MAX_SIGNATURE_BYTES) + UNDEPLOYED_SUFFIX,
    }
    for what, other in refused.items():
        with pytest.raises(WalletProofRefused):
            await proves(chain.writer, wallet, MESSAGE, other)
            pytest.fail(what)

    await chain.act(OTHER.address, DEPLOYER, made)  # deployed since: the same proof stays good
    assert await proves(chain.writer, wallet, MESSAGE, proof) == "erc6492"
