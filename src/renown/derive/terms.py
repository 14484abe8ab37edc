"""Terms: what an agent can be filtered and counted by, each one text `kind=value`. Pure.

    chain=8453          owner=0x…            wallet=0x…         state=strict
    kind=mcp            version=mcp/2025-06-18                  tool=search
    skill=a/b/c         domain=a/b           trust=reputation   tag=defi (of its file)
    x402=yes|no|unknown active=…             alive=…            verified=yes|no
    finding=code        host=verified.example                   name=yes|no

A skill or domain path gives a term for each of its heads too, so that `skill=a` finds `a/b`.
Values are lower case (chain slugs, tools and skills are matched without case).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

TermKind = Literal[
    "chain", "owner", "wallet", "state", "kind", "version", "tool", "skill", "domain", "trust",
    "tag", "x402", "active", "alive", "verified", "finding", "host", "name",
]  # fmt: skip
TERM_KINDS: tuple[str, ...] = get_args(TermKind)
MOST_TERMS = 300
_LONGEST = 120


def term(kind: TermKind, value: str | int) -> str:
    """One term. Values too long are cut, so equal heads of 120 characters are one."""
    said = str(value).lower()
    if not said.isprintable() or " " in said:
        said = " ".join(said.split())
    return f"{kind}={said[:_LONGEST]}"


def three(kind: TermKind, value: bool | None) -> str:
    """The term of something that may be unknown."""
    return term(kind, "unknown" if value is None else "yes" if value else "no")


def paths(kind: TermKind, values: Iterable[str]) -> list[str]:
    """Terms of slash paths and of each of their heads: `a/b` gives `a` and `a/b`."""
    found: list[str] = []
    for value in values:
        parts = [part for part in value.split("/") if part.strip()]
        found += [term(kind, "/".join(parts[: n + 1])) for n in range(min(len(parts), 5))]
    return found
