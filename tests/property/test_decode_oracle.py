"""The decoder against eth-abi: a log decodes exactly when the library reads it and the values keep
the contracts' bounds, and then to the same values. Everything else is quarantined, never raised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak
from hypothesis import example, given, settings
from hypothesis import strategies as st

from renown.decode import Decoder
from renown.spec import abi, events
from renown.spec.logs import RawLog
from renown.types import MAX_BIGINT

CONTRACTS: dict[abi.Role, bytes] = {
    "identity": bytes.fromhex("8004a169fb4a3325136eb29fa0ceb6d2e539a432"),
    "reputation": bytes.fromhex("8004baa17c55a88189ae136b182e5fda19de9b63"),
    "validation": bytes.fromhex("8004cc8439f36fd5f9f049d9ff86523df6daab58"),
}
DECODER = Decoder(CONTRACTS["identity"], CONTRACTS["reputation"], (CONTRACTS["validation"],))
TX = bytes(range(32))
BLOCK, LOG_INDEX = 24_339_925, 117

Values = dict[str, Any]

# What each event becomes, told a second time: fields after the place, from the ABI's names.
FACTS: dict[abi.EventAbi, Callable[[bytes, Values], events.Fact | None]] = {}


def becomes(
    event: abi.EventAbi, kind: Callable[..., events.Fact], *fields: str | Callable[[Values], Any]
) -> None:
    def fact(contract: bytes, values: Values) -> events.Fact | None:
        if not within_bounds(values):
            return None
        wanted = [values[field] if isinstance(field, str) else field(values) for field in fields]
        return kind(BLOCK, LOG_INDEX, TX, contract, *wanted)

    FACTS[event] = fact


def within_bounds(values: Values) -> bool:
    bounds = {
        "agentId": (0, MAX_BIGINT),
        "tokenId": (0, MAX_BIGINT),
        "_tokenId": (0, MAX_BIGINT),
        "_fromTokenId": (0, MAX_BIGINT),
        "version": (0, MAX_BIGINT),
        "feedbackIndex": (1, MAX_BIGINT),
        "value": (-(10**38), 10**38),
        "valueDecimals": (0, 18),
        "response": (0, 100),
    }
    if any(not low <= values.get(name, low) <= high for name, (low, high) in bounds.items()):
        return False
    for hashed, plain in (("indexedTag1", "tag1"), ("indexedMetadataKey", "metadataKey")):
        if hashed in values and keccak(values[plain]) != values[hashed]:
            return False
    return True


def change(name: str) -> Callable[[Values], str]:
    return lambda values: name


becomes(abi.REGISTERED, events.AgentRegistered, "agentId", "owner", "agentURI")
becomes(abi.URI_UPDATED, events.UriUpdated, "agentId", "updatedBy", "newURI")
becomes(
    abi.METADATA_SET,
    events.MetadataSet,
    "agentId",
    "metadataKey",
    "indexedMetadataKey",
    "metadataValue",
)
becomes(abi.TRANSFER, events.AgentTransferred, "tokenId", "from", "to")
becomes(abi.APPROVAL, events.AgentApproved, "tokenId", "owner", "approved")
becomes(abi.APPROVAL_FOR_ALL, events.OperatorSet, "owner", "operator", "approved")
becomes(abi.METADATA_UPDATE, events.MetadataRefreshed, "_tokenId", "_tokenId")
becomes(
    abi.BATCH_METADATA_UPDATE,
    events.MetadataRefreshed,
    "_fromTokenId",
    lambda values: min(values["_toTokenId"], MAX_BIGINT),
)
becomes(abi.EIP712_DOMAIN_CHANGED, events.RegistryChanged, change("domain-changed"))
becomes(
    abi.NEW_FEEDBACK,
    events.FeedbackGiven,
    "agentId",
    "clientAddress",
    "feedbackIndex",
    "value",
    "valueDecimals",
    "tag1",
    "tag2",
    "endpoint",
    "feedbackURI",
    "feedbackHash",
)
becomes(abi.FEEDBACK_REVOKED, events.FeedbackRevoked, "agentId", "clientAddress", "feedbackIndex")
becomes(
    abi.RESPONSE_APPENDED,
    events.ResponseAppended,
    "agentId",
    "clientAddress",
    "feedbackIndex",
    "responder",
    "responseURI",
    "responseHash",
)
becomes(
    abi.VALIDATION_REQUEST,
    events.ValidationRequested,
    "agentId",
    "validatorAddress",
    "requestHash",
    "requestURI",
)
becomes(
    abi.VALIDATION_RESPONSE,
    events.ValidationResponded,
    "agentId",
    "validatorAddress",
    "requestHash",
    "response",
    "responseURI",
    "responseHash",
    "tag",
)
becomes(abi.UPGRADED, events.RegistryChanged, change("upgraded"), "implementation")
becomes(
    abi.INITIALIZED,
    events.RegistryChanged,
    change("initialized"),
    lambda values: None,
    lambda values: None,
    "version",
)
becomes(
    abi.OWNERSHIP_TRANSFERRED,
    events.RegistryChanged,
    change("ownership-transferred"),
    "newOwner",
    "previousOwner",
)


def oracle(event: abi.EventAbi, contract: bytes, topics: list[bytes], data: bytes) -> Any:
    """The fact by eth-abi, or None where the library or a bound refuses."""
    indexed = [param for param in event.params if param.indexed]
    plain = [param for param in event.params if not param.indexed]
    values: Values = {}
    try:
        for param, topic in zip(indexed, topics, strict=True):
            type_ = "bytes32" if param.type == "string" else param.type
            values[param.name] = abi_decode([type_], topic)[0]
        fields = abi_decode([lenient(param.type) for param in plain], data)
    except (DecodingError, OverflowError):
        return None
    values |= {param.name: field for param, field in zip(plain, fields, strict=True)}
    for param in event.params:
        if param.type == "address":
            values[param.name] = bytes.fromhex(values[param.name][2:])
    return FACTS[event](contract, values)


def lenient(abi_type: str) -> str:
    return "bytes" if abi_type == "string" else abi_type  # the same encoding, any bytes


# Values, with the edges of each type drawn often ---------------------------------------------


def edges(low: int, high: int, *more: int) -> st.SearchStrategy[int]:
    near = {low, low + 1, high - 1, high, 0, 1, MAX_BIGINT, MAX_BIGINT + 1, *more}
    return (
        st.sampled_from(sorted(n for n in near if low <= n <= high))
        | st.integers(max(low, -1000), min(high, 1000))
        | st.integers(low, high)
    )


texts = (
    st.sampled_from([b"", b"t", b"starred", b"agentWallet", b"a\0b", b"\xff\xfe", b"x" * 32])
    | st.binary(max_size=300)
    | st.text(max_size=40).map(str.encode)
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "uint256": edges(0, 2**256 - 1),
    "uint64": edges(0, 2**64 - 1),
    "uint8": edges(0, 255, 18, 19, 100, 101),
    "int128": edges(-(2**127), 2**127 - 1, 10**38, 10**38 + 1, -(10**38), -(10**38) - 1),
    "bool": st.booleans(),
    "address": st.just(bytes(20)) | st.binary(min_size=20, max_size=20),
    "bytes32": st.just(bytes(32)) | st.binary(min_size=32, max_size=32),
    "string": texts,
    "bytes": texts,
}


@st.composite
def logs(
    draw: st.DrawFn, event: abi.EventAbi | None = None
) -> tuple[abi.EventAbi, bytes, list[bytes], bytes]:
    """An event, its contract, the topics after topic0 and the data, well formed."""
    event = event or draw(st.sampled_from(abi.CURRENT))
    contract = CONTRACTS[draw(st.sampled_from(event.roles))]
    values = {param.name: draw(VALUES[param.type]) for param in event.params}
    topics = []
    for param in event.params:
        if param.indexed and param.type == "string":
            plain = values[{"indexedTag1": "tag1"}.get(param.name, "metadataKey")]
            truthful = draw(st.integers(0, 9)) > 0
            topics.append(keccak(plain) if truthful else draw(VALUES["bytes32"]))
        elif param.indexed:
            topics.append(abi_encode([param.type], [values[param.name]]))
    plain_params = [param for param in event.params if not param.indexed]
    data = abi_encode(
        [lenient(param.type) for param in plain_params],
        [values[param.name] for param in plain_params],
    )
    return event, contract, topics, data


def decoded(event: abi.EventAbi, contract: bytes, topics: list[bytes], data: bytes) -> events.Fact:
    log = RawLog(
        address="0x" + contract.hex(),
        topics=tuple("0x" + topic.hex() for topic in [event.topic0, *topics]),
        data="0x" + data.hex(),
        block_number=hex(BLOCK),
        block_hash="0x" + bytes(32).hex(),
        transaction_hash="0x" + TX.hex(),
        log_index=hex(LOG_INDEX),
    )
    return DECODER.decode(log)


def assert_same(event: abi.EventAbi, contract: bytes, topics: list[bytes], data: bytes) -> None:
    got, expected = decoded(event, contract, topics, data), oracle(event, contract, topics, data)
    if expected is None:
        assert isinstance(got, events.Quarantined)
        assert got.payload == data
        assert got.topics == (event.topic0, *topics)
        assert got.event == event.name
        assert (got.block_number, got.log_index, got.tx_hash) == (BLOCK, LOG_INDEX, TX)
    else:
        assert got == expected


# Properties ----------------------------------------------------------------------------------


@settings(max_examples=250)
@given(logs())
def test_decode__well_formed__equals_the_library(log: Any) -> None:
    assert_same(*log)


@settings(max_examples=200)
@given(logs(abi.NEW_FEEDBACK))
def test_new_feedback__well_formed__equals_the_library(log: Any) -> None:
    assert_same(*log)


words = st.sampled_from(
    [0, 1, 2, 31, 32, 33, 64, 96, 128, 256, 2**31, 2**32, 2**63, 2**64, 2**255, 2**256 - 1]
) | st.integers(0, 700)


@settings(max_examples=600)
@given(
    logs(),
    st.dictionaries(st.integers(0, 30), words, max_size=4),
    st.dictionaries(st.integers(0, 900), st.integers(0, 255), max_size=2),
    st.integers(-70, 70),
)
@example((abi.REGISTERED, CONTRACTS["identity"], [bytes(32), bytes(32)], b""), {}, {}, 0)
@example((abi.REGISTERED, CONTRACTS["identity"], [bytes(32)] * 2, (32).to_bytes(32)), {}, {}, 0)
def test_decode__mangled_data__equals_the_library_or_is_quarantined(
    log: Any, overwritten: dict[int, int], flipped: dict[int, int], resized: int
) -> None:
    event, contract, topics, data = log
    mangled = bytearray(data)
    for word, number in overwritten.items():
        if 32 * word + 32 <= len(mangled):
            mangled[32 * word : 32 * word + 32] = number.to_bytes(32)
    for at, byte in flipped.items():
        if at < len(mangled):
            mangled[at] = byte
    mangled = mangled + bytes(resized) if resized >= 0 else mangled[:resized]

    assert_same(event, contract, topics, bytes(mangled))


# Data as most of the network's is, and one of its words off by a little or by a lot: what the quick
# paths must see through. A fixed walk through all of them, since there are few.

USUAL: list[tuple[abi.EventAbi, list[bytes], list[Any]]] = [
    (
        abi.NEW_FEEDBACK,
        [(22).to_bytes(32), bytes(12) + b"c" * 20, keccak(b"starred")],
        [
            7,
            85,
            2,
            b"starred",
            b"week",
            b"https://agent.example/a-longer-path",
            b"u" * 40,
            b"h" * 32,
        ],
    ),
    (
        abi.NEW_FEEDBACK,
        [bytes(32), bytes(12) + b"c" * 20, keccak(b"")],
        [1, 0, 0, b"", b"", b"", b"", bytes(32)],
    ),
    (
        abi.METADATA_SET,
        [(1).to_bytes(32), keccak(b"agentWallet")],
        [b"agentWallet", b"w" * 20],
    ),
    (abi.REGISTERED, [(1).to_bytes(32), bytes(32)], [b"ipfs://" + b"a" * 59]),
    (abi.METADATA_UPDATE, [], [5]),
]
SHIFTS = [1, -1, 32, -32, 64, -64, 2**16, 2**63, 2**64, 2**128, 2**192, 2**255]


@pytest.mark.parametrize("usual", USUAL, ids=lambda usual: usual[0].name)
def test_decode__usual_data_with_a_word_shifted__equals_the_library(usual: Any) -> None:
    event, topics, values = usual
    types = [lenient(param.type) for param in event.params if not param.indexed]
    data = abi_encode(types, values)
    contract = CONTRACTS[event.roles[0]]
    assert_same(event, contract, topics, data)
    for at in range(0, len(data), 32):
        for shift in SHIFTS:
            word = (int.from_bytes(data[at : at + 32]) + shift) % 2**256
            assert_same(event, contract, topics, data[:at] + word.to_bytes(32) + data[at + 32 :])
    for size in range(len(data) + 40):
        assert_same(event, contract, topics, data[:size] + bytes(max(0, size - len(data))))


@settings(max_examples=150)
@given(
    logs(abi.NEW_FEEDBACK) | logs(abi.METADATA_SET),
    st.permutations(range(5)),
    st.integers(0, 3),
    st.integers(0, 4),
)
def test_decode__strings_in_another_order__equals_the_library(
    log: Any, order: list[int], gap_words: int, shared: int
) -> None:
    event, contract, topics, data = log
    plain = [param for param in event.params if not param.indexed]
    values = list(abi_decode([lenient(param.type) for param in plain], data))
    head_size = 32 * len(plain)
    head, tail = bytearray(data[:head_size]), bytearray(32 * gap_words)
    at = [place for place, param in enumerate(plain) if lenient(param.type) == "bytes"]
    for number in [number for number in order if number < len(at)]:
        place = at[number]
        if number == shared and tail:  # points where another string starts, or at a gap
            offset = head_size
        else:
            offset = head_size + len(tail)
            tail += abi_encode(["bytes"], [values[place]])[32:]
        head[32 * place : 32 * place + 32] = offset.to_bytes(32)

    assert_same(event, contract, topics, bytes(head + tail))


@settings(max_examples=200)
@given(logs(), st.integers(0, 2), st.integers(0, 31), st.integers(0, 255))
def test_decode__mangled_topic__equals_the_library_or_is_quarantined(
    log: Any, which: int, at: int, byte: int
) -> None:
    event, contract, topics, data = log
    if which < len(topics):
        topics[which] = topics[which][:at] + bytes([byte]) + topics[which][at + 1 :]

    assert_same(event, contract, topics, data)


@settings(max_examples=60)
@given(logs(), st.lists(st.binary(min_size=32, max_size=32), max_size=5))
def test_decode__other_number_of_topics__is_quarantined(log: Any, topics: list[bytes]) -> None:
    event, contract, _, data = log
    if len(topics) + 1 == event.topic_count:
        topics.append(bytes(32))

    got = decoded(event, contract, topics, data)

    assert isinstance(got, events.Quarantined)
    assert got.reason == "topic-count"


def test_new_feedback__uri_of_a_megabyte_and_a_half__equals_the_library() -> None:
    long = bytes(range(256)) * 6_000
    data = abi_encode(
        [lenient(param.type) for param in abi.NEW_FEEDBACK.params if not param.indexed],
        (1, -(10**38), 18, b"x" * 10_000, b"", b"\0", long, b"h" * 32),
    )
    topics = [(0).to_bytes(32), bytes(12) + b"c" * 20, keccak(b"x" * 10_000)]

    got = decoded(abi.NEW_FEEDBACK, CONTRACTS["reputation"], topics, data)

    assert isinstance(got, events.FeedbackGiven)
    assert got == oracle(abi.NEW_FEEDBACK, CONTRACTS["reputation"], topics, data)
    assert got.uri == long


# Text that is no log at all ------------------------------------------------------------------

topic0s = st.sampled_from(["0x" + event.topic0.hex() for event in abi.EVENTS])
hex_words = st.binary(min_size=32, max_size=32).map(lambda word: "0x" + word.hex())
scrawls = (
    st.text(max_size=70)
    | st.text(alphabet="0123456789abcdefABCDEFxX_ +-\t\n", max_size=70)
    | st.sampled_from(["", "0x", "0", "0X00", "0x0", "0x_1", "0x 1", "-0x1", "0x" + "f" * 64])
    | st.text(alphabet=st.characters(categories=["Nd", "Cs"]), max_size=70).map("0x".__add__)
)
addresses = st.sampled_from(["0x" + contract.hex() for contract in CONTRACTS.values()])


@settings(max_examples=400)
@given(
    st.builds(
        RawLog,
        address=addresses | addresses.map(str.upper) | scrawls,
        topics=st.builds(
            lambda first, rest: (*first, *rest),
            st.lists(topic0s | scrawls, max_size=1),
            st.lists(hex_words | scrawls, max_size=4),
        ),
        data=st.binary(max_size=400).map(lambda data: "0x" + data.hex()) | scrawls,
        block_number=st.integers(0, 2**70).map(hex) | scrawls,
        block_hash=scrawls,
        transaction_hash=hex_words | scrawls,
        log_index=st.integers(0, 2**33).map(hex) | scrawls,
    )
)
def test_decode__scrawls__never_raises_and_keeps_the_place_in_range(log: RawLog) -> None:
    got = DECODER.decode(log)

    assert isinstance(got, events.Fact)
    assert -1 <= got.block_number <= MAX_BIGINT
    assert -1 <= got.log_index < 2**31
    assert len(got.tx_hash) in (0, 32)
    if isinstance(got, events.Quarantined):
        assert len(got.topics) == len(log.topics)


@settings(max_examples=40)
@given(st.lists(logs(), max_size=8))
def test_decode_many__any_batch__is_one_by_one(batch: list[Any]) -> None:
    raw = [
        RawLog(
            address="0x" + contract.hex(),
            topics=tuple("0x" + topic.hex() for topic in [event.topic0, *topics]),
            data="0x" + data.hex(),
            block_number=hex(BLOCK + position // 2),
            block_hash="0x" + bytes(32).hex(),
            transaction_hash="0x" + (position // 2).to_bytes(32).hex() if position % 5 else "0x",
            log_index=hex(position),
        )
        for position, (event, contract, topics, data) in enumerate(batch)
    ]

    assert DECODER.decode_many(raw) == [DECODER.decode(log) for log in raw]


@pytest.mark.parametrize("event", abi.CURRENT, ids=lambda event: event.name)
def test_facts__told_twice__for_every_event(event: abi.EventAbi) -> None:
    assert event in FACTS
