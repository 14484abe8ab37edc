"""Routes found by one look-up are those that a walk finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Mount, Route
from starlette.types import Scope

from renown.api.app import create_app
from renown.api.paths import Paths
from renown.api.routing import StrictRoute
from renown.settings import Settings
from tests.integration.api import SECRET


async def nothing(_: Request) -> Response:
    return Response()


class Ours(Route):
    pass


def walk(routes: list[Route | Mount], path: str) -> tuple[Route | Mount, dict[str, str]] | None:
    """The first that takes a GET of `path`, as the framework looks."""
    scope: Scope = {"type": "http", "path": path, "method": "GET", "root_path": ""}
    for route in routes:
        match, child = route.matches(dict(scope))
        if match is Match.FULL:
            return route, child["path_params"]
    return None


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "{x}", "{y}"]), min_size=1, max_size=3, unique=True),
        min_size=1,
        max_size=6,
    ),
    st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=4),
    st.sets(st.integers(0, 5)),
)
def test_find__any_routes__is_what_a_walk_finds_or_left_to_it(
    templates: list[list[str]], segments: list[str], strangers: set[int]
) -> None:
    routes: list[Route | Mount] = [
        (Route if n in strangers else Ours)("/" + "/".join(one), nothing)
        for n, one in enumerate(templates)
    ]
    path = "/" + "/".join(segments)

    found, walked = Paths(routes, Ours).find(path), walk(routes, path)

    if walked is not None and isinstance(walked[0], Ours):
        assert found == walked
    else:
        assert found is None


def test_find__behind_a_mount_that_takes_it_first__is_left_to_a_walk() -> None:
    routes = [
        Mount("/static", routes=[]),
        Route("/files/{rest:path}", nothing),
        Ours("/static/{name}", nothing),
        Ours("/files/{name}", nothing),
        Ours("/other/{name}", nothing),
    ]
    paths = Paths(routes, Ours)

    assert paths.find("/static/x") is paths.find("/files/x") is None
    assert paths.find("/other/x") == (routes[4], {"name": "x"})


def test_find__a_route_of_other_methods__is_none() -> None:
    posted, got = Ours("/a/{x}", nothing, methods=["POST"]), Ours("/a/{x}", nothing)

    assert Paths([posted, got], Ours).find("/a/1") == (got, {"x": "1"})


@pytest.fixture(scope="module")
def routes() -> list[Route | Mount]:
    app = create_app(Settings(cursor_secret=SECRET), pool=object())  # type: ignore[arg-type]
    return list(app.router.routes)  # type: ignore[arg-type]


def test_find__every_route_of_the_app__is_what_a_walk_finds(routes: list[Route | Mount]) -> None:
    paths, ours = Paths(routes, StrictRoute), 0
    for route in routes:
        if not isinstance(route, Route) or "GET" not in (route.methods or ()):
            continue
        path = route.path_format.replace("{", "").replace("}", "")
        walked = walk(routes, path)
        assert walked is not None
        if isinstance(walked[0], StrictRoute):
            assert paths.find(path) == walked
            ours += 1
        else:
            assert paths.find(path) is None
    assert ours > 40


@pytest.mark.parametrize("path", ["", "/", "//", "/v1/agents/", "/v1//8453:1", "v1/agents", "*"])
def test_find__what_no_route_takes__is_none(routes: list[Route | Mount], path: str) -> None:
    found, walked = Paths(routes, StrictRoute).find(path), walk(routes, path)

    assert found is None
    assert walked is None or not isinstance(walked[0], StrictRoute)
