"""Readers of the identity registry's events. Pure: topics and bytes in, fact out.

Every reader takes the topics as sent, the data as bytes and the fact's place, and raises
UndecodableLog with a reason of `spec.events.Quarantined`. The number of topics is right already.
"""

from __future__ import annotations

from renown.decode import words
from renown.decode.words import HASHED_STRING, Topics, address_topic, agent_topic
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
_OFFSET_64 = (64).to_bytes(32)


def registered(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> AgentRegistered:
    """`Registered(agentId, owner)`: the URI is the data's only field."""
    return AgentRegistered(
        block,
        log_index,
        tx,
        contract,
        agent_topic(topics[1]),
        address_topic(topics[2]),
        only_string(data),
    )


def uri_updated(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> UriUpdated:
    """`URIUpdated(agentId, updatedBy)`: the URI is the data's only field."""
    return UriUpdated(
        block,
        log_index,
        tx,
        contract,
        agent_topic(topics[1]),
        address_topic(topics[2]),
        only_string(data),
    )


def metadata_set(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> MetadataSet:
    """`MetadataSet(agentId, keccak256(key))`: key and value in the data."""
    agent = agent_topic(topics[1])
    end_of_key = int.from_bytes(data[32:64])
    if end_of_key <= 64 + words.MAX_SHORT_BYTES and data.startswith(_OFFSET_64):
        known = HASHED_STRING[data[64:end_of_key]]
        value = words.fills(data, end_of_key, len(data))
        if known and known[2] == topics[2] and value is not None:
            key, key_hash, _ = known
            return MetadataSet(block, log_index, tx, contract, agent, key, key_hash, value)
    key = words.string(data, 0, head_words=2)
    value = words.string(data, 1, head_words=2)
    key_hash = words.check_topic(key, topics[2])
    return MetadataSet(block, log_index, tx, contract, agent, key, key_hash, value)


def transfer(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> AgentTransferred:
    """`Transfer(from, to, tokenId)`."""
    return AgentTransferred(
        block,
        log_index,
        tx,
        contract,
        agent_topic(topics[3]),
        address_topic(topics[1]),
        address_topic(topics[2]),
    )


def approval(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> AgentApproved:
    """`Approval(owner, approved, tokenId)`."""
    return AgentApproved(
        block,
        log_index,
        tx,
        contract,
        agent_topic(topics[3]),
        address_topic(topics[1]),
        address_topic(topics[2]),
    )


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
    agent = words.agent_id(words.uint(data, 0))
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
    if data.startswith(_OFFSET_32):
        text = words.fills(data, 32, len(data))
        if text is not None:
            return text
    return words.string(data, 0, head_words=1)
