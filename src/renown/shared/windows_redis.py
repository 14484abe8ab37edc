"""Counters that all processes share: one script decides and counts, one round trip for a request.

Requests that come in while a round trip is under way share the next one, so that one connection
serves any number of them. All counters carry the same hash tag and live on one server of a
cluster, as a script that touches several keys needs.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from renown.derive.windows import WINDOW_MS, Window
from renown.errors import SharedStoreError
from renown.shared.redis import SharedStore
from renown.shared.windows_memory import Counted
from renown.spec.limits import Limit

PREFIX = "renown:{limits}:"
MOST_AT_ONCE = 256

# The decision of `derive.windows`, on the server's clock. Its numbers are doubles, exact to 2**53;
# the largest here is a limit times WINDOW_MS. A counter is the text `window:before:running`, and
# goes when its running window is of no use any more. The answer is one text of numbers, because the
# client reads a list of numbers line by line.
_SCRIPT = f"""
local width = {WINDOW_MS}
local now
if #ARGV > #KEYS then
  now = tonumber(ARGV[#ARGV])
else
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local today = math.floor(now / width)
local since = now - today * width
local kept = redis.call('MGET', unpack(KEYS))
local answer = {{1}}
for i = 1, #KEYS do
  local number, before, running, elapsed = today, 0, 0, since
  if kept[i] then
    local k, b, r = string.match(kept[i], '^(%d+):(%d+):(%d+)$')
    local age = today - tonumber(k)
    if age == 0 then
      before, running = tonumber(b), tonumber(r)
    elseif age == 1 then
      before = tonumber(r)
    elseif age == -1 then
      number, before, running, elapsed = tonumber(k), tonumber(b), tonumber(r), 0
    end
  end
  if before * (width - elapsed) + (running + 1) * width > tonumber(ARGV[i]) * width then
    answer[1] = 0
  end
  local at = 4 * i
  answer[at - 2], answer[at - 1], answer[at], answer[at + 1] = number, before, running, elapsed
end
if answer[1] == 1 then
  for i = 1, #KEYS do
    local at = 4 * i
    answer[at] = answer[at] + 1
    redis.call('SET', KEYS[i],
      string.format('%.0f:%.0f:%.0f', answer[at - 2], answer[at - 1], answer[at]),
      'PX', 2 * width - answer[at + 1])
  end
end
return table.concat(answer, ' ')
"""
_DIGEST = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()

_Waiting = tuple[Sequence[Limit], asyncio.Future[Counted]]


class RedisWindows:
    """Counters in a shared store.

    Args:
        clock_ms: for tests, instead of the server's clock.
    """

    def __init__(self, store: SharedStore, *, clock_ms: Callable[[], int] | None = None) -> None:
        self._store = store
        self._clock_ms = clock_ms
        self._waiting: list[_Waiting] = []
        self._sender: asyncio.Task[None] | None = None

    async def count(self, limits: Sequence[Limit]) -> Counted:
        """Count one request under all of `limits`, or under none where one of them is full.

        Raises:
            SharedStoreError: the store cannot be asked now. Whether the request was counted is not
                known then.
        """
        if not self._store.is_up:
            raise SharedStoreError("it is away", host=self._store.host)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Counted] = loop.create_future()
        self._waiting.append((limits, answer))
        if self._sender is None:
            self._sender = loop.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:MOST_AT_ONCE]
                del self._waiting[:MOST_AT_ONCE]
                await self._ask(batch)
        finally:
            self._sender = None
            for _, answer in self._waiting:  # the loop ends under us
                answer.cancel()

    async def _ask(self, batch: list[_Waiting]) -> None:
        try:
            replies = await self._store.ask(lambda redis: self._run(redis, batch))
        except SharedStoreError as exc:
            replies = [exc] * len(batch)
        for (limits, answer), reply in zip(batch, replies, strict=True):
            if answer.done():  # whoever asked has gone
                continue
            numbers = _numbers(reply)
            if len(numbers) == 1 + 4 * len(limits):
                answer.set_result(_counted(numbers))
            else:
                answer.set_exception(SharedStoreError("no count", host=self._store.host))

    async def _run(self, redis: Redis, batch: list[_Waiting]) -> list[Any]:
        replies = await self._evaluate(redis, batch)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            # A server that was restarted. None of the batch has run: scripts come and go as one.
            await redis.script_load(_SCRIPT)
            replies = await self._evaluate(redis, batch)
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        return replies

    async def _evaluate(self, redis: Redis, batch: list[_Waiting]) -> list[Any]:
        clock: list[int] = [] if self._clock_ms is None else [self._clock_ms()]
        pipe = redis.pipeline(transaction=False)
        for limits, _ in batch:
            keys = [PREFIX + limit.counter for limit in limits]
            pipe.evalsha(_DIGEST, len(keys), *keys, *(limit.most for limit in limits), *clock)
        return await pipe.execute(raise_on_error=False)


def _numbers(reply: Any) -> list[int]:
    """Of what the script answered; empty if something else did."""
    try:
        return [int(text) for text in reply.split()]
    except (AttributeError, ValueError):
        return []


def _counted(numbers: list[int]) -> Counted:
    windows = [Window(*numbers[at : at + 4]) for at in range(1, len(numbers), 4)]
    return Counted(numbers[0] == 1, windows)
