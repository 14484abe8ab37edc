"""Readers of the reputation registry's events. Pure: topics and bytes in, fact out.

The conventions are those of `decode.identity`.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

import msgspec
from eth_hash.auto import keccak

from renown.decode import words
from renown.decode.words import Memo, Topics, address_topic, agent_and_address, fills, tail
from renown.errors import UndecodableLog
from renown.spec.events import FeedbackGiven, FeedbackRevoked, ResponseAppended
from renown.types import MAX_BIGINT

MAX_ABS_VALUE = 10**38
MAX_DECIMALS = 18
"""Bounds of `giveFeedback`; a log beyond them is not from a conforming contract."""

_HEAD = 256  # bytes before the first string of NewFeedback
_ZEROS, _EMPTY = bytes(24), bytes(32)


def new_feedback(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> FeedbackGiven:
    """`NewFeedback(agentId, clientAddress, keccak256(tag1))`: eight head words, four strings.

    The quick path takes what solc emits for a small value and short tags, which is nearly every
    log there is; it proves each byte it does not return. Everything else is read field by field.
    """
    agent, client = agent_and_address(topics[1], topics[2])
    layout = _LAYOUTS[data[64:224]]
    if layout and len(data) >= layout.uri_start:
        zeros, index, sign, value, content_hash, tags, endpoint, high, length = layout.split(data)
        tag1, tag2, tag2_at, tag1_topic = _TAGS[tags]
        endpoint = b"" if endpoint == _EMPTY else fills(endpoint, 0, len(endpoint))
        uri = tail(data, layout.uri_start, length)
        if (
            zeros == sign == high == _ZEROS
            and 1 <= index <= MAX_BIGINT
            and tag2_at == layout.tag2_at
            and tag1_topic == topics[3]
            and endpoint is not None
            and uri is not None
        ):
            return FeedbackGiven(
                block,
                log_index,
                tx,
                contract,
                agent,
                client,
                index,
                value,
                layout.decimals,
                tag1,
                tag2,
                endpoint,
                uri,
                content_hash,
            )
    index = words.feedback_index(words.uint(data, 0))
    value = words.sint128(data, 1)
    if not -MAX_ABS_VALUE <= value <= MAX_ABS_VALUE:
        raise UndecodableLog("value-out-of-range")
    decimals = words.uint(data, 2, bits=8)
    if decimals > MAX_DECIMALS:
        raise UndecodableLog("decimals-out-of-range")
    tag1, tag2, endpoint, uri = (words.string(data, word, head_words=8) for word in range(3, 7))
    content_hash = words.bytes32(data, 7)
    words.check_topic(tag1, topics[3])
    return FeedbackGiven(
        block,
        log_index,
        tx,
        contract,
        agent,
        client,
        index,
        value,
        decimals,
        tag1,
        tag2,
        endpoint,
        uri,
        content_hash,
    )


def feedback_revoked(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> FeedbackRevoked:
    """`FeedbackRevoked(agentId, clientAddress, feedbackIndex)`."""
    agent, client = agent_and_address(topics[1], topics[2])
    index = words.index_topic(topics[3])
    return FeedbackRevoked(block, log_index, tx, contract, agent, client, index)


def response_appended(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> ResponseAppended:
    """`ResponseAppended(agentId, clientAddress, responder)`: index, URI and hash in the data."""
    agent, client = agent_and_address(topics[1], topics[2])
    return ResponseAppended(
        block,
        log_index,
        tx,
        contract,
        agent,
        client,
        words.feedback_index(words.uint(data, 0)),
        address_topic(topics[3]),
        words.string(data, 1, head_words=3),
        words.bytes32(data, 2),
    )


# Few layouts and few pairs of tags make nearly all feedback: both are looked up by their bytes, and
# have entries only where they are canonical to the last byte, and short.


class _Layout(msgspec.Struct, frozen=True, gc=False):
    """What head words 2 to 6 say. `split` takes the data apart up to `uri_start`: 24 zeros and the
    index, 24 zeros and a small value, content hash, both tags, endpoint, 24 zeros and the URI's
    length. Offsets are from the start of the data.
    """

    decimals: int
    tag2_at: int
    uri_start: int
    split: Callable[[bytes], tuple[Any, ...]]


def _layout(head: bytes) -> _Layout | None:
    if len(head) != 160:
        return None
    decimals, tag1, tag2, endpoint, uri = (words.uint(head, word) for word in range(5))
    if decimals > MAX_DECIMALS or tag1 != _HEAD or not tag1 < tag2 < endpoint < uri:
        return None
    if endpoint - tag1 > words.MAX_SHORT_BYTES or uri - endpoint > words.MAX_SHORT_BYTES:
        return None
    parts = Struct(f">24s Q 24s Q 160x 32s {endpoint - tag1}s {uri - endpoint}s 24s Q")
    return _Layout(decimals, tag2, uri + 32, parts.unpack_from)


def _tags(block: bytes) -> tuple[bytes, bytes, int, str]:
    """The two tags that fill `block`, the offset of the second, the topic of the first.

    An offset of 0, which no tag has, says that two strings do not fill it.
    """
    length = int.from_bytes(block[:32])
    tag2_at = 32 + length + (-length & 31)
    tag1 = fills(block, 0, tag2_at)
    tag2 = fills(block, tag2_at, len(block))
    if tag1 is None or tag2 is None:
        return b"", b"", 0, ""
    return tag1, tag2, _HEAD + tag2_at, "0x" + keccak(tag1).hex()


_LAYOUTS = Memo(_layout, limit=4_096)
_TAGS = Memo(_tags, limit=4_096)
