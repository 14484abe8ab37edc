"""Writing folded state: what a `Fold` changed, in the transaction that stores its facts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec
from asyncpg import Connection
from asyncpg.pgproto import pgproto

from renown.derive.fold import Fold
from renown.derive.identity import Identity
from renown.derive.ratings import AgentCounts, TagCounts, TagsKey, tags_hash

Time = Callable[[int], datetime]
"""Block number to block time, for the blocks of the facts being written."""

AGENT_COLUMNS = (
    *("chain_id", "agent_id", "uuid", "owner", "registrant", "uri", "uri_block", "wallet"),
    *("wallet_state", "approved", "created_block", "created_log_index", "created_tx"),
    *("created_at", "transfer_count"),
)
OWNERSHIP_COLUMNS = (
    *("chain_id", "agent_id", "from_block", "from_log_index", "owner"),
    *("to_block", "to_log_index"),
)
METADATA_COLUMNS = (
    *("chain_id", "agent_id", "key_hash", "key", "value", "block_number", "log_index"),
)
COUNTS = AgentCounts.__struct_fields__
STATS_COLUMNS = ("chain_id", "agent_id", "version", *COUNTS)
TAG_COLUMNS = (
    *("chain_id", "agent_id", "tags_hash", "tag1", "tag2"),
    *("given_count", "live_count", "live_sum"),
)
_UUID_NAMESPACE_URL = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8").bytes


def agent_uuid(key_prefix: bytes, agent_id: int) -> UUID:
    """uuid5(NAMESPACE_URL, key); `key_prefix` is the canonical key through its last colon."""
    digest = hashlib.sha1(
        _UUID_NAMESPACE_URL + key_prefix + b"%d" % agent_id, usedforsecurity=False
    ).digest()
    marked = bytearray(digest[:16])
    marked[6] = marked[6] & 0x0F | 0x50  # version 5
    marked[8] = marked[8] & 0x3F | 0x80  # of RFC 9562
    return pgproto.UUID(bytes(marked))  # equal to the standard one, in a third of the time


async def write(
    conn: Connection[Any],
    chain_id: int,
    key_prefix: bytes,
    fold: Fold,
    *,
    version: int,
    time: Time,
) -> None:
    """Write everything `fold` changed. Part of a transaction.

    Args:
        key_prefix: `eip155:{chain}:{registry}:` as bytes, for agents' UUIDs.
        version: the outbox position of this commit; becomes the version of every touched agent.
        time: block time of the facts in hand.
    """
    minted = set(fold.minted)
    await write_identities(conn, chain_id, key_prefix, fold, minted, time)
    await write_marks(conn, chain_id, fold)
    await write_requests(conn, chain_id, fold)
    await _write_stats(conn, chain_id, fold, minted, version)
    await _write_tags(conn, chain_id, fold.tags, minted)
    if fold.unattached:
        await conn.copy_records_to_table(
            "unattached",
            records=[(chain_id, *msgspec.structs.astuple(u)) for u in fold.unattached],
            columns=("chain_id", "block_number", "log_index", "kind", "agent_id", "reason"),
        )


# Identity ----------------------------------------------------------------------------------

UPDATE_AGENTS: LiteralString = """
UPDATE agent a
   SET owner = n.owner, registrant = n.registrant, uri = n.uri, uri_block = n.uri_block,
       wallet = n.wallet, wallet_state = n.wallet_state, approved = n.approved,
       transfer_count = n.transfer_count
  FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[], $7::bytea[],
              $8::text[], $9::bytea[], $10::integer[])
    AS n (agent_id, owner, registrant, uri, uri_block, wallet, wallet_state, approved,
          transfer_count)
 WHERE a.chain_id = $1 AND a.agent_id = n.agent_id
"""
UPSERT_OWNERSHIP: LiteralString = """
INSERT INTO agent_ownership
       (chain_id, agent_id, from_block, from_log_index, owner, to_block, to_log_index)
SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::integer[], $5::bytea[], $6::bigint[],
                         $7::integer[])
    ON CONFLICT (chain_id, agent_id, from_block, from_log_index)
    DO UPDATE SET to_block = excluded.to_block, to_log_index = excluded.to_log_index
"""
UPSERT_METADATA: LiteralString = """
INSERT INTO agent_metadata (chain_id, agent_id, key_hash, key, value, block_number, log_index)
SELECT $1, * FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[],
                         $7::integer[])
    ON CONFLICT (chain_id, agent_id, key_hash)
    DO UPDATE SET value = excluded.value, block_number = excluded.block_number,
                  log_index = excluded.log_index
"""
DELETE_METADATA: LiteralString = """
DELETE FROM agent_metadata m
 USING unnest($2::bigint[], $3::bytea[]) AS gone (agent_id, key_hash)
 WHERE m.chain_id = $1 AND m.agent_id = gone.agent_id AND m.key_hash = gone.key_hash
"""


async def write_identities(
    conn: Connection[Any],
    chain_id: int,
    key_prefix: bytes,
    fold: Fold,
    minted: set[int],
    time: Time,
) -> None:
    """Write identities, ownership and metadata of what `fold` changed; `minted` are new rows."""
    if not fold.changed_identities:
        return
    new = [fold.identities[i] for i in sorted(minted)]
    old = [fold.identities[i] for i in sorted(fold.changed_identities - minted)]
    if new:
        await conn.copy_records_to_table(
            "agent",
            records=[_agent_row(chain_id, key_prefix, identity, time) for identity in new],
            columns=AGENT_COLUMNS,
        )
        await conn.copy_records_to_table(
            "agent_ownership",
            records=[(chain_id, *row) for row in _ownership_rows(new)],
            columns=OWNERSHIP_COLUMNS,
        )
        if entries := list(_metadata_rows(new)):
            await conn.copy_records_to_table(
                "agent_metadata",
                records=[(chain_id, *row) for row in entries],
                columns=METADATA_COLUMNS,
            )
    if old:
        await conn.execute(UPDATE_AGENTS, chain_id, *_transpose(map(_agent_update, old), 9))
        await conn.execute(UPSERT_OWNERSHIP, chain_id, *_transpose(_ownership_rows(old), 6))
        if entries := list(_metadata_rows(old)):
            await conn.execute(UPSERT_METADATA, chain_id, *_transpose(entries, 6))
        gone = [
            (identity.agent_id, key_hash)
            for identity in old
            for key_hash, entry in identity.metadata.items()
            if entry is None
        ]
        if gone:
            await conn.execute(DELETE_METADATA, chain_id, *_transpose(gone, 2))


def _agent_row(chain_id: int, prefix: bytes, a: Identity, time: Time) -> tuple[Any, ...]:
    return (
        *(chain_id, a.agent_id, agent_uuid(prefix, a.agent_id), a.owner, a.registrant, a.uri),
        *(a.uri_block, a.wallet, a.wallet_state, a.approved, a.created_block),
        *(a.created_log_index, a.created_tx, time(a.created_block), a.transfer_count),
    )


def _agent_update(a: Identity) -> tuple[Any, ...]:
    return (
        *(a.agent_id, a.owner, a.registrant, a.uri, a.uri_block, a.wallet, a.wallet_state),
        *(a.approved, a.transfer_count),
    )


def _ownership_rows(agents: Iterable[Identity]) -> Iterable[tuple[Any, ...]]:
    for a in agents:
        for i in a.ownership:
            yield a.agent_id, i.from_block, i.from_log_index, i.owner, i.to_block, i.to_log_index


def _metadata_rows(agents: Iterable[Identity]) -> Iterable[tuple[Any, ...]]:
    for a in agents:
        for key_hash, e in a.entries.items():
            yield a.agent_id, key_hash, e.key, e.value, e.block_number, e.log_index


# Feedback marks and validations --------------------------------------------------------------

UPSERT_MARKS: LiteralString = """
INSERT INTO feedback_mark
       (chain_id, block_number, log_index, agent_id, client, feedback_index, revoked_block,
        revoked_log_index, superseded_block, superseded_log_index, response_count)
