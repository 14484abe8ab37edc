"""Signed bytes are read strictly, and ours are those that eth-account would sign."""

from __future__ import annotations

from typing import Any

import coincurve
import pytest
from eth_hash.auto import keccak

from renown.chain.accounts import Account
from renown.chain.signatures import CURVE_ORDER, recover_signature
from renown.chain.tx import rlp
from renown.chain.tx.signed import (
    MAX_RAW_BYTES,
    differences,
    is_exactly,
    read_relayed,
    read_signed,
    sign_with,
)
from renown.errors import TransactionRefused
from renown.spec.transactions import UnsignedTransaction, as_json, least_gas

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
SENDER = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")
TO = bytes.fromhex("8004a818bfb912233c491871b3d84c89a494bd9e")
WANTED = UnsignedTransaction(
    chain_id=31337,
    sender=SENDER,
    to=TO,
    calldata=b"\x01\x02" * 60,
    nonce=7,
    gas=200_000,
    max_fee_wei=3 * 10**9,
    priority_fee_wei=10**9,
)


def theirs(**changed: Any) -> bytes:
    """As eth-account signs it."""
    fields: dict[str, Any] = {**as_json(WANTED), **changed}
    del fields["from"]
    if fields["to"] is not None:
        fields["to"] = bytes.fromhex(fields["to"][2:])
    fields = {name: value for name, value in fields.items() if value is not None}
    return bytes(Account.sign_transaction(fields, KEY).raw_transaction)


LEGACY = {
    "type": None,
    "maxFeePerGas": None,
    "maxPriorityFeePerGas": None,
    "gasPrice": "0xb2d05e00",
}


def test_sign_with__a_transaction__gives_the_bytes_that_the_library_gives():
    assert sign_with(coincurve.PrivateKey(KEY), WANTED) == theirs()


def test_read_signed__dynamic_fee__is_what_was_signed():
    raw = theirs()

    signed = read_signed(raw)

    assert is_exactly(signed, WANTED)
    assert (signed.raw, signed.tx_hash, signed.value_wei) == (raw, keccak(raw), 0)


@pytest.mark.parametrize(
    "more", [LEGACY, {**LEGACY, "type": "0x1", "accessList": []}], ids=["legacy", "type 1"]
)
def test_read_signed__one_gas_price__is_both_fees(more):
    signed = read_signed(theirs(**more))

    assert differences(signed, WANTED) == []
    assert (signed.max_fee_wei, signed.priority_fee_wei) == (3 * 10**9, 3 * 10**9)
    assert not is_exactly(signed, WANTED)


def test_read_signed__access_list__is_read_over():
    entry = {"address": f"0x{TO.hex()}", "storageKeys": [f"0x{bytes(32).hex()}"] * 2}

    assert is_exactly(read_signed(theirs(accessList=[entry])), WANTED)


def test_read_signed__contract_creation__has_no_receiver():
    signed = read_signed(theirs(to=None))

    assert signed.to is None
    assert differences(signed, WANTED) == ["receiver"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"chainId": "0x1"}, ["chain id"]),
        ({"value": "0x1"}, ["value"]),
        ({"data": "0x"}, ["calldata"]),
        ({"to": f"0x{SENDER.hex()}"}, ["receiver"]),
        ({"nonce": "0x8", "gas": "0x30d41", "maxFeePerGas": "0xb2d05e01"}, []),
    ],
)
def test_differences__another_call__names_what_differs(changed, named):
    signed = read_signed(theirs(**changed))

    assert differences(signed, WANTED) == named
    assert not is_exactly(signed, WANTED)


def fields_of(raw: bytes) -> list[Any]:
    fields = rlp.decode(raw[1:])
    assert isinstance(fields, list)
    return fields


def with_field(place: int, value: Any) -> bytes:
    fields = fields_of(theirs())
    fields[place] = value
    return b"\x02" + rlp.encode(fields)


def high_s() -> bytes:
    fields = fields_of(theirs())
    parity, s = int.from_bytes(fields[-3]), int.from_bytes(fields[-1])
    return b"\x02" + rlp.encode([*fields[:-3], 1 - parity, fields[-2], CURVE_ORDER - s])


def unprotected() -> bytes:
    unsigned = [7, 3 * 10**9, 200_000, TO, 0, b""]
    signature = coincurve.PrivateKey(KEY).sign_recoverable(
        keccak(rlp.encode(unsigned)), hasher=None
    )
    return rlp.encode(
        [
            *unsigned,
            27 + signature[64],
            int.from_bytes(signature[:32]),
            int.from_bytes(signature[32:64]),
        ]
    )


