"""Calldata of every function the devnet calls. Pure.

Solidity's `string` is written as `bytes`: the two encode alike, and strangers' strings need not be
UTF-8. Functions and their rules: ERC-8004 registries 2.0.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec
from eth_abi.abi import encode

from renown.chain.devnet.accounts import Account
from renown.chain.devnet.addresses import IDENTITY
from renown.spec.contracts import selector
from renown.types import checksum_address

MAX_WALLET_DEADLINE_SECONDS = 300
"""How far past the block's time `setAgentWallet` lets a deadline lie."""

Metadata = Sequence[tuple[bytes, bytes]]


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


def register(uri: bytes | None = None, metadata: Metadata = ()) -> bytes:
    """The shortest of the three overloads that says it all; None is `register()`."""
    if metadata:
        return _call("register(string,(string,bytes)[])", uri or b"", list(metadata))
    if uri is None:
        return _call("register()")
    return _call("register(string)", uri)


def set_agent_uri(agent_id: int, uri: bytes) -> bytes:
    """By a manager; empty is allowed."""
    return _call("setAgentURI(uint256,string)", agent_id, uri)


def set_metadata(agent_id: int, key: bytes, value: bytes) -> bytes:
    """By a manager; an empty value clears the key, and `agentWallet` is refused."""
    return _call("setMetadata(uint256,string,bytes)", agent_id, key, value)


def set_agent_wallet(agent_id: int, wallet: bytes, deadline: int, signature: bytes) -> bytes:
    """`deadline` in Unix seconds of the chain's clock; `signature` from `sign_agent_wallet`."""
    return _call(
        "setAgentWallet(uint256,address,uint256,bytes)", agent_id, wallet, deadline, signature
    )


def unset_agent_wallet(agent_id: int) -> bytes:
    """By a manager, whether or not there is a wallet."""
    return _call("unsetAgentWallet(uint256)", agent_id)


def approve(spender: bytes, agent_id: int) -> bytes:
    """By the owner or an operator; the zero address takes it back."""
    return _call("approve(address,uint256)", spender, agent_id)


def set_approval_for_all(operator: bytes, approved: bool) -> bytes:
    """Belongs to the calling owner, not to an agent."""
    return _call("setApprovalForAll(address,bool)", operator, approved)


def transfer(owner: bytes, recipient: bytes, agent_id: int) -> bytes:
    """By a manager; empties the wallet. Asks no receiver hook."""
    return _call("transferFrom(address,address,uint256)", owner, recipient, agent_id)


def safe_transfer(
    owner: bytes, recipient: bytes, agent_id: int, note: bytes | None = None
) -> bytes:
    """A contract without the receiver hook refuses; a `note` picks the overload that carries it."""
    if note is None:
        return _call("safeTransferFrom(address,address,uint256)", owner, recipient, agent_id)
    return _call(
        "safeTransferFrom(address,address,uint256,bytes)", owner, recipient, agent_id, note
    )


# Reputation registry -------------------------------------------------------------------------


def give_feedback(agent_id: int, said: Feedback) -> bytes:
    """By anyone but a manager of the agent."""
    return _call(
        "giveFeedback(uint256,int128,uint8,string,string,string,string,bytes32)",
        agent_id,
        *msgspec.structs.astuple(said),
    )


def revoke_feedback(agent_id: int, index: int) -> bytes:
    """By the client that gave it, once."""
    return _call("revokeFeedback(uint256,uint64)", agent_id, index)


def append_response(
    agent_id: int, client: bytes, index: int, uri: bytes, content_hash: bytes
) -> bytes:
    """`uri` may not be empty."""
    return _call(
        "appendResponse(uint256,address,uint64,string,bytes32)",
        agent_id,
        client,
        index,
        uri,
        content_hash,
    )


def get_summary(
    agent_id: int, clients: Sequence[bytes], tag1: bytes = b"", tag2: bytes = b""
) -> bytes:
    """Answered by `(uint64 count, int128 value, uint8 decimals)`; reverts for no clients."""
    return _call("getSummary(uint256,address[],string,string)", agent_id, list(clients), tag1, tag2)


# Validation registry -------------------------------------------------------------------------


def validation_request(validator: bytes, agent_id: int, uri: bytes, request_hash: bytes) -> bytes:
    """By a manager of the agent; a request hash is taken for good."""
    return _call(
        "validationRequest(address,uint256,string,bytes32)", validator, agent_id, uri, request_hash
    )


def validation_response(
    request_hash: bytes, response: int, uri: bytes, content_hash: bytes, tag: bytes
) -> bytes:
    """`response` is 0 to 100."""
    return _call(
        "validationResponse(bytes32,uint8,string,bytes32,string)",
        request_hash,
        response,
        uri,
        content_hash,
        tag,
    )


# Contracts themselves ------------------------------------------------------------------------


def initialize_owner(owner: bytes) -> bytes:
    """Version 1 of a proxy, on the placeholder."""
    return _call("initialize(address)", owner)


def initialize_identity() -> bytes:
    """Version 2 of the identity registry's proxy."""
    return _call("initialize()")


def initialize_linked(identity: bytes) -> bytes:
    """Version 2 of the other registries' proxies."""
    return _call("initialize(address)", identity)


def upgrade(implementation: bytes, initial_call: bytes = b"") -> bytes:
    """By the registry's owner."""
    return _call("upgradeToAndCall(address,bytes)", implementation, initial_call)


def execute(target: bytes, calldata: bytes) -> bytes:
    """What a smart wallet's owner sends it to act."""
    return _call("execute(address,bytes)", target, calldata)


def reentrant_register(trap: int, uri: bytes, recipient: bytes) -> bytes:
    """`trap`: 0 none, 1 set the URI, 2 unset the wallet, 3 move the agent, 4 register another."""
    return _call("register(address,uint8,string,address)", IDENTITY, trap, uri, recipient)


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
    signed = Account.sign_typed_data(
        private_key,
        domain_data={
            "name": "ERC8004IdentityRegistry",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": checksum_address(registry),
        },
        message_types={
            "AgentWalletSet": [
                {"name": "agentId", "type": "uint256"},
                {"name": "newWallet", "type": "address"},
                {"name": "owner", "type": "address"},
                {"name": "deadline", "type": "uint256"},
            ]
        },
        message_data={
            "agentId": agent_id,
            "newWallet": checksum_address(wallet),
            "owner": checksum_address(owner),
            "deadline": deadline,
        },
    )
    return bytes(signed.signature)


def _call(signature: str, *arguments: object) -> bytes:
    types = _split(signature[signature.index("(") + 1 : -1].replace("string", "bytes"))
    return selector(signature) + encode(types, arguments)


@cache
def _split(types: str) -> tuple[str, ...]:
    """The types of an argument list; commas inside a tuple do not part them."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(types):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(types[start:position])
            start = position + 1
    return (*parts, types[start:]) if types else ()
