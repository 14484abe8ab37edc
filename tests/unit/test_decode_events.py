"""Single logs: the reference's vectors, one log for each reason, and who may emit what."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from msgspec.structs import replace as changed

from renown.decode import Decoder, describe
from renown.decode.decoder import MAX_PAYLOAD_BYTES
from renown.spec import abi, events
from renown.spec.logs import RawLog
from renown.types import MAX_BIGINT

IDENTITY, REPUTATION = b"\x80\x04\xa1" + b"i" * 17, b"\x80\x04\xba" + b"r" * 17
VALIDATION, OTHER_VALIDATION = b"\x80\x04\xcc" + b"v" * 17, b"\xaa" * 20
ROLES = {"identity": IDENTITY, "reputation": REPUTATION, "validation": VALIDATION}
DECODER = Decoder(IDENTITY, REPUTATION, (VALIDATION, OTHER_VALIDATION))
TX = b"t" * 32
PLACE = (9, 3, TX)
ALICE, BOB = b"a" * 20, b"b" * 20
FEEDBACK_TYPES = ["uint64", "int128", "uint8", "bytes", "bytes", "bytes", "bytes", "bytes32"]


def word(value: int | bytes) -> bytes:
    return value.to_bytes(32) if isinstance(value, int) else value.rjust(32, b"\0")


def log(event: abi.EventAbi, *topics: int | bytes, data: bytes = b"", **others: Any) -> RawLog:
    fields: dict[str, Any] = {
        "address": "0x" + ROLES[event.roles[0]].hex(),
        "topics": tuple("0x" + word(topic).hex() for topic in (event.topic0, *topics)),
        "data": "0x" + data.hex(),
        "block_number": "0x9",
        "block_hash": "0x" + "00" * 32,
        "transaction_hash": "0x" + TX.hex(),
        "log_index": "0x3",
    }
    return RawLog(**(fields | others))


def feedback(*values_at: tuple[int, Any], data: bytes | None = None, **raw: Any) -> RawLog:
    values: list[Any] = [1, 5, 0, b"t", b"", b"", b"", bytes(32)]
    for at, value in values_at:
        values[at] = value
    data = encode(FEEDBACK_TYPES, values) if data is None else data
    return log(abi.NEW_FEEDBACK, 22, ALICE, keccak(values[3]), data=data, **raw)


def reason(raw: RawLog) -> str:
    got = DECODER.decode(raw)
    assert isinstance(got, events.Quarantined)
    return got.reason


# Vectors -------------------------------------------------------------------------------------

VECTOR = "".join(
    [
        f"{2:064x}",
        "f" * 63 + "9",
        f"{3:064x}",
        f"{0x100:064x}{0x140:064x}{0x160:064x}{0x180:064x}",
        "00" * 32,
        f"{1:064x}" + "74" + "00" * 31,
        "00" * 96,
    ]
)


def test_new_feedback__vector_of_the_reference__decodes() -> None:
    raw = log(
        abi.NEW_FEEDBACK,
        0,
        ALICE,
        bytes.fromhex("cac1bb71f0a97c8ac94ca9546b43178a9ad254c7b757ac07433aa6df35cd8089"),
        data=bytes.fromhex(VECTOR),
    )
    assert len(raw.data) == 2 + 2 * 416

    assert DECODER.decode(raw) == events.FeedbackGiven(
        *PLACE, REPUTATION, 0, ALICE, 2, -7, 3, b"t", b"", b"", b"", bytes(32)
    )


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"starred", "d6be4ef8f6e81499fcacb6176a8acae193c21b062774e32379bf3b823e83bd19"),
        (b"uptime", "fbd48ce6a90a8e8ae8fb90dc768499accb7c03c6127003e882a3b3af28cd8fa8"),
    ],
)
def test_new_feedback__known_tag_topics__fit(text: bytes, topic: str) -> None:
    raw = log(
        abi.NEW_FEEDBACK,
        1,
        ALICE,
        bytes.fromhex(topic),
        data=encode(FEEDBACK_TYPES, [1, 0, 0, text, b"", b"", b"", bytes(32)]),
    )

    got = DECODER.decode(raw)

    assert isinstance(got, events.FeedbackGiven)
    assert got.tag1 == text


def test_metadata_set__wallet_of_a_registration__decodes() -> None:
    key_hash = bytes.fromhex("2ac6109326e720d1435c0db66f7e35eda7839f52b6f1f5520a60788e132b4e39")
    raw = log(
        abi.METADATA_SET, 7, key_hash, data=encode(["bytes", "bytes"], [b"agentWallet", ALICE])
    )

    assert DECODER.decode(raw) == events.MetadataSet(
        *PLACE, IDENTITY, 7, b"agentWallet", key_hash, ALICE
    )


def test_decode__registration__gives_its_four_facts() -> None:
    wallet = keccak(b"agentWallet")
    logs = [
        log(abi.TRANSFER, 0, ALICE, 0),
        log(abi.METADATA_UPDATE, data=word(0)),
        log(abi.REGISTERED, 0, ALICE, data=encode(["bytes"], [b"ipfs://a\0\xff"])),
        log(abi.METADATA_SET, 0, wallet, data=encode(["bytes"] * 2, [b"agentWallet", b""])),
    ]

    assert DECODER.decode_many(logs) == [
        events.AgentTransferred(*PLACE, IDENTITY, 0, bytes(20), ALICE),
        events.MetadataRefreshed(*PLACE, IDENTITY, 0, 0),
        events.AgentRegistered(*PLACE, IDENTITY, 0, ALICE, b"ipfs://a\0\xff"),
        events.MetadataSet(*PLACE, IDENTITY, 0, b"agentWallet", wallet, b""),
    ]


def test_batch_metadata_update__of_all__is_capped() -> None:
    got = DECODER.decode(log(abi.BATCH_METADATA_UPDATE, data=word(0) + word(2**256 - 1)))

    assert got == events.MetadataRefreshed(*PLACE, IDENTITY, 0, MAX_BIGINT)


@pytest.mark.parametrize("contract", [IDENTITY, REPUTATION, VALIDATION, OTHER_VALIDATION])
def test_upgraded__from_any_registry__decodes(contract: bytes) -> None:
    got = DECODER.decode(log(abi.UPGRADED, BOB, address="0x" + contract.hex()))

    assert got == events.RegistryChanged(*PLACE, contract, "upgraded", BOB)


# Reasons -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (log(abi.REGISTERED, 2**63, ALICE, data=encode(["bytes"], [b""])), "id-too-large"),
        (log(abi.TRANSFER, ALICE, BOB, 2**256 - 1), "id-too-large"),
        (log(abi.METADATA_UPDATE, data=word(2**63)), "id-too-large"),
        (log(abi.TRANSFER, ALICE, b"\1" + BOB, 1), "dirty-padding"),
        (log(abi.APPROVAL_FOR_ALL, ALICE, BOB, data=word(2)), "dirty-padding"),
        (log(abi.APPROVAL_FOR_ALL, ALICE, BOB), "truncated-data"),
        (log(abi.FEEDBACK_REVOKED, 1, ALICE, 0), "index-out-of-range"),
        (log(abi.FEEDBACK_REVOKED, 1, ALICE, 2**63), "index-out-of-range"),
        (log(abi.FEEDBACK_REVOKED, 1, ALICE, 2**64), "dirty-padding"),
        (log(abi.INITIALIZED, data=word(2**64 - 1)), "version-out-of-range"),
        (log(abi.TRANSFER, ALICE, BOB), "topic-count"),
        (log(abi.TRANSFER, ALICE, BOB, 1, 1), "topic-count"),
        (log(abi.REGISTERED, 1, ALICE), "truncated-data"),
        (log(abi.REGISTERED, 1, ALICE, data=word(32)), "bad-offset"),
        (log(abi.REGISTERED, 1, ALICE, data=word(0) * 2), "bad-offset"),
        (log(abi.REGISTERED, 1, ALICE, data=word(2**256 - 1) * 2), "bad-offset"),
        (log(abi.REGISTERED, 1, ALICE, data=word(32) + word(2**256 - 1)), "bad-length"),
        (log(abi.REGISTERED, 1, ALICE, data=word(32) + word(2**63)), "bad-length"),
        (log(abi.REGISTERED, 1, ALICE, data=word(32) + word(5) + b"hello"), "truncated-data"),
        (log(abi.REGISTERED, 1, ALICE, data=word(32) + word(31) + b"x" * 32), "dirty-padding"),
        (log(abi.METADATA_SET, 1, 5, data=encode(["bytes"] * 2, [b"k", b""])), "topic-mismatch"),
        (feedback((0, 0)), "index-out-of-range"),
        (feedback((0, 2**63)), "index-out-of-range"),
        (feedback((1, 10**38 + 1)), "value-out-of-range"),
        (feedback((1, -(10**38) - 1)), "value-out-of-range"),
        (feedback((1, -(2**127))), "value-out-of-range"),
        (feedback((2, 19)), "decimals-out-of-range"),
        (feedback((2, 255)), "decimals-out-of-range"),
        (feedback(data=b""), "truncated-data"),
        (feedback(data=word(1) + word(2**127)), "dirty-padding"),
        (feedback(data=word(1) + word(1) + word(256)), "dirty-padding"),
        (feedback((3, b"x"), topics=feedback((3, b"y")).topics), "topic-mismatch"),
        (feedback(topics=()), "unknown-topic"),
        (feedback(topics=("0x" + "00" * 32,)), "unknown-topic"),
        (feedback(address="0x" + IDENTITY.hex()), "unexpected-contract"),
        (feedback(address="0x" + "77" * 20), "unexpected-contract"),
        (feedback(address=""), "unexpected-contract"),
        (log(abi.TRANSFER, ALICE, BOB, 1, address="0x" + REPUTATION.hex()), "unexpected-contract"),
        (feedback(block_number="0x8000000000000000"), "bad-place"),
        (feedback(block_number="0x1_0"), "bad-place"),
        (feedback(block_number="9"), "bad-place"),
        (feedback(log_index="0x80000000"), "bad-place"),
        (feedback(log_index="0x\u0661"), "bad-place"),
        (feedback(transaction_hash="0x12"), "bad-place"),
        (feedback(transaction_hash="0x" + "g" * 64), "bad-place"),
    ],
)
def test_decode__out_of_bounds__is_quarantined_with_the_reason(raw: RawLog, expected: str) -> None:
    assert reason(raw) == expected


TOPICS = [
    (raw, at)
    for raw in (
        log(abi.TRANSFER, ALICE, BOB, 1),
        log(abi.FEEDBACK_REVOKED, 1, ALICE, 1),
        log(abi.METADATA_SET, 1, keccak(b"k"), data=encode(["bytes"] * 2, [b"k", b""])),
        log(abi.VALIDATION_REQUEST, ALICE, 1, b"h" * 32, data=encode(["bytes"], [b""])),
    )
    for at in range(1, len(raw.topics))
]


@pytest.mark.parametrize("topic", ["", "0x", "0x05", "00" * 33, "0x" + "0" * 63, "0x" + "0" * 66])
@pytest.mark.parametrize(("raw", "at"), TOPICS)
def test_decode__topic_that_is_no_word__is_kept_as_sent(raw: RawLog, at: int, topic: str) -> None:
    got = DECODER.decode(changed(raw, topics=(*raw.topics[:at], topic, *raw.topics[at + 1 :])))

    assert isinstance(got, events.Quarantined)
    assert got.reason == "bad-hex"
    assert got.topics[at].hex() in (topic[2:], topic.encode().hex())


@pytest.mark.parametrize("data", ["", "0", "0x0", "0xzz", "00" * 416, "0x 00", "0x0_", "0x\udc80"])
def test_decode__data_that_is_no_hex__is_kept_as_text(data: str) -> None:
    got = DECODER.decode(changed(feedback(), data=data))

    assert isinstance(got, events.Quarantined)
    assert got.reason == "bad-hex"
    assert got.payload == data.encode(errors="backslashreplace")


@pytest.mark.parametrize(("response", "fits"), [(0, True), (100, True), (101, False), (255, False)])
def test_validation_response__at_its_bounds__is_held_to_them(response: int, fits: bool) -> None:
    raw = log(
        abi.VALIDATION_RESPONSE,
        ALICE,
        1,
        b"h" * 32,
        data=encode(["uint8", "bytes", "bytes32", "bytes"], [response, b"u", bytes(32), b"tag"]),
    )

    got = DECODER.decode(raw)

    if fits:
        assert got == events.ValidationResponded(
            *PLACE, VALIDATION, 1, ALICE, b"h" * 32, response, b"u", bytes(32), b"tag"
        )
    else:
        assert reason(raw) == "response-out-of-range"


@pytest.mark.parametrize(("value", "decimals"), [(10**38, 0), (-(10**38), 18), (0, 18)])
def test_new_feedback__at_the_bounds__decodes(value: int, decimals: int) -> None:
    got = DECODER.decode(feedback((0, MAX_BIGINT), (1, value), (2, decimals)))

    assert isinstance(got, events.FeedbackGiven)
    assert (got.feedback_index, got.value, got.decimals) == (MAX_BIGINT, value, decimals)


def test_decode__quarantined__keeps_every_byte() -> None:
    raw = feedback((2, 99))

    got = DECODER.decode(raw)

    assert isinstance(got, events.Quarantined)
    assert got.event == "NewFeedback"
    assert got.contract == REPUTATION
    assert got.payload == bytes.fromhex(raw.data[2:])
    assert got.topics == tuple(bytes.fromhex(topic[2:]) for topic in raw.topics)
    assert (got.block_number, got.log_index, got.tx_hash) == PLACE


def test_decode__oversized__keeps_every_byte() -> None:
    data = encode(["bytes"], [bytes(MAX_PAYLOAD_BYTES)])

    got = DECODER.decode(log(abi.REGISTERED, 1, ALICE, data=data))

    assert isinstance(got, events.Quarantined)
    assert (got.reason, got.payload) == ("oversized", data)


def test_decode__unreadable_place__says_so_and_keeps_the_rest() -> None:
    got = DECODER.decode(feedback(transaction_hash=""))

    assert isinstance(got, events.Quarantined)
    assert (got.block_number, got.log_index, got.tx_hash) == (-1, -1, b"")
    assert got.payload


def test_decode__in_capitals__is_the_same() -> None:
    plain = feedback((3, b"starred"))
    shouted = changed(
        plain,
        address=plain.address.upper(),
        topics=tuple("0x" + topic[2:].upper() for topic in plain.topics),
        data="0x" + plain.data[2:].upper(),
        transaction_hash="0x" + plain.transaction_hash[2:].upper(),
    )

    assert DECODER.decode(shouted) == DECODER.decode(plain)


def test_decode__contract_in_two_roles__emits_the_events_of_both() -> None:
    both = Decoder(IDENTITY, REPUTATION, (IDENTITY,))
    request = log(
        abi.VALIDATION_REQUEST,
        ALICE,
        1,
        b"h" * 32,
        data=encode(["bytes"], [b""]),
        address="0x" + IDENTITY.hex(),
    )

    assert isinstance(both.decode(request), events.ValidationRequested)
    assert isinstance(both.decode(log(abi.TRANSFER, ALICE, BOB, 1)), events.AgentTransferred)


# Older contracts -----------------------------------------------------------------------------

LEGACY = {event.signature: event for event in abi.LEGACY}
INDEXED = {"address": ALICE, "uint256": word(5), "bytes32": b"h" * 32, "string": keccak(b"tag")}


@pytest.mark.parametrize("event", abi.LEGACY, ids=lambda event: event.signature)
def test_legacy__every_event__is_kept_with_agent_and_client(event: abi.EventAbi) -> None:
    topics = [INDEXED[param.type] for param in event.params if param.indexed]

    got = DECODER.decode(log(event, *topics, data=b"anything"))

    has_client = any(param.name == "clientAddress" for param in event.params)
    assert got == events.LegacyEvent(
        *PLACE,
        ROLES[event.roles[0]],
        event.signature,
        5,
        ALICE if has_client else None,
        b"".join(word(topic) for topic in topics),
        b"anything",
    )


def test_legacy__from_another_registry__is_quarantined() -> None:
    event = LEGACY["UriUpdated(uint256,string,address)"]

    raw = log(event, 5, ALICE, address="0x" + REPUTATION.hex())

    assert reason(raw) == "unexpected-contract"


def legacy_event(signature: str, *topics: int | bytes, data: bytes) -> events.LegacyEvent:
    got = DECODER.decode(log(LEGACY[signature], *topics, data=data))
    assert isinstance(got, events.LegacyEvent)
    return got


def test_describe__old_feedback__names_its_parameters_in_order() -> None:
    got = describe(
        legacy_event(
            "NewFeedback(uint256,address,uint64,uint8,string,string,string,string,bytes32)",
            5,
            ALICE,
            keccak(b"tag"),
            data=encode(
                ["uint64", "uint8", "bytes", "bytes", "bytes", "bytes32"],
                [1, 90, b"fine", b"", b"ipfs://\xff", bytes(32)],
            ),
        )
    )

    assert list(got.items()) == [
        ("agentId", 5),
        ("clientAddress", "0x" + ALICE.hex()),
        ("feedbackIndex", 1),
        ("score", 90),
        ("tag1", "0x" + keccak(b"tag").hex()),
        ("tag2", "fine"),
        ("endpoint", ""),
        ("feedbackURI", "ipfs://\N{REPLACEMENT CHARACTER}"),
        ("feedbackHash", "0x" + "00" * 32),
    ]


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 64, word(2**256 - 1) * 8, word(32) + word(2**64)], ids=range(4)
)
def test_describe__undecodable__is_empty(data: bytes) -> None:
    event = legacy_event("UriUpdated(uint256,string,address)", 5, ALICE, data=data)

    assert describe(event) == {}


def test_describe__unknown_signature__is_empty() -> None:
    event = events.LegacyEvent(*PLACE, IDENTITY, "Gone(uint256)", 1, None, word(1), b"")

    assert describe(event) == {}
