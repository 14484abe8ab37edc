"""How large a world is and how it falls into chains, spans of blocks and chunks. Pure.

A world is a function of its size and its seed. Each chain's life is cut into spans: one span holds
the registrations, feedback and payments of its blocks, and nothing in it depends on another span
but the numbers of agents there were before.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache

import msgspec

from renown.errors import BadParameter
from renown.spec.deployments import DEPLOYMENTS, Deployment

FEEDBACK_PER_AGENT = 10
PAYMENTS_PER_AGENT = 5
BEGAN_AT = datetime(2026, 2, 1, tzinfo=UTC)
"""When the first block of each chain's world was made."""
DAYS = 270

_SLUGS = (
    *("base", "ethereum", "bsc", "base-sepolia", "celo", "arbitrum", "polygon", "optimism"),
    *("avalanche", "sepolia", "linea", "gnosis"),
)
MOST_CHAINS = len(_SLUGS)
_SHARE_OF_NEXT = 0.48  # each chain has so many of the agents that the one before has
SPAN_FEEDBACK = 25_000
SPAN_AGENTS = 5_000
LEAST_SPANS = 6
CHUNK_AGENTS = 5_000
"""Agents whose rows for lists are made in one transaction."""
_ACTIONS_A_BLOCK = 4


class WorldSize(msgspec.Struct, frozen=True):
    """How many of what; `feedback` and `payments` follow the agents where they are not said."""

    agents: int
    feedback: int | None = None
    payments: int | None = None
    chains: int = 4
    seed: int = 1

    def __post_init__(self) -> None:
        if self.agents < 50:
            raise BadParameter("a world has 50 agents at least", parameter="--agents")
        if not 1 <= self.chains <= MOST_CHAINS:
            raise BadParameter(f"a world has 1 to {MOST_CHAINS} chains", parameter="--chains")
        if min(self.feedbacks, self.paid) < 0:
            raise BadParameter("a world cannot have less than nothing of a thing")
        if not 0 <= self.seed < 2**32:
            raise BadParameter("a seed is from 0 to 4294967295", parameter="--seed")

    @property
    def feedbacks(self) -> int:
        """Feedback of all chains."""
        return FEEDBACK_PER_AGENT * self.agents if self.feedback is None else self.feedback

    @property
    def paid(self) -> int:
        """Payments of all chains."""
        return PAYMENTS_PER_AGENT * self.agents if self.payments is None else self.payments


class ChainPart(msgspec.Struct, frozen=True, dict=True):
    """What of a world is on one chain.

    Attributes:
        number: of the chain within the world, 0 for the largest.
        first: ordinal in the world of the chain's first agent.
        heavy_feedback: feedback of one client to one agent, among `feedbacks`.
        block_count: blocks from the deployment's first one on.
    """

    number: int
    deployment: Deployment
    first: int
    agents: int
    feedbacks: int
    payments: int
    heavy_feedback: int
    spans: int
    block_count: int

    @cached_property
    def chain_id(self) -> int:
        """Its id."""
        return self.deployment.chain_id

    @cached_property
    def start_block(self) -> int:
        """The first block."""
        return self.deployment.start_block or 0

    @cached_property
    def last_block(self) -> int:
        """The head."""
        return self.start_block + self.block_count - 1

    @cached_property
    def final_block(self) -> int:
        """The last block that is final."""
        return max(
            self.start_block,
            self.last_block - min(self.deployment.finality.depth_blocks, self.block_count // 20),
        )

    def agents_before(self, span: int) -> int:
        """Agents registered before a span begins; ids count from 0 without gaps."""
        return self.agents * span // self.spans

    def span_blocks(self, span: int) -> tuple[int, int]:
        """First block of a span, and the first behind it."""
        first = self.start_block + self.block_count * span // self.spans
        return first, self.start_block + self.block_count * (span + 1) // self.spans

    def span_share(self, whole: int, span: int) -> int:
        """The share of a span in a number of things."""
        return whole * (span + 1) // self.spans - whole * span // self.spans

    def seconds_of(self, block: int) -> int:
        """Seconds from BEGAN_AT to when a block was made."""
        return (block - self.start_block) * DAYS * 86_400 // self.block_count

    def time_of(self, block: int) -> datetime:
        """When a block was made."""
        return BEGAN_AT + timedelta(seconds=self.seconds_of(block))


@lru_cache(maxsize=8)
def chain_parts(size: WorldSize) -> tuple[ChainPart, ...]:
    """The chains of a world, largest first."""
    by_slug = {deployment.slug: deployment for deployment in DEPLOYMENTS.values()}
    weights = [_SHARE_OF_NEXT**n for n in range(size.chains)]
    bounds = [sum(weights[:n]) / sum(weights) for n in range(size.chains + 1)]
    bounds[-1] = 1.0
    parts = []
    for n in range(size.chains):
        agents, feedbacks, payments = (
            round(whole * bounds[n + 1]) - round(whole * bounds[n])
            for whole in (size.agents, size.feedbacks, size.paid)
        )
        heavy = min(feedbacks // 2, round(size.feedbacks * 0.0041331)) if n == 0 else 0
        if not agents:
            raise BadParameter(
                f"{size.agents} agents are too few for {size.chains} chains", parameter="--chains"
            )
        deployment = by_slug[_SLUGS[n]]
        spans = max(LEAST_SPANS, -(-feedbacks // SPAN_FEEDBACK), -(-agents // SPAN_AGENTS))
        spans = min(spans, agents)  # each has agents of its own
        usual = round(DAYS * 86_400 / deployment.finality.block_seconds)
        needed = (agents + feedbacks) // 2
        parts.append(
            ChainPart(
                number=n,
                deployment=deployment,
                first=round(size.agents * bounds[n]),
                agents=agents,
                feedbacks=feedbacks,
                payments=payments,
                heavy_feedback=heavy,
                spans=spans,
                block_count=max(usual, needed, 64 * spans),
            )
        )
    return tuple(parts)


def action_blocks(actions: int, blocks: int) -> int:
    """Into how many blocks of a span its actions fall."""
    return max(1, min(blocks, -(-actions // _ACTIONS_A_BLOCK)))
