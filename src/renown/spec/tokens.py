"""Which tokens count as payment: USDC as its issuer deploys it, and what the settings add. Pure.

Anybody can deploy a token and name it USDC, so a token is known by its address on its chain alone.
Chains on which the issuer has no deployment, or none that could be confirmed, are left out: an
operator adds to them with `RENOWN_TOKENS`.

Source: Circle, "USDC contract addresses".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from renown.errors import BadAddress, ChainNotFound
from renown.spec.deployments import DEPLOYMENTS, DEVNET_CHAIN_ID, find
from renown.spec.text import shown
from renown.types import parse_address

MOST_DECIMALS = 36
LONGEST_SYMBOL = 20


DEVNET_DOLLAR = bytes.fromhex("38d7772d0651252fffc0146c846c52ae97667bd1")
"""The devnet's money, where its code and the deterministic deployer put it (a test holds it so)."""


class Token(msgspec.Struct, frozen=True):
    """One ERC-20 token. An amount of it is read as `amount / 10^decimals`."""

    chain_id: int
    address: bytes
    symbol: str
    decimals: int


Tokens: TypeAlias = Mapping[int, Mapping[bytes, Token]]
"""Tokens that count, by chain id and address."""


def tokens_with(extra: Iterable[Token] = ()) -> Tokens:
    """The tokens known here, and `extra` ones, which win."""
    table = {chain_id: dict(known) for chain_id, known in KNOWN_TOKENS.items()}
    for token in extra:
        table.setdefault(token.chain_id, {})[token.address] = token
    return table


def token_at(tokens: Tokens, chain_id: int, address: bytes) -> Token | None:
    """The token at an address, if it counts."""
    return tokens.get(chain_id, {}).get(address)


def read_tokens(value: Any) -> list[Token]:
    """Tokens as the settings give them: chain to address to `{"symbol": …, "decimals": …}`.

    Raises:
        ValueError: of another shape; the message names what is wrong.
    """
    if not isinstance(value, dict):
        raise ValueError("write a JSON object from chain to tokens")
    found = []
    for chain, listed in value.items():
        try:
            chain_id = find(chain).chain_id
        except ChainNotFound as exc:
            raise ValueError(exc.detail) from None
        if not isinstance(listed, dict):
            raise ValueError(f"{chain}: write an object from address to token")
        found += [_token(chain_id, address, one) for address, one in listed.items()]
    return found


def _token(chain_id: int, address: str, value: Any) -> Token:
    try:
        raw = parse_address(address)
    except BadAddress as exc:
        raise ValueError(f"a token's address: {exc.detail}") from None
    symbol = value.get("symbol") if isinstance(value, dict) else None
    decimals = value.get("decimals") if isinstance(value, dict) else None
    if not isinstance(symbol, str) or not 0 < len(symbol) <= LONGEST_SYMBOL:
        raise ValueError(f"{address}: `symbol` is a text of at most {LONGEST_SYMBOL} characters")
    if isinstance(decimals, bool) or not isinstance(decimals, int):
        raise ValueError(f"{address}: `decimals` is a whole number")
    if not 0 <= decimals <= MOST_DECIMALS:
        raise ValueError(f"{address}: `decimals` is from 0 to {MOST_DECIMALS}")
    return Token(chain_id, raw, shown(symbol), decimals)


_USDC = {
    "ethereum": "a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
    "sepolia": "1c7d4b196cb0c7b01d743fbc6116a902379c7238",
    "base": "833589fcd6edb6e08f4c7c32d4f71b54bda02913",
    "base-sepolia": "036cbd53842c5426634e7929541ec2318f3dcf7e",
    "arbitrum": "af88d065e77c8cc2239327c5edb3a432268e5831",
    "arbitrum-sepolia": "75faf114eafb1bdbe2f0316df893fd58ce46aa4d",
    "avalanche": "b97ef9ef8734c71904d8002f8b6bc66dd9c48a6e",
    "avalanche-fuji": "5425890298aed601595a70ab815c96711a31bc65",
    "celo": "ceba9300f2b948710d2653dd7b07f33a8b32118c",
    "celo-sepolia": "01c5c0122039549ad1493b8220cabedd739bc44e",
    "linea": "176211869ca2b568f2a7d4ee941e073a821ee1ff",
    "linea-sepolia": "fece4462d57bd51a6a552365a011b95f0e16d9b7",
    "monad": "754704bc059f8c67012fed69bc8a327a5aafb603",
    "monad-testnet": "534b2f3a21130d7a60830c2df862319e593943a3",
    "optimism": "0b2c639c533813f4aa9d7837caf62653d097ff85",
    "optimism-sepolia": "5fd84259d66cd46123540766be93dfe6d43130d7",
    "polygon": "3c499c542cef5e3811e1192ce70d8cc03d5c3359",
    "polygon-amoy": "41e94eb019c0762f9bfcf9fb1e58725bfb0e7582",
    "arc-testnet": "3600000000000000000000000000000000000000",
}


def _known() -> dict[int, dict[bytes, Token]]:
    ids = {deployment.slug: chain_id for chain_id, deployment in DEPLOYMENTS.items()}
    known = {
        ids[slug]: {bytes.fromhex(digits): Token(ids[slug], bytes.fromhex(digits), "USDC", 6)}
        for slug, digits in _USDC.items()
    }
    dollar = Token(DEVNET_CHAIN_ID, DEVNET_DOLLAR, "DEVUSD", 6)
    return {**known, DEVNET_CHAIN_ID: {DEVNET_DOLLAR: dollar}}


KNOWN_TOKENS: Tokens = _known()
"""USDC where its issuer deploys it, and the token of the development network."""
