"""One stack per module of this folder; `SETTINGS` of the module are given to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.anvil import need_anvil
from tests.e2e.acting.stack import Stack, standing
from tests.redis import valkey


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """Everything that runs. It has a task of its own: what it is made of ends where it began."""
    need_anvil()
    valkey()
    given: dict[str, Any] = getattr(request.module, "SETTINGS", {})
    ready: asyncio.Future[Stack] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def live() -> None:
        async with standing(database_url, given) as made:
            ready.set_result(made)
            await over.wait()

    living = asyncio.create_task(live())
    either: list[asyncio.Future[Any]] = [living, ready]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if living.done():
        await living  # raises why
    yield await ready
    over.set()
    await living
