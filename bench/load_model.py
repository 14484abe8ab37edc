"""The arithmetic of a load test in the open model. Pure.

Requests are due at moments that do not depend on answers (a Poisson process), and a latency counts
from that moment, not from when the generator got round to sending: a server that stalls is charged
for everyone who would have come meanwhile.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

ACHIEVED = 0.98
"""Least share of the offered requests that are answered well, up to the knee."""
SLOWER = 5.0
"""How many times as long as at the lowest rate the p99 may be, up to the knee."""
FULL = 0.9
"""Share of a core from which on a process with one thread is taken to be full."""
LATE = 0.2
"""Share of a step's p99 that the generator may itself be late by (p99), for the step to count."""


@dataclass(slots=True)
class Step:
    """What came of one rate.

    Attributes:
        offered: requests a second that were due.
        achieved: of these, answered with 200 within the step and its grace, a second.
        p50_ms, p99_ms: from when they were due, of those answered with 200.
        refused: answers with 503, `failed`: other answers and broken connections,
            `unanswered`: nothing at the end of the grace.
        lag_p99_ms: how late the generator was, by itself, to look at what was due.
        cores: busy cores by who kept them busy: api, postgres, client, others (the kernel, and
            what has no part in this), machine (all together).
        waiters: most requests seen waiting for a connection of the pool.
        pool_wait_ms: mean wait for one.
    """

    offered: float
    achieved: float
    p50_ms: float
    p99_ms: float
    refused: int = 0
    failed: int = 0
    unanswered: int = 0
    lag_p99_ms: float = 0.0
    cores: dict[str, float] = field(default_factory=dict)
    waiters: int = 0
    pool_wait_ms: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether it measured the server: the generator was hardly late."""
        return self.lag_p99_ms <= max(LATE * self.p99_ms, 1.0)


def arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Moments of a Poisson process, from 0 on, ascending, below `seconds`."""
    chance = random.Random(seed)
    moment = chance.expovariate(rate)
    while moment < seconds:
        yield moment
        moment += chance.expovariate(rate)


def zipf_rank(share: float, count: int) -> int:
    """Rank of what is asked for, from 0 (the most wanted): Zipf's law with exponent 1.

    Args:
        share: uniform in [0, 1).
    """
    return min(count - 1, int(math.exp(share * math.log(count + 1))) - 1)


def keeps_up(step: Step, first: Step) -> bool:
    """Whether the server does what is asked of it, about as quickly as at the lowest rate."""
    answered = step.achieved >= ACHIEVED * step.offered
    return answered and step.p99_ms <= SLOWER * first.p99_ms


def knee(steps: Sequence[Step]) -> Step | None:
    """The last step, by rate, before the first that does not keep up. None where even that does."""
    ordered = sorted(steps, key=lambda step: step.offered)
    last = None
    for step in ordered:
        if not keeps_up(step, ordered[0]):
            break
        last = step
    return last


def rates(first: float, factor: float, most: float) -> Iterator[float]:
    """Rising rates for a first walk: each `factor` times the one before, rounded to two digits."""
    rate = first
    while rate <= most:
        yield rounded(rate)
        rate *= factor


def between(good: float, bad: float) -> float:
    """The rate to try next between one that was kept up with and one that was not."""
    return rounded(math.sqrt(good * bad))


def rounded(rate: float) -> float:
    """To two digits, as people say rates."""
    place = 10.0 ** max(0, math.floor(math.log10(rate)) - 1)
    return round(rate / place) * place


def saturated(step: Step, cores: int) -> str:
    """What is full at a step, in words."""
    held = step.cores
    api, all_of_it = held.get("api", 0.0), held.get("machine", 0.0)
    parts = ", ".join(
        f"{name} {held[name]:.2f}"
        for name in ("api", "postgres", "client", "others")
        if name in held
    )
    if not step.counts:
        return f"the generator: it was {step.lag_p99_ms:.1f} ms late itself (cores: {parts})"
    if api >= FULL:
        return f"the API process: its one core is full (cores: {parts})"
    if all_of_it >= FULL * cores:
        return f"the machine: all {cores} cores are busy (cores: {parts})"
    if step.waiters or step.pool_wait_ms > step.p50_ms / 2:
        return f"the pool: {step.waiters} wait for a connection (cores: {parts})"
    return f"nothing is full (cores: {parts})"
