"""What a new agent wallet signs: `AgentWalletSet` as EIP-712 typed data, and its digest. Pure.

The new wallet signs, for the agent's current owner, whoever sends the transaction. There is no
nonce: within its deadline a signature can be used again, until the agent changes hands.

Source: IdentityRegistry 2.0.0, `setAgentWallet`; EIP-712.
"""

from __future__ import annotations

from typing import Any

from eth_hash.auto import keccak

from renown.types import checksum_address

DOMAIN_NAME = "ERC8004IdentityRegistry"
DOMAIN_VERSION = "1"

_DOMAIN_FIELDS = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)
_FIELDS = (
    ("agentId", "uint256"),
    ("newWallet", "address"),
    ("owner", "address"),
    ("deadline", "uint256"),
)


def agent_wallet_set(
    chain_id: int, registry: bytes, agent_id: int, new_wallet: bytes, owner: bytes, deadline: int
) -> dict[str, Any]:
    """As wallets take it for `eth_signTypedData_v4`; numbers beyond 2^53 - 1 are decimal text.

    Args:
        registry: the identity registry's proxy.
        owner: `ownerOf(agent_id)`, also when an operator sends the transaction.
        deadline: Unix seconds of the chain's clock, at most `MAX_WALLET_DEADLINE_SECONDS` after
            the block that takes it.
    """
    return {
        "types": {
            "EIP712Domain": [{"name": name, "type": kind} for name, kind in _DOMAIN_FIELDS],
            "AgentWalletSet": [{"name": name, "type": kind} for name, kind in _FIELDS],
        },
        "primaryType": "AgentWalletSet",
        "domain": {
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": chain_id,
            "verifyingContract": checksum_address(registry),
        },
        "message": {
            "agentId": _number(agent_id),
            "newWallet": checksum_address(new_wallet),
            "owner": checksum_address(owner),
            "deadline": _number(deadline),
        },
    }


def agent_wallet_digest(
    chain_id: int, registry: bytes, agent_id: int, new_wallet: bytes, owner: bytes, deadline: int
) -> bytes:
    """The 32 bytes that the new wallet's key signs."""
    struct = agent_wallet_struct_hash(agent_id, new_wallet, owner, deadline)
    return keccak(b"\x19\x01" + domain_separator(chain_id, registry) + struct)


def domain_separator(chain_id: int, registry: bytes) -> bytes:
    """Of one identity registry, as its `eip712Domain()` describes it."""
    return keccak(
        _type_hash("EIP712Domain", _DOMAIN_FIELDS)
        + keccak(DOMAIN_NAME.encode())
        + keccak(DOMAIN_VERSION.encode())
        + chain_id.to_bytes(32)
        + _padded(registry)
    )


def agent_wallet_struct_hash(
    agent_id: int, new_wallet: bytes, owner: bytes, deadline: int
) -> bytes:
    """`hashStruct` of EIP-712."""
    return keccak(
        _type_hash("AgentWalletSet", _FIELDS)
        + agent_id.to_bytes(32)
        + _padded(new_wallet)
        + _padded(owner)
        + deadline.to_bytes(32)
    )


def _type_hash(name: str, fields: tuple[tuple[str, str], ...]) -> bytes:
    listed = ",".join(f"{kind} {field}" for field, kind in fields)
    return keccak(f"{name}({listed})".encode())


def _padded(address: bytes) -> bytes:
    if len(address) != 20:
        raise ValueError("an address has 20 bytes")
    return address.rjust(32, b"\0")


def _number(value: int) -> int | str:
    return value if value < 2**53 else str(value)
