"""Readers of the identity registry's events. Pure: topics and bytes in, fact out.

Every reader takes the topics as sent, the data as bytes and the fact's place, and raises
UndecodableLog with a reason of `spec.events.Quarantined`, or ValueError where a topic is no hex.
The number of topics is right already.
"""

from __future__ import annotations

from eth_hash.auto import keccak

from renown.decode import words
from renown.decode.words import Memo, Topics, address_topic, agent_and_address, agent_topic
from renown.spec.events import (
    AgentApproved,
    AgentRegistered,
    AgentTransferred,
    MetadataRefreshed,
    MetadataSet,
    OperatorSet,
    UriUpdated,
)
from renown.types import MAX_BIGINT

_OFFSET_32 = (32).to_bytes(32)
_OFFSETS_64_128 = (64).to_bytes(32) + (128).to_bytes(32)


def registered(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> AgentRegistered:
    """`Registered(agentId, owner)`: the URI is the data's only field."""
    agent, owner = agent_and_address(topics[1], topics[2])
    return AgentRegistered(block, log_index, tx, contract, agent, owner, only_string(data))


def uri_updated(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> UriUpdated:
    """`URIUpdated(agentId, updatedBy)`: the URI is the data's only field."""
    agent, updated_by = agent_and_address(topics[1], topics[2])
    return UriUpdated(block, log_index, tx, contract, agent, updated_by, only_string(data))


def metadata_set(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> MetadataSet:
    """`MetadataSet(agentId, keccak256(key))`: key and value in the data."""
    agent = agent_topic(topics[1])
    opening = _SHORT_KEYS[data[:160]]
    if opening:
        key, key_hash, key_topic, length = opening
        value = words.tail(data, 160, length)
        if value is not None and key_topic == topics[2]:
            return MetadataSet(block, log_index, tx, contract, agent, key, key_hash, value)
    key = words.string(data, 0, head_words=2)
    value = words.string(data, 1, head_words=2)
    key_hash = words.check_topic(key, topics[2])
    return MetadataSet(block, log_index, tx, contract, agent, key, key_hash, value)


def transfer(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> AgentTransferred:
    """`Transfer(from, to, tokenId)`."""
    agent, to_address = agent_and_address(topics[3], topics[2])
    from_address = address_topic(topics[1])
    return AgentTransferred(block, log_index, tx, contract, agent, from_address, to_address)


def approval(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> AgentApproved:
    """`Approval(owner, approved, tokenId)`."""
    agent, approved = agent_and_address(topics[3], topics[2])
    owner = address_topic(topics[1])
    return AgentApproved(block, log_index, tx, contract, agent, owner, approved)


def approval_for_all(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> OperatorSet:
    """`ApprovalForAll(owner, operator)`: the flag is the data."""
    return OperatorSet(
        block,
        log_index,
        tx,
        contract,
        address_topic(topics[1]),
        address_topic(topics[2]),
        words.boolean(data, 0),
    )


def metadata_update(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> MetadataRefreshed:
    """`MetadataUpdate(tokenId)`, which is not indexed."""
    number = int.from_bytes(data) if len(data) == 32 else words.uint(data, 0)
    agent = words.agent_id(number)
    return MetadataRefreshed(block, log_index, tx, contract, agent, agent)


def batch_metadata_update(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> MetadataRefreshed:
    """`BatchMetadataUpdate(from, to)`; `to` is often 2**256 - 1, meaning all."""
    first = words.agent_id(words.uint(data, 0))
    last = min(words.uint(data, 1), MAX_BIGINT)
    return MetadataRefreshed(block, log_index, tx, contract, first, last)


def only_string(data: bytes) -> bytes:
    """The one field of data that has one, a string."""
    length = _ONLY_LENGTHS[data[:64]]
    if length is not None:
        text = words.tail(data, 64, length)
        if text is not None:
            return text
    return words.string(data, 0, head_words=1)


def _only_length(opening: bytes) -> int | None:
    """The string's length, from the first two words of such data as solc emits them."""
    return int.from_bytes(opening[32:]) if opening[:32] == _OFFSET_32 else None


def _short_key(opening: bytes) -> tuple[bytes, bytes, str, int] | None:
    """Of MetadataSet's first five words, as solc emits them for a key of 1 to 32 bytes: the key,
    its hash as bytes and as a topic, and the length of the value that follows.
    """
    key = words.fills(opening, 64, 128)
    if key is None or opening[:64] != _OFFSETS_64_128:
        return None
    key_hash = keccak(key)
    return key, key_hash, "0x" + key_hash.hex(), int.from_bytes(opening[128:])


_ONLY_LENGTHS = Memo(_only_length, limit=4_096)
_SHORT_KEYS = Memo(_short_key, limit=4_096)  # keys repeat; hashing one costs more than its log
