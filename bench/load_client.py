"""The generator of a load test: a process that sends each request when it is due.

`python -m bench.load_client PORT MIX` (a file, see `load_mix`). It says `{"ready": true}`, then
answers each line `{"rate": …, "seconds": …, "seed": …}` with what came of it: counts, latencies
from the moments in which requests were due, how late it was itself, and its CPU time. A line
`{"stop": true}` ends a step before its time: what was due by then is all that was due.

A request that is due goes out on a connection that is idle, on a new one, or, where all are taken,
waits for one: its clock runs. Timers of event loops are a millisecond coarse; a timer of the kernel
wakes us for each request.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import random
import sys
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import uvloop

from bench.harness import quantile
from bench.load_model import arrivals, zipf_rank

MOST_CONNECTIONS = 800
GRACE_SECONDS = 3.0
"""How long after a step what is still asked may be answered: it counts for latency alone."""


class Timer:
    """A timer of the kernel that an event loop can wait for; monotonic, absolute."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def wake_at(self, moment: float) -> None:
        """`moment` is of `time.perf_counter`, which Linux takes from the same clock."""
        whole = int(moment)
        spec = (ctypes.c_long * 4)(0, 0, whole, int((moment - whole) * 1e9) + 1)
        self._libc.timerfd_settime(self.fd, 1, ctypes.byref(spec), None)

    def heard(self) -> None:
        """Take note that it rang."""
        with suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        """It rings no more."""
        os.close(self.fd)


