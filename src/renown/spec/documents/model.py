"""Registration files as one shape, whatever shape they came in (ERC-8004, "Registration file")."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Class = Literal[
    "registration",  # its type names ERC-8004
    "untyped-registration",  # no such type, but the fields of one
    "agent-card",  # an A2A card
    "nft-metadata",  # name, image, attributes and nothing of ours
    "domain-proof",  # only `registrations`
    "feedback",  # an off-chain feedback file
    "object",  # some other JSON object
    "not-an-object",  # JSON, but a list, a text or a number
    "html",  # a page, where JSON belongs
    "not-json",  # anything else
]
Reading = Literal["strict", "tolerant", "none"]

ServiceKind = Literal[
    "mcp", "a2a", "web", "oasf", "ens", "did", "email", "wallet", "x402", "social", "other"
]


class Finding(msgspec.Struct, frozen=True, order=True):
    """One observation. `code` is in `spec.findings`; texts are ours, or cleaned and cut at 300."""

    code: str
    path: str = ""
    """Where: a JSON pointer (RFC 6901), "" for the whole."""
    detail: str = ""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One way to reach the agent, or one claim about it.

    `endpoint` is as written, cleaned; None where there is none. `position` is that in the file.
    """

    position: int
    kind: ServiceKind
    name: str
    endpoint: str | None = None
    version: str | None = None
    description: str | None = None
    skills: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `registrations`: which agent the file says it is of. None: not readable."""

    chain_id: int | None = None
    registry: str | None = None
    """0x and 40 hex digits, lower case."""
    agent_id: int | None = None


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A registration file, normalised. None means not said; texts are cleaned and bounded."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    image: str | None = None
    services: tuple[Service, ...] = ()
    x402: bool | None = None
    active: bool | None = None
    claims: tuple[Claim, ...] = ()
    trust: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    updated_at: int | None = None
    """Unix seconds."""
    other: dict[str, Any] = {}
    """Fields the standard does not know, sanitised."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What bytes behind a URI are.

    Attributes:
        raw: the bytes.
        sha256: of them.
        content: the JSON as a sanitised value in JSON text; None where it is no JSON.
        findings: sorted, no two alike; of the bytes alone.
        template: equal for files that differ only in what a mint fills in (numbers, addresses,
            the agent's own name); None unless it is a registration.
    """

    raw: bytes
    sha256: bytes
    klass: Class
    reading: Reading
    content: bytes | None
    registration: Registration | None
    findings: tuple[Finding, ...]
    template: bytes | None
