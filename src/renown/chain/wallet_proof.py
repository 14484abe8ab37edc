"""Whether a signature is a wallet's: an account's own, or a contract's by its own code.

ECDSA comes first, whether or not the address has code. A contract is asked by `eth_call` (ERC-1271)
at one recent block; one that is not deployed yet (ERC-6492) by deploying it within such a call.
Nothing is ever sent to the chain for a proof. Contracts are strangers' code: what they may take in
gas, time and answer is bounded, and whatever goes wrong is a refusal.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from eth_abi.abi import encode

from renown.chain.rpc import CallReverted
from renown.chain.signatures import personal_digest, recover_signature
from renown.chain.tx.writer import ChainWriter
from renown.errors import WalletProofRefused
from renown.spec import reverts
from renown.spec.contracts import contract, selector

Proof = Literal["signature", "erc1271", "erc6492"]

IS_VALID_SIGNATURE = selector("isValidSignature(bytes32,bytes)")
ACCEPTED = IS_VALID_SIGNATURE.ljust(32, b"\0")
"""What a contract answers where the signature is good: the selector, as `bytes4` (ERC-1271)."""

UNDEPLOYED_SUFFIX = bytes.fromhex("6492" * 16)
"""Ends a signature that carries how to deploy its wallet (ERC-6492)."""

MAX_SIGNATURE_BYTES = 16 * 1024
GAS = 3_000_000
DEPLOYING_GAS = 10_000_000
NODE_SECONDS = 4.0
SECONDS = 9.0
"""In all: two slow nodes, and nobody waits longer."""


async def proves(
    writer: ChainWriter | None, address: bytes, message: bytes, signature: bytes
) -> Proof:
    """How `signature` shows that whoever controls `address` signed `message` (EIP-191, 0x45).

    Args:
        writer: the chain that a contract wallet lives on; None where we have no node of it.
        signature: 65 bytes (`v` 27, 28, 0 or 1), 64 (EIP-2098), or what the contract wants.

    Raises:
        WalletProofRefused: it does not; the message says why.
        NodeError: no node answered: nothing is known.
    """
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise WalletProofRefused(f"a signature of more than {MAX_SIGNATURE_BYTES} bytes")
    digest = personal_digest(message)
    if recover_signature(digest, signature) == address:
        return "signature"
    if writer is None:
        raise WalletProofRefused(
            "the signature is not by the key of this address, and a contract wallet of this chain "
            "cannot be asked here"
        )
    if signature.endswith(UNDEPLOYED_SUFFIX):
        await _simulate(writer, address, digest, signature)
        return "erc6492"
    if not await writer.code(address):
        raise WalletProofRefused("the signature is not by the key of this address")
    await _ask_contract(writer, address, digest, signature)
    return "erc1271"


async def _ask_contract(
    writer: ChainWriter, address: bytes, digest: bytes, signature: bytes
) -> None:
    calldata = IS_VALID_SIGNATURE + encode(["bytes32", "bytes"], [digest, signature])
    answer = await _bounded_call(writer, address, calldata, GAS)
    if answer[:32] != ACCEPTED:
        raise WalletProofRefused("the wallet's contract does not accept the signature (ERC-1271)")


async def _simulate(writer: ChainWriter, address: bytes, digest: bytes, signature: bytes) -> None:
    """Run our own validator as creation code: it deploys the wallet, and asks it (ERC-6492)."""
    arguments = encode(["address", "bytes32", "bytes"], [address, digest, signature])
    code = contract("wallet_proof").creation_code + arguments
    answer = await _bounded_call(writer, None, code, DEPLOYING_GAS)
    if answer != b"\x01":
        raise WalletProofRefused(
            "the wallet that the signature deploys does not accept it (ERC-6492)"
        )


async def _bounded_call(writer: ChainWriter, to: bytes | None, calldata: bytes, gas: int) -> bytes:
    """One `eth_call` at a recent block. Raises WalletProofRefused for what the contract does."""
    try:
        async with asyncio.timeout(SECONDS):
            return await writer.call(
                to,
                calldata,
                block=await writer.head(),
                gas=gas,
                deadline_seconds=NODE_SECONDS,
            )
    except TimeoutError:
        failure = "did not answer in time"
    except CallReverted as exc:
        failure = f"failed: {exc.context.get('failure') or reverts.reason(exc.revert_data)}"
    raise WalletProofRefused(f"the wallet's contract {failure}")
