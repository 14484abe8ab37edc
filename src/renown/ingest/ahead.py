"""Run an asynchronous generator ahead of its reader, a bounded number of items."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def ahead(items: AsyncGenerator[T, None], *, depth: int = 1) -> AsyncGenerator[T, None]:
    """Yield `items` in order while up to `depth` more are being made.

    An error of the generator is raised here, after the items before it. Closing this closes it.
    """
    queue: asyncio.Queue[tuple[T, None] | tuple[None, BaseException | None]] = asyncio.Queue(depth)

    async def make() -> None:
        try:
            async for item in items:
                await queue.put((item, None))
        except Exception as failed:  # noqa: BLE001 - the reader raises it
            await queue.put((None, failed))
        else:
            await queue.put((None, None))

    maker = asyncio.create_task(make())
    try:
        while True:
            item, failed = await queue.get()
            if failed is not None:
                raise failed
            if item is None:
                return
            yield item
    finally:
        maker.cancel()
        await asyncio.gather(maker, return_exceptions=True)
        await items.aclose()
