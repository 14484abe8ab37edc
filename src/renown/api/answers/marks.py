"""This installation's marks on agents and feedback, as they are answered."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from renown.api.answers.keys import When
from renown.api.answers.values import Address, Id, address_or_none, agent_key
from renown.store import agents, marks
from renown.store.agents import AgentRow
from renown.store.marks import LONGEST_NOTE, Mark, MarkRow
from renown.store.pool import Conn
from renown.store.reads import key_args, no_such_agent, require_chain
from renown.types import AgentKey

MOST_MARKS = 1_000


class ShownMark(Struct, kw_only=True):
    """One mark."""

    mark: Annotated[
        Mark,
        Meta(
            description="`suspended`: do not rely on it. `hidden`: left out of lists and searches."
            " `reviewed`: a person looked at it."
        ),
    ]
    note: Annotated[str, Meta(description="The operator's own words.")]
    client: Annotated[Address | None, Meta(description="Of a mark on one feedback: who gave it.")]
    index: Annotated[Id | None, Meta(description="Of a mark on one feedback: its index.")]
    account: Annotated[UUID | None, Meta(description="Whose key set it; null: a command.")]
    created_at: When


class Marks(Struct, kw_only=True):
    """What this installation itself thinks of an agent. Nothing of it is on the chain."""

    key: str
    items: Annotated[
        list[ShownMark],
        Meta(description=f"The agent's, then its feedback's; the first {MOST_MARKS}."),
    ]


class MarkAsked(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why it is marked."""

    note: Annotated[str, Meta(max_length=LONGEST_NOTE)] = ""


async def agent_of(conn: Conn, key: AgentKey) -> AgentRow:
    """The agent of `key`.

    Raises:
        AgentNotFound, ChainNotFound.
    """
    found = await agents.one(conn, key_args(key), uri_cut_bytes=0)
    head = require_chain(key, found.head if found else None)
    if found is None or found.agent is None:
        raise no_such_agent(key, head)
    return found.agent


async def of_agent(conn: Conn, agent: AgentRow) -> Marks:
    """The marks of an agent and its feedback."""
    rows = await marks.marks_of(conn, agent.chain_id, agent.agent_id, limit=MOST_MARKS)
    return Marks(
        key=agent_key(agent.chain_id, agent.registry, agent.agent_id),
        items=[ShownMark(**_fields(row)) for row in rows],
    )


def _fields(row: MarkRow) -> dict[str, Any]:
    return {
        "mark": row.mark,
        "note": row.note,
        "client": address_or_none(row.client),
        "index": None if row.feedback_index is None else str(row.feedback_index),
        "account": row.account,
        "created_at": row.created_at,
    }
