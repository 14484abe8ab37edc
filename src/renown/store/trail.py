"""How far the facts of each chain were read for what lies behind them, and the reading itself.

The trail reads in snapshots and writes in transactions of its own: each step names the place it
started from, and one that somebody else moved meanwhile changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, LiteralString, TypeAlias

import msgspec

from renown.store import facts
from renown.store.pool import Conn, Tx

Role: TypeAlias = Literal["agent", "feedback", "response", "request", "validation"]


class Place(msgspec.Struct, frozen=True):
    """Where the trail of a chain stands: outbox entries up to `position` are taken in, and so are
    the facts at or below `block_number`. `epoch` names the life of the chain that they are of."""

    epoch: int
    position: int
    block_number: int


class Standing(msgspec.Struct, frozen=True):
    """A chain as indexed (`now`), and its trail; `trail` is None where none was begun."""

    chain_id: int
    slug: str
    start_block: int
    now: Place
    trail: Place | None


class News(msgspec.Struct, frozen=True):
    """What the outbox says between a trail and the index.

    Attributes:
        lost: entries were trimmed before they were read.
        retracted_from: the lowest block that was taken back, None for none.
        learnt_from: the lowest block of facts that were learnt late, None for none.
        refolded: state was folded again, of agents that no entry names.
    """

    lost: bool
    retracted_from: int | None
    learnt_from: int | None
    refolded: bool


class Saying(msgspec.Struct, frozen=True, gc=False):
    """A fact that names a URI. `uri_hash` is its SHA-256; `content_hash` is None where zero."""

    role: Role
    block_number: int
    log_index: int
    agent_id: int
    uri_hash: bytes
    uri_bytes: int
    content_hash: bytes | None


STANDINGS: LiteralString = """
SELECT c.chain_id, c.slug, c.start_block, c.epoch, k.position, k.block_number,
       t.epoch, t.position, t.block_number
  FROM chain c
  JOIN checkpoint k USING (chain_id)
  LEFT JOIN trail t USING (chain_id)
 WHERE $1::bigint IS NULL OR c.chain_id = $1
 ORDER BY c.chain_id
"""


async def standings(conn: Conn, chain_id: int | None = None) -> list[Standing]:
    """Every chain of the index, or one, by id."""
    return [
        Standing(
            *(row[0], row[1], row[2]),
            Place(row[3], row[4], row[5]),
            None if row[6] is None else Place(row[6], row[7], row[8]),
        )
        for row in await conn.fetch(STANDINGS, chain_id)
    ]


NEWS: LiteralString = """
SELECT NOT EXISTS (SELECT FROM outbox WHERE chain_id = $1 AND position = $2::bigint + 1),
       min(from_block) FILTER (WHERE kind = 'retract'),
       min(from_block) FILTER (WHERE kind = 'refold' AND fact_count > 0),
       coalesce(bool_or(kind = 'refold'), false)
  FROM outbox
 WHERE chain_id = $1 AND position > $2 AND position <= $3
"""


async def news(conn: Conn, chain_id: int, *, after: int, upto: int) -> News:
    """What the outbox has to say of positions after..upto, of which there is at least one."""
    row = await conn.fetchrow(NEWS, chain_id, after, upto)
    assert row is not None
    return News(*row)


# A stretch of facts ------------------------------------------------------------------------------

REACH: LiteralString = """
SELECT number FROM (
    SELECT number, sum(fact_count) OVER (ORDER BY number) AS facts
      FROM (SELECT number, fact_count FROM block
             WHERE chain_id = $1 AND number > $2 AND number <= $3 AND fact_count > 0
             ORDER BY number LIMIT $4) AS near
) AS summed
 WHERE facts >= $4 ORDER BY number LIMIT 1
