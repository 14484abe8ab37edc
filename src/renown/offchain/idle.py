"""Connections kept for the next request to the same place."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from renown.offchain.dial import Route
from renown.offchain.wire import Wire

KEPT_SECONDS = 10.0


class Idle:
    """At most `most` open connections that nobody uses; the oldest goes first, all go in time."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Wire, tuple[Route, asyncio.TimerHandle]] = OrderedDict()
        self._by_route: dict[Route, list[Wire]] = {}

    def take(self, route: Route) -> Wire | None:
        """A connection along this very route, no longer kept; None if there is none."""
        while wires := self._by_route.get(route):
            wire = wires[-1]
            self._forget(wire)
            if wire.open:
                return wire
        return None

    def keep(self, route: Route, wire: Wire) -> None:
        """Keep an open connection."""
        while len(self._kept) >= self._most:
            self._drop(next(iter(self._kept)))
        timer = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._drop, wire)
        self._kept[wire] = (route, timer)
        self._by_route.setdefault(route, []).append(wire)
        wire.on_loss = lambda: self._forget(wire)

    def close(self) -> None:
        """Close all."""
        for wire in list(self._kept):
            self._drop(wire)

    def _drop(self, wire: Wire) -> None:
        self._forget(wire)
        wire.close()

    def _forget(self, wire: Wire) -> None:
        route, timer = self._kept.pop(wire, (None, None))
        if route is None or timer is None:
            return
        timer.cancel()
        wire.on_loss = None
        wires = self._by_route[route]
        wires.remove(wire)
        if not wires:
            del self._by_route[route]
