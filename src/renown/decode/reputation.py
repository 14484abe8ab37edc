"""Readers of the reputation registry's events. Pure: topics and bytes in, fact out.

The conventions are those of `decode.identity`.
"""

from __future__ import annotations

from struct import Struct

from renown.decode import words
from renown.decode.words import Memo, Topics, address_topic, agent_topic
from renown.errors import UndecodableLog
from renown.spec.events import FeedbackGiven, FeedbackRevoked, ResponseAppended
from renown.types import MAX_BIGINT

MAX_ABS_VALUE = 10**38
MAX_DECIMALS = 18
"""Bounds of `giveFeedback`; a log beyond them is not from a conforming contract."""

_HEAD = 256  # bytes before the first string of NewFeedback
_SPLIT_HEAD = Struct(">24s Q 24s Q 160s 32s").unpack_from
_ZEROS = bytes(24)
_OFFSET_96 = (96).to_bytes(32)


def new_feedback(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> FeedbackGiven:
    """`NewFeedback(agentId, clientAddress, keccak256(tag1))`: eight head words, four strings.

    The quick path takes what solc emits for a small value and short tags, which is nearly every
    log there is; it proves each byte it does not return. Everything else is read field by field.
    """
    agent = agent_topic(topics[1])
    client = address_topic(topics[2])
    if len(data) >= _HEAD:
        high, index, sign, value, rest_of_head, content_hash = _SPLIT_HEAD(data)
        layout = _LAYOUTS[rest_of_head]
        if layout and high == sign == _ZEROS and 1 <= index <= MAX_BIGINT:
            decimals, tag2_at, endpoint_at, uri_at = layout
            tag1, tag2, tag2_found_at, tag1_topic = _TAGS[data[_HEAD:endpoint_at]]
            endpoint = words.fills(data, endpoint_at, uri_at)
            uri = words.fills(data, uri_at, len(data))
            if (
                tag2_found_at == tag2_at
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
                    decimals,
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
    return FeedbackRevoked(
        block,
        log_index,
        tx,
        contract,
        agent_topic(topics[1]),
        address_topic(topics[2]),
        words.index_topic(topics[3]),
    )


def response_appended(
    topics: Topics, data: bytes, block: int, log_index: int, tx: bytes, contract: bytes
) -> ResponseAppended:
    """`ResponseAppended(agentId, clientAddress, responder)`: index, URI and hash in the data."""
    uri = words.fills(data, 96, len(data)) if data[32:64] == _OFFSET_96 else None
    return ResponseAppended(
        block,
        log_index,
        tx,
        contract,
        agent_topic(topics[1]),
        address_topic(topics[2]),
        words.feedback_index(words.uint(data, 0)),
        address_topic(topics[3]),
        words.string(data, 1, head_words=3) if uri is None else uri,
        words.bytes32(data, 2),
    )


# Few layouts and few pairs of tags make nearly all feedback: both are looked up by their bytes, and
# have entries only where they are canonical to the last byte, and short.


def _layout(head: bytes) -> tuple[int, int, int, int] | None:
    """Decimals and the offsets of tag2, endpoint and URI, from head words 2 to 6."""
    if len(head) != 160:
        return None
    decimals, tag1, tag2, endpoint, uri = (words.uint(head, word) for word in range(5))
    if decimals > MAX_DECIMALS or tag1 != _HEAD or not tag1 < tag2 < endpoint < uri:
        return None
    if endpoint - tag1 > words.MAX_SHORT_BYTES:
        return None
    return decimals, tag2, endpoint, uri


def _tags(block: bytes) -> tuple[bytes, bytes, int, str]:
    """The two tags that fill `block`, the offset of the second, the topic of the first.

    An offset of 0, which no tag has, says that two strings do not fill it.
    """
    length = int.from_bytes(block[:32])
    tag2_at = 32 + length + (-length & 31)
    tag1 = words.HASHED_STRING[block[:tag2_at]]
    tag2 = words.fills(block, tag2_at, len(block))
    if tag1 is None or tag2 is None:
        return b"", b"", 0, ""
    return tag1[0], tag2, _HEAD + tag2_at, tag1[2]


_LAYOUTS = Memo(_layout, limit=4_096)
_TAGS = Memo(_tags, limit=4_096)
