"""Work that goes on for ever: interrupted by whatever is away, and begun again after a while."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn

from renown.errors import RenownError


async def persist(
    attempt: Callable[[], Awaitable[None]],
    *,
    done: Callable[[], int],
    failed: Callable[[Exception], None],
    first_seconds: float,
    longest_seconds: float,
) -> NoReturn:
    """Run `attempt` again whenever it ends, after a pause that doubles while it gets nowhere.

    Args:
        done: how much was done so far; where it rose, the next trouble is a new one.
        failed: told of each failure.
        first_seconds, longest_seconds: bounds of the pause, which is jittered.

    Raises:
        RenownError: what trying again cannot mend.
    """
    pause = first_seconds
    while True:
        before = done()
        try:
            await attempt()
        except Exception as exc:  # one odd answer of a stranger must not end what runs beside
            if isinstance(exc, RenownError) and not exc.retryable:
                raise
            failed(exc)
        if done() != before:
            pause = first_seconds
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))
        pause = min(longest_seconds, 2 * pause)
