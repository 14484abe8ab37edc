"""Every event of the registries as a typed value. Pure.

A fact is one decoded log. All kinds open with the same four fields, so a fact knows its place:

    block_number, log_index    order within the chain (log index counts through the block)
    tx_hash                    32 bytes
    contract                   20 bytes, the registry that emitted it

Foreign strings are bytes: a contract may emit invalid UTF-8 or NUL. Text is made at the edge.
Integers are exact; ids and indexes fit 63 bits, or the log was quarantined (`types.MAX_BIGINT`).

Source: ERC-8004 registries 2.0.0; ERC-721, ERC-1967, ERC-4906, Ownable, Initializable.
"""

from __future__ import annotations

import msgspec


class Fact(msgspec.Struct, frozen=True, gc=False):
    """Where a decoded log stands. Compared and ordered by `(block_number, log_index)`."""

    block_number: int
    log_index: int
    tx_hash: bytes
    contract: bytes


# Identity registry -------------------------------------------------------------------------


class AgentRegistered(Fact, frozen=True, gc=False):
    """`Registered`. `owner` is who registered, not necessarily who owns (erc8004 3.4)."""

    agent_id: int
    owner: bytes
    uri: bytes


class UriUpdated(Fact, frozen=True, gc=False):
    """`URIUpdated`. An empty URI is legal."""

    agent_id: int
    updated_by: bytes
    uri: bytes


class MetadataSet(Fact, frozen=True, gc=False):
    """`MetadataSet`. `key_hash` is the indexed topic and equals keccak256(key)."""

    agent_id: int
    key: bytes
    key_hash: bytes
    value: bytes


class AgentTransferred(Fact, frozen=True, gc=False):
    """ERC-721 `Transfer`; a mint when `from_address` is zero."""

    agent_id: int
    from_address: bytes
    to_address: bytes


class AgentApproved(Fact, frozen=True, gc=False):
    """ERC-721 `Approval`. A transfer clears it without a log."""

    agent_id: int
    owner: bytes
    approved: bytes


class OperatorSet(Fact, frozen=True, gc=False):
    """ERC-721 `ApprovalForAll`: belongs to an owner, not to an agent."""

    owner: bytes
    operator: bytes
    approved: bool


class MetadataRefreshed(Fact, frozen=True, gc=False):
    """ERC-4906 `MetadataUpdate` (first = last) and `BatchMetadataUpdate`; ids may exceed 63 bits
    in the batch form, whose `last_agent_id` is then capped to MAX_BIGINT ("all")."""

    first_agent_id: int
    last_agent_id: int


# Reputation registry -----------------------------------------------------------------------


class FeedbackGiven(Fact, frozen=True, gc=False):
    """`NewFeedback`. Read as `value / 10**decimals`; `feedback_index` counts from 1 per
    (agent, client)."""

    agent_id: int
    client: bytes
    feedback_index: int
    value: int
    decimals: int
    tag1: bytes
    tag2: bytes
    endpoint: bytes
    uri: bytes
    content_hash: bytes


class FeedbackRevoked(Fact, frozen=True, gc=False):
    """`FeedbackRevoked`: final."""

    agent_id: int
    client: bytes
    feedback_index: int


class ResponseAppended(Fact, frozen=True, gc=False):
    """`ResponseAppended`: anyone may answer any feedback, any number of times."""

    agent_id: int
    client: bytes
    feedback_index: int
    responder: bytes
    uri: bytes
    content_hash: bytes


# Validation registry (experimental; several contracts emit it) -------------------------------


class ValidationRequested(Fact, frozen=True, gc=False):
    """`ValidationRequest`."""

    agent_id: int
    validator: bytes
    request_hash: bytes
    uri: bytes


class ValidationResponded(Fact, frozen=True, gc=False):
    """`ValidationResponse`; `response` is 0..100 and may be lowered later."""

    agent_id: int
    validator: bytes
    request_hash: bytes
    response: int
    uri: bytes
    content_hash: bytes
    tag: bytes


# Any registry ------------------------------------------------------------------------------


class RegistryChanged(Fact, frozen=True, gc=False):
    """A change of the contract itself.

    change               subject                other             version
    upgraded             new implementation     -                 -
    initialized          -                      -                 initialiser version
    ownership-transferred  new owner            previous owner    -
    domain-changed       -                      -                 -
    """

    change: str
    subject: bytes | None = None
    other: bytes | None = None
    version: int | None = None


class LegacyEvent(Fact, frozen=True, gc=False):
    """An event of an older testnet contract (erc8004 12.2): shown in history, never folded.

    `event` is its full signature. `agent_id` and `client` are filled where the topics carry
    them; `topics` are the topics after topic0, 32 bytes each, joined; `payload` is the data.
    """

    event: str
    agent_id: int | None
    client: bytes | None
    topics: bytes
    payload: bytes


class Quarantined(Fact, frozen=True, gc=False):
    """A log that is kept with its bytes because it cannot be a fact. `reason` is a stable code:

    unknown-topic, topic-count, bad-hex, truncated-data, bad-offset, bad-length, dirty-padding,
    topic-mismatch, id-too-large, index-out-of-range, value-out-of-range, decimals-out-of-range,
    response-out-of-range, version-out-of-range, oversized, unexpected-contract, bad-place

    `event` is the event's name where topic0 is known. `topics` (all of them) and `payload` are the
    bytes sent, or the text sent where that is not hex. `bad-place` is a block number, log index or
    transaction hash that cannot be read: the numbers are then -1 and the hash is empty.
    """

    reason: str
    event: str | None
    topics: tuple[bytes, ...]
    payload: bytes


Event = (
    AgentRegistered
    | UriUpdated
    | MetadataSet
    | AgentTransferred
    | AgentApproved
    | OperatorSet
    | MetadataRefreshed
    | FeedbackGiven
    | FeedbackRevoked
    | ResponseAppended
    | ValidationRequested
    | ValidationResponded
    | RegistryChanged
    | LegacyEvent
)

KINDS: dict[type[Fact], str] = {
    AgentRegistered: "agent_registered",
    UriUpdated: "uri_updated",
    MetadataSet: "metadata_set",
    AgentTransferred: "agent_transferred",
    AgentApproved: "agent_approved",
    OperatorSet: "operator_set",
    MetadataRefreshed: "metadata_refreshed",
    FeedbackGiven: "feedback_given",
    FeedbackRevoked: "feedback_revoked",
    ResponseAppended: "response_appended",
    ValidationRequested: "validation_requested",
    ValidationResponded: "validation_responded",
    RegistryChanged: "registry_changed",
    LegacyEvent: "legacy_event",
}
"""Fact kinds by their table's name, in the order a reader meets them."""
