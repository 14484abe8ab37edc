"""The devnet's dollar: calldata of what is done with it, and payments signed by EIP-3009. Pure.

Amounts are in millionths of a dollar.
"""

from __future__ import annotations

import coincurve
from eth_abi.abi import encode

from renown.chain.devnet.addresses import CHAIN_ID, DOLLAR
from renown.chain.signatures import sign_digest
from renown.chain.tx.signer import typed_data_digest
from renown.spec.contracts import selector
from renown.types import checksum_address

DOLLAR_UNITS = 10**6

_FOREVER = 2**256 - 1
_AUTHORIZED = "(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"


def mint(account: bytes, units: int) -> bytes:
    """By anybody: it is play money."""
    return selector("mint(address,uint256)") + encode(["address", "uint256"], [account, units])


def transfer(payee: bytes, units: int) -> bytes:
    """By the payer (ERC-20)."""
    return selector("transfer(address,uint256)") + encode(["address", "uint256"], [payee, units])


def transfer_with_authorization(
    private_key: bytes, payer: bytes, payee: bytes, units: int, nonce: bytes
) -> bytes:
    """By anybody, as often as somebody tries, but it happens once (EIP-3009).

    Args:
        private_key: the payer's. What it signs never expires.
        nonce: 32 bytes, used by no other payment of this payer.
    """
    said = (payer, payee, units, 0, _FOREVER, nonce)
    digest = typed_data_digest(
        {
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                "TransferWithAuthorization": [
                    {"name": "from", "type": "address"},
                    {"name": "to", "type": "address"},
                    {"name": "value", "type": "uint256"},
                    {"name": "validAfter", "type": "uint256"},
                    {"name": "validBefore", "type": "uint256"},
                    {"name": "nonce", "type": "bytes32"},
                ],
            },
            "primaryType": "TransferWithAuthorization",
            "domain": {
                "name": "Dev Dollar",
                "version": "1",
                "chainId": CHAIN_ID,
                "verifyingContract": checksum_address(DOLLAR),
            },
            "message": {
                "from": checksum_address(payer),
                "to": checksum_address(payee),
                "value": units,
                "validAfter": 0,
                "validBefore": _FOREVER,
                "nonce": nonce,
            },
        }
    )
    r, s, parity = sign_digest(coincurve.PrivateKey(private_key), digest)
    types = _AUTHORIZED[1:-1].split(",")
    signature = (27 + parity, r.to_bytes(32), s.to_bytes(32))
    return selector("transferWithAuthorization" + _AUTHORIZED) + encode(types, [*said, *signature])
