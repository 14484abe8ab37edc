"""Stream a long finalised range in order, several parts at once, in bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable

from renown.chain.answers import VerifiedRange

DEFAULT_BUDGET_BYTES = 48 * 1024 * 1024
_PARTS_AHEAD = 2  # verified parts one span may hold before somebody takes them

NextPart = Callable[[int, int], Awaitable[VerifiedRange]]


class ByteBudget:
    """A bound on bytes that were fetched and not yet taken; may be shared by many chains.

    Whoever is first in line is never held up, so sharing cannot deadlock.
    """

    def __init__(self, limit_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.usual_part_bytes = 256 * 1024  # what a part not yet read is taken to need
        self._changed = asyncio.Condition()

    async def room(self, first_in_line: Callable[[], bool]) -> int:
        """Wait for room, or until it is our turn anyway; returns the bytes set aside."""
        expected = self.usual_part_bytes
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.used_bytes + expected <= self.limit_bytes or first_in_line()
            )
            self.used_bytes += expected
        return expected

    def settle(self, expected_bytes: int, size_bytes: int) -> None:
        """What was set aside turned out to be `size_bytes`."""
        self.used_bytes += size_bytes - expected_bytes
        self.usual_part_bytes = (3 * self.usual_part_bytes + size_bytes) // 4

    async def give_back(self, size_bytes: int) -> None:
        """`size_bytes` were taken away, or the line has moved."""
        self.used_bytes -= size_bytes
        async with self._changed:
            self._changed.notify_all()


class _Span:
    """One claimed range, read part by part by a task of its own."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self.parts: asyncio.Queue[VerifiedRange | None] = asyncio.Queue(maxsize=_PARTS_AHEAD)
        self.at_front = False
        self.task: asyncio.Task[None] | None = None


async def stream(
    first: int,
    last: int,
    *,
    read: NextPart,
    width: Callable[[], int],
    concurrency: int,
    budget: ByteBudget,
) -> AsyncGenerator[VerifiedRange, None]:
    """Verified parts of `first..last`, contiguous and ascending.

    Args:
        read: a verified range that begins at its first argument and ends at or before its
            second; it may come out shorter when nodes want less.
        width: how many blocks to claim for the next span.
        concurrency: spans in work at a time.

    An error ends the stream after everything before it has been handed out.
    """
    spans: deque[_Span] = deque()
    cursor = first
    try:
        while spans or cursor <= last:
            while cursor <= last and len(spans) < concurrency:
                span = _Span(cursor, min(last, cursor + max(1, width()) - 1))
                spans.append(span)
                span.task = asyncio.create_task(_run(span, read, budget))
                cursor = span.last + 1
            front = spans[0]
            if not front.at_front:
                front.at_front = True
                await budget.give_back(0)
            part = await front.parts.get()
            if part is None:
                assert front.task is not None
                await front.task  # raises what stopped the span
                spans.popleft()
                continue
            size = part.size_bytes
            try:
                yield part
            finally:
                await budget.give_back(size)
    finally:
        await _stop(spans, budget)


async def _run(span: _Span, read: NextPart, budget: ByteBudget) -> None:
    try:
        cursor = span.first
        while cursor <= span.last:
            expected = await budget.room(lambda: span.at_front)
            try:
                part = await read(cursor, span.last)
            except BaseException:
                await budget.give_back(expected)
                raise
            budget.settle(expected, part.size_bytes)
            try:
                await span.parts.put(part)
            except asyncio.CancelledError:
                await budget.give_back(part.size_bytes)
                raise
            cursor = part.last + 1
    finally:
        # A cancelled span has no reader, and must not wait for one.
        if not (task := asyncio.current_task()) or not task.cancelling():
            await span.parts.put(None)


async def _stop(spans: deque[_Span], budget: ByteBudget) -> None:
    tasks = [span.task for span in spans if span.task is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for span in spans:
        while not span.parts.empty():
            part = span.parts.get_nowait()
            if part is not None:
                await budget.give_back(part.size_bytes)
