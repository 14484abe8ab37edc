"""A real chain for tests: anvil on a free port, gone afterwards. Skips where anvil is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from renown.chain.devnet.anvil import Anvil, find_anvil
from renown.chain.rpc import Node
from renown.errors import ToolMissing
from tests.conftest import skip_unless

GENESIS_SECONDS = 1_767_225_600
"""1 January 2026: a fixed clock makes equal chains equal, hash by hash."""


def need_anvil() -> None:
    """Skip, or fail when strict, where there is no anvil."""
    found, hint = True, ""
    try:
        find_anvil()
    except ToolMissing as exc:
        found, hint = False, exc.detail
    skip_unless(found, "anvil", hint)


@asynccontextmanager
async def running_anvil() -> AsyncIterator[Node]:
    """A node of a fresh chain that starts at `GENESIS_SECONDS`."""
    need_anvil()
    async with Anvil(genesis_time_seconds=GENESIS_SECONDS) as anvil:
        node = Node(anvil.url)
        try:
            yield node
        finally:
            await node.close()
