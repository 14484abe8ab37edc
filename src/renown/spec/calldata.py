"""The registries' functions that change something, and their calldata read back. Pure.

Solidity's `string` is `bytes` here: the two encode alike, and strangers' strings need not be UTF-8.

Source: ERC-8004 registries 2.0.0; Contract ABI specification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from eth_abi.abi import encode

from renown.spec.contracts import selector

MAX_CALLDATA_BYTES = 128 * 1024
"""Longer than what nodes take into their pools: they stop at 128 KiB for the whole transaction."""

REGISTER = "register()"
REGISTER_URI = "register(string)"
REGISTER_METADATA = "register(string,(string,bytes)[])"
SET_AGENT_URI = "setAgentURI(uint256,string)"
SET_METADATA = "setMetadata(uint256,string,bytes)"
SET_AGENT_WALLET = "setAgentWallet(uint256,address,uint256,bytes)"
UNSET_AGENT_WALLET = "unsetAgentWallet(uint256)"
GIVE_FEEDBACK = "giveFeedback(uint256,int128,uint8,string,string,string,string,bytes32)"
REVOKE_FEEDBACK = "revokeFeedback(uint256,uint64)"
APPEND_RESPONSE = "appendResponse(uint256,address,uint64,string,bytes32)"
VALIDATION_REQUEST = "validationRequest(address,uint256,string,bytes32)"
VALIDATION_RESPONSE = "validationResponse(bytes32,uint8,string,bytes32,string)"


class Call(msgspec.Struct, frozen=True):
    """One call of a registry.

    function   canonical signature, e.g. `register(string)`
    arguments  by name: numbers as int, everything else as bytes; `metadata` as pairs of bytes
    suffix     what follows the arguments. Contracts ignore it; wallets append notes to themselves
    """

    function: str
    arguments: dict[str, Any]
    suffix: bytes = b""


_NAMES: Mapping[str, tuple[str, ...]] = {
    REGISTER: (),
    REGISTER_URI: ("uri",),
    REGISTER_METADATA: ("uri", "metadata"),
    SET_AGENT_URI: ("agent_id", "uri"),
    SET_METADATA: ("agent_id", "key", "value"),
    SET_AGENT_WALLET: ("agent_id", "wallet", "deadline", "signature"),
    UNSET_AGENT_WALLET: ("agent_id",),
    GIVE_FEEDBACK: (
        "agent_id",
        "value",
        "decimals",
        "tag1",
        "tag2",
        "endpoint",
        "uri",
        "content_hash",
    ),
    REVOKE_FEEDBACK: ("agent_id", "index"),
    APPEND_RESPONSE: ("agent_id", "client", "index", "uri", "content_hash"),
    VALIDATION_REQUEST: ("validator", "agent_id", "uri", "request_hash"),
    VALIDATION_RESPONSE: ("request_hash", "response", "uri", "content_hash", "tag"),
}


# Any function --------------------------------------------------------------------------------


def encode_call(signature: str, *arguments: object) -> bytes:
    """Calldata of any function by its canonical signature; strings are given as bytes.

    Raises:
        eth_abi.exceptions.EncodingError: an argument is not of its type, or out of its range.
    """
    types = argument_types(signature.replace("string", "bytes"))
    return selector(signature) + encode(types, arguments)


@cache
def argument_types(signature: str) -> tuple[str, ...]:
    """The types between a signature's parentheses; commas inside a tuple do not part them."""
    types = signature[signature.index("(") + 1 : -1]
    parts, depth, start = [], 0, 0
    for position, character in enumerate(types):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(types[start:position])
            start = position + 1
    return (*parts, types[start:]) if types else ()


# Reading -------------------------------------------------------------------------------------


def read_call(calldata: bytes) -> Call:
    """Which function of the registries is called, with what.

    Only the one layout that encoders write is read: every tail behind the one before, padding
    zero. Whoever signs something else has no reason to that would do us good, and so nothing can
    be read out of the calldata twice.

    Raises:
        ValueError: no function of ours, or not encoded like that; the message says which. Nothing
            else, and in time and memory linear in the calldata.
    """
    if len(calldata) > MAX_CALLDATA_BYTES:
        raise ValueError(f"more than {MAX_CALLDATA_BYTES} bytes of calldata")
    function = _by_selector().get(calldata[:4])
    if function is None:
        raise ValueError("not a call of a function that changes a registry")
    reader = _Reader(calldata[4:])
    types = argument_types(function)
    values = reader.sequence(types)
    arguments = dict(zip(_NAMES[function], values, strict=True))
    return Call(function, arguments, calldata[4 + reader.end :])


@cache
def _by_selector() -> Mapping[bytes, str]:
    return {selector(signature): signature for signature in _NAMES}


class _Reader:
    """Canonical ABI data, front to back. `end` is behind the last tail that was read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.end = 0

    def sequence(self, types: Sequence[str], start: int = 0) -> list[Any]:
        """Values of `types` whose heads begin at `start`; their tails follow the heads."""
        self.end = start + 32 * len(types)
        if self.end > len(self._data):
            raise ValueError("the arguments are cut short")
        return [self._value(kind, start, start + 32 * i) for i, kind in enumerate(types)]

    def _value(self, kind: str, base: int, place: int) -> Any:
        word = self._data[place : place + 32]
        if kind in ("string", "bytes"):
            return self._text(self._tail(base, word))
        if kind == _ENTRIES:
            return self._entries(self._tail(base, word))
        if kind == "bytes32":
            return word
        if kind == "address":
            if any(word[:12]):
                raise ValueError("an address of more than 20 bytes")
            return word[12:]
        return _number(kind, word)

    def _tail(self, base: int, word: bytes) -> int:
        if int.from_bytes(word) != self.end - base:
            raise ValueError("an offset that does not point behind what is before it")
        return self.end

    def _length(self, place: int) -> int:
        if place + 32 > len(self._data):
            raise ValueError("the arguments are cut short")
        return int.from_bytes(self._data[place : place + 32])

    def _text(self, place: int) -> bytes:
        start = place + 32
        stop = start + self._length(place)
        self.end = stop + (-stop + start) % 32
        if self.end > len(self._data) or any(self._data[stop : self.end]):
            raise ValueError("a string that is cut short, or not padded with zeros")
        return self._data[start:stop]

    def _entries(self, place: int) -> tuple[tuple[bytes, bytes], ...]:
        count = self._length(place)
        base = place + 32
        self.end = base + 32 * count
        if self.end > len(self._data):
            raise ValueError("the metadata is cut short")
        entries = []
        for number in range(count):
            head = base + 32 * number
            at = self._tail(base, self._data[head : head + 32])
            key, value = self.sequence(("string", "bytes"), at)
            entries.append((key, value))
        return tuple(entries)


_ENTRIES = "(string,bytes)[]"


def _number(kind: str, word: bytes) -> int:
    signed = kind.startswith("int")
    bits = int(kind.removeprefix("uint").removeprefix("int"))
    number = int.from_bytes(word, signed=signed)
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not lowest <= number <= highest:
        raise ValueError(f"a number beyond {kind}")
    return number
