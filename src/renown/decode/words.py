"""Words, strings and topics of the contract ABI, read with every bound checked. Pure.

What counts as readable is what eth-abi 6 reads by default: offsets may come in any order, leave
gaps, overlap, and bytes may follow; but an offset must point behind the head and inside the
data, a string must be there with all its padding, and padding must be zero. The `short_` readers
are quick paths for the one layout solc emits; they answer None for anything else, which is then
read in full. A length or offset is compared before it is used, so a hostile one costs nothing.
"""

from __future__ import annotations

import re
from binascii import a2b_hex
from collections.abc import Callable
from struct import Struct
from typing import TypeVar

from eth_hash.auto import keccak

from renown.errors import UndecodableLog
from renown.types import MAX_BIGINT

Topics = tuple[str, ...]
"""A log's topics as sent: `0x` and 64 hex digits each, unless the node is hostile."""

MAX_LOG_INDEX = 2**31 - 1

MAX_SHORT_BYTES = 256
"""Encoded strings up to here may be remembered; longer ones would fill memory."""

_PADDING = tuple(bytes(n) for n in range(32))
_ID_PREFIX = "0x" + "0" * 48
_ADDRESS_PREFIX = "0x" + "0" * 24
_QUANTITY = re.compile("0x[0-9a-fA-F]{1,16}")
_LENGTH = Struct(">4Q").unpack_from

K = TypeVar("K")
V = TypeVar("V")


class Memo(dict[K, V]):
    """What `compute` says of each key, remembered until `limit` keys are; then it starts anew.

    A third of lru_cache's price on a hit, which is what this package pays for most. Keys must be
    bounded in size by whoever asks. An error is not remembered.
    """

    def __init__(self, compute: Callable[[K], V], limit: int) -> None:
        self._compute, self._limit = compute, limit

    def __missing__(self, key: K) -> V:
        value = self._compute(key)
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
        return value


# Hex text ----------------------------------------------------------------------------------


def hex_bytes(text: str) -> bytes:
    """The bytes behind `0x`. Raises UndecodableLog: not hex, odd, or with blanks inside."""
    try:
        if text[:2] == "0x":
            return a2b_hex(text[2:])  # bytes.fromhex would skip blanks
    except ValueError:
        pass
    raise UndecodableLog("bad-hex")


def word_bytes(text: str) -> bytes:
    """The 32 bytes of a topic or hash. Raises UndecodableLog for anything else."""
    word = hex_bytes(text)
    if len(word) != 32:
        raise UndecodableLog("bad-hex")
    return word


# The place of a log ------------------------------------------------------------------------


def quantity(text: str) -> int:
    """A JSON-RPC quantity up to MAX_BIGINT; leading zeros are forgiven."""
    # int() alone would take signs, blanks, underscores and the digits of other scripts
    if _QUANTITY.fullmatch(text) is None:
        raise UndecodableLog("bad-place")
    number = int(text, 16)
    if number > MAX_BIGINT:
        raise UndecodableLog("bad-place")
    return number


def log_index(text: str) -> int:
    """A log's index in its block, up to MAX_LOG_INDEX."""
    number = quantity(text)
    if number > MAX_LOG_INDEX:
        raise UndecodableLog("bad-place")
    return number


LOG_INDEXES = Memo(log_index, limit=8_192)


def tx_hash(text: str) -> bytes:
    """The 32 bytes of a transaction hash."""
    try:
        tx = a2b_hex(text[2:])
    except ValueError:
        raise UndecodableLog("bad-place") from None
    if len(tx) != 32 or text[:2] != "0x":
        raise UndecodableLog("bad-place")
    return tx


# Topics ------------------------------------------------------------------------------------


def agent_topic(topic: str) -> int:
    """The agent id in an indexed uint256."""
    if topic[:50] == _ID_PREFIX and len(topic) == 66:
        try:
            number = int.from_bytes(a2b_hex(topic[50:]))
        except ValueError:
            raise UndecodableLog("bad-hex") from None
        if number <= MAX_BIGINT:
            return number
    word_bytes(topic)
    raise UndecodableLog("id-too-large")


