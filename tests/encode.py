"""Facts back to the logs a contract would emit, encoded by the ABI library."""

from __future__ import annotations

from typing import Any

import msgspec
from eth_abi.abi import encode
from eth_hash.auto import keccak

from renown.spec import abi
from renown.spec.events import (
    AgentApproved,
    AgentRegistered,
    AgentTransferred,
    Fact,
    FeedbackGiven,
    FeedbackRevoked,
    LegacyEvent,
    MetadataRefreshed,
    MetadataSet,
    OperatorSet,
    Quarantined,
    RegistryChanged,
    ResponseAppended,
    UriUpdated,
    ValidationRequested,
    ValidationResponded,
)

# Kind, its declaration, and the fact's fields in the order of the declaration.
_FORMS: dict[type[Fact], tuple[abi.EventAbi, tuple[str, ...]]] = {
    AgentRegistered: (abi.REGISTERED, ("agent_id", "uri", "owner")),
    UriUpdated: (abi.URI_UPDATED, ("agent_id", "uri", "updated_by")),
    MetadataSet: (abi.METADATA_SET, ("agent_id", "key_hash", "key", "value")),
    AgentTransferred: (abi.TRANSFER, ("from_address", "to_address", "agent_id")),
    AgentApproved: (abi.APPROVAL, ("owner", "approved", "agent_id")),
    OperatorSet: (abi.APPROVAL_FOR_ALL, ("owner", "operator", "approved")),
    MetadataRefreshed: (abi.METADATA_UPDATE, ("first_agent_id",)),
    FeedbackGiven: (
        abi.NEW_FEEDBACK,
        (
            *("agent_id", "client", "feedback_index", "value", "decimals", "tag1_hash", "tag1"),
            *("tag2", "endpoint", "uri", "content_hash"),
        ),
    ),
    FeedbackRevoked: (abi.FEEDBACK_REVOKED, ("agent_id", "client", "feedback_index")),
    ResponseAppended: (
        abi.RESPONSE_APPENDED,
        ("agent_id", "client", "feedback_index", "responder", "uri", "content_hash"),
    ),
    ValidationRequested: (
        abi.VALIDATION_REQUEST,
        ("validator", "agent_id", "uri", "request_hash"),
    ),
    ValidationResponded: (
        abi.VALIDATION_RESPONSE,
        ("validator", "agent_id", "request_hash", "response", "uri", "content_hash", "tag"),
    ),
    RegistryChanged: (abi.UPGRADED, ("subject",)),
}


def log_of(fact: Fact) -> dict[str, Any]:
    """The log of `fact`: address, topics, data, log index, and its transaction as a group."""
    topics, payload = _content(fact)
    return {
        "address": "0x" + fact.contract.hex(),
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + payload.hex(),
        "log_index": fact.log_index,
        "transaction": fact.tx_hash.hex(),
    }


def _content(fact: Fact) -> tuple[list[bytes], bytes]:
    if isinstance(fact, Quarantined):
        return list(fact.topics), fact.payload
    if isinstance(fact, LegacyEvent):
        old = abi.LEGACY[0]
        known = {"agentId": fact.agent_id, "clientAddress": fact.client}
        indexed = [known.get(param.name) or b"" for param in old.params if param.indexed]
        return [old.topic0, *map(_word, indexed)], fact.payload
    declaration, names = _FORMS[type(fact)]
    fields = {**msgspec.structs.asdict(fact)}
    if isinstance(fact, FeedbackGiven):
        fields["tag1_hash"] = keccak(fact.tag1)
    topics = [declaration.topic0]
    types: list[str] = []
    values: list[Any] = []
    for param, name in zip(declaration.params, names, strict=True):
        value = fields[name]
        if not param.indexed:
            types.append("bytes" if param.type == "string" else param.type)
            values.append(value)
        else:
            topics.append(_word(value))
    return topics, encode(types, values)


def _word(value: bytes | int) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else int(value).to_bytes(32)
