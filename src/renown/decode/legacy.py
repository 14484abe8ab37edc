"""Events of superseded testnet contracts: kept whole, and read only to be shown. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from renown.decode import words
from renown.decode.words import Topics, address_topic, agent_topic
from renown.spec.abi import BY_SIGNATURE, EventAbi
from renown.spec.events import LegacyEvent
from renown.spec.text import clean_text

Reader = Callable[[Topics, bytes, int, int, bytes, bytes], LegacyEvent]


def reader(event: EventAbi) -> Reader:
    """A reader of `event` with the conventions of `decode.identity`; the data is not looked into.

    The agent is the topic named `agentId`, the client the one named `clientAddress`.
    """
    indexed = [param.name for param in event.params if param.indexed]
    agent_at = 1 + indexed.index("agentId")
    client_at = 1 + indexed.index("clientAddress") if "clientAddress" in indexed else None

    def read(
        topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
    ) -> LegacyEvent:
        return LegacyEvent(
            block,
            log_index,
            tx,
            contract,
            event.signature,
            agent_topic(topics[agent_at]),
            None if client_at is None else address_topic(topics[client_at]),
            b"".join(words.word_bytes(topic) for topic in topics[1:]),
            data,
        )

    return read


def describe(event: LegacyEvent) -> dict[str, object]:
    """The parameters of `event` by name, for display; {} when its bytes cannot be read.

    Integers are int, addresses and 32-byte values hex text, strings text with U+FFFD for what
    is not clean. An indexed string is its keccak256. Never raises.
    """
    # importing these takes a third of a second, and few processes ever show such an event
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    try:
        params = BY_SIGNATURE[event.event].params
        in_topics = [param for param in params if param.indexed]
        in_data = [param for param in params if not param.indexed]
        found = dict(
            zip(
                [param.name for param in in_topics + in_data],
                decode([_topic_type(param.type) for param in in_topics], event.topics)
                + decode([_lenient_type(param.type) for param in in_data], event.payload),
                strict=True,
            )
        )
    except (DecodingError, OverflowError, ValueError, KeyError):
        return {}
    return {
        param.name: _shown(found[param.name], is_text=param.type == "string" and not param.indexed)
        for param in params
    }


def _topic_type(abi_type: str) -> str:
    return "bytes32" if abi_type == "string" else abi_type


def _lenient_type(abi_type: str) -> str:
    return "bytes" if abi_type == "string" else abi_type


def _shown(value: Any, *, is_text: bool) -> object:
    if not isinstance(value, bytes):
        return value
    return clean_text(value) if is_text else "0x" + value.hex()
