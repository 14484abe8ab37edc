"""Readers of the validation registry's events. Pure: topics and bytes in, fact out.

The conventions are those of `decode.identity`. These events are rare and read in full.
"""

from __future__ import annotations

from renown.decode import words
from renown.decode.words import Topics, agent_and_address
from renown.errors import UndecodableLog
from renown.spec.events import ValidationRequested, ValidationResponded

MAX_RESPONSE = 100


def validation_request(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> ValidationRequested:
    """`ValidationRequest(validatorAddress, agentId, requestHash)`: the URI is the data."""
    agent, validator = agent_and_address(topics[2], topics[1])
    return ValidationRequested(
        block,
        log_index,
        tx,
        contract,
        agent,
        validator,
        words.word_bytes(topics[3]),
        words.string(data, 0, head_words=1),
    )


def validation_response(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> ValidationResponded:
    """`ValidationResponse(validatorAddress, agentId, requestHash)`: response, URI, hash, tag."""
    response = words.uint(data, 0, bits=8)
    if response > MAX_RESPONSE:
        raise UndecodableLog("response-out-of-range")
    agent, validator = agent_and_address(topics[2], topics[1])
    return ValidationResponded(
        block,
        log_index,
        tx,
        contract,
        agent,
        validator,
        words.word_bytes(topics[3]),
        response,
        words.string(data, 1, head_words=4),
        words.bytes32(data, 2),
        words.string(data, 3, head_words=4),
    )
