"""What proofs about the audit log are made of: a leaf, some nodes, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.audit_payload import PAYLOAD
from renown.store.pool import Conn


class ProvenEntry(msgspec.Struct, frozen=True):
    """A leaf and what was hashed to it; `payload` is None where retention took the entry."""

    seq: int
    entry_id: int
    leaf_hash: bytes
    payload: str | None


class CheckpointRow(msgspec.Struct, frozen=True):
    """A row of `audit_checkpoint`."""

    size: int
    root_hash: bytes
    link_hash: bytes
    note: str
    at: datetime


ENTRY: LiteralString = f"""
SELECT f.seq, f.entry_id, f.leaf_hash, CASE WHEN l.entry_id IS NOT NULL THEN {PAYLOAD} END
  FROM public.audit_leaf f
  LEFT JOIN public.audit_log l ON l.entry_id = f.entry_id AND l.at = f.at AND isfinite(l.at)
 WHERE f.entry_id = $1
"""
NODES: LiteralString = """
SELECT w.level, w.index, n.hash
  FROM unnest($1::smallint[], $2::bigint[]) AS w (level, index)
  JOIN public.audit_node n ON n.level = w.level AND n.index = w.index
 UNION ALL
SELECT 0, w.index, f.leaf_hash
  FROM unnest($3::bigint[]) AS w (index)
  JOIN public.audit_leaf f ON f.seq = w.index
"""
LINK: LiteralString = "SELECT link_hash FROM public.audit_leaf WHERE seq = $1"

_CHECKPOINT: LiteralString = (
    "SELECT size, root_hash, link_hash, note, at FROM public.audit_checkpoint "
)
LATEST: LiteralString = f"{_CHECKPOINT} ORDER BY size DESC LIMIT 1"
AT_LEAST: LiteralString = f"{_CHECKPOINT} WHERE size >= $1 ORDER BY size LIMIT 1"
NEXT: LiteralString = f"{_CHECKPOINT} WHERE size > $1 ORDER BY size LIMIT $2"
KEEP: LiteralString = """
INSERT INTO public.audit_checkpoint (size, root_hash, link_hash, note) VALUES ($1, $2, $3, $4)
    ON CONFLICT (size) DO NOTHING
"""


async def proven_entry(conn: Conn, entry_id: int) -> ProvenEntry | None:
    """The leaf of an entry; None where there is none, or none yet."""
    row = await conn.fetchrow(ENTRY, entry_id)
    return None if row is None else ProvenEntry(*row)


async def node_hashes(
    conn: Conn, nodes: Sequence[tuple[int, int]]
) -> Mapping[tuple[int, int], bytes]:
    """Hashes of nodes (level, index), leaves being at level 0; those not held are missing.

    One statement, and one row read for each node: a proof takes at most about twice the logarithm
    of the log's size.
    """
    inner = [node for node in nodes if node[0] > 0]
    leaves = [index for level, index in nodes if level == 0]
    rows = await conn.fetch(
        NODES, [level for level, _ in inner], [index for _, index in inner], leaves
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def link_at(conn: Conn, seq: int) -> bytes | None:
    """The link of leaf `seq`."""
    found: bytes | None = await conn.fetchval(LINK, seq)
    return found


async def latest_checkpoint(conn: Conn, *, at_least: int = 0) -> CheckpointRow | None:
    """The newest checkpoint; None if there is none of `at_least` entries."""
    row = await conn.fetchrow(LATEST)
    return None if row is None or row[0] < at_least else CheckpointRow(*row)


async def checkpoint_from(conn: Conn, size: int) -> CheckpointRow | None:
    """The smallest checkpoint of at least `size` entries."""
    row = await conn.fetchrow(AT_LEAST, size)
    return None if row is None else CheckpointRow(*row)


async def checkpoints_after(conn: Conn, size: int, limit: int) -> list[CheckpointRow]:
    """Checkpoints of more than `size` entries, the smallest first."""
    return [CheckpointRow(*row) for row in await conn.fetch(NEXT, size, limit)]


async def keep_checkpoint(
    conn: Conn, size: int, root_hash: bytes, link_hash: bytes, note: str
) -> None:
    """Keep a checkpoint. One of the same size that is held stays as it is."""
    await conn.execute(KEEP, size, root_hash, link_hash, note)
