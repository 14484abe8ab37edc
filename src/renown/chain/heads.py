"""Watch a chain's head: monotone where nodes lag, honest where the chain was reorganised."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import structlog

from renown.chain import fetch
from renown.chain.answers import Head
from renown.chain.nodes import Member, NodePool
from renown.chain.ranges import BeyondHead as BeyondHeadVerdict
from renown.chain.ranges import NotASizeError, Unknown, classify
from renown.chain.rpc import Refusal
from renown.chain.verify import Header, block_ref
from renown.errors import BeyondHead, NodeError
from renown.spec.deployments import FinalityPolicy
from renown.types import BlockRef

log = structlog.get_logger(__name__)

_TAG_STRIKES = 3  # answers without the tag before the chain is believed to have none
_REMEMBERED_BLOCKS = 4_096
_STALE_BLOCK_TIMES = 10.0


class HeadWatch:
    """The head of one chain.

    A node that shows a lower block which we know to be an ancestor lags: the head stays. A lower
    block with another hash than the one we saw at its height is a reorg, and is handed out.
    """

    def __init__(
        self,
        pool: NodePool,
        policy: FinalityPolicy,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._policy = policy
        self._clock = clock
        self._best: Head | None = None
        self._finalized = -1
        self._hashes: dict[int, bytes] = {}
        self._advanced_at = clock()
        self._tag_works = False
        self._tag_strikes = 0

    async def poll(self) -> Head:
        """The head now. Raises NodeError when no node can say."""
        head = await self._pool.ask("the head", self._question)
        while self._undecided():
            head = await self._pool.ask("the head", self._question)
        if self._best is not None and self._suspicious(head):
            head = await self._highest(head)
        self._finalized = max(self._finalized, min(head.finalized, head.latest.number))
        if self._lags(head):
            assert self._best is not None
            return self._keep(self._best)
        if self._best is None or head.latest.number > self._best.latest.number:
            self._advanced_at = self._clock()
        self.remember((head.latest,))
        return self._keep(head)

    def remember(self, blocks: Iterable[BlockRef]) -> None:
        """These blocks were seen: a lagging node that shows one of them later is no reorg."""
        for block in blocks:
            self._hashes[block.number] = block.hash
        if len(self._hashes) > _REMEMBERED_BLOCKS:
            for number in sorted(self._hashes)[: len(self._hashes) - _REMEMBERED_BLOCKS // 2]:
                del self._hashes[number]

    def _keep(self, head: Head) -> Head:
        self._best = Head(head.latest, self._finalized, head.safe, head.host)
        return self._best

    def _lags(self, head: Head) -> bool:
        best = self._best
        number = head.latest.number
        return (
            best is not None
            and number < best.latest.number
            and self._hashes.get(number) == head.latest.hash
            and self._hashes.get(best.latest.number) == best.latest.hash
        )

    def _suspicious(self, head: Head) -> bool:
        """Lower than before, or not higher for long: worth another node's word."""
        assert self._best is not None
        if head.latest.number < self._best.latest.number:
            return True
        patience = max(30.0, _STALE_BLOCK_TIMES * self._policy.block_seconds)
        stuck = head.latest.hash == self._best.latest.hash
        return stuck and self._clock() - self._advanced_at > patience

    async def _highest(self, head: Head) -> Head:
        now = self._clock()
        for member in self._pool.members:
            if member.host == head.host or member.wrong_chain or member.parked_until > now:
                continue
            try:
                other = await self._pool.on(member, "the head", self._question)
            except NodeError:
                continue
            if other.latest.number > head.latest.number:
                head = other
        return head

    # One node ------------------------------------------------------------------------------

    def _undecided(self) -> bool:
        return (
            self._policy.tag is not None
            and not self._tag_works
            and 0 < self._tag_strikes < _TAG_STRIKES
        )

    async def _question(self, member: Member) -> Head:
        tag = self._policy.tag
        asks_tags = tag is not None and (self._tag_works or self._tag_strikes < _TAG_STRIKES)
        tags = ["latest", tag, "safe"] if asks_tags and tag is not None else ["latest"]
        found = await fetch.header_by_tag(member, tags)
        if isinstance(found[0], NodeError):
            raise found[0]
        if found[0] is None:
            raise BeyondHead(f"{member.host} has no latest block", host=member.host)
        latest = block_ref(found[0])
        member.saw_head(latest.number)
        finalized, safe = self._finalized, None
        if len(found) == 3:
            finalized = self._by_tag(member, found[1], latest)
            if isinstance(found[2], Header):
                safe = min(block_ref(found[2]).number, latest.number)
        elif not self._tag_works:
            finalized = latest.number - self._policy.depth_blocks
        return Head(latest, finalized, safe, member.host)

    def _by_tag(self, member: Member, found: Header | NodeError | None, latest: BlockRef) -> int:
        """The finalised number; by depth only when the chain is known to have no tag.

        A chain that once answered the tag never falls back to depth: a moment without the tag
        must not make blocks final early.
        """
        if isinstance(found, Header):
            self._tag_works = True
            number = block_ref(found).number
            if number < self._finalized:
                log.info(
                    "finalized_went_back",
                    chain_id=self._pool.chain_id,
                    host=member.host,
                    was=self._finalized,
                    says=number,
                )
            return min(number, latest.number)
        if found is None:
            return self._finalized  # the tag is known, and nothing is final yet
        if isinstance(found, Refusal):
            verdict = classify(found.code, found.context.get("node_message", ""), blocks=1)
            if isinstance(verdict, BeyondHeadVerdict):
                return self._finalized  # as after a restart: it will know in a while
            if found.transient or not isinstance(verdict, (NotASizeError, Unknown)):
                raise found
        if self._tag_works:
            return self._finalized
        self._tag_strikes += 1
        if self._tag_strikes < _TAG_STRIKES:
            return self._finalized
        log.warning(
            "finality_by_depth",
            chain_id=self._pool.chain_id,
            depth_blocks=self._policy.depth_blocks,
        )
        return latest.number - self._policy.depth_blocks