SELECT $1, * FROM unnest($2::bigint[], $3::integer[], $4::bigint[], $5::bytea[], $6::bigint[],
                         $7::bigint[], $8::integer[], $9::bigint[], $10::integer[], $11::integer[])
    ON CONFLICT (chain_id, block_number, log_index)
    DO UPDATE SET revoked_block = excluded.revoked_block,
                  revoked_log_index = excluded.revoked_log_index,
                  superseded_block = excluded.superseded_block,
                  superseded_log_index = excluded.superseded_log_index,
                  response_count = excluded.response_count
"""
UPSERT_VALIDATIONS: LiteralString = """
INSERT INTO validation
       (chain_id, agent_id, contract, request_hash, validator, request_uri, requested_block,
        requested_log_index, response, response_uri, response_hash, tag, responded_block,
        responded_log_index, response_count)
SELECT $1, * FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[],
                         $7::bigint[], $8::integer[], $9::smallint[], $10::bytea[], $11::bytea[],
                         $12::bytea[], $13::bigint[], $14::integer[], $15::integer[])
    ON CONFLICT (chain_id, agent_id, contract, request_hash)
    DO UPDATE SET response = excluded.response, response_uri = excluded.response_uri,
                  response_hash = excluded.response_hash, tag = excluded.tag,
                  responded_block = excluded.responded_block,
                  responded_log_index = excluded.responded_log_index,
                  response_count = excluded.response_count
"""


# Stats ---------------------------------------------------------------------------------------

ADD_STATS: LiteralString = """
INSERT INTO agent_stats AS s
       (chain_id, agent_id, version, feedback_count, revoked_count, client_count, response_count,
        validation_count, validation_responded_count)
SELECT $1, n.agent_id, $2, n.feedback_count, n.revoked_count, n.client_count, n.response_count,
       n.validation_count, n.validation_responded_count
  FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
              $9::bigint[])
    AS n (agent_id, feedback_count, revoked_count, client_count, response_count, validation_count,
          validation_responded_count)
    ON CONFLICT (chain_id, agent_id)
    DO UPDATE SET version = excluded.version,
                  feedback_count = s.feedback_count + excluded.feedback_count,
                  revoked_count = s.revoked_count + excluded.revoked_count,
                  client_count = s.client_count + excluded.client_count,
                  response_count = s.response_count + excluded.response_count,
                  validation_count = s.validation_count + excluded.validation_count,
                  validation_responded_count =
                      s.validation_responded_count + excluded.validation_responded_count
"""
ADD_TAGS: LiteralString = """
INSERT INTO agent_tag_stats AS s
       (chain_id, agent_id, tags_hash, tag1, tag2, given_count, live_count, live_sum)
SELECT $1, * FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[],
                         $7::bigint[], $8::numeric[])
    ON CONFLICT (chain_id, agent_id, tags_hash)
    DO UPDATE SET given_count = s.given_count + excluded.given_count,
                  live_count = s.live_count + excluded.live_count,
                  live_sum = s.live_sum + excluded.live_sum
"""
DELETE_EMPTY_TAGS: LiteralString = """
DELETE FROM agent_tag_stats
 WHERE chain_id = $1 AND agent_id = ANY($2::bigint[]) AND given_count = 0
"""


# Both at once, and a pair of tags goes with its last feedback: a retraction costs its statements.
ADD_SUMS: LiteralString = f"""
WITH stats AS ({ADD_STATS})
MERGE INTO agent_tag_stats s
USING unnest($10::bigint[], $11::bytea[], $12::bytea[], $13::bytea[], $14::bigint[], $15::bigint[],
             $16::numeric[])
      AS n (agent_id, tags_hash, tag1, tag2, given_count, live_count, live_sum)
   ON s.chain_id = $1 AND s.agent_id = n.agent_id AND s.tags_hash = n.tags_hash
 WHEN MATCHED AND s.given_count + n.given_count = 0 THEN DELETE
 WHEN MATCHED THEN
      UPDATE SET given_count = s.given_count + n.given_count,
                 live_count = s.live_count + n.live_count,
                 live_sum = s.live_sum + n.live_sum
 WHEN NOT MATCHED THEN
      INSERT (chain_id, agent_id, tags_hash, tag1, tag2, given_count, live_count, live_sum)
      VALUES ($1, n.agent_id, n.tags_hash, n.tag1, n.tag2, n.given_count, n.live_count, n.live_sum)
