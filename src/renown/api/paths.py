"""Which route a path is for, by one look-up instead of a walk through all of their patterns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from starlette.routing import BaseRoute, Route

R = TypeVar("R", bound=Route)


class Paths(Generic[R]):
    """The routes of a class that answer GET, by their paths.

    A path finds the route that a walk through `routes` in their order would find first. Where that
    is none of the class, or where only a walk can tell, it finds none: whoever asks must walk then.

    Args:
        routes: all of them, in the order in which they are tried.
    """

    def __init__(self, routes: Sequence[BaseRoute], kind: type[R]) -> None:
        self._by_shape: dict[int, list[tuple[tuple[int, ...], dict[str, _Place[R]]]]] = {}
        shapes: dict[int, dict[tuple[int, ...], dict[str, _Place[R]]]] = {}
        odd: list[str] = []
        for order, route in enumerate(routes):
            if isinstance(route, Route) and "GET" not in (route.methods or {"GET"}):
                continue
            if not isinstance(route, Route) or not _is_simple(route):
                # What it takes begins like this; those behind it that do are left to a walk.
                odd.append(getattr(route, "path", "").partition("{")[0])
                continue
            segments = route.path.split("/")
            holes = tuple(at for at, one in enumerate(segments) if one.startswith("{"))
            names = tuple(segments[at][1:-1] for at in holes)
            is_ours = isinstance(route, kind) and not any(map(route.path.startswith, odd))
            found = shapes.setdefault(len(segments), {}).setdefault(holes, {})
            found.setdefault(
                _literals(segments, holes),
                _Place(order, route if is_ours else None, names),  # type: ignore[arg-type]
            )
        for length, by_holes in shapes.items():
            self._by_shape[length] = list(by_holes.items())

    def find(self, path: str) -> tuple[R, dict[str, str]] | None:
        """The route for `path`, and the values of its parameters by name; None: walk."""
        segments = path.split("/")
        best: _Place[R] | None = None
        for holes, places in self._by_shape.get(len(segments), ()):
            place = places.get(_literals(segments, holes))
            if (
                place is not None
                and (best is None or place.order < best.order)
                and all(segments[at] for at in holes)
            ):
                best, values = place, [segments[at] for at in holes]
        if best is None or best.route is None:
            return None
        return best.route, dict(zip(best.names, values, strict=True))


class _Place(Generic[R]):
    __slots__ = ("names", "order", "route")

    def __init__(self, order: int, route: R | None, names: tuple[str, ...]) -> None:
        self.order = order
        self.route = route
        self.names = names


def _literals(segments: Sequence[str], holes: tuple[int, ...]) -> str:
    """The path with its parameters left out, each of which keeps its place between slashes."""
    if not holes:
        return "/".join(segments)
    kept = [*segments]
    for at in holes:
        kept[at] = ""
    return "/".join(kept)


def _is_simple(route: Route) -> bool:
    """Whether each parameter is one whole segment, whatever stands in it."""
    whole = all(
        one.startswith("{") == one.endswith("}") and "{" not in one[1:] and ":" not in one
        for one in route.path.split("/")
    )
    return whole and "\n" not in route.path
