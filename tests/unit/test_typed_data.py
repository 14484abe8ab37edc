"""The wallet's signature: the standard's vectors, and the library that wallets are built on."""

from __future__ import annotations

from typing import Any

import pytest

from renown.chain.accounts import Account
from renown.chain.signatures import recover_signature
from renown.chain.tx.signer import typed_data_digest
from renown.spec.typed_data import (
    agent_wallet_digest,
    agent_wallet_set,
    agent_wallet_struct_hash,
    domain_separator,
)
from renown.types import parse_address

MAINNET = parse_address("0x8004A169FB4a3325136EB29fA0ceB6D2e539a432")
TESTNET = parse_address("0x8004A818BFB912233c491871b3d84c89A494BD9e")
WALLET = parse_address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
OWNER = parse_address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
VECTOR = (1, MAINNET, 22, WALLET, OWNER, 1767225600)
DIGEST = "1e57ddd131978324b20d4a0d76c78187601d400db573dbe74c8d008114724e32"
SIGNATURE = (
    "0423f7bba41cb8c3f9f23b28b212f3a356aafe3989a682d6c9c1efbd4a8064d7"
    "1f0d0c1857745dac79451d63e1ccd5ce50e43f6ba734f6e542aef639c1ea561f1b"
)


@pytest.mark.parametrize(
    ("chain_id", "registry", "separator"),
    [
        (1, MAINNET, "af548694a34be1ed51ad7aba41462666ec92faab9e465c70a9ec2bc8ecfbd156"),
        (8453, MAINNET, "3c574eb86858114261f06b40574c0b741b4f10df45c714346723cdaf021f2d45"),
        (11155111, TESTNET, "4df9eabda5b6ac3ea8e1409dbeedcd742a92769edeb22bb6f8d66475d06f3a07"),
    ],
)
def test_domain_separator__of_the_standards_table__is_the_same(chain_id, registry, separator):
    assert domain_separator(chain_id, registry).hex() == separator


def test_digest__vector_of_the_standard__is_the_same():
    struct = agent_wallet_struct_hash(22, WALLET, OWNER, 1767225600)

    assert struct.hex() == "2128da56029e249b49a9b92d220c95ad04c26d70f0ad53a01eae18945ba9adfd"
    assert agent_wallet_digest(*VECTOR).hex() == DIGEST
    assert recover_signature(bytes.fromhex(DIGEST), bytes.fromhex(SIGNATURE)) == WALLET


def test_typed_data__as_wallets_read_it__has_the_same_digest():
    assert typed_data_digest(agent_wallet_set(*VECTOR)).hex() == DIGEST


def test_typed_data__as_wallets_sign_it__is_the_vectors_signature():
    key = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"

    signed = Account.sign_typed_data(bytes.fromhex(key), full_message=agent_wallet_set(*VECTOR))

    assert bytes(signed.signature).hex() == SIGNATURE


def test_typed_data__id_beyond_what_javascript_counts__is_text_and_hashes_alike():
    large = (1, MAINNET, 2**200 + 1, WALLET, OWNER, 1767225600)

    typed_data = agent_wallet_set(*large)

    assert typed_data["message"]["agentId"] == str(2**200 + 1)
    assert typed_data_digest(typed_data) == agent_wallet_digest(*large)


@pytest.mark.parametrize("changed", range(6))
def test_digest__any_part_changed__is_another(changed):
    parts: list[Any] = list(VECTOR)
    part = parts[changed]
    parts[changed] = part + 1 if isinstance(part, int) else part[:-1] + b"\0"

    assert agent_wallet_digest(*parts).hex() != DIGEST