class Step:
    """One rate: what is due, and what came."""

    def __init__(self, port: int, due: list[tuple[float, str, bytes]], seconds: float) -> None:
        self._port, self._due, self.seconds = port, due, seconds
        self._next = 0
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._opening: set[asyncio.Task[Any]] = set()
        self._waiting: deque[tuple[float, str, bytes]] = deque()
        self._done = asyncio.Event()
        self.latencies: dict[str, list[float]] = {}
        self.statuses: dict[str, int] = {}
        self.in_time = 0
        self.answered = 0
        self.broken = 0
        self.lags: list[float] = []

    async def ready(self) -> None:
        """Open the first connections."""
        for _ in range(min(8, MOST_CONNECTIONS)):
            await self._connect()

    async def run(self) -> None:
        """Send all, wait for the answers."""
        loop, timer = asyncio.get_running_loop(), Timer()
        self.began = time.perf_counter() + 0.01
        loop.add_reader(timer.fd, self._ring, timer)
        timer.wake_at(self.began + self._due[0][0])
        try:
            with suppress(TimeoutError):
                self._limit = asyncio.timeout(self.seconds + GRACE_SECONDS)
                async with self._limit:
                    await self._done.wait()
        finally:
            loop.remove_reader(timer.fd)
            timer.close()
            self.still_open = self._left()
            for task in self._opening:
                task.cancel()
            for connection in list(self._open):
                connection.close()

    @property
    def due(self) -> int:
        """How many requests."""
        return len(self._due)

    def stop(self) -> None:
        """Send no more: the step ends now, and what was sent may still be answered."""
        self.seconds = time.perf_counter() - self.began
        del self._due[self._next :]
        self._limit.reschedule(asyncio.get_running_loop().time() + GRACE_SECONDS)
        self._look()

    def answer(self, connection: _Connection, status: bytes) -> None:
        """What a connection asked has an answer; it may ask again."""
        now = time.perf_counter()
        due, kind, _ = cast("tuple[float, str, bytes]", connection.asked)
        connection.asked = None
        self.answered += 1
        if status == b"200":
            latency = now - self.began - due
            self.latencies.setdefault(kind, []).append(latency)
            self.in_time += now - self.began <= self.seconds
        text = status.decode()
        self.statuses[text] = self.statuses.get(text, 0) + 1
        if self._waiting:
            connection.ask(self._waiting.popleft())
        else:
            self._idle.append(connection)
        self._look()

    def lost(self, connection: _Connection) -> None:
        """A connection is gone, with what it had asked."""
        self._open.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)
        if connection.asked is not None:
            self.broken += 1
            self._look()

    def _ring(self, timer: Timer) -> None:
        timer.heard()
        due, place = self._due, self._next
        now = time.perf_counter() - self.began
        while place < len(due) and due[place][0] <= now:
            self.lags.append(now - due[place][0])
            self._send(due[place])
            place += 1
            if place < len(due) and due[place][0] > now:
                now = time.perf_counter() - self.began
        self._next = place
        if place < len(due):
            timer.wake_at(self.began + due[place][0])
        self._look()

    def _send(self, wanted: tuple[float, str, bytes]) -> None:
        if self._idle:
            self._idle.pop().ask(wanted)
            return
        self._waiting.append(wanted)
        if len(self._open) + len(self._opening) < MOST_CONNECTIONS:
            task = asyncio.ensure_future(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opened)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        self._open.add(made)
        if self._waiting:
            made.ask(self._waiting.popleft())
        else:
            self._idle.append(made)

    def _opened(self, task: asyncio.Task[Any]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and task.exception() is not None and self._waiting:
            self._waiting.popleft()
            self.broken += 1
            self._look()

    def _left(self) -> list[float]:
        """How long each request has waited that nobody answered."""
        now = time.perf_counter() - self.began
        asked = [one.asked[0] for one in self._open if one.asked is not None]
        return [now - due for due in (*asked, *(due for due, _, _ in self._waiting))]

    def _look(self) -> None:
        if self._next == len(self._due) and self.answered + self.broken >= len(self._due):
            self._done.set()


class _Connection(asyncio.Protocol):
    """One request at a time; bodies are measured by their length and dropped."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._head, self._left, self._status = b"", 0, b""
        self.asked: tuple[float, str, bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, wanted: tuple[float, str, bytes]) -> None:
        self.asked = wanted
        self._transport.write(wanted[2])

    def close(self) -> None:
        self.asked = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._status:
            self._left -= len(data)
        else:
            self._head += data
            head, found, body = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            lower = head.lower()
            length = lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            self._status, self._left = head[9:12], int(length or 0) - len(body)
        if self._left <= 0 and self.asked is not None:
            status, self._head, self._status = self._status, b"", b""
            self._step.answer(self, status)

    def connection_lost(self, exc: Exception | None) -> None:
        self._step.lost(self)


def planned(
    mix: Sequence[tuple[str, float, Sequence[str]]], rate: float, seconds: float, seed: int
) -> list[tuple[float, str, bytes]]:
    """When what is due: moment, kind of request, and its bytes."""
    chance = random.Random(seed)
    kinds = [kind for kind, _, _ in mix]
    paths = {kind: listed for kind, _, listed in mix}
    shares = [share for _, share, _ in mix]
    moments = list(arrivals(rate, seconds, seed))
    drawn = chance.choices(kinds, shares, k=len(moments))
    found = []
    for moment, kind in zip(moments, drawn, strict=True):
        listed = paths[kind]
        path = listed[zipf_rank(chance.random(), len(listed))]
        found.append((moment, kind, request(path)))
    return found


def request(path: str) -> bytes:
    """A GET as bytes."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: application/json\r\n\r\n".encode()


async def take(
    port: int, mix: Any, order: dict[str, Any], told: Awaitable[Any] | None = None
) -> dict[str, Any]:
    """One step, which ends early when something is told."""
    due = planned(mix, order["rate"], order["seconds"], order["seed"])
    step = Step(port, due, order["seconds"])
    gc.collect()
    gc.disable()
    before, began = time.process_time(), time.perf_counter()
    await step.ready()
    running = asyncio.ensure_future(step.run())
    if told is not None:
        await asyncio.wait([running, asyncio.ensure_future(told)], return_when="FIRST_COMPLETED")
        if not running.done():
            step.stop()
    await running
    spent, lasted = time.process_time() - before, time.perf_counter() - began
    gc.enable()
    good = [one for listed in step.latencies.values() for one in listed]
    waited = good + step.still_open
    kinds = {
        kind: {"p50_ms": quantile(listed, 0.5) * 1e3, "p99_ms": quantile(listed, 0.99) * 1e3}
        for kind, listed in step.latencies.items()
    }
    return {
        "due": step.due,
        "in_time": step.in_time,
        "statuses": step.statuses,
        "broken": step.broken,
        "unanswered": len(step.still_open),
        "p50_ms": quantile(waited, 0.5) * 1e3 if waited else 0.0,
        "p99_ms": quantile(waited, 0.99) * 1e3 if waited else 0.0,
        "kinds": kinds,
        "lag_p99_ms": quantile(step.lags, 0.99) * 1e3 if step.lags else 0.0,
        "cpu_seconds": spent,
        "seconds": lasted,
        "sent_for_seconds": step.seconds,
    }


async def main(port: int, mix: Any) -> None:
    with suppress(OSError):
        os.nice(-5)  # it must not wait for those whom it measures
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    print(json.dumps({"ready": True}), flush=True)
    # Read ahead: a line that comes while a step runs ends it.
    following = asyncio.ensure_future(lines.readline())
    while line := await following:
        following = asyncio.ensure_future(lines.readline())
        order = json.loads(line)
        if "rate" in order:  # a stop that came too late is none
            print(json.dumps(await take(port, mix, order, following)), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())))
