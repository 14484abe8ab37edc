"""What the index knows of things that somebody is about to act on."""

from __future__ import annotations

from typing import LiteralString

import msgspec

from renown.store.pool import Conn
from renown.store.reads import HEAD, HEAD_COLUMNS, Head

HEAD_OF: LiteralString = f"""
SELECT {HEAD} FROM chain c JOIN checkpoint k USING (chain_id) WHERE c.chain_id = $1
"""


async def head_of(conn: Conn, chain_id: int) -> Head | None:
    """How far a chain is indexed; None where the index does not hold it."""
    row = await conn.fetchrow(HEAD_OF, chain_id)
    return None if row is None else Head(*row[:HEAD_COLUMNS])


HEADS: LiteralString = f"""
SELECT {HEAD} FROM chain c JOIN checkpoint k USING (chain_id) WHERE c.chain_id = ANY($1::bigint[])
 ORDER BY c.chain_id
"""


async def heads_of(conn: Conn, chain_ids: list[int]) -> list[Head]:
    """How far these chains are indexed, by id; those that the index does not hold are missing."""
    return [Head(*row[:HEAD_COLUMNS]) for row in await conn.fetch(HEADS, chain_ids)]


FEEDBACK: LiteralString = """
SELECT EXISTS (SELECT FROM feedback_given
                WHERE chain_id = $1 AND agent_id = $2 AND client = $3 AND feedback_index = $4)
"""


async def feedback_exists(
    conn: Conn, chain_id: int, agent_id: int, client: bytes, index: int
) -> bool:
    """Whether the index holds this feedback, revoked or not."""
    found: bool = await conn.fetchval(FEEDBACK, chain_id, agent_id, client, index)
    return found


class RequestRow(msgspec.Struct, frozen=True):
    """A request for validation."""

    chain_id: int
    contract: bytes
    agent_id: int
    validator: bytes


REQUESTS: LiteralString = """
SELECT chain_id, contract, agent_id, validator FROM validation
 WHERE request_hash = $1
   AND ($2::bigint IS NULL OR chain_id = $2) AND ($3::bytea IS NULL OR contract = $3)
 ORDER BY chain_id, contract LIMIT 2
"""


async def validation_requests(
    conn: Conn, request_hash: bytes, chain_id: int | None = None, contract: bytes | None = None
) -> list[RequestRow]:
    """The requests under this hash, two at most: it is unique within one contract only."""
    rows = await conn.fetch(REQUESTS, request_hash, chain_id, contract)
    return [RequestRow(*row) for row in rows]
