"""What is read of an agent wherever it is shown: rows, and the columns that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec
from asyncpg import Record

from renown.store.marks import OF_AGENT


class AgentRow(msgspec.Struct, frozen=True, gc=False):
    """One row of `agent`. `uri` is cut, `uri_bytes` its full length; both None if never said.
    `marks` are this installation's own, of today, by the alphabet."""

    chain_id: int
    registry: bytes
    agent_id: int
    uuid: UUID
    owner: bytes
    registrant: bytes | None
    uri: bytes | None
    uri_bytes: int | None
    uri_block: int | None
    wallet: bytes | None
    wallet_state: str
    approved: bytes | None
    created_block: int
    created_tx: bytes
    created_at: datetime
    transfer_count: int
    marks: list[str]


class CountsRow(msgspec.Struct, frozen=True, gc=False):
    """What was said about an agent. Superseded feedback is in no count, revoked is in the first."""

    feedback_count: int = 0
    revoked_count: int = 0
    client_count: int = 0
    response_count: int = 0
    validation_count: int = 0
    validation_responded_count: int = 0


class ProfileRow(msgspec.Struct, frozen=True, gc=False):
    """What an agent's file says, in brief. `name` and `description` are cut to 401 characters;
    `image` is None if longer than 2,000; `terms` as `derive.terms` makes them, one a line."""

    state: str
    name: str | None
    description: str | None
    image: str | None
    x402: bool | None
    active: bool | None
    alive: bool | None
    domains: list[str] | None
    terms: str
    quality: int
    leads: bool
    revision: int


AGENT_COLUMNS = len(AgentRow.__struct_fields__) - 1  # its registry stands in its chain's head
COUNTS_COLUMNS = len(CountsRow.__struct_fields__)
PROFILE_COLUMNS = len(ProfileRow.__struct_fields__)

# Arrays are dear to send and to read: where nothing would be in one there is null instead, and of
# the terms a text is made.
_MARKS: LiteralString = OF_AGENT.removesuffix("AS marks")
AGENT: LiteralString = f"""a.chain_id, a.agent_id, a.uuid, a.owner, a.registrant,
       substring(a.uri FOR $1) AS uri, octet_length(a.uri) AS uri_bytes, a.uri_block, a.wallet,
       a.wallet_state, a.approved, a.created_block, a.created_tx, a.created_at, a.transfer_count,
       CASE WHEN EXISTS (SELECT FROM installation_mark) THEN {_MARKS} END AS marks"""
COUNTS: LiteralString = """s.feedback_count, s.revoked_count, s.client_count, s.response_count,
       s.validation_count, s.validation_responded_count"""
PROFILE: LiteralString = """pr.state, left(pr.name, 401) AS name,
       left(pr.description, 401) AS description,
       CASE WHEN length(pr.image) <= 2000 THEN pr.image END AS image, pr.x402, pr.active, pr.alive,
       nullif(pr.domains, ARRAY[]::text[]) AS domains, array_to_string(pr.terms, E'\\n') AS terms,
       pr.quality, pr.leads, pr.revision"""


Listed = tuple[AgentRow, CountsRow, ProfileRow | None]
"""An agent, what was said of it, and what it says of itself."""


def listed_row(record: Record, start: int, registry: bytes | None) -> Listed | None:
    """An agent of `registry` out of the columns AGENT, COUNTS and PROFILE; None if there is none
    in them."""
    values: Sequence[Any] = record[start : start + AGENT_COLUMNS + COUNTS_COLUMNS + PROFILE_COLUMNS]
    if values[1] is None or registry is None:
        return None
    marks = values[AGENT_COLUMNS - 1]
    told = (values[0], registry, *values[1 : AGENT_COLUMNS - 1], sorted(marks) if marks else [])
    agent = AgentRow(*told)
    counts = values[AGENT_COLUMNS : AGENT_COLUMNS + COUNTS_COLUMNS]
    said = values[AGENT_COLUMNS + COUNTS_COLUMNS :]
    return (
        agent,
        CountsRow(*counts) if counts[0] is not None else _UNCOUNTED,
        ProfileRow(*said) if said[0] is not None else None,
    )


_UNCOUNTED = CountsRow()
