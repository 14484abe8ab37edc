"""Small worlds for chain tests: a chain with registry logs, and a source that does not dawdle."""

from __future__ import annotations

import random
from typing import Any

from renown.chain.nodes import Patience
from renown.chain.reader import Sampling
from renown.chain.source import ChainSource
from renown.spec.deployments import Deployment, FinalityPolicy, find
from renown.spec.logs import RawLog
from tests.fakes.chain import TRANSFER, ZERO_TOPIC, FakeChain, fake_log
from tests.fakes.node import FakeNode, connect

DEVNET: Deployment = find("devnet")
IDENTITY = "0x" + DEVNET.identity.hex()
REPUTATION = "0x" + DEVNET.reputation.hex()
NEW_FEEDBACK = "0x6a4a61743519c9d648a14e6493f47dbe3ff1aa29e7785c96c8326a205e58febc"

QUICK = Patience(
    attempts=12,
    backoff_seconds=0.0005,
    backoff_cap_seconds=0.004,
    deadline_seconds=2,
    slowest_rate=1_000,
)
"""Retries that cost a test milliseconds."""

EVERYTHING = Sampling(
    empty_ranges=1.0, busy_ranges=1.0, blocks=1_000, second_operator=1.0, every_topic=1.0
)
"""Every range is looked at twice, block by block."""


def feedback_log(dice: random.Random, *, size_bytes: int = 64) -> dict[str, Any]:
    """A log with the shape of `NewFeedback`, its words random."""
    client = bytes(12) + dice.randbytes(20)
    topics: list[bytes | str] = [NEW_FEEDBACK, dice.randbytes(32), client, dice.randbytes(32)]
    return fake_log(REPUTATION, topics, dice.randbytes(size_bytes))


def mint_log(agent_id: int, owner: bytes = b"\x11" * 20) -> dict[str, Any]:
    """The ERC-721 transfer that creates an agent."""
    return fake_log(IDENTITY, [TRANSFER, ZERO_TOPIC, bytes(12) + owner, agent_id.to_bytes(32)])


def busy_chain(
    blocks: int, *, seed: int = 1, busy: float = 0.2, logs: int = 3, **more: Any
) -> FakeChain:
    """`blocks` blocks of which a share has `logs` feedback logs each."""
    chain, dice = FakeChain(seed, **more), random.Random(seed)
    for _ in range(blocks):
        chain.append([feedback_log(dice) for _ in range(logs)] if dice.random() < busy else [])
    return chain


def source_of(*nodes: FakeNode, **more: Any) -> ChainSource:
    """A source over these nodes, in memory."""
    settings: dict[str, Any] = {
        "contracts": DEVNET.contracts,
        "seed": 7,
        "patience": QUICK,
        "policy": FinalityPolicy(depth_blocks=8, reorg_limit_blocks=64, block_seconds=0.01),
        **more,
    }
    return ChainSource(DEVNET, [node.url for node in nodes], connect=connect(*nodes), **settings)


def as_dicts(logs: list[RawLog]) -> list[tuple[str, str, str]]:
    """What identifies logs: block hash, log index, data."""
    return [(log.block_hash, log.log_index, log.data) for log in logs]


def truth(chain: FakeChain, first: int, last: int) -> list[tuple[str, str, str]]:
    """The same of the chain itself."""
    return [(log["blockHash"], log["logIndex"], log["data"]) for log in chain.logs(first, last)]
