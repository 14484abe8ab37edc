"""Validation requests and their latest answer.

Experimental in the standard; several contracts emit it.
"""

from __future__ import annotations

import msgspec

from renown.spec.events import ValidationRequested, ValidationResponded

RequestKey = tuple[int, bytes, bytes]
"""(agent id, contract, request hash)."""


class Validation(msgspec.Struct):
    """One request. `response` is None while pending, which is not an answer of 0."""

    validator: bytes
    request_uri: bytes
    requested_block: int
    requested_log_index: int
    response: int | None = None
    response_uri: bytes | None = None
    response_hash: bytes | None = None
    tag: bytes | None = None
    responded_block: int | None = None
    responded_log_index: int | None = None
    response_count: int = 0


def request(fact: ValidationRequested) -> Validation:
    """The pending validation that a request opens."""
    return Validation(fact.validator, fact.uri, fact.block_number, fact.log_index)


def respond(validation: Validation, fact: ValidationResponded) -> bool:
    """Overwrite the answer, as the registry does; it may be lower than the last one.

    False, and no change, when somebody other than the named validator answers.
    """
    if fact.validator != validation.validator:
        return False
    validation.response = fact.response
    validation.response_uri = fact.uri
    validation.response_hash = fact.content_hash
    validation.tag = fact.tag
    validation.responded_block = fact.block_number
    validation.responded_log_index = fact.log_index
    validation.response_count += 1
    return True
