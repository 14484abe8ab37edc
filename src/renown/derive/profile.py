"""One agent's row for search and lists: what it says of itself, and what was found about it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from renown.spec.documents.model import Finding
from renown.spec.words import Texts

State = Literal[
    "none",  # no URI, or an empty one
    "pending",  # not read yet
    "unsupported",  # a scheme nobody can follow, or no URI at all
    "unreachable",  # never read: nobody answers, or not with success
    "unreadable",  # bytes, but no JSON object
    "foreign",  # a JSON object that is no registration
    "tolerant",  # a registration, read with allowances
    "strict",  # a registration as the standard writes it
]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """See table `agent_profile`, whose columns these are; `texts` becomes its `words`."""

    chain_id: int
    agent_id: int
    state: State
    owner: bytes
    created_at: datetime
    active_at: datetime
    uri_id: int | None = None
    document_id: int | None = None
    name: str | None = None
    description: str | None = None
    image: str | None = None
    name_key: str | None = None
    skeleton: str | None = None
    x402: bool | None = None
    active: bool | None = None
    alive: bool | None = None
    findings: tuple[Finding, ...] = ()
    domains: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    texts: Texts = Texts()
    template: bytes | None = None
    quality: int = 0
    wallet: bytes | None = None
    feedback_count: int = 0
    client_count: int = 0
