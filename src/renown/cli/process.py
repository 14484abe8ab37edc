"""One command as a process: it runs to its end, or stops in order when it is told to.

Ctrl-C, SIGTERM and a closed terminal cancel the work, which cleans up behind itself; a second
signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Any

import typer

from renown.cli.console import say
from renown.cli.person import act_as_command

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(work: Callable[[], Coroutine[Any, Any, int | None]], *, service: bool = False) -> None:
    """Run `work()` and leave with what it returns, 0 for None.

    Args:
        service: made to run until it is told to stop, so that SIGTERM is its good end (0). What
            else is cut short leaves with 128 plus the signal, Ctrl-C always with 130.

    Raises:
        typer.Exit: with the exit code.
        RenownError: as `work` raises it.
    """
    context = copy_context()
    if not service:
        context.run(act_as_command)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        code = runner.run(_stoppable(work, service), context=context)
    raise typer.Exit(code or 0)


async def _stoppable(work: Callable[[], Awaitable[int | None]], service: bool) -> int | None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    told: list[int] = []

    def stop(number: int) -> None:
        if told:
            os._exit(128 + number)
        told.append(number)
        task.cancel()
        if number == signal.SIGINT:
            say("stopping; press Ctrl-C again to leave at once")

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        return await work()
    except asyncio.CancelledError:
        if not told:
            raise
        if service and told[0] != signal.SIGINT:
            return 0
        return 128 + told[0]


@asynccontextmanager
async def in_thread(start: Callable[[], object], stop: Callable[[], object]) -> AsyncIterator[None]:
    """`start()` on entry and `stop()` on exit, in threads, for things that block.

    Neither is left half-way: when we are cancelled meanwhile they are waited for.
    """
    starting = asyncio.create_task(asyncio.to_thread(start))
    try:
        await asyncio.shield(starting)
        yield
    finally:
        while not starting.done():
            await asyncio.wait({starting})
        if not starting.exception():
            await asyncio.shield(asyncio.to_thread(stop))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
