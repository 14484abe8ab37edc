"""Money on the devnet: who has it from the start, and what the seeded world's proofs name."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak

from renown.chain.devnet.addresses import DOLLAR, REPUTATION, deployed_address, deployment
from renown.chain.devnet.calls import Feedback
from renown.chain.devnet.place import WALLET_DOLLARS, place_registries
from renown.chain.devnet.seed import seed_world
from renown.chain.devnet.wallets import COUNT, devnet_wallet, devnet_wallets
from renown.chain.devnet.world import plan_world
from renown.chain.rpc import Node
from renown.spec.contracts import contract, selector
from tests.anvil import running_anvil

TRANSFER = keccak(b"Transfer(address,address,uint256)")
USED = keccak(b"AuthorizationUsed(address,bytes32)")
NEW_FEEDBACK = next(
    topic
    for text, topic in contract("reputation_registry").topics.items()
    if text.startswith("NewFeedback(")
)


async def balance(node: Node, account: bytes) -> int:
    calldata = selector("balanceOf(address)") + encode(["address"], [account])
    call = {"to": f"0x{DOLLAR.hex()}", "data": f"0x{calldata.hex()}"}
    return int(await node.call("eth_call", [call, "latest"], str), 16)


async def logs_of(node: Node, address: bytes, topic: bytes) -> list[dict[str, Any]]:
    wanted = {
        "fromBlock": "0x0",
        "toBlock": "latest",
        "address": f"0x{address.hex()}",
        "topics": [f"0x{topic.hex()}"],
    }
    return await node.call("eth_getLogs", [wanted], list[dict[str, Any]])


def account(word: str) -> bytes:
    return bytes.fromhex(word[26:])


def proof_of(log: dict[str, Any]) -> dict[str, Any] | None:
    """What the file of a feedback says of a payment, where its URI is the file."""
    kinds = ["uint64", "int128", "uint8", *["bytes"] * 4, "bytes32"]
    uri = decode(kinds, bytes.fromhex(log["data"][2:]))[-2]
    if not uri.startswith(b"data:application/json;base64,"):
        return None
    said = json.loads(base64.b64decode(uri.partition(b",")[2]))
    proof = said.get("proofOfPayment")
    return proof if proof and proof["chainId"] == "31337" else None


def test_devnet_wallets__are_those_every_tool_knows():
    wallets = devnet_wallets()

    assert len(wallets) == COUNT
    assert wallets[0].address.hex() == "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    assert wallets[9].address.hex() == "a0ee7a142d267c1f36714e4a8f75612f20a79720"
    with pytest.raises(ValueError, match="0 to 9"):
        devnet_wallet(COUNT)


def test_dollar__deployed_deterministically__is_where_everybody_looks_for_it():
    assert deployed_address(deployment("dev_dollar")) == DOLLAR


async def test_place_registries__the_ten_wallets__have_ether_and_dollars():
    async with running_anvil() as node:
        await place_registries(node)

        for wallet in devnet_wallets():
            assert await balance(node, wallet.address) == WALLET_DOLLARS * 10**6
            ether = await node.call("eth_getBalance", [f"0x{wallet.address.hex()}", "latest"], str)
            assert int(ether, 16) >= 10**18


@pytest.mark.slow
async def test_seed_world__proofs_of_payment__most_are_true_and_the_rest_lie_in_every_way():
    async with running_anvil() as node:
        await seed_world(node, 1, agents=12)
        transfers = await logs_of(node, DOLLAR, TRANSFER)
        signed = {log["transactionHash"] for log in await logs_of(node, DOLLAR, USED)}
        given = await logs_of(node, REPUTATION, NEW_FEEDBACK)

    paid = {
        log["transactionHash"]: (account(log["topics"][1]), account(log["topics"][2]))
        for log in transfers
    }
    true: list[Any] = []
    named: list[Any] = []
    lies: list[Any] = []
    for log in given:
        if (proof := proof_of(log)) is None:
            continue
        client, transaction = account(log["topics"][2]), proof["txHash"]
        said = tuple(bytes.fromhex(proof[key][2:]) for key in ("fromAddress", "toAddress"))
        honest = paid.get(transaction) == said and said[0] == client
        (true if honest else lies).append(transaction)
        named.append(transaction)
    assert len(true) >= 9
    assert signed & set(true)  # the payer signed, somebody else sent
    assert set(true) - signed
    assert len(named) - len(set(named)) >= 2  # one payment, two ratings
    assert sum(transaction not in paid for transaction in lies) == 2  # nobody has seen them
    assert sum(transaction in paid for transaction in lies) == 2  # somebody else's


def test_plan_world__payments__come_last():
    steps = plan_world(3, agents=12)

    paid = [number for number, step in enumerate(steps) if getattr(step, "payment", None) == 0]
    registered = [n for n, s in enumerate(steps) if getattr(s, "kind", "") == "agent-registered"]
    assert paid[0] > registered[-1]
    assert isinstance(getattr(steps[paid[-1]], "said", None), Feedback)
