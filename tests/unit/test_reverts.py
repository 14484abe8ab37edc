from __future__ import annotations

import pytest
from eth_abi.abi import encode

from renown.spec import reverts
from renown.spec.contracts import selector
from renown.spec.reverts import MAX_REASON_CHARACTERS, reason

STANDARD = {
    "ERC721NonexistentToken(uint256)": "7e273289",
    "ERC721InsufficientApproval(address,uint256)": "177e802f",
    "ERC721IncorrectOwner(address,uint256,address)": "64283d7b",
    "ERC721InvalidReceiver(address)": "64a0ae92",
    "ERC721InvalidOwner(address)": "89c62b64",
    "ERC721InvalidApprover(address)": "a9fbf51f",
    "ERC721InvalidOperator(address)": "5b08ba18",
    "ERC721InvalidSender(address)": "73c6ac6e",
    "OwnableUnauthorizedAccount(address)": "118cdaa7",
    "OwnableInvalidOwner(address)": "1e4fbdf7",
    "InvalidInitialization()": "f92ee8a9",
    "NotInitializing()": "d7e6bcf8",
    "UUPSUnauthorizedCallContext()": "e07c8dba",
    "UUPSUnsupportedProxiableUUID(bytes32)": "aa1d49a4",
    "ERC1967InvalidImplementation(address)": "4c9c8ce3",
    "ERC1967NonPayable()": "b398979f",
    "AddressEmptyCode(address)": "9996b315",
    "FailedCall()": "d6bda275",
}
"""Selectors as the standard's reference lists them."""


@pytest.mark.parametrize("signature", STANDARD)
def test_reason__error_of_the_registries__has_its_name_and_meaning(signature):
    assert selector(signature).hex() == STANDARD[signature]

    said = reason(bytes.fromhex(STANDARD[signature]) + bytes(96))

    name, _, kinds = signature.partition("(")
    assert said.startswith(name + ("(" if kinds != ")" else "()"))
    assert ": " in said


def test_reason__arguments__are_told():
    owner = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")
    data = selector("ERC721InsufficientApproval(address,uint256)")
    data += encode(["address", "uint256"], [owner, 7])

    assert reason(data) == (
        "ERC721InsufficientApproval(operator: 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266,"
        " tokenId: 7): the sender may not act for this agent"
    )


def error(text: bytes) -> bytes:
    return reverts.ERROR + encode(["bytes"], [text])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "reverted without a reason"),
        (error(b"Self-feedback not allowed"), "Self-feedback not allowed"),
        (error(b""), "reverted with an empty reason"),
        (error(b"a\x00b\xff\n\xe2\x80\xaec"), "a\ufffdb\ufffd \ufffdc"),
        (reverts.ERROR, "reverted with an empty reason"),
        (reverts.ERROR + b"\xff" * 64, "reverted with an empty reason"),
        (error(b"cut off here")[:-30], "cu"),
        (reverts.PANIC + (0x11).to_bytes(32), "panic 0x11: arithmetic overflow"),
        (reverts.PANIC + (0x99).to_bytes(32), "panic 0x99: of a kind nobody has named"),
        (reverts.PANIC, "reverted with the unknown error 0x4e487b71"),
        (b"\xde\xad\xbe\xef" + bytes(500), "reverted with the unknown error 0xdeadbeef"),
        (b"\xde", "reverted with the unknown error 0xde"),
        (bytes.fromhex("7e273289"), "ERC721NonexistentToken: no agent has this id"),
    ],
)
def test_reason__anything__is_one_line_for_people(data, said):
    assert reason(data) == said


def test_reason__very_long_or_absurd__stays_short():
    assert len(reason(error(b"x" * 100_000))) == MAX_REASON_CHARACTERS
    assert len(reason(reverts.PANIC + b"\xff" * 32)) <= MAX_REASON_CHARACTERS
