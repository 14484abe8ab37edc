"""What an endpoint said it can do, as kept: cleaned, bounded, one form for all protocols. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from renown.spec.text import shown

MOST_NAMES = 200
LONGEST_NAME = 120
MOST_PRICES = 16


class Skill(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of an A2A card's `skills`."""

    name: str
    id: str = ""


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way to pay that an x402 challenge accepts. Texts as written, cleaned.

    `amount` is in the asset's smallest unit, digits only, "" where it is no such number. `network`
    is a CAIP-2 id (v2) or a bare name (v1).
    """

    scheme: str = ""
    network: str = ""
    asset: str = ""
    amount: str = ""
    pay_to: str = ""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Column `endpoint.capabilities`. Every text was written by strangers, and cleaned by us.

    Attributes:
        server: the name that the MCP server or the agent card gives itself.
        version: of that server or agent, as it says.
        protocol_version: that it speaks.
        transport: of MCP: `streamable-http` or `sse` (the older one).
        tools: names, distinct, in the order served, at most 200 of them, each at most 120 long.
        skills: likewise, of an A2A card.
        cut: there were more.
        url: where an A2A card was found, if not at the URL declared.
        interfaces: URLs that the card says the agent is called at.
        x402_version: of the challenge, 1 or 2.
        prices: that it accepts.
        login: it answers, but wants a caller to authenticate first.
    """

    server: str | None = None
    version: str | None = None
    protocol_version: str | None = None
    transport: str | None = None
    tools: tuple[str, ...] = ()
    skills: tuple[Skill, ...] = ()
    cut: bool = False
    url: str | None = None
    interfaces: tuple[str, ...] = ()
    x402_version: int | None = None
    prices: tuple[Price, ...] = ()
    login: bool = False

    def priced(self, version: int, prices: tuple[Price, ...]) -> Capabilities:
        """The same, at these prices of an x402 challenge."""
        return msgspec.structs.replace(self, x402_version=version, prices=prices)


def capabilities_json(capabilities: Capabilities) -> str:
    """As JSON that PostgreSQL's jsonb takes."""
    return msgspec.json.encode(capabilities).decode()


def capabilities_from(stored: str | bytes) -> Capabilities:
    """The inverse of `capabilities_json`."""
    return msgspec.json.decode(stored, type=Capabilities)


def text(value: Any, *, longest: int = LONGEST_NAME) -> str | None:
    """A text from outside as one line without controls, at most `longest` characters.

    None for what is no text, or is empty then.
    """
    if not isinstance(value, str):
        return None
    line = " ".join(shown(value[: 4 * longest]).split())
    return line[:longest].rstrip() or None


def names(values: Iterable[Any], *, most: int = MOST_NAMES) -> tuple[tuple[str, ...], bool]:
    """The distinct texts among `values`, cleaned, in order; and whether some had to be left out."""
    found: dict[str, None] = {}
    for value in values:
        name = text(value)
        if name is None or name in found:
            continue
        if len(found) == most:
            return tuple(found), True
        found[name] = None
    return tuple(found), False
