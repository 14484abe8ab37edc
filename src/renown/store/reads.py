"""What every read shares: the chain it reads, and the block its answer is true at.

Each read is one statement where it can be, so data and block come from one snapshot. `upto_block`
bounds a read to facts at or below that block; `NOW` bounds nothing. Foreign strings are cut to a
given number of bytes in the database, with their full length beside them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from renown.errors import AgentNotFound, ChainNotFound
from renown.types import MAX_BIGINT, AgentKey, AgentRef, ShortKey

NOW = MAX_BIGINT
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
"""Later than every block."""
UNCUT = 2**31 - 1


def down_from(upto_block: int, block_number: int, log_index: int) -> tuple[int, int]:
    """Where a page that goes down the chain starts: below this place, and not above `upto_block`.

    One bound and not two: an index scan starts at one of them, and beside `block <= upto` it would
    start there and walk to the place through all that earlier pages showed.
    """
    return (
        min((block_number, log_index), (upto_block + 1, 0))
        if upto_block < NOW
        else (block_number, log_index)
    )


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


# Agents by key ---------------------------------------------------------------------------------

# A statement about one agent says which by these two, its first parameters, in every table that it
# reads: so partitions of other chains are left out before it starts, not opened to find nothing.
# For an agent known by its UUID there is a statement of its own, made of the first one: to look
# the agent up in every statement, wanted or not, cost a fifth of an answer by id.
CHAIN: LiteralString = "$1::bigint"
AGENT_ID: LiteralString = "$2::bigint"

HEAD_TEXT: LiteralString = "k.head"
"""The chain's head as one column, for `head_of`, where `k` is its checkpoint. Every row of a page
has it, and ten columns in each would take longer than the rows."""

_head = msgspec.json.Decoder(
    tuple[
        int, str, int, int, str | None, datetime | None, int, int | None, int, int
    ]
)  # fmt: skip


@lru_cache(maxsize=256)
def head_of(text: str) -> Head:
    """The head that HEAD_TEXT gave; remembered, as all that is read at a block has the same."""
    chain_id, registry, start, number, block_hash, time, final, safe, epoch, position = (
        _head.decode(text)
    )
    return Head(
        chain_id,
        bytes.fromhex(registry),
        start,
        number,
        None if block_hash is None else bytes.fromhex(block_hash),
        None if time is None else time.replace(tzinfo=UTC),
        final,
        safe,
        epoch,
        position,
    )


def by_uuid(statement: LiteralString) -> LiteralString:
    """The same statement for a UUID: it is the first parameter, and the second is null."""
    found = statement.replace(CHAIN, "(SELECT chain_id FROM key)").replace(
        AGENT_ID, "(SELECT agent_id FROM key)"
    )
    return f"""
WITH key AS (
SELECT chain_id, agent_id FROM agent WHERE uuid = $1::uuid AND $2::bigint IS NULL
){found}"""


class KeyArgs(msgspec.Struct, frozen=True, gc=False):
    """An agent key as the parameters of a statement: an id of a chain, or a UUID."""

    chain_id: int | None
    agent_id: int | None
    uuid: UUID | None

    def asks(self, by_id: str, by_uuid: str) -> tuple[str, Any, Any]:
        """The one of two statements that is for this form of key, and its first two parameters."""
        if self.uuid is not None:
            return by_uuid, self.uuid, None
        return by_id, self.chain_id, self.agent_id


def key_args(key: AgentKey) -> KeyArgs:
    """The statement's parameters for any form of key."""
    if isinstance(key, UUID):
        return KeyArgs(None, None, key)
    return KeyArgs(key.chain_id, key.agent_id, None)


def place_of(key: AgentKey) -> tuple[int, int] | None:
    """The chain and agent id that a key names; None for a UUID, which has to be looked up."""
    return None if isinstance(key, UUID) else (key.chain_id, key.agent_id)


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
