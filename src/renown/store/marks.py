"""Marks: what this installation itself thinks of an agent, or of one feedback. None is on chain."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, LiteralString
from uuid import UUID

import msgspec

from renown.errors import AgentNotFound, FeedbackNotFound, NotFound
from renown.store.changes import announce_agents
from renown.store.pool import Conn, Tx

Mark = Literal["suspended", "hidden", "reviewed"]
MARKS: tuple[Mark, ...] = ("suspended", "hidden", "reviewed")
LONGEST_NOTE = 2_000

OF_AGENT: LiteralString = """ARRAY(SELECT m.mark FROM installation_mark m
              WHERE m.chain_id = a.chain_id AND m.agent_id = a.agent_id AND m.client IS NULL
              ) AS marks"""
"""The marks of the agent `a`, in no order, as a column of a statement about it."""

HIDDEN: LiteralString = (
    "(SELECT h.chain_id, h.agent_id FROM installation_mark h"
    " WHERE h.mark = 'hidden' AND h.client IS NULL)"
)
"""Agents that lists leave out. Under NOT IN, which is looked up in a hash and changes no plan."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What is marked: an agent, or with `client` and `feedback_index` one of its feedback."""

    chain_id: int
    agent_id: int
    client: bytes | None = None
    feedback_index: int | None = None


class MarkRow(msgspec.Struct, frozen=True):
    """One mark. `account` is whose key set it; None: a command on the database."""

    client: bytes | None
    feedback_index: int | None
    mark: Mark
    note: str
    account: UUID | None
    created_at: datetime


HAS_AGENT: LiteralString = "SELECT EXISTS (SELECT FROM agent WHERE chain_id = $1 AND agent_id = $2)"
HAS_FEEDBACK: LiteralString = """
SELECT EXISTS (SELECT FROM feedback_given
                WHERE chain_id = $1 AND agent_id = $2 AND client = $3 AND feedback_index = $4)
"""
SET: LiteralString = """
INSERT INTO installation_mark (chain_id, agent_id, client, feedback_index, mark, note, account_id)
VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (chain_id, agent_id, client, feedback_index, mark)
    DO UPDATE SET note = excluded.note, account_id = excluded.account_id
         WHERE installation_mark.note <> excluded.note
"""


async def set_mark(tx: Tx, place: Place, mark: Mark, *, note: str, account_id: int | None) -> None:
    """Mark an agent or a feedback, or give the mark that it has another note.

    NUL characters, which PostgreSQL cannot hold, become U+FFFD.

    Raises:
        AgentNotFound, FeedbackNotFound.
    """
    await _require(tx, place)
    await tx.execute(SET, *_place(place), mark, note.replace("\0", "\ufffd"), account_id)
    await announce_agents(tx, place.chain_id, [place.agent_id])


REMOVE: LiteralString = """
DELETE FROM installation_mark
 WHERE chain_id = $1 AND agent_id = $2 AND client IS NOT DISTINCT FROM $3::bytea
   AND feedback_index IS NOT DISTINCT FROM $4::bigint AND mark = $5
RETURNING mark_id
"""


async def remove_mark(tx: Tx, place: Place, mark: Mark) -> None:
    """Take a mark back.

    Raises:
        NotFound: it has no such mark.
    """
    if await tx.fetchval(REMOVE, *_place(place), mark) is None:
        raise NotFound(f"it is not marked `{mark}`", mark=mark)
    await announce_agents(tx, place.chain_id, [place.agent_id])


OF_PLACE: LiteralString = """
SELECT m.client, m.feedback_index, m.mark, m.note, a.uuid, m.created_at
  FROM installation_mark m LEFT JOIN account a USING (account_id)
 WHERE m.chain_id = $1 AND m.agent_id = $2
 ORDER BY m.client NULLS FIRST, m.feedback_index, m.mark LIMIT $3
"""


async def marks_of(conn: Conn, chain_id: int, agent_id: int, *, limit: int) -> list[MarkRow]:
    """Marks of an agent, then those of its feedback."""
    return [MarkRow(*row) for row in await conn.fetch(OF_PLACE, chain_id, agent_id, limit)]


async def _require(tx: Tx, place: Place) -> None:
    if place.client is not None:
        if not await tx.fetchval(HAS_FEEDBACK, *_place(place)):
            raise FeedbackNotFound("the agent has no such feedback")
    elif not await tx.fetchval(HAS_AGENT, place.chain_id, place.agent_id):
        raise AgentNotFound("there is no such agent")


def _place(place: Place) -> tuple[Any, ...]:
    return place.chain_id, place.agent_id, place.client, place.feedback_index
