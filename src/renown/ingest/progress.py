"""How a chain's indexing goes, for displays and metrics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import msgspec

from renown.spec.deployments import Deployment
from renown.store.writer import Checkpoint

RATE_SECONDS = 10.0
"""The span over which the rate is taken."""


class Progress(msgspec.Struct):
    """Where one chain stands. `final_block` and `head_block` are the chain's own."""

    slug: str
    start_block: int
    block_number: int
    final_block: int
    head_block: int
    phase: str
    events: int = 0
    quarantined: int = 0
    reorgs: int = 0
    commit_seconds: float = 0.0
    problem: str | None = None
    _marks: deque[tuple[float, int, int]] = msgspec.field(default_factory=deque)
    _clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, deployment: Deployment, checkpoint: Checkpoint) -> Progress:
        """The progress of a chain that stands at `checkpoint`."""
        return cls(
            slug=deployment.slug,
            start_block=checkpoint.block_number + 1,
            block_number=checkpoint.block_number,
            final_block=checkpoint.final_block,
            head_block=-1,
            phase=checkpoint.phase,
        )

    @property
    def blocks_to_go(self) -> int:
        """Blocks between what is stored and the head."""
        return max(0, self.head_block - self.block_number)

    @property
    def events_per_second(self) -> float:
        """Facts stored a second over the last ten seconds."""
        return self._rate(2)

    @property
    def seconds_left(self) -> float | None:
        """Time to the head at the present rate of blocks; None when it cannot be told."""
        rate = self._rate(1)
        return self.blocks_to_go / rate if rate > 0 else None

    def stored(
        self, block_number: int, facts: int, quarantined: int, commit_seconds: float
    ) -> None:
        """A commit happened."""
        self.block_number = block_number
        self.events += facts
        self.quarantined += quarantined
        self.commit_seconds = commit_seconds
        now = self._clock()
        self._marks.append((now, block_number, self.events))
        while len(self._marks) > 2 and now - self._marks[0][0] > RATE_SECONDS:
            self._marks.popleft()

    def seen(self, head_block: int, final_block: int, phase: str) -> None:
        """The nodes were asked."""
        self.head_block, self.final_block, self.phase = head_block, final_block, phase

    def undone(self, block_number: int) -> None:
        """A reorg was undone down to `block_number`."""
        self.block_number = block_number
        self.reorgs += 1

    def _rate(self, column: int) -> float:
        if not self._marks:
            return 0.0
        first = self._marks[0]
        span = self._clock() - first[0]
        last = self._marks[-1]
        return (last[column] - first[column]) / span if span > 0 else 0.0
