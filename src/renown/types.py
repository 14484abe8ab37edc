"""The nouns everyone shares. Nothing here knows where a value came from."""

from __future__ import annotations

import re
import uuid
from typing import NewType

import msgspec
from eth_hash.auto import keccak

from renown.errors import BadAddress, BadAgentKey

ChainId = NewType("ChainId", int)
AgentId = NewType("AgentId", int)  # 0 is an agent
BlockNumber = NewType("BlockNumber", int)
Address = NewType("Address", bytes)  # 20 bytes
Hash32 = NewType("Hash32", bytes)

ZERO_ADDRESS = Address(bytes(20))
MAX_BIGINT = 2**63 - 1
"""Largest id, index or block number we hold; a decodable log beyond it goes to quarantine."""


class BlockRef(msgspec.Struct, frozen=True, gc=False):
    """One block's place in a chain. Hashes are 32 bytes, time is Unix seconds of the header."""

    number: int
    hash: bytes
    parent_hash: bytes
    time_seconds: int


class AgentRef(msgspec.Struct, frozen=True, gc=False):
    """One agent of a chain's identity registry."""

    chain_id: int
    registry: bytes
    agent_id: int

    @property
    def key(self) -> str:
        """Canonical key: `eip155:{chainId}:{registry, lower case}:{agentId}`."""
        return f"eip155:{self.chain_id}:0x{self.registry.hex()}:{self.agent_id}"

    @property
    def uuid(self) -> uuid.UUID:
        """The same on every installation: `uuid5(NAMESPACE_URL, key)`."""
        return uuid.uuid5(uuid.NAMESPACE_URL, self.key)


class ShortKey(msgspec.Struct, frozen=True, gc=False):
    """`{chainId}:{agentId}`: an agent of the chain's official registry."""

    chain_id: int
    agent_id: int


AgentKey = AgentRef | ShortKey | uuid.UUID

_CANONICAL = re.compile(r"(?:eip155|erc8004):([0-9]{1,19}):(0x[0-9a-fA-F]{40})[:/#]([0-9]{1,78})")
_SHORT = re.compile(r"(?:eip155:)?([0-9]{1,19}):([0-9]{1,78})")


def parse_agent_key(text: str) -> AgentKey:
    """Read any form an agent is named by: canonical, short, UUID, or a spelling met in the wild.

    Accepted beside the canonical form: `{chainId}:{agentId}`, `eip155:{chainId}:{agentId}`,
    and `/` or `#` before the id. They are read, never written (ERC-8004, section "Identifiers").

    Raises:
        BadAgentKey: no such form, or a number beyond what a registry can hold.
    """
    text = text.strip()
    if match := _CANONICAL.fullmatch(text):
        chain, registry, agent = match.groups()
        return AgentRef(_bigint(chain, text), bytes.fromhex(registry[2:]), _bigint(agent, text))
    if match := _SHORT.fullmatch(text):
        chain, agent = match.groups()
        return ShortKey(_bigint(chain, text), _bigint(agent, text))
    if len(text) in (32, 36):
        try:
            return uuid.UUID(text)
        except ValueError:
            pass
    raise BadAgentKey(
        "expected eip155:{chainId}:{registry}:{agentId}, {chainId}:{agentId} or a UUID",
        key=text[:200],
    )


def parse_address(text: str) -> Address:
    """Read `0x` and 40 hex digits in any case. Raises BadAddress otherwise."""
    if re.fullmatch(r"0x[0-9a-fA-F]{40}", text) is None:
        raise BadAddress("expected 0x and 40 hex digits", address=text[:100])
    return Address(bytes.fromhex(text[2:]))


def checksum_address(address: bytes) -> str:
    """EIP-55 spelling of 20 bytes."""
    plain = address.hex().encode()
    # A letter in upper case is the one in lower case without one bit: all 40 are turned at once.
    wanted = keccak(plain)[:20].hex().encode().translate(_BIT_WHERE_HIGH)
    letters = plain.translate(_BIT_OF_LETTERS)
    upper = int.from_bytes(wanted) & int.from_bytes(letters)
    return "0x" + (int.from_bytes(plain) ^ upper).to_bytes(40).decode()


_BIT_WHERE_HIGH = bytes(0x20 * (n in b"89abcdef") for n in range(256))
_BIT_OF_LETTERS = bytes(0x20 * (n in b"abcdef") for n in range(256))


def _bigint(digits: str, key: str) -> int:
    number = int(digits)
    if number > MAX_BIGINT:
        raise BadAgentKey("a number in the key exceeds 2^63 - 1", key=key[:200])
    return number
