"""Calls read back and told to people; strangers' calldata is refused or read."""

from __future__ import annotations

import pytest

from renown.spec import calls
from renown.spec.calldata import MAX_CALLDATA_BYTES, argument_types
from renown.spec.calls import BUILDERS, Call, calldata_of, describe_call, read_call
from renown.spec.contracts import contract, selector
from renown.types import parse_address

CLIENT = parse_address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
HASH = bytes(range(32))

CALLS = {
    "Register a new agent, owned by the sender, without a URI": calls.register(),
    'Register a new agent, owned by the sender, with the URI "ipfs://x"': calls.register(
        b"ipfs://x"
    ),
    'Register a new agent, owned by the sender, with the URI "u" and metadata "a" and "b"': (
        calls.register(b"u", [(b"a", b"1"), (b"b", b"")])
    ),
    'Set the URI of agent 7 to "https://a.example/"': calls.set_agent_uri(7, b"https://a.example/"),
    "Empty the URI of agent 7": calls.set_agent_uri(7, b""),
    'Set the metadata "k" of agent 0 to "v"': calls.set_metadata(0, b"k", b"v"),
    'Set the metadata "k" of agent 0 to 0xff00': calls.set_metadata(0, b"k", b"\xff\x00"),
    'Clear the metadata "k" of agent 0': calls.set_metadata(0, b"k", b""),
    f"Set the wallet of agent 7 to 0x{CLIENT.hex()}, by 2026-01-01 00:00:00 UTC": (
        calls.set_agent_wallet(7, CLIENT, 1767225600, bytes(65))
    ),
    "Empty the wallet of agent 7": calls.unset_agent_wallet(7),
    'Rate agent 7 with -0.07, tag "starred", for the endpoint "e", with the file "ipfs://f"': (
        calls.give_feedback(7, -7, 2, b"starred", b"", b"e", b"ipfs://f", HASH)
    ),
    'Rate agent 7 with 100, tags "a" and "b"': calls.give_feedback(7, 100, 0, b"a", b"b"),
    "Revoke the sender's feedback 3 to agent 7, for good": calls.revoke_feedback(7, 3),
    f'Answer feedback 3 of 0x{CLIENT.hex()} to agent 7 with "ipfs://r"': (
        calls.append_response(7, CLIENT, 3, b"ipfs://r")
    ),
    f"Ask 0x{CLIENT.hex()} to validate agent 7, under the request hash 0x{HASH.hex()}": (
        calls.validation_request(CLIENT, 7, b"", HASH)
    ),
    f'Answer the validation request 0x{HASH.hex()} with 87 of 100, tag "soft"': (
        calls.validation_response(HASH, 87, b"", bytes(32), b"soft")
    ),
}


@pytest.mark.parametrize("sentence", CALLS, ids=lambda text: text[:30])
def test_describe_call__each_function__says_what_will_happen(sentence):
    told = describe_call(read_call(CALLS[sentence]), contract_name="the registry of Base")

    wanted = f"On the registry of Base: {sentence[0].lower()}{sentence[1:]}."
    assert told.lower() == wanted.lower()  # addresses are spelled with their checksum


def test_describe_call__strangers_text__cannot_hide_or_overflow():
    uri = 'x" and nothing else\n\u202e'.encode() + b"\xff" + b"y" * 5_000

    told = describe_call(read_call(calls.set_agent_uri(7, uri)), contract_name="c")

    assert told.isprintable()
    assert told.count('"') == 2
    assert "(5,024 bytes)" in told
    assert len(told) < 200


def test_describe_call__absurd_numbers__are_told():
    told = describe_call(
        read_call(calls.set_agent_wallet(2**256 - 1, CLIENT, 2**256 - 1, b"")), contract_name="c"
    )

    assert f"agent {2**256 - 1}" in told
    assert f"by second {2**256 - 1}" in told


def test_builders__every_function_that_changes_a_registry__is_there():
    for signature in BUILDERS:
        name = {"r": "identity_registry", "s": "identity_registry", "u": "identity_registry"}.get(
            signature[0], "reputation_registry"
        )
        name = "validation_registry" if signature.startswith("validation") else name
        name = "reputation_registry" if signature.startswith("revoke") else name
        assert contract(name).selectors[signature] == selector(signature)


def test_read_call__arguments__are_exact_values():
    call = read_call(calls.give_feedback(9, -(10**38), 18, b"\xff\x00", content_hash=HASH))

    assert call == Call(
        "giveFeedback(uint256,int128,uint8,string,string,string,string,bytes32)",
        {
            "agent_id": 9,
            "value": -(10**38),
            "decimals": 18,
            "tag1": b"\xff\x00",
            "tag2": b"",
            "endpoint": b"",
            "uri": b"",
            "content_hash": HASH,
        },
    )


def test_read_call__note_behind_the_arguments__is_kept_apart():
    calldata = calls.set_agent_uri(7, b"ipfs://x")

    call = read_call(calldata + b"a wallet's own note")

    assert call.arguments == read_call(calldata).arguments
    assert call.suffix == b"a wallet's own note"
    assert calldata_of(call) == calldata + b"a wallet's own note"


def word(number: int) -> bytes:
    return number.to_bytes(32)


URI = selector(calls.SET_AGENT_URI)
METADATA = selector(calls.REGISTER_METADATA)
HOSTILE = {
    "nothing": b"",
    "half a selector": URI[:3],
    "another function": selector("transferFrom(address,address,uint256)") + bytes(96),
    "head cut short": URI + word(7) + bytes(31),
    "offset into the head": URI + word(7) + word(0) + word(0),
    "offset far away": URI + word(7) + word(2**255) + word(0),
    "a gap": URI + word(7) + word(96) + word(0) + word(0),
    "length beyond": URI + word(7) + word(64) + word(2**256 - 1),
    "length beyond by one": URI + word(7) + word(64) + word(33) + bytes(32),
    "dirty padding": URI + word(7) + word(64) + word(1) + b"x" + b"\x01" * 31,
    "no padding": URI + word(7) + word(64) + word(1) + b"x",
    "address of 21 bytes": selector(calls.APPEND_RESPONSE)
    + word(7)
    + word(2**160)
    + word(1)
    + word(160)
    + bytes(64),
    "uint8 of 256": selector(calls.VALIDATION_RESPONSE)
    + word(0)
    + word(256)
    + word(160)
    + word(0)
    + word(192)
    + bytes(64),
    "int128 too low": selector(calls.GIVE_FEEDBACK)
    + word(7)
    + (-(2**127) - 1).to_bytes(32, signed=True)
    + bytes(192)
    + bytes(128),
    "a billion entries": METADATA + word(64) + word(96) + word(0) + word(10**9),
    "entries all at one place": METADATA
    + word(64)
    + word(96)
    + word(0)
    + word(1_000)
    + word(32_000) * 1_000
    + word(64)
    + word(96)
    + word(0)
    + word(0),
    "too long": URI + word(7) + word(64) + word(0) + bytes(MAX_CALLDATA_BYTES),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_read_call__hostile__is_a_value_error(what):
    with pytest.raises(ValueError, match=r"\w"):
        read_call(HOSTILE[what])


def test_argument_types__tuples_and_none__are_parted():
    assert argument_types("register()") == ()
    assert argument_types("register(string,(string,bytes)[])") == ("string", "(string,bytes)[]")