"""
BLOCK: LiteralString = "SELECT hash, time FROM block WHERE chain_id = $1 AND number = $2"

_NAMING: tuple[tuple[LiteralString, LiteralString, LiteralString], ...] = (
    ("agent_registered", "agent", "NULL"),
    ("uri_updated", "agent", "NULL"),
    ("feedback_given", "feedback", "content_hash"),
    ("response_appended", "response", "content_hash"),
    ("validation_requested", "request", "request_hash"),
    ("validation_responded", "validation", "content_hash"),
)
"""The tables of facts that name a URI, what they name it as, and the column of its hash."""

_SAYINGS: tuple[LiteralString, ...] = tuple(
    f"""SELECT '{role}' AS role, block_number, log_index, agent_id, sha256(uri),
               octet_length(uri), nullif({column}, decode(repeat('00', 32), 'hex'))
          FROM {table}
         WHERE chain_id = $1 AND block_number > $2 AND block_number <= $3 AND uri <> ''"""
    for table, role, column in _NAMING
)
SAYINGS: LiteralString = " UNION ALL ".join(_SAYINGS) + " ORDER BY 2, 3"
_RAW: tuple[LiteralString, ...] = tuple(
    f"""SELECT f.uri FROM unnest($2::bigint[], $3::integer[]) AS w (block_number, log_index)
          JOIN {table} f ON f.chain_id = $1
           AND f.block_number = w.block_number AND f.log_index = w.log_index"""
    for table, _, _ in _NAMING
)
RAW: LiteralString = " UNION ALL ".join(_RAW)
_TOUCHED: tuple[LiteralString, ...] = tuple(
    f"""SELECT agent_id FROM {table.name}
         WHERE chain_id = $1 AND block_number > $2 AND block_number <= $3"""
    for table in facts.FOLDED_TABLES
)
TOUCHED: LiteralString = " UNION ".join(_TOUCHED)


async def reach(conn: Conn, chain_id: int, *, after: int, upto: int, most_facts: int) -> int:
    """The block at which a stretch that begins after `after` holds `most_facts` facts, at most
    `upto`. One block may hold more: it is never divided."""
    found = await conn.fetchval(REACH, chain_id, after, upto, most_facts)
    return upto if found is None else int(found)


async def block_of(conn: Conn, chain_id: int, number: int) -> tuple[bytes | None, datetime | None]:
    """Hash and time of a block; None for both where it is not stored."""
    row = await conn.fetchrow(BLOCK, chain_id, number)
    return (None, None) if row is None else (row[0], row[1])


async def sayings(conn: Conn, chain_id: int, *, after: int, upto: int) -> list[Saying]:
    """The facts of blocks after..upto that name a URI, in chain order; empty ones name none."""
    return [Saying(*row) for row in await conn.fetch(SAYINGS, chain_id, after, upto)]


async def raw_uris(conn: Conn, chain_id: int, said: Sequence[Saying]) -> list[bytes]:
    """The URIs of these facts, in no order."""
    blocks = [one.block_number for one in said]
    rows = await conn.fetch(RAW, chain_id, blocks, [one.log_index for one in said])
    return [row[0] for row in rows]


async def touched(conn: Conn, chain_id: int, *, after: int, upto: int) -> list[int]:
    """The agents that the facts of blocks after..upto are about, ascending."""
    return sorted(row[0] for row in await conn.fetch(TOUCHED, chain_id, after, upto))


# Moving ------------------------------------------------------------------------------------------

BEGIN: LiteralString = """
INSERT INTO trail AS t (chain_id, epoch, position, block_number)
SELECT chain_id, $2, $3, $4 FROM chain WHERE chain_id = $1 AND epoch = $2
    ON CONFLICT (chain_id) DO UPDATE
   SET epoch = excluded.epoch, position = excluded.position, block_number = excluded.block_number,
       block_hash = NULL, block_time = NULL, updated_at = now()
RETURNING chain_id
"""
DROP_ATTACHMENTS: LiteralString = """
DELETE FROM attachment WHERE chain_id = $1 AND block_number >= $2 RETURNING agent_id
"""
ALL_PROFILES: LiteralString = """
INSERT INTO profile_due
SELECT chain_id, agent_id FROM agent_profile WHERE chain_id = $1 ORDER BY 1, 2
    ON CONFLICT DO NOTHING
"""
MOVE: LiteralString = """
UPDATE trail
   SET position = $5, block_number = $6, block_hash = $7, block_time = $8, updated_at = now()
 WHERE chain_id = $1 AND epoch = $2 AND position = $3 AND block_number = $4
