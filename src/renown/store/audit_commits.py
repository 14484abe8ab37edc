"""What the writer of a chain tells the audit log, in the transaction that it tells of.

Three actions, all with the subject `chain:<id>`:

    commit    blocks stored, with the hash of their facts (`derive.facts_hash`)
    retract   blocks taken back because the chain was reorganised
    repair    what an operator had done: `what` is refold, replay, rewind or forget

A commit of blocks without logs has no entry: the next one's `from_block` covers them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, LiteralString

import msgspec

from renown.obs import metrics
from renown.obs.acting import ACTING
from renown.store.audit_entries import NewEntry, append
from renown.store.audit_facts import Blocks, hash_of_blocks, removed_up_to, statements
from renown.store.pool import Conn, Tx


class Commit(msgspec.Struct, frozen=True):
    """Blocks that were stored. `facts` by kind; `facts_sha256` covers `quarantined` logs, too."""

    from_block: int
    to_block: int
    block_hash: bytes
    by_kind: dict[str, int]
    quarantined: int
    facts_sha256: str
    position: int


async def say_commit(tx: Tx, chain_id: int, commit: Commit) -> None:
    """Tell of a commit that has logs."""
    detail = {
        "from_block": commit.from_block,
        "to_block": commit.to_block,
        "block_hash": "0x" + commit.block_hash.hex(),
        "facts": sum(commit.by_kind.values()),
        "by_kind": commit.by_kind,
        "quarantined": commit.quarantined,
        "facts_sha256": commit.facts_sha256,
        "position": commit.position,
    }
    await _say(tx, chain_id, "commit", detail)


async def say_retract(
    tx: Tx,
    chain_id: int,
    *,
    to_block: int,
    from_block: int,
    facts: int,
    facts_sha256: str,
    position: int,
    by_operator: bool,
) -> None:
    """Tell that the blocks above `to_block`, up to `from_block`, were dropped.

    Where that left a part of a commit standing, its hash is told anew.
    """
    detail: dict[str, Any] = {
        "to_block": to_block,
        "from_block": from_block,
        "dropped": facts,
        "facts_sha256": facts_sha256,
        "position": position,
    }
    row = await tx.fetchrow(CUT, _subject(chain_id), to_block)
    if row is not None and row[1] > to_block:
        left = await hash_of_blocks(tx, chain_id, row[0], to_block)
        detail["ranges"] = [msgspec.to_builtins(left)]
    if by_operator:
        await _say(tx, chain_id, "repair", {"what": "rewind", **detail})
    else:
        await _say(tx, chain_id, "retract", detail)


async def say_refold(
    tx: Tx, chain_id: int, *, agents: int, learnt_blocks: Sequence[int], position: int
) -> None:
    """Tell that agents were folded anew; and, where quarantined logs became facts, what the commits
    that they came with hash to now."""
    detail: dict[str, Any] = {
        "what": "replay" if learnt_blocks else "refold",
        "agents": agents,
        "position": position,
    }
    if learnt_blocks:
        blocks = sorted(set(learnt_blocks))
        changed = [s async for s in statements(tx, chain_id) if _holds_any(s, blocks)]
        detail["learnt"] = len(learnt_blocks)
        detail["ranges"] = [
            msgspec.to_builtins(await hash_of_blocks(tx, chain_id, s.from_block, s.to_block))
            for s in changed
        ]
    await _say(tx, chain_id, "repair", detail)


async def say_forget(
    tx: Tx, chain_id: int, *, events: int | None, block_number: int | None
) -> None:
    """Tell that all of a chain was dropped. What the log says of its blocks is void from here."""
    detail = {"what": "forget", "events": events, "block_number": block_number}
    await _say(tx, chain_id, "repair", detail)


async def told_to(conn: Conn, chain_id: int) -> int | None:
    """Up to which block the log tells of the chain; None: of none that is stored now, or what it
    told last went by retention."""
    row = await conn.fetchrow(LAST_TOLD, _subject(chain_id))
    if row is None or row[0] == "forget" or row[2] <= await removed_up_to(conn):
        return None
    told_to: int = row[1]
    return told_to


async def _say(tx: Tx, chain_id: int, action: str, detail: dict[str, Any]) -> None:
    acting = ACTING.get()
    if acting is not None and acting.command is not None:
        detail |= {"command": acting.command, "person": acting.person}
    await append(tx, [NewEntry(action=action, subject=_subject(chain_id), detail=detail)])
    metrics.AUDIT_ENTRIES.labels(action).inc()


def _holds_any(stretch: Blocks, blocks: Sequence[int]) -> bool:
    at = bisect_left(blocks, stretch.from_block)
    return at < len(blocks) and blocks[at] <= stretch.to_block


def _subject(chain_id: int) -> str:
    return f"chain:{chain_id}"


# The latest commit that begins at or below the block is the one that holds it, as commits follow
# each other: those that a reorganisation took back and that begin below were told anew. Ids, not
# times, are in the order of one chain's entries: a clock may be set back. All kinds of entries are
# named as the index on them does.
CUT: LiteralString = """
SELECT (detail ->> 'from_block')::bigint, (detail ->> 'to_block')::bigint
  FROM audit_log
 WHERE subject = $1 AND action = 'commit' AND action IN ('commit', 'retract', 'repair')
   AND (detail ->> 'from_block')::bigint <= $2
 ORDER BY entry_id DESC LIMIT 1
"""
LAST_TOLD: LiteralString = """
SELECT detail ->> 'what', (detail ->> 'to_block')::bigint, entry_id
  FROM audit_log
 WHERE subject = $1
   AND (action IN ('commit', 'retract')
        OR action = 'repair' AND detail ->> 'what' IN ('forget', 'rewind'))
   AND action IN ('commit', 'retract', 'repair')
 ORDER BY entry_id DESC LIMIT 1
"""
