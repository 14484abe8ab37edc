"""Challenges of x402: what an endpoint wants to be paid, before it answers. Pure.

Version 1 has them in the JSON body of the 402, with `maxAmountRequired`; version 2 in the
`PAYMENT-REQUIRED` header, JSON in base64, with `amount`.

Source: x402 specification v1, section 5.1; v2, section 5.1 and its HTTP transport.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec

from renown.spec.protocols.capabilities import MOST_PRICES, Price, text
from renown.spec.protocols.rpc import read_json

_HEADER = "payment-required"
_AMOUNT = re.compile(r"[0-9]{1,78}")  # of a uint256


class Challenge(msgspec.Struct, frozen=True):
    """One challenge that could be read: at least one price."""

    version: int
    prices: tuple[Price, ...]


def read_challenge(
    status: int | None, headers: Mapping[str, str], body: bytes | None
) -> Challenge | None:
    """The challenge of an answer; None where it is none. Never raises.

    Args:
        headers: names in lower case.
    """
    if status != 402:
        return None
    encoded = headers.get(_HEADER)
    in_header = _challenge(_decoded(encoded)) if encoded else None
    return in_header or _challenge(read_json(body))


def _decoded(encoded: str) -> Any:
    raw = encoded.strip().encode("ascii", "replace").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return read_json(b64decode(raw + b"=" * (-len(raw) % 4)))
    except (binascii.Error, ValueError):
        return None


def _challenge(value: Any) -> Challenge | None:
    if not isinstance(value, dict) or value.get("x402Version") not in (1, 2):
        return None
    accepts = value.get("accepts")
    listed = accepts[:MOST_PRICES] if isinstance(accepts, list) else []
    prices = [_price(one) for one in listed if isinstance(one, dict)]
    real = tuple(price for price in prices if price.pay_to and price.network)
    return Challenge(value["x402Version"], real) if real else None


def _price(one: dict[str, Any]) -> Price:
    amount = one.get("amount", one.get("maxAmountRequired"))
    if isinstance(amount, int) and not isinstance(amount, bool):
        amount = str(amount) if 0 <= amount < 10**78 else ""  # str() of a huge one would raise
    if not isinstance(amount, str) or _AMOUNT.fullmatch(amount) is None:
        amount = ""
    return Price(
        scheme=text(one.get("scheme"), longest=40) or "",
        network=text(one.get("network"), longest=80) or "",
        asset=text(one.get("asset")) or "",
        amount=amount,
        pay_to=text(one.get("payTo")) or "",
    )
