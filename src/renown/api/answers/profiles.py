"""What an agent says of itself, in brief: beside the agent wherever one is listed."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from renown.derive.profile import State
from renown.store.agents import ProfileRow

DESCRIPTION_CHARS = 400


class ProfileBrief(msgspec.Struct, kw_only=True, frozen=True):
    """What an agent's file says, and what was found about it. All of it is the agent's own word
    but `state`, `alive`, `verified_domains`, `findings`, `quality` and `copy`."""

    state: Annotated[
        State,
        Meta(
            description="Of the file: `strict` and `tolerant` are registrations. `none`: no URI;"
            " `pending`: not read yet; `foreign`: some other JSON."
        ),
    ]
    name: str | None
    description: Annotated[
        str | None, Meta(description=f"The first {DESCRIPTION_CHARS} characters.")
    ]
    image: Annotated[str | None, Meta(description="A foreign URL; null where it is very long.")]
    kinds: Annotated[list[str], Meta(description="Of its services, such as `mcp` and `a2a`.")]
    x402: Annotated[bool | None, Meta(description="Null: not said.")]
    active: Annotated[bool | None, Meta(description="Null: not said.")]
    alive: Annotated[
        bool | None, Meta(description="Whether an endpoint answers. Null: never probed.")
    ]
    verified_domains: Annotated[list[str], Meta(description="Hosts that confirm the agent.")]
    trust: Annotated[list[str], Meta(description="Trust models it says it supports.")]
    findings: Annotated[list[str], Meta(description="Codes of what was found, sorted.")]
    quality: Annotated[
        int,
        Meta(ge=0, description="In what order searches look at agents. No score of the agent."),
    ]
    copy: Annotated[
        bool, Meta(description="Not the first agent whose file was made of the same template.")
    ]


def brief(row: ProfileRow | None) -> ProfileBrief | None:
    """The profile of a row; None where the agent has none yet."""
    if row is None:
        return None
    description = row.description
    if description is not None and len(description) > DESCRIPTION_CHARS:
        description = description[: DESCRIPTION_CHARS - 1] + "…"
    kinds: list[str] = []
    trust: list[str] = []
    findings: list[str] = []
    for term in row.terms.split("\n"):
        kind, _, value = term.partition("=")
        if kind == "finding":
            findings.append(value)
        elif kind == "kind":
            kinds.append(value)
        elif kind == "trust":
            trust.append(value)
    return ProfileBrief(
        state=row.state,  # type: ignore[arg-type]
        name=row.name,
        description=description,
        image=row.image,
        kinds=kinds,
        x402=row.x402,
        active=row.active,
        alive=row.alive,
        verified_domains=row.domains or [],
        trust=trust,
        findings=findings,
        quality=row.quality,
        copy=not row.leads,
    )


def revision_of(row: ProfileRow | None) -> int:
    """What changes with every change of the profile; 0 where there is none."""
    return 0 if row is None else row.revision
