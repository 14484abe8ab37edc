"""What a transaction moved, and what x402 says of its settlement."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from renown.spec.tokens import DEVNET_DOLLAR, KNOWN_TOKENS, read_tokens, token_at, tokens_with
from renown.spec.transactions import Log
from renown.spec.transfers import TRANSFER, network_id, read_settlement, transfers
from renown.types import checksum_address
from tests.factories import ALICE, BOB, CAROL
from tests.fakes.payment_chain import Move, logs_of

HASH = "0x" + "ab" * 32


def word(address: bytes) -> bytes:
    return bytes(12) + address


def test_transfers__when_several_tokens_move__then_in_order_of_logs() -> None:
    logs = logs_of([Move(ALICE, BOB, 5), Move(BOB, CAROL, 7, token=CAROL)], first_index=3)
    found = transfers(logs[::-1])
    assert [(t.log_index, t.token, t.payer, t.payee, t.amount) for t in found] == [
        (3, DEVNET_DOLLAR, ALICE, BOB, 5),
        (4, CAROL, BOB, CAROL, 7),
    ]


def test_transfers__when_the_payer_only_signed__then_it_is_the_payer_and_authorized() -> None:
    (one,) = transfers(logs_of([Move(ALICE, BOB, signed=True)]))
    assert (one.payer, one.authorized) == (ALICE, True)
    (other,) = transfers(logs_of([Move(ALICE, BOB)]))
    assert not other.authorized


@pytest.mark.parametrize(
    "log",
    [
        Log(ALICE, (TRANSFER, word(ALICE), word(BOB), bytes(32)), b"", 0),  # ERC-721
        Log(ALICE, (TRANSFER, word(ALICE)), bytes(64), 0),
        Log(ALICE, (TRANSFER, word(ALICE), word(BOB)), bytes(31), 0),
        Log(ALICE, (TRANSFER, word(ALICE), word(BOB)), bytes(64), 0),
        Log(ALICE, (TRANSFER, b"\1" * 32, word(BOB)), bytes(32), 0),
        Log(ALICE, (TRANSFER, ALICE, BOB), bytes(32), 0),
        Log(ALICE, (), b"", 0),
    ],
)
def test_transfers__when_a_log_is_none_of_erc20__then_it_is_passed_over(log: Log) -> None:
    assert transfers([log]) == ()


def header(value: Any, *, url_safe: bool = False, padded: bool = True) -> str:
    raw = json.dumps(value).encode()
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(raw).decode()
    return text if padded else text.rstrip("=")


V1 = {
    "success": True,
    "transaction": HASH,
    "network": "base-sepolia",
    "payer": checksum_address(ALICE),
}
V2 = {
    "success": True,
    "transaction": HASH,
    "network": "eip155:8453",
    "payer": checksum_address(ALICE),
    "requirements": {"scheme": "exact", "amount": "1000"},
}


@pytest.mark.parametrize(
    ("given", "chain_id", "payer"),
    [
        (V1, 84532, ALICE),
        (header(V1), 84532, ALICE),
        (V2, 8453, ALICE),
        (header(V2, url_safe=True, padded=False), 8453, ALICE),
        ({"transaction": HASH, "network": "avalanche"}, 43114, None),
        ({"success": True, "txHash": HASH, "networkId": "8453", "payer": 7}, 8453, None),
    ],
)
def test_read_settlement__when_it_is_x402__then_chain_transaction_and_payer(
    given: Any, chain_id: int, payer: bytes | None
) -> None:
    found = read_settlement(given)
    assert (found.chain_id, found.tx_hash.hex(), found.payer) == (chain_id, "ab" * 32, payer)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "%%%",
        header([1]),
        "W" * 40_000,
        header("[" * 10_000),
        {**V1, "success": False, "errorReason": "insufficient_funds"},
        {**V1, "success": "yes"},
        {**V1, "transaction": ""},
        {**V1, "transaction": HASH[:-1]},
        {**V1, "transaction": {"hash": HASH}},
        {**V1, "network": "solana"},
        {**V1, "network": None},
        {**V1, "network": ["base"]},
        {**V1, "network": "x" * 10_000},
        {**V1, "network": True},
    ],
)
def test_read_settlement__when_it_says_nothing_usable__then_value_error(given: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_settlement(given)


def test_network_id__when_unknown_chain_by_caip2__then_its_number() -> None:
    assert network_id("eip155:123456") == 123456


def test_tokens__when_known__then_addresses_are_distinct_per_chain_and_six_decimals() -> None:
    for chain_id, known in KNOWN_TOKENS.items():
        for address, token in known.items():
            assert (token.chain_id, token.address, token.decimals) == (chain_id, address, 6)
            assert len(address) == 20


def test_read_tokens__when_a_setting_adds_one__then_it_counts_beside_the_known() -> None:
    extra = read_tokens({"base": {checksum_address(ALICE): {"symbol": "EURC", "decimals": 6}}})
    tokens = tokens_with(extra)
    assert token_at(tokens, 8453, ALICE) == extra[0]
    assert len(tokens[8453]) == 2
    assert token_at(KNOWN_TOKENS, 8453, ALICE) is None


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"nowhere": {}},
        {"base": []},
        {"base": {"0x12": {"symbol": "A", "decimals": 6}}},
        {"base": {checksum_address(ALICE): {"symbol": "", "decimals": 6}}},
        {"base": {checksum_address(ALICE): {"symbol": "A"}}},
        {"base": {checksum_address(ALICE): {"symbol": "A", "decimals": 99}}},
        {"base": {checksum_address(ALICE): {"symbol": "A", "decimals": True}}},
        {"base": {checksum_address(ALICE): 6}},
    ],
)
def test_read_tokens__when_malformed__then_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_tokens(value)
