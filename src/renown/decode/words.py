"""Words, strings and topics of the contract ABI, read with every bound checked. Pure.

What counts as readable is what eth-abi 6 reads by default: offsets may come in any order, leave
gaps, overlap, and bytes may follow; but an offset must point behind the head and inside the
data, a string must be there with all its padding, and padding must be zero. `fills` and `tail` are
quick paths for the one layout solc emits; they answer None for anything else, which is then read
in full. A length or offset is compared before it is used, so a hostile one costs nothing.
"""

from __future__ import annotations

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

PADDING = tuple(bytes(n) for n in range(32))
_LOWEST_ID, _HIGHEST_ID = f"0x{0:064x}", f"0x{MAX_BIGINT:064x}"
_LOWEST_ADDRESS, _HIGHEST_ADDRESS = f"0x{0:064x}", f"0x{2**160 - 1:064x}"
_number = int.from_bytes
_LENGTH = Struct(">24sQ").unpack_from
_ZEROS = bytes(24)

K = TypeVar("K")
V = TypeVar("V")


class Memo(dict[K, V]):
    """What `compute` says of each key, remembered until `limit` keys are; then it starts anew.

    A hit costs half of lru_cache's, or less. Keys must be bounded in size by whoever asks. An
    error is not remembered.
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
# What is no hex raises a2b_hex's ValueError, here and below: the decoder's `bad-hex`.


def hex_bytes(text: str) -> bytes:
    """The bytes behind `0x`."""
    if not "0x" <= text < "0y":  # that is, it begins with 0x: half of what startswith costs
        raise UndecodableLog("bad-hex")
    return a2b_hex(text[2:])  # bytes.fromhex would skip blanks


def word_bytes(text: str) -> bytes:
    """The 32 bytes of a topic or hash."""
    word = hex_bytes(text)
    if len(word) != 32:
        raise UndecodableLog("bad-hex")
    return word


# The place of a log ------------------------------------------------------------------------


def quantity(text: str) -> int:
    """A JSON-RPC quantity up to MAX_BIGINT; leading zeros are forgiven."""
    # int() alone would take signs, blanks, underscores and the digits of other scripts
    if "0x" <= text < "0y" and len(text) <= 18 and text.isalnum() and text.isascii():
        number = int(text, 16)
        if number <= MAX_BIGINT:
            return number
    raise UndecodableLog("bad-place")


def log_index(text: str) -> int:
    """A log's index in its block, up to MAX_LOG_INDEX."""
    number = quantity(text)
    if number > MAX_LOG_INDEX:
        raise UndecodableLog("bad-place")
    return number


LOG_INDEXES = Memo(log_index, limit=8_192)


# Topics ------------------------------------------------------------------------------------


def agent_topic(topic: str) -> int:
    """The agent id in an indexed uint256."""
    if _LOWEST_ID <= topic <= _HIGHEST_ID and len(topic) == 66:  # begins with both's zeros
        return _number(a2b_hex(topic[50:]))
    return agent_id(_number(word_bytes(topic)))


def address_topic(topic: str) -> bytes:
    """The 20 bytes of an indexed address."""
    if _LOWEST_ADDRESS <= topic <= _HIGHEST_ADDRESS and len(topic) == 66:
        return a2b_hex(topic[26:])
    word_bytes(topic)
    raise UndecodableLog("dirty-padding")


def agent_and_address(agent: str, address: str) -> tuple[int, bytes]:
    """Both of the above in one step: nearly every log begins with them."""
    if (
        _LOWEST_ID <= agent <= _HIGHEST_ID
        and _LOWEST_ADDRESS <= address <= _HIGHEST_ADDRESS
        and len(agent) == len(address) == 66
    ):
        return _number(a2b_hex(agent[50:])), a2b_hex(address[26:])
    return agent_topic(agent), address_topic(address)


def index_topic(topic: str) -> int:
    """The feedback index in an indexed uint64."""
    return feedback_index(_number(word_bytes(topic)))


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
    number = _number(data[end - 32 : end])
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
    length = _number(data[offset:start])
    end = start + length
    padded_end = end + (-length & 31)
    if padded_end > len(data):
        raise UndecodableLog("bad-length" if length > len(data) else "truncated-data")
    if data[end:padded_end] != PADDING[padded_end - end]:
        raise UndecodableLog("dirty-padding")
    return data[start:end]


# What solc emits ---------------------------------------------------------------------------


def fills(data: bytes, offset: int, end: int) -> bytes | None:
    """The string at `offset` if it and its padding reach exactly to `end`, at most `len(data)`."""
    start = offset + 32
    if start > end or end > len(data):
        return None
    zeros, length = _LENGTH(data, offset)
    stop = start + length
    padding = -length & 31
    if stop + padding != end or data[stop:end] != PADDING[padding] or zeros != _ZEROS:
        return None
    return data[start:stop]


def tail(data: bytes, start: int, length: int) -> bytes | None:
    """The `length` bytes from `start` if they and their padding are the rest exactly."""
    end = start + length
    if data[end:] != PADDING[-length & 31] or len(data) < end:
        return None
    return data[start:end]


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