REFUSED = {
    "empty": (b"", "empty"),
    "text": (b"hello", "type 104"),
    "blobs": (b"\x03" + theirs()[1:], "blob"),
    "delegation": (b"\x04" + theirs()[1:], "7702"),
    "type 5": (b"\x05" + theirs()[1:], "type 5"),
    "a byte behind": (theirs() + b"\0", "behind"),
    "cut short": (theirs()[:-1], "cut short"),
    "too few fields": (b"\x02" + rlp.encode(fields_of(theirs())[:-1]), "12 fields"),
    "no list": (b"\x02" + rlp.encode(b"x" * 60), "12 fields"),
    "legacy with too many": (rlp.encode([1] * 10), "9 fields"),
    "leading zero": (with_field(1, b"\0\7"), "nonce"),
    "list for a number": (with_field(1, []), "nonce"),
    "33 bytes": (with_field(2, b"\1" * 33), "priority fee"),
    "short receiver": (with_field(5, TO[1:]), "receiver"),
    "list for calldata": (with_field(7, []), "calldata"),
    "access list of bytes": (with_field(8, b"\1"), "access list"),
    "odd access list": (with_field(8, [[TO[1:], []]]), "access list"),
    "huge nonce": (with_field(1, 2**64 - 1), "nonce"),
    "chain 0": (with_field(0, 0), "chain id"),
    "tip above the fee": (with_field(2, 2**40), "priority fee exceeds"),
    "parity 2": (with_field(9, 2), "signature"),
    "r of nought": (with_field(10, 0), "signature"),
    "r without a point": (with_field(10, 5), "signature"),
    "high s": (high_s(), "EIP-2"),
    "any chain": (unprotected(), "EIP-155"),
    "too long": (b"\x02" + bytes(MAX_RAW_BYTES), "131,072"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_read_signed__not_such_a_transaction__says_what_is_wrong(what):
    raw, said = REFUSED[what]

    with pytest.raises(TransactionRefused, match=said):
        read_signed(raw)


def test_read_relayed__gas_below_what_the_calldata_takes__says_how_much_that_is():
    least = 21_000 + 120 * 16

    assert read_relayed(theirs(gas=hex(least))).gas == least
    with pytest.raises(TransactionRefused) as caught:
        read_relayed(theirs(gas=hex(least - 1)))

    assert caught.value.context == {"gas": least - 1, "least_gas": least}


def test_least_gas__zeros_cost_a_quarter():
    assert least_gas(b"") == 21_000
    assert least_gas(b"\0\1\0") == 21_000 + 2 * 4 + 16


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81\x01",
        b"\xb8\x01x",
        b"\xb9\x00\x38" + bytes(56),
        b"\xc1",
        b"\xf8\x01\x01",
        b"\xb8",
        b"\xc1" * 5 + b"\xc0",
        b"\xff" * 9,
    ],
)
def test_rlp__second_form_of_a_value__is_refused(data):
    with pytest.raises(ValueError, match=r"\w"):
        rlp.decode(data)


def test_rlp__nested_without_end__is_refused_before_it_is_followed():
    nested: list[Any] = []
    for _ in range(rlp.MAX_DEPTH):
        nested = [nested]
    deep = b"\xc0"
    while len(deep) < MAX_RAW_BYTES:
        deep = rlp._prefix(len(deep), 0xC0) + deep

    for data in (rlp.encode(nested), deep):
        with pytest.raises(ValueError, match="too deep"):
            rlp.decode(data)


def test_recover_signature__every_form__and_the_contracts_one_only_when_strict():
    digest = keccak(b"x")
    made = coincurve.PrivateKey(KEY).sign_recoverable(digest, hasher=None)
    r, s, parity = made[:32], made[32:64], made[64]
    usual = r + s + bytes([27 + parity])
    compact = r + (int.from_bytes(s) | parity << 255).to_bytes(32)

    assert recover_signature(digest, usual) == SENDER
    assert recover_signature(digest, r + s + bytes([parity])) == SENDER
    assert recover_signature(digest, compact) == SENDER
    assert recover_signature(digest, usual, strict=True) == SENDER
    flipped = (CURVE_ORDER - int.from_bytes(s)).to_bytes(32)
    for other in (r + s + bytes([parity]), compact, r + flipped + bytes([28 - parity])):
        assert recover_signature(digest, other, strict=True) is None
    for junk in (b"", usual[:-1] + b"\x1d", bytes(65), b"\xff" * 65, b"\xff" * 64, usual + b"\0"):
        assert recover_signature(digest, junk) is None
