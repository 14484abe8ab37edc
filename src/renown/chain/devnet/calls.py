"""Calldata of every function the devnet calls: those of `spec.calls`, and what only it needs. Pure.

Solidity's `string` is written as `bytes`: the two encode alike, and strangers' strings need not be
UTF-8. Functions and their rules: ERC-8004 registries 2.0.0.
"""

from __future__ import annotations

from collections.abc import Sequence

import coincurve
import msgspec

from renown.chain.devnet.addresses import IDENTITY
from renown.chain.signatures import signature_of
from renown.spec import calls
from renown.spec.calls import (
    MAX_WALLET_DEADLINE_SECONDS,
    Metadata,
    append_response,
    encode_call,
    register,
    revoke_feedback,
    set_agent_uri,
    set_agent_wallet,
    set_metadata,
    unset_agent_wallet,
    validation_request,
    validation_response,
)
from renown.spec.typed_data import agent_wallet_digest

__all__ = [
    "MAX_WALLET_DEADLINE_SECONDS",
    "Feedback",
    "Metadata",
    "append_response",
    "approve",
    "execute",
    "get_summary",
    "give_feedback",
    "initialize_identity",
    "initialize_linked",
    "initialize_owner",
    "reentrant_register",
    "register",
    "revoke_feedback",
    "safe_transfer",
    "set_agent_uri",
    "set_agent_wallet",
    "set_approval_for_all",
    "set_metadata",
    "sign_agent_wallet",
    "transfer",
    "unset_agent_wallet",
    "upgrade",
    "validation_request",
    "validation_response",
]


class Feedback(msgspec.Struct, frozen=True):
    """What a client says in `giveFeedback`: read as `value / 10**decimals`."""

    value: int
    decimals: int = 0
    tag1: bytes = b""
    tag2: bytes = b""
    endpoint: bytes = b""
    uri: bytes = b""
    content_hash: bytes = bytes(32)


# Identity registry ---------------------------------------------------------------------------


def approve(spender: bytes, agent_id: int) -> bytes:
    """By the owner or an operator; the zero address takes it back."""
    return encode_call("approve(address,uint256)", spender, agent_id)


def set_approval_for_all(operator: bytes, approved: bool) -> bytes:
    """Belongs to the calling owner, not to an agent."""
    return encode_call("setApprovalForAll(address,bool)", operator, approved)


def transfer(owner: bytes, recipient: bytes, agent_id: int) -> bytes:
    """By a manager; empties the wallet. Asks no receiver hook."""
    return encode_call("transferFrom(address,address,uint256)", owner, recipient, agent_id)


def safe_transfer(
    owner: bytes, recipient: bytes, agent_id: int, note: bytes | None = None
) -> bytes:
    """A contract without the receiver hook refuses; a `note` picks the overload that carries it."""
    if note is None:
        return encode_call("safeTransferFrom(address,address,uint256)", owner, recipient, agent_id)
    return encode_call(
        "safeTransferFrom(address,address,uint256,bytes)", owner, recipient, agent_id, note
    )


# Reputation registry -------------------------------------------------------------------------


def give_feedback(agent_id: int, said: Feedback) -> bytes:
    """By anyone but a manager of the agent."""
    return calls.give_feedback(agent_id, *msgspec.structs.astuple(said))


def get_summary(
    agent_id: int, clients: Sequence[bytes], tag1: bytes = b"", tag2: bytes = b""
) -> bytes:
    """Answered by `(uint64 count, int128 value, uint8 decimals)`; reverts for no clients."""
    return encode_call(
        "getSummary(uint256,address[],string,string)", agent_id, list(clients), tag1, tag2
    )


# Contracts themselves ------------------------------------------------------------------------


def initialize_owner(owner: bytes) -> bytes:
    """Version 1 of a proxy, on the placeholder."""
    return encode_call("initialize(address)", owner)


def initialize_identity() -> bytes:
    """Version 2 of the identity registry's proxy."""
    return encode_call("initialize()")


def initialize_linked(identity: bytes) -> bytes:
    """Version 2 of the other registries' proxies."""
    return encode_call("initialize(address)", identity)


def upgrade(implementation: bytes, initial_call: bytes = b"") -> bytes:
    """By the registry's owner."""
    return encode_call("upgradeToAndCall(address,bytes)", implementation, initial_call)


def execute(target: bytes, calldata: bytes) -> bytes:
    """What a smart wallet's owner sends it to act."""
    return encode_call("execute(address,bytes)", target, calldata)


def reentrant_register(trap: int, uri: bytes, recipient: bytes) -> bytes:
    """`trap`: 0 none, 1 set the URI, 2 unset the wallet, 3 move the agent, 4 register another."""
    return encode_call("register(address,uint8,string,address)", IDENTITY, trap, uri, recipient)


def sign_agent_wallet(
    private_key: bytes,
    *,
    chain_id: int,
    agent_id: int,
    wallet: bytes,
    owner: bytes,
    deadline: int,
    registry: bytes = IDENTITY,
) -> bytes:
    """The 65-byte EIP-712 signature that `setAgentWallet` asks of the new wallet.

    Args:
        private_key: the wallet's, or its owner's when the wallet is a contract (ERC-1271).
        owner: the agent's owner, also when an operator sends the transaction.
        deadline: Unix seconds, at most `MAX_WALLET_DEADLINE_SECONDS` after the block's time.
    """
    digest = agent_wallet_digest(chain_id, registry, agent_id, wallet, owner, deadline)
    return signature_of(coincurve.PrivateKey(private_key), digest)