"""


async def add_stats(
    conn: Connection[Any],
    chain_id: int,
    agents: dict[int, AgentCounts],
    tags: dict[TagsKey, TagCounts],
    *,
    touched: Iterable[int],
    version: int,
) -> None:
    """Add changes of counts to agents that exist, and raise the version of all `touched`, which
    those of `agents` and `tags` are among."""
    nothing = AgentCounts()
    counted = [
        (agent_id, *msgspec.structs.astuple(agents.get(agent_id, nothing)))
        for agent_id in sorted(touched)
    ]
    tagged = [_tag_row(key, counts) for key, counts in tags.items() if counts]
    if counted:
        await conn.execute(
            ADD_SUMS, chain_id, version, *_transpose(counted, 7), *_transpose(tagged, 7)
        )


async def write_requests(conn: Connection[Any], chain_id: int, fold: Fold) -> None:
    """Write the validations that `fold` changed."""
    rows = [
        (*key, *msgspec.structs.astuple(fold.requests[key]))
        for key in sorted(fold.changed_requests)
    ]
    if rows:
        await conn.execute(UPSERT_VALIDATIONS, chain_id, *_transpose(rows, 14))


async def write_marks(conn: Connection[Any], chain_id: int, fold: Fold) -> None:
    """Write the marks of the cells that `fold` changed."""
    none = (None, None)
    rows = [
        (
            *(record.block_number, record.log_index, *key),
            *(*(record.revoked or none), *(record.superseded or none), record.response_count),
        )
        for key in sorted(fold.changed_cells)
        for record in fold.cells[key]
        if record.marked
    ]
    if rows:
        await conn.execute(UPSERT_MARKS, chain_id, *_transpose(rows, 10))


async def _write_stats(
    conn: Connection[Any], chain_id: int, fold: Fold, minted: set[int], version: int
) -> None:
    nothing = AgentCounts()
    astuple = msgspec.structs.astuple
    new = [
        (chain_id, agent_id, version, *astuple(fold.agents.get(agent_id, nothing)))
        for agent_id in sorted(minted)
    ]
    old = [
        (agent_id, *astuple(fold.agents.get(agent_id, nothing)))
        for agent_id in sorted(fold.touched - minted)
    ]
    if new:
        await conn.copy_records_to_table("agent_stats", records=new, columns=STATS_COLUMNS)
    if old:
        await conn.execute(ADD_STATS, chain_id, version, *_transpose(old, 7))


async def _write_tags(
    conn: Connection[Any], chain_id: int, tags: dict[TagsKey, TagCounts], minted: set[int]
) -> None:
    new: list[tuple[Any, ...]] = []
    old: list[tuple[Any, ...]] = []
    emptied: set[int] = set()
    for key, c in tags.items():
        if not c:
            continue
        agent_id, row = key[0], _tag_row(key, c)
        if agent_id in minted:
            new.append((chain_id, *row))
        else:
            old.append(row)
            if c.given_count < 0:
                emptied.add(agent_id)
    if new:
        await conn.copy_records_to_table("agent_tag_stats", records=new, columns=TAG_COLUMNS)
    if old:
        await conn.execute(ADD_TAGS, chain_id, *_transpose(old, 7))
    if emptied:
        await conn.execute(DELETE_EMPTY_TAGS, chain_id, sorted(emptied))


def _tag_row(key: TagsKey, c: TagCounts) -> tuple[Any, ...]:
    agent_id, tag1, tag2 = key
    return agent_id, tags_hash(tag1, tag2), tag1, tag2, c.given_count, c.live_count, c.live_sum


def _transpose(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]
