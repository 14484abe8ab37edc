"""The events of the registries as their contracts declare them: names, types, topics. Pure.

One declaration is one line of Solidity; everything else (signature, topic0, which fields lie in
topics) follows from it, so a new event is one more line here and a reader in `decode`.

Source: ERC-8004 registries 2.0.0 and their history; ERC-721, ERC-1967, ERC-4906, ERC-5267,
OpenZeppelin Ownable and Initializable.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from eth_hash.auto import keccak

Role = Literal["identity", "reputation", "validation"]
ROLES: tuple[Role, ...] = ("identity", "reputation", "validation")


class Param(msgspec.Struct, frozen=True):
    """One parameter of an event. `type` is the ABI type, as in the signature."""

    name: str
    type: str
    indexed: bool


class EventAbi(msgspec.Struct, frozen=True):
    """One event: `topic0` is keccak256 of `signature`; `roles` are the registries that emit it."""

    name: str
    params: tuple[Param, ...]
    roles: tuple[Role, ...]
    signature: str
    topic0: bytes

    @property
    def topic_count(self) -> int:
        """Topics of a log of this event, topic0 included."""
        return 1 + sum(param.indexed for param in self.params)


def event(declaration: str, *roles: Role) -> EventAbi:
    """Read `Name(type [indexed] name, ...)` as Solidity writes it between `event` and `;`."""
    name, _, rest = declaration.partition("(")
    params = tuple(_param(text) for text in rest.removesuffix(")").split(",") if text)
    signature = f"{name}({','.join(param.type for param in params)})"
    return EventAbi(name, params, roles, signature, keccak(signature.encode()))


def _param(text: str) -> Param:
    words = text.split()
    return Param(name=words[-1], type=words[0], indexed="indexed" in words)


# Identity registry -------------------------------------------------------------------------

REGISTERED = event(
    "Registered(uint256 indexed agentId, string agentURI, address indexed owner)", "identity"
)
URI_UPDATED = event(
    "URIUpdated(uint256 indexed agentId, string newURI, address indexed updatedBy)", "identity"
)
METADATA_SET = event(
    "MetadataSet(uint256 indexed agentId, string indexed indexedMetadataKey,"
    " string metadataKey, bytes metadataValue)",
    "identity",
)
TRANSFER = event(
    "Transfer(address indexed from, address indexed to, uint256 indexed tokenId)", "identity"
)
APPROVAL = event(
    "Approval(address indexed owner, address indexed approved, uint256 indexed tokenId)",
    "identity",
)
APPROVAL_FOR_ALL = event(
    "ApprovalForAll(address indexed owner, address indexed operator, bool approved)", "identity"
)
METADATA_UPDATE = event("MetadataUpdate(uint256 _tokenId)", "identity")
BATCH_METADATA_UPDATE = event(
    "BatchMetadataUpdate(uint256 _fromTokenId, uint256 _toTokenId)", "identity"
)
EIP712_DOMAIN_CHANGED = event("EIP712DomainChanged()", "identity")

# Reputation registry -----------------------------------------------------------------------

NEW_FEEDBACK = event(
    "NewFeedback(uint256 indexed agentId, address indexed clientAddress, uint64 feedbackIndex,"
    " int128 value, uint8 valueDecimals, string indexed indexedTag1, string tag1, string tag2,"
    " string endpoint, string feedbackURI, bytes32 feedbackHash)",
    "reputation",
)
FEEDBACK_REVOKED = event(
    "FeedbackRevoked(uint256 indexed agentId, address indexed clientAddress,"
    " uint64 indexed feedbackIndex)",
    "reputation",
)
RESPONSE_APPENDED = event(
    "ResponseAppended(uint256 indexed agentId, address indexed clientAddress,"
    " uint64 feedbackIndex, address indexed responder, string responseURI, bytes32 responseHash)",
    "reputation",
)

# Validation registry -----------------------------------------------------------------------

VALIDATION_REQUEST = event(
    "ValidationRequest(address indexed validatorAddress, uint256 indexed agentId,"
    " string requestURI, bytes32 indexed requestHash)",
    "validation",
)
VALIDATION_RESPONSE = event(
    "ValidationResponse(address indexed validatorAddress, uint256 indexed agentId,"
    " bytes32 indexed requestHash, uint8 response, string responseURI, bytes32 responseHash,"
    " string tag)",
    "validation",
)

# Any registry ------------------------------------------------------------------------------

UPGRADED = event("Upgraded(address indexed implementation)", *ROLES)
INITIALIZED = event("Initialized(uint64 version)", *ROLES)
OWNERSHIP_TRANSFERRED = event(
    "OwnershipTransferred(address indexed previousOwner, address indexed newOwner)", *ROLES
)

CURRENT: tuple[EventAbi, ...] = (
    REGISTERED,
    URI_UPDATED,
    METADATA_SET,
    TRANSFER,
    APPROVAL,
    APPROVAL_FOR_ALL,
    METADATA_UPDATE,
    BATCH_METADATA_UPDATE,
    EIP712_DOMAIN_CHANGED,
    NEW_FEEDBACK,
    FEEDBACK_REVOKED,
    RESPONSE_APPENDED,
    VALIDATION_REQUEST,
    VALIDATION_RESPONSE,
    UPGRADED,
    INITIALIZED,
    OWNERSHIP_TRANSFERRED,
)
"""Every event of version 2.0.0 that becomes a fact of its own kind."""

# Older testnet contracts -------------------------------------------------------------------
# Which fields were indexed is not in a topic0: taken from the contracts of that time.

LEGACY: tuple[EventAbi, ...] = (
    event(  # contracts of October 2025; no feedback index
        "NewFeedback(uint256 indexed agentId, address indexed clientAddress, uint8 score,"
        " bytes32 indexed tag1, bytes32 tag2, string feedbackUri, bytes32 feedbackHash)",
        "reputation",
    ),
    event(  # 1.1.0 until 11 January 2026; tag1 only as its hash
        "NewFeedback(uint256 indexed agentId, address indexed clientAddress,"
        " uint64 feedbackIndex, uint8 score, string indexed tag1, string tag2, string endpoint,"
        " string feedbackURI, bytes32 feedbackHash)",
        "reputation",
    ),
    event(  # 1.1.0 from 11 January 2026
        "NewFeedback(uint256 indexed agentId, address indexed clientAddress,"
        " uint64 feedbackIndex, uint8 score, string indexed indexedTag1, string tag1,"
        " string tag2, string endpoint, string feedbackURI, bytes32 feedbackHash)",
        "reputation",
    ),
    event(  # 18 January 2026
        "NewFeedback(uint256 indexed agentId, address indexed clientAddress,"
        " uint64 feedbackIndex, uint256 value, uint8 valueDecimals, string indexed indexedTag1,"
        " string tag1, string tag2, string endpoint, string feedbackURI, bytes32 feedbackHash)",
        "reputation",
    ),
    event(  # 19 to 23 January 2026
        "NewFeedback(uint256 indexed agentId, address indexed clientAddress,"
        " uint64 feedbackIndex, int256 value, uint8 valueDecimals, string indexed indexedTag1,"
        " string tag1, string tag2, string endpoint, string feedbackURI, bytes32 feedbackHash)",
        "reputation",
    ),
    event(  # 2025
        "UriUpdated(uint256 indexed agentId, string newUri, address indexed updatedBy)",
        "identity",
    ),
    event(  # contracts of 2025
        "ValidationResponse(address indexed validatorAddress, uint256 indexed agentId,"
        " bytes32 indexed requestHash, uint8 response, string responseUri, bytes32 responseHash,"
        " bytes32 tag)",
        "validation",
    ),
    event(  # the standard's text of 2025
        "ValidationResponse(address indexed validatorAddress, uint256 indexed agentId,"
        " bytes32 indexed requestHash, uint8 response, string responseUri, bytes32 tag)",
        "validation",
    ),
    event(  # the standard's text of 2025
        "ResponseAppended(uint256 indexed agentId, address indexed clientAddress,"
        " uint64 feedbackIndex, address indexed responder, string responseUri)",
        "reputation",
    ),
)
"""Events of superseded testnet contracts: recognised and kept, never folded."""

EVENTS: tuple[EventAbi, ...] = CURRENT + LEGACY
BY_SIGNATURE: dict[str, EventAbi] = {event.signature: event for event in EVENTS}
