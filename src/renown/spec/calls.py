"""Calldata of the registries' functions that change something, built. Pure.

Each builder's parameters have the names under which `read_call` gives them back: for every call
`calldata_of(read_call(calldata))` is the calldata again. Strings are bytes, see `calldata`.

Functions and their rules: ERC-8004 registries 2.0.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from renown.spec.calldata import (
    APPEND_RESPONSE,
    GIVE_FEEDBACK,
    REGISTER,
    REGISTER_METADATA,
    REGISTER_URI,
    REVOKE_FEEDBACK,
    SET_AGENT_URI,
    SET_AGENT_WALLET,
    SET_METADATA,
    UNSET_AGENT_WALLET,
    VALIDATION_REQUEST,
    VALIDATION_RESPONSE,
    Call,
    encode_call,
    read_call,
)
from renown.spec.telling import describe_call

__all__ = [
    "APPEND_RESPONSE",
    "BUILDERS",
    "GIVE_FEEDBACK",
    "MAX_WALLET_DEADLINE_SECONDS",
    "REGISTER",
    "REGISTER_METADATA",
    "REGISTER_URI",
    "REVOKE_FEEDBACK",
    "SET_AGENT_URI",
    "SET_AGENT_WALLET",
    "SET_METADATA",
    "UNSET_AGENT_WALLET",
    "VALIDATION_REQUEST",
    "VALIDATION_RESPONSE",
    "Call",
    "Metadata",
    "append_response",
    "calldata_of",
    "describe_call",
    "encode_call",
    "give_feedback",
    "read_call",
    "register",
    "revoke_feedback",
    "set_agent_uri",
    "set_agent_wallet",
    "set_metadata",
    "unset_agent_wallet",
    "validation_request",
    "validation_response",
]

MAX_WALLET_DEADLINE_SECONDS = 300
"""How far past the block's time `setAgentWallet` lets a deadline lie."""

Metadata = Sequence[tuple[bytes, bytes]]


# Identity registry ---------------------------------------------------------------------------


def register(uri: bytes | None = None, metadata: Metadata = ()) -> bytes:
    """The shortest of the three overloads that says it all; None is `register()`."""
    if metadata:
        return encode_call(REGISTER_METADATA, uri or b"", list(metadata))
    if uri is None:
        return encode_call(REGISTER)
    return encode_call(REGISTER_URI, uri)


def set_agent_uri(agent_id: int, uri: bytes) -> bytes:
    """By a manager; empty is allowed."""
    return encode_call(SET_AGENT_URI, agent_id, uri)


def set_metadata(agent_id: int, key: bytes, value: bytes) -> bytes:
    """By a manager; an empty value clears the key, and `agentWallet` is refused."""
    return encode_call(SET_METADATA, agent_id, key, value)


def set_agent_wallet(agent_id: int, wallet: bytes, deadline: int, signature: bytes) -> bytes:
    """`deadline` in Unix seconds of the chain's clock; `signature` as `typed_data` says."""
    return encode_call(SET_AGENT_WALLET, agent_id, wallet, deadline, signature)


def unset_agent_wallet(agent_id: int) -> bytes:
    """By a manager, whether or not there is a wallet."""
    return encode_call(UNSET_AGENT_WALLET, agent_id)


# Reputation registry -------------------------------------------------------------------------


def give_feedback(
    agent_id: int,
    value: int,
    decimals: int = 0,
    tag1: bytes = b"",
    tag2: bytes = b"",
    endpoint: bytes = b"",
    uri: bytes = b"",
    content_hash: bytes = bytes(32),
) -> bytes:
    """By anyone but a manager of the agent; read as `value / 10**decimals`."""
    return encode_call(
        GIVE_FEEDBACK, agent_id, value, decimals, tag1, tag2, endpoint, uri, content_hash
    )


def revoke_feedback(agent_id: int, index: int) -> bytes:
    """By the client that gave it, once."""
    return encode_call(REVOKE_FEEDBACK, agent_id, index)


def append_response(
    agent_id: int, client: bytes, index: int, uri: bytes, content_hash: bytes = bytes(32)
) -> bytes:
    """`uri` may not be empty."""
    return encode_call(APPEND_RESPONSE, agent_id, client, index, uri, content_hash)


# Validation registry -------------------------------------------------------------------------


def validation_request(validator: bytes, agent_id: int, uri: bytes, request_hash: bytes) -> bytes:
    """By a manager of the agent; a request hash is taken for good."""
    return encode_call(VALIDATION_REQUEST, validator, agent_id, uri, request_hash)


def validation_response(
    request_hash: bytes,
    response: int,
    uri: bytes = b"",
    content_hash: bytes = bytes(32),
    tag: bytes = b"",
) -> bytes:
    """`response` is 0 to 100."""
    return encode_call(VALIDATION_RESPONSE, request_hash, response, uri, content_hash, tag)


BUILDERS: Mapping[str, Callable[..., bytes]] = {
    REGISTER: register,
    REGISTER_URI: register,
    REGISTER_METADATA: register,
    SET_AGENT_URI: set_agent_uri,
    SET_METADATA: set_metadata,
    SET_AGENT_WALLET: set_agent_wallet,
    UNSET_AGENT_WALLET: unset_agent_wallet,
    GIVE_FEEDBACK: give_feedback,
    REVOKE_FEEDBACK: revoke_feedback,
    APPEND_RESPONSE: append_response,
    VALIDATION_REQUEST: validation_request,
    VALIDATION_RESPONSE: validation_response,
}
"""The builder of each function, by canonical signature."""


def calldata_of(call: Call) -> bytes:
    """What `read_call` read, its suffix included."""
    if call.function == REGISTER_METADATA:  # also where there is none: `register` would be shorter
        uri, metadata = call.arguments["uri"], call.arguments["metadata"]
        return encode_call(REGISTER_METADATA, uri, list(metadata)) + call.suffix
    return BUILDERS[call.function](**call.arguments) + call.suffix
