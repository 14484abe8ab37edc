"""Where things are on the devnet. Pure.

The registries' proxies stand at the official testnet addresses. Everything else is deployed by the
deterministic deployer (EIP-1014 `CREATE2`), so its address follows from its code and a salt, and a
second run finds what the first one left.
"""

from __future__ import annotations

from eth_abi.abi import encode
from eth_hash.auto import keccak

from renown.spec.contracts import ContractName, contract
from renown.spec.deployments import DEPLOYMENTS, DEVNET_CHAIN_ID
from renown.spec.tokens import DEVNET_DOLLAR
from renown.types import Address

CHAIN_ID = DEVNET_CHAIN_ID

IDENTITY = Address(DEPLOYMENTS[CHAIN_ID].identity)
REPUTATION = Address(DEPLOYMENTS[CHAIN_ID].reputation)
VALIDATION = Address(DEPLOYMENTS[CHAIN_ID].validation[0])

DOLLAR = Address(DEVNET_DOLLAR)
"""The devnet's money (ERC-20 with six decimals and EIP-3009): what USDC is elsewhere."""

REGISTRY_OWNER = Address(bytes.fromhex("547289319c3e6aedb179c0b8e8af0b5acd062603"))
"""Who may upgrade the registries: on the devnet the account that may do so on the testnets."""

DEPLOYER = Address(bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c"))
"""The deterministic deployer: its calldata is a 32-byte salt and creation code. Anvil has it."""

IMPLEMENTATION_SLOT = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC
"""Where an ERC-1967 proxy keeps the address of its code."""

REGISTRIES: tuple[tuple[Address, ContractName], ...] = (
    (IDENTITY, "identity_registry"),
    (REPUTATION, "reputation_registry"),
    (VALIDATION, "validation_registry"),
)


def deployment(name: ContractName, arguments: bytes = b"", *, salt: int = 0) -> bytes:
    """Calldata for `DEPLOYER` that deploys a contract with ABI-encoded constructor arguments."""
    return salt.to_bytes(32) + contract(name).creation_code + arguments


def deployed_address(calldata: bytes) -> Address:
    """Where `DEPLOYER` puts what `deployment` describes (EIP-1014)."""
    salt, creation_code = calldata[:32], calldata[32:]
    return Address(keccak(b"\xff" + DEPLOYER + salt + keccak(creation_code))[12:])


def implementation(name: ContractName, *, generation: int = 0) -> Address:
    """The code behind a registry's proxy; a higher `generation` is an equal copy elsewhere."""
    return deployed_address(deployment(name, salt=generation))


def smart_wallet(owner: bytes, salt: int) -> bytes:
    """Calldata for `DEPLOYER`: an ERC-1271 wallet that signs and acts as `owner` says."""
    return deployment("smart_wallet", encode(["address"], [owner]), salt=salt)


def proxy(implementation_address: bytes, initial_call: bytes, salt: int) -> bytes:
    """Calldata for `DEPLOYER`: an ERC-1967 proxy that runs `initial_call` when it is made."""
    arguments = encode(["address", "bytes"], [implementation_address, initial_call])
    return deployment("erc1967_proxy", arguments, salt=salt)
