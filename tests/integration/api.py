"""The app on a test database, asked without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from renown.api.app import create_app
from renown.settings import Settings
from renown.store.pool import connect_pool
from tests.access import PLENTY

SECRET = "a secret of the tests"
SETTINGS: dict[str, Any] = {"cursor_secret": SECRET, "key_pepper": SECRET, "limits_json": PLENTY}


@asynccontextmanager
async def api_on(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API on the database at `url`."""
    pool = await connect_pool(url, min_size=1, max_size=2)
    try:
        app = create_app(Settings(**SETTINGS), pool=pool)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield client
    finally:
        await pool.close(grace_seconds=2)


async def get(client: httpx.AsyncClient, path: str, /, **params: Any) -> Any:
    """The JSON of a GET that must succeed."""
    answer = await client.get(path, params=params or None)  # an empty dict would drop the query
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(client: httpx.AsyncClient, path: str, status: int, slug: str) -> Any:
    """The problem of a GET that must fail in this way."""
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    ), answer.text
    problem = answer.json()
    assert problem["type"] == f"/problems/{slug}", problem
    return problem