def address_topic(topic: str) -> bytes:
    """The 20 bytes of an indexed address."""
    if topic[:26] == _ADDRESS_PREFIX and len(topic) == 66:
        try:
            return a2b_hex(topic[26:])
        except ValueError:
            raise UndecodableLog("bad-hex") from None
    word_bytes(topic)
    raise UndecodableLog("dirty-padding")


def index_topic(topic: str) -> int:
    """The feedback index in an indexed uint64."""
    return feedback_index(int.from_bytes(word_bytes(topic)))


def check_topic(text: bytes, topic: str) -> bytes:
    """keccak256 of `text`, which must be what `topic` says."""
    digest = keccak(text)
    if digest != word_bytes(topic):
        raise UndecodableLog("topic-mismatch")
    return digest


# Words of the data -------------------------------------------------------------------------


def uint(data: bytes, word: int, bits: int = 256) -> int:
    """The unsigned number in head word `word`."""
    end = 32 * word + 32
    if len(data) < end:
        raise UndecodableLog("truncated-data")
    number = int.from_bytes(data[end - 32 : end])
    if number >> bits:
        raise UndecodableLog("dirty-padding")
    return number


def sint128(data: bytes, word: int) -> int:
    """The int128 in head word `word`; its sign must fill the word."""
    number = uint(data, word)
    if number >= 2**255:
        number -= 2**256
    if not -(2**127) <= number < 2**127:
        raise UndecodableLog("dirty-padding")
    return number


def boolean(data: bytes, word: int) -> bool:
    """The bool in head word `word`: 0 or 1, nothing else."""
    return uint(data, word, bits=1) == 1


def bytes32(data: bytes, word: int) -> bytes:
    """The 32 bytes of head word `word`."""
    if len(data) < 32 * word + 32:
        raise UndecodableLog("truncated-data")
    return data[32 * word : 32 * word + 32]


def string(data: bytes, word: int, head_words: int) -> bytes:
    """The string or bytes whose offset stands in head word `word` of `head_words`."""
    offset = uint(data, word)
    if not 32 * head_words <= offset < len(data):
        raise UndecodableLog("bad-offset")
    start = offset + 32
    if start > len(data):
        raise UndecodableLog("truncated-data")
    length = int.from_bytes(data[offset:start])
    end = start + length
    padded_end = end + (-length & 31)
    if padded_end > len(data):
        raise UndecodableLog("bad-length" if length > len(data) else "truncated-data")
    if data[end:padded_end] != _PADDING[padded_end - end]:
        raise UndecodableLog("dirty-padding")
    return data[start:end]


# What solc emits ---------------------------------------------------------------------------


def fills(data: bytes, offset: int, end: int) -> bytes | None:
    """The string at `offset` if it and its padding reach exactly to `end`, at most `len(data)`."""
    start = offset + 32
    if start > end or end > len(data):
        return None
    high, middle, low, length = _LENGTH(data, offset)
    stop = start + length
    padding = -length & 31
    if high or middle or low or stop + padding != end or data[stop:end] != _PADDING[padding]:
        return None
    return data[start:stop]


def _hashed(block: bytes) -> tuple[bytes, bytes, str] | None:
    text = fills(block, 0, len(block))
    if text is None:
        return None
    digest = keccak(text)
    return text, digest, "0x" + digest.hex()


HASHED_STRING = Memo(_hashed, limit=4_096)
"""The string that fills a block (length, bytes, padding) exactly, with its keccak256 as bytes and
as a topic; None if none does. Keys and tags repeat, and hashing one costs more than all the rest
of its log. For blocks of up to MAX_SHORT_BYTES."""


# Bounds of the contracts -------------------------------------------------------------------


def agent_id(number: int) -> int:
    """`number` if an agent can have it and we can hold it."""
    if number > MAX_BIGINT:
        raise UndecodableLog("id-too-large")
    return number


def feedback_index(number: int) -> int:
    """`number` if it is an index of the reputation registry, which counts from 1."""
    if number >> 64:
        raise UndecodableLog("dirty-padding")
    if not 1 <= number <= MAX_BIGINT:
        raise UndecodableLog("index-out-of-range")
    return number
