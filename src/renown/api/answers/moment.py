"""One agent's page, now or at a past block: which block to read at, and what to make of nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from renown.api.answers.as_of import At, past
from renown.store.pool import Conn, transaction
from renown.store.reads import NOW, Head, no_such_agent, require_chain
from renown.types import AgentKey


class OfAgent(Protocol):
    """What the store's reads of one agent have in common."""

    @property
    def head(self) -> Head: ...
    @property
    def agent_id(self) -> int | None: ...
    @property
    def version(self) -> int: ...


F = TypeVar("F", bound=OfAgent)


async def read_at(
    conn: Conn, key: AgentKey, at: At | None, read: Callable[[int], Awaitable[F | None]]
) -> tuple[F, Head, str]:
    """What `read(upto_block)` gives, the block it is true at, and the agent's version.

    Now is one statement; the past is two in one snapshot.

    Raises:
        AgentNotFound, ChainNotFound, BlockBeyondHead, BadParameter.
    """
    if at is None:
        found = await read(NOW)
        head = require_chain(key, found.head if found else None)
    else:
        async with transaction(conn, "repeatable_read"):
            head = await past(conn, key, at)
            found = await read(head.block_number)
    if found is None or found.agent_id is None:
        raise no_such_agent(key, head, past=at is not None)
    return found, head, f"{head.epoch:x}.{head.chain_id}.{found.agent_id}.{found.version}"
