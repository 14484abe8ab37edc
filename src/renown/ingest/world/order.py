"""In what order parts are made, so that nobody waits where something can be done. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence

Part = tuple[str, int]
"""A part's name, and what it weighs: rows, about."""
Stage = list[Part]
"""Parts that can be made beside each other."""


class Order:
    """Stages, each of which begins when the one before is done; and beside them other parts, which
    whoever would wait for the end of a stage makes meanwhile.

    Args:
        stages: in order.
        beside: parts that can be made from a stage's beginning on, by that stage's number. The
            heaviest come first.
        done: names of parts that are not to be made.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        beside: Mapping[int, Stage],
        done: Collection[str] = (),
    ) -> None:
        self._stages = deque(
            (
                deque(part for part in stage if part[0] not in done),
                [part for part in beside.get(number, ()) if part[0] not in done],
            )
            for number, stage in enumerate(stages)
        )
        self._stage: deque[Part] = deque()
        self._beside: list[Part] = []
        self._of_stage: set[str] = set()

    def next(self) -> Part | None:
        """What is to be made now; None while that depends on what others are making."""
        while not self._stage and not self._of_stage and self._stages:
            self._stage, begun = self._stages.popleft()
            self._beside = sorted([*self._beside, *begun], key=lambda part: part[1])
        if self._stage:
            part = self._stage.popleft()
            self._of_stage.add(part[0])
            return part
        return self._beside.pop() if self._beside else None

    def end(self, part: Part) -> None:
        """A part that `next` gave is made."""
        self._of_stage.discard(part[0])

    @property
    def is_given(self) -> bool:
        """Whether all parts were given, so that nobody needs to wait for more."""
        return not (self._stage or self._stages or self._beside)
