"""Readers of what a registry says about itself: ERC-1967, Ownable, Initializable, ERC-5267.

The conventions are those of `decode.identity`.
"""

from __future__ import annotations

from renown.decode import words
from renown.decode.words import Topics, address_topic
from renown.errors import UndecodableLog
from renown.spec.events import RegistryChanged
from renown.types import MAX_BIGINT


def upgraded(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> RegistryChanged:
    """`Upgraded(implementation)`."""
    return RegistryChanged(
        block, log_index, tx, contract, "upgraded", subject=address_topic(topics[1])
    )


def initialized(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> RegistryChanged:
    """`Initialized(version)`. 2**64 - 1 locks an implementation; a proxy never emits it."""
    version = words.uint(data, 0, bits=64)
    if version > MAX_BIGINT:
        raise UndecodableLog("version-out-of-range")
    return RegistryChanged(block, log_index, tx, contract, "initialized", version=version)


def ownership_transferred(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> RegistryChanged:
    """`OwnershipTransferred(previousOwner, newOwner)` of the contract, not of an agent."""
    return RegistryChanged(
        block,
        log_index,
        tx,
        contract,
        "ownership-transferred",
        subject=address_topic(topics[2]),
        other=address_topic(topics[1]),
    )


def domain_changed(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> RegistryChanged:
    """`EIP712DomainChanged()`."""
    return RegistryChanged(block, log_index, tx, contract, "domain-changed")
