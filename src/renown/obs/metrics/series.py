"""How many series there can be at most."""

from __future__ import annotations

from renown.obs.metrics.registry import DEFINED, Defined


def worst_case(*, chains: int, nodes: int, routes: int, queries: int) -> int:
    """The most series that one process can show, whatever is asked of it.

    Args:
        chains: that are followed.
        nodes: of each chain.
        routes: pairs of a method and a pattern.
        queries: statements that are timed.
    """
    many = {"C": chains, "N": nodes, "R": routes, "Q": queries}
    total = 0
    for one in DEFINED.values():
        number, factors = bound(one)
        for factor in factors:
            number *= many[factor]
        total += number
    return total


def bound(one: Defined) -> tuple[int, tuple[str, ...]]:
    """The most series of a metric: a number, times each of the letters of `registry.Many`."""
    number = one.samples
    factors: list[str] = []
    for label in one.labels.values():
        number *= label.most
        factors += label.many
    return number, tuple(sorted(factors))