RETURNING chain_id
"""


async def begin(tx: Tx, standing: Standing) -> bool:
    """Start the trail of a chain, or start it anew: what hung on the facts of before goes.

    Returns whether the chain is still the one of `standing`.
    """
    now = standing.now
    place = (now.epoch, now.position, standing.start_block - 1)
    if await tx.fetchval(BEGIN, standing.chain_id, *place) is None:
        return False
    await tx.execute("DELETE FROM attachment WHERE chain_id = $1", standing.chain_id)
    await tx.execute(ALL_PROFILES, standing.chain_id)
    return True


async def move(
    tx: Tx,
    chain_id: int,
    place: Place,
    *,
    position: int,
    block_number: int,
    block: tuple[bytes | None, datetime | None] = (None, None),
) -> bool:
    """Move a trail from `place`. Returns False, having changed nothing, if it is there no more."""
    args = (place.epoch, place.position, place.block_number, position, block_number, *block)
    return await tx.fetchval(MOVE, chain_id, *args) is not None


async def drop_attachments(tx: Tx, chain_id: int, from_block: int) -> list[int]:
    """Remove the attachments of facts at or above `from_block`. Returns their agents."""
    rows = await tx.fetch(DROP_ATTACHMENTS, chain_id, from_block)
    return sorted({row[0] for row in rows})


# Agents to look at again -------------------------------------------------------------------------

TAKEN_BACK: LiteralString = """
SELECT DISTINCT (fact.value ->> 'agent_id')::bigint
  FROM outbox o
 CROSS JOIN LATERAL jsonb_each(o.retracted) AS kind
 CROSS JOIN LATERAL jsonb_array_elements(kind.value) AS fact
 WHERE o.chain_id = $1 AND o.position > $2 AND o.position <= $3 AND o.kind = 'retract'
   AND kind.key <> 'quarantine' AND fact.value ->> 'agent_id' IS NOT NULL
"""
SINCE: LiteralString = "SELECT agent_id FROM agent_stats WHERE chain_id = $1 AND version > $2"
TOUCH: LiteralString = """
INSERT INTO profile_due
SELECT $1, agent_id FROM unnest($2::bigint[]) AS w (agent_id) ORDER BY agent_id
    ON CONFLICT DO NOTHING
"""
# An agent without a row yet is on the list since its first fact, or its row sees the change.
TOUCH_OF_URIS: LiteralString = """
INSERT INTO profile_due
SELECT chain_id, agent_id FROM agent_profile WHERE uri_id = ANY($1::bigint[])
 UNION
SELECT chain_id, agent_id FROM agent_domain WHERE uri_id = ANY($1::bigint[])
 ORDER BY 1, 2
    ON CONFLICT DO NOTHING
"""
TOUCH_OF_DOCUMENTS: LiteralString = """
INSERT INTO profile_due
SELECT chain_id, agent_id FROM agent_profile WHERE document_id = ANY($1::bigint[]) ORDER BY 1, 2
    ON CONFLICT DO NOTHING
"""


async def taken_back(conn: Conn, chain_id: int, *, after: int, upto: int) -> list[int]:
    """The agents that the retractions of outbox positions after..upto were about."""
    return sorted(row[0] for row in await conn.fetch(TAKEN_BACK, chain_id, after, upto))


async def folded_since(conn: Conn, chain_id: int, position: int) -> list[int]:
    """The agents whose state changed after an outbox position."""
    return sorted(row[0] for row in await conn.fetch(SINCE, chain_id, position))


async def touch(tx: Tx, chain_id: int, agent_ids: Sequence[int]) -> None:
    """Have the rows of these agents made anew."""
    if agent_ids:
        await tx.execute(TOUCH, chain_id, agent_ids)


async def touch_of_uris(tx: Tx, uri_ids: Sequence[int]) -> None:
    """Have the rows made anew of the agents whose file, or whose host's word, these URIs are."""
    if uri_ids:
        await tx.execute(TOUCH_OF_URIS, uri_ids)


async def touch_of_documents(tx: Tx, document_ids: Sequence[int]) -> None:
    """Have the rows made anew of the agents whose file is one of these documents."""
    if document_ids:
        await tx.execute(TOUCH_OF_DOCUMENTS, document_ids)
