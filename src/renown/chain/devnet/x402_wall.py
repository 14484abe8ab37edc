"""Payment challenges of the devnet's agents, in both versions of x402. Pure.

Sources: x402, transports v1 and v2, "HTTP": in version 1 the terms are the body, in version 2 a
header in base64.
"""

from __future__ import annotations

import base64
from typing import Any

from eth_hash.auto import keccak

from renown.chain.devnet.asked import Reply, json_reply
from renown.chain.devnet.personas import Persona
from renown.chain.devnet.registrations import to_bytes
from renown.types import checksum_address

USDC = "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
"""On Base Sepolia: nobody loses money by paying the devnet."""


def challenge(agent: Persona, url: str) -> Reply:
    """402, and what to pay for `url`."""
    terms: dict[str, Any] = {
        "scheme": "exact",
        "asset": USDC,
        "payTo": checksum_address(keccak(agent.host.encode())[12:]),
        "maxTimeoutSeconds": 60,
        "extra": {"name": "USDC", "version": "2"},
    }
    told = {"description": agent.trade.deeds[0], "mimeType": "application/json"}
    if agent.x402_version == 1:
        terms |= {
            "network": "base-sepolia",
            "maxAmountRequired": str(agent.price_units),
            "resource": url,
            "outputSchema": None,
            **told,
        }
        said = {"x402Version": 1, "error": "X-PAYMENT header is required", "accepts": [terms]}
        return json_reply(said, 402)
    terms |= {"network": "eip155:84532", "amount": str(agent.price_units)}
    said = {
        "x402Version": 2,
        "error": "PAYMENT-SIGNATURE header is required",
        "resource": {"url": url, **told},
        "accepts": [terms],
    }
    return json_reply({}, 402, PAYMENT_REQUIRED=base64.b64encode(to_bytes(said)).decode())
