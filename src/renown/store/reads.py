"""What every read shares: the chain it reads, and the block its answer is true at.

Each read is one statement where it can be, so data and block come from one snapshot. `upto_block`
bounds a read to facts at or below that block; `NOW` bounds nothing. Foreign strings are cut to a
given number of bytes in the database, with their full length beside them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from renown.errors import AgentNotFound, ChainNotFound
from renown.types import MAX_BIGINT, AgentKey, AgentRef, ShortKey

NOW = MAX_BIGINT
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""Later than every block."""
UNCUT = 2**31 - 1

HEAD: LiteralString = """c.chain_id, c.identity, c.start_block, k.block_number, k.block_hash,
       k.block_time, k.final_block, k.safe_block, c.epoch, k.position"""
HEAD_COLUMNS = 10


class Head(msgspec.Struct, frozen=True, gc=False):
    """A chain and one of its blocks: the checkpoint's, or one of the past.

    `block_hash` is None where nothing is stored at or below the block.
    """

    chain_id: int
    registry: bytes
    start_block: int
    block_number: int
    block_hash: bytes | None
    block_time: datetime | None
    final_block: int
    safe_block: int | None
    epoch: int
    """Of the chain's life in this index; versions start again with each."""
    position: int = 0
    """Last position of the chain's outbox in the snapshot that was read; 0 where nobody asked."""


class KeyArgs(msgspec.Struct, frozen=True, gc=False):
    """An agent key as the parameters of a statement: an id of a chain, or a UUID."""

    chain_id: int | None
    agent_id: int | None
    uuid: UUID | None


def key_args(key: AgentKey) -> KeyArgs:
    """The statement's parameters for any form of key."""
    if isinstance(key, UUID):
        return KeyArgs(None, None, key)
    return KeyArgs(key.chain_id, key.agent_id, None)


def require_chain(key: AgentKey, head: Head | None) -> Head:
    """`head`, if it is of the chain and registry that `key` names.

    Raises:
        ChainNotFound: the index does not hold the chain.
        AgentNotFound: no agent has this UUID, or the key names another registry.
    """
    if head is None:
        if isinstance(key, UUID):
            raise AgentNotFound("no agent of this index has this UUID", key=str(key))
        raise ChainNotFound("this index does not hold that chain", chain_id=key.chain_id)
    if isinstance(key, AgentRef) and key.registry != head.registry:
        raise AgentNotFound(
            "the key names a registry that this index does not follow on that chain",
            key=key.key,
            followed_registry="0x" + head.registry.hex(),
        )
    return head


def no_such_agent(key: AgentKey, head: Head, *, past: bool = False) -> AgentNotFound:
    """The error for an agent that the chain of `head` does not have."""
    number = head.block_number
    when = f"at block {number}" if past else f"up to block {number}"
    return AgentNotFound(f"no such agent on chain {head.chain_id} {when}", key=key_text(key))


def key_text(key: AgentKey) -> str:
    """`key` as text, in the form it came in."""
    if isinstance(key, ShortKey):
        return f"{key.chain_id}:{key.agent_id}"
    return key.key if isinstance(key, AgentRef) else str(key)
