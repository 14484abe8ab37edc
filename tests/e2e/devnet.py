"""A devnet for a test, and an index of it up to a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from renown.chain.devnet.anvil import Anvil
from renown.chain.rpc import Node
from renown.ingest.supervise import Job, Supervisor
from renown.spec.deployments import Deployment
from renown.store.pool import connect
from tests.anvil import GENESIS_SECONDS, need_anvil

INDEX_SECONDS = 120


class Devnet(msgspec.Struct, frozen=True):
    """A node without mining of its own, and where it listens."""

    node: Node
    url: str

    async def head(self) -> int:
        """Number of its newest block."""
        return int(await self.node.call("eth_blockNumber", [], str), 16)


@asynccontextmanager
async def devnet() -> AsyncIterator[Devnet]:
    """A fresh chain that starts at `GENESIS_SECONDS`. Skips where there is no anvil."""
    need_anvil()
    async with Anvil(genesis_time_seconds=GENESIS_SECONDS) as anvil:
        node = Node(anvil.url)
        try:
            yield Devnet(node, anvil.url)
        finally:
            await node.close()


async def index(url: str, deployment: Deployment, node_url: str, *, until: int) -> None:
    """Index the chain from where the database at `url` stands through block `until`, and stop."""
    job = Job(deployment, (node_url,), poll_seconds=0.05)
    async with asyncio.timeout(INDEX_SECONDS):
        await Supervisor(lambda: connect(url)).follow(job, until=until)
