"""What a transaction is before it is signed, when it is, and when it is in a block. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class UnsignedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """An EIP-1559 transaction (type 2) that calls a contract. Fees are wei per unit of gas."""

    chain_id: int
    sender: bytes
    to: bytes
    calldata: bytes
    nonce: int
    gas: int
    max_fee_wei: int
    priority_fee_wei: int
    value_wei: int = 0


class SignedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A signed transaction as its bytes say, its sender recovered from the signature.

    Legacy and EIP-2930 transactions are read too: both fees are then their gas price.
    """

    raw: bytes
    tx_hash: bytes
    chain_id: int
    sender: bytes
    to: bytes | None  # None: it makes a contract
    calldata: bytes
    nonce: int
    gas: int
    max_fee_wei: int
    priority_fee_wei: int
    value_wei: int


class Log(msgspec.Struct, frozen=True):
    """One log of a receipt; its index is that within the block."""

    address: bytes
    topics: tuple[bytes, ...]
    payload: bytes
    log_index: int


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction's outcome in one block."""

    tx_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool
    sender: bytes
    to: bytes | None
    gas_used: int
    logs: tuple[Log, ...]


Verdict = Literal["taken", "known", "refused", "unsure"]


class Sent(msgspec.Struct, frozen=True):
    """What a node made of signed bytes.

    taken    it is in the node's pool now
    known    it was there already, or is in a block
    refused  it is not, and these bytes cannot get there as things stand; `reason` says why
    unsure   no answer, or one that says nothing: it may be in the pool or not
    """

    verdict: Verdict
    reason: str = ""
    code: Literal[
        "", "funds", "nonce-low", "nonce-high", "underpriced", "gas", "chain", "invalid", "other"
    ] = ""


def least_gas(calldata: bytes) -> int:
    """Gas that a call takes before it begins: less is valid on no chain.

    Source: EIP-2028. Some chains take more (EIP-7623, or what a rollup pays for).
    """
    zeros = calldata.count(0)
    return 21_000 + 4 * zeros + 16 * (len(calldata) - zeros)


def as_json(transaction: UnsignedTransaction) -> dict[str, Any]:
    """As wallets take it (`eth_sendTransaction`): hex quantities, addresses in lower case."""
    return {
        "type": "0x2",
        "chainId": hex(transaction.chain_id),
        "from": f"0x{transaction.sender.hex()}",
        "to": f"0x{transaction.to.hex()}",
        "value": hex(transaction.value_wei),
        "data": f"0x{transaction.calldata.hex()}",
        "nonce": hex(transaction.nonce),
        "gas": hex(transaction.gas),
        "maxFeePerGas": hex(transaction.max_fee_wei),
        "maxPriorityFeePerGas": hex(transaction.priority_fee_wei),
    }
