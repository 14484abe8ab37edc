"""What a transaction moved, and what x402 says of how it was settled. Pure; never believes a name.

Source: ERC-20 (`Transfer`); EIP-3009 (`AuthorizationUsed`); x402 v1, "X-PAYMENT-RESPONSE", and v2,
"PAYMENT-RESPONSE": JSON in base64.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import msgspec
from eth_hash.auto import keccak

from renown.errors import ChainNotFound
from renown.spec.deployments import find
from renown.spec.protocols.rpc import read_json
from renown.spec.transactions import Log

TRANSFER = keccak(b"Transfer(address,address,uint256)")
AUTHORIZATION_USED = keccak(b"AuthorizationUsed(address,bytes32)")

LONGEST_SETTLEMENT = 16_384
_WORD = 32
_NO_ADDRESS = bytes(12)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_CAIP2 = re.compile(r"eip155:([0-9]{1,18})", re.ASCII)


class Transfer(msgspec.Struct, frozen=True, order=True):
    """One movement of an ERC-20 token. `log_index` is that within the block.

    The payer is whose tokens moved. Who sent the transaction says nothing: with EIP-3009 it is a
    facilitator, and the payer only signed. `authorized` tells that the payer did so here.
    """

    log_index: int
    token: bytes
    payer: bytes
    payee: bytes
    amount: int
    authorized: bool = False


def transfers(logs: Sequence[Log]) -> tuple[Transfer, ...]:
    """The transfers among the logs of one transaction, in order.

    Other logs are passed over, and so are those that are not as ERC-20 wants them: a token with
    an id in the place of the amount (ERC-721) moves no money.
    """
    signed = {
        (log.address, payer)
        for log in logs
        if len(log.topics) == 3
        and log.topics[0] == AUTHORIZATION_USED
        and (payer := _address(log.topics[1])) is not None
    }
    found = []
    for log in sorted(logs, key=lambda one: one.log_index):
        if len(log.topics) != 3 or log.topics[0] != TRANSFER or len(log.payload) != _WORD:
            continue
        payer, payee = _address(log.topics[1]), _address(log.topics[2])
        if payer is None or payee is None:
            continue
        amount = int.from_bytes(log.payload)
        authorized = (log.address, payer) in signed
        found.append(Transfer(log.log_index, log.address, payer, payee, amount, authorized))
    return tuple(found)


class Settlement(msgspec.Struct, frozen=True):
    """What a settlement response claims. `payer` is None where it names none we can read."""

    chain_id: int
    tx_hash: bytes
    payer: bytes | None


def read_settlement(value: Any) -> Settlement:
    """A settlement response: the header as it came (base64), or the object in it.

    Raises:
        ValueError: it is none, it says that settling failed, or its network is not an EVM chain
            known here.
    """
    if isinstance(value, str):
        value = _decoded(value)
    if not isinstance(value, dict):
        raise ValueError("not a settlement response: JSON in base64, or the object itself")
    if value.get("success", True) is not True:
        raise ValueError("the settlement response says that settling failed")
    named = next(
        (value[k] for k in ("transaction", "txHash", "transactionHash") if value.get(k)), ""
    )
    if not isinstance(named, str) or _HASH.fullmatch(named) is None:
        raise ValueError("the settlement response names no transaction (0x and 64 hex digits)")
    network = next((value[k] for k in ("network", "networkId", "chainId") if value.get(k)), "")
    payer = value.get("payer")
    return Settlement(
        chain_id=network_id(network),
        tx_hash=bytes.fromhex(named[2:]),
        payer=bytes.fromhex(payer[2:])
        if isinstance(payer, str) and _ADDRESS.fullmatch(payer)
        else None,
    )


def network_id(network: Any) -> int:
    """The chain id of an x402 network: a CAIP-2 id (v2), or a bare name (v1).

    Raises:
        ValueError: neither, or a name nobody here knows.
    """
    if isinstance(network, int) and not isinstance(network, bool) and 0 < network < 10**18:
        return network
    if not isinstance(network, str) or not network.isascii() or len(network) > 80:
        raise ValueError("`network` is a chain's CAIP-2 id, or its name")
    if match := _CAIP2.fullmatch(network.strip()):
        return int(match[1])
    try:
        return find(network).chain_id
    except ChainNotFound as exc:
        raise ValueError(exc.detail) from None


def _decoded(encoded: str) -> Any:
    if len(encoded) > LONGEST_SETTLEMENT:
        return None
    raw = encoded.strip().encode("ascii", "replace").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return read_json(b64decode(raw + b"=" * (-len(raw) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


def _address(topic: bytes) -> bytes | None:
    if len(topic) != _WORD or topic[:12] != _NO_ADDRESS:
        return None
    return topic[12:]
