from __future__ import annotations

import subprocess
import sys

import pytest
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak

from renown.chain.devnet import calls
from renown.spec.contracts import contract, selector
from renown.types import parse_address

STANDARD = {
    "identity_registry": {
        "register()": "1aa3a008",
        "register(string)": "f2c298be",
        "register(string,(string,bytes)[])": "8ea42286",
        "setAgentURI(uint256,string)": "0af28bd3",
        "setMetadata(uint256,string,bytes)": "466648da",
        "setAgentWallet(uint256,address,uint256,bytes)": "2d1ef5ae",
        "unsetAgentWallet(uint256)": "3fddcf19",
        "isAuthorizedOrOwner(address,uint256)": "d95e72be",
        "getVersion()": "0d8e6e2c",
    },
    "reputation_registry": {
        "giveFeedback(uint256,int128,uint8,string,string,string,string,bytes32)": "3c036a7e",
        "revokeFeedback(uint256,uint64)": "4ab3ca99",
        "appendResponse(uint256,address,uint64,string,bytes32)": "c2349ab2",
        "getSummary(uint256,address[],string,string)": "81bbba58",
    },
    "validation_registry": {
        "validationRequest(address,uint256,string,bytes32)": "aaf400c4",
        "validationResponse(bytes32,uint8,string,bytes32,string)": "3d659a96",
        "getSummary(uint256,address[],string)": "1b7cabd6",
    },
}
"""Selectors as the standard's reference lists them."""


@pytest.mark.parametrize("name", STANDARD)
def test_selectors__of_the_shipped_contract__are_the_standards(name):
    ours = contract(name).selectors

    assert {text: ours[text].hex() for text in STANDARD[name]} == STANDARD[name]


def test_topics__of_the_shipped_contract__are_the_standards():
    topics = contract("reputation_registry").topics

    new_feedback = "NewFeedback(uint256,address,uint64,int128,uint8" + ",string" * 5 + ",bytes32)"
    expected = "6a4a61743519c9d648a14e6493f47dbe3ff1aa29e7785c96c8326a205e58febc"
    assert topics[new_feedback].hex() == expected


def test_contract__placeable__only_without_immutables():
    assert contract("erc1967_proxy").placeable
    assert not contract("identity_registry").placeable  # knows its own address (UUPS)


def test_set_agent_uri__bytes_that_are_no_text__encode_like_a_string():
    text = "caf\u00e9"

    ours = calls.set_agent_uri(7, text.encode())

    assert ours == selector("setAgentURI(uint256,string)") + encode(
        ["uint256", "string"], [7, text]
    )
    (_, kept) = decode(["uint256", "bytes"], calls.set_agent_uri(7, b"\xff\x00\xfe")[4:])
    assert kept == b"\xff\x00\xfe"


def test_register__nothing_uri_or_metadata__picks_the_overload():
    assert calls.register() == selector("register()")
    assert calls.register(b"")[:4] == selector("register(string)")
    full = calls.register(None, [(b"k", b"v")])
    assert full[:4] == selector("register(string,(string,bytes)[])")
    assert decode(["bytes", "(bytes,bytes)[]"], full[4:]) == (b"", ((b"k", b"v"),))


def test_give_feedback__every_field__stands_where_the_abi_wants_it():
    said = calls.Feedback(-7, 3, b"t", b"u", b"e", b"f", keccak(b"file"))

    fields = ["uint256", "int128", "uint8", "bytes", "bytes", "bytes", "bytes", "bytes32"]
    assert decode(fields, calls.give_feedback(9, said)[4:]) == (
        *(9, -7, 3, b"t", b"u", b"e", b"f", keccak(b"file")),
    )


def test_sign_agent_wallet__vector_of_the_standard__gives_its_signature():
    signature = calls.sign_agent_wallet(
        bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
        chain_id=1,
        agent_id=22,
        wallet=parse_address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        owner=parse_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        deadline=1767225600,
        registry=parse_address("0x8004A169FB4a3325136EB29fA0ceB6D2e539a432"),
    )

    assert signature.hex() == (
        "0423f7bba41cb8c3f9f23b28b212f3a356aafe3989a682d6c9c1efbd4a8064d7"
        "1f0d0c1857745dac79451d63e1ccd5ce50e43f6ba734f6e542aef639c1ea561f1b"
    )


def test_import__leaves_the_recursion_limit__so_that_nested_json_is_refused():
    # In a process of its own: libraries of other tests move the limit as well.
    program = (
        "import sys, msgspec\n"
        "limit = sys.getrecursionlimit()\n"
        "import renown.chain.devnet\n"
        "assert sys.getrecursionlimit() == limit\n"
        "try:\n"
        "    msgspec.json.decode(b'[' * 200_000)\n"
        "except RecursionError:\n"
        "    print('refused')\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.stdout == "refused\n", done.stderr
