"""Sends requests over kept connections, each as soon as the last is answered: a process for `http`.

Reads lines of JSON

    {"port": …, "paths": [...], "headers": [...], "connections": n, "seconds": s, "bodies": [...]}

(with `bodies`, one for each path, they are POSTs of JSON) and answers each with how many were
answered, by status, how long that took them, and its own CPU time, which shows that it was not
what held them up. No pipelining; nothing of an answer is read but its status and length.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from functools import partial
from typing import Any, cast

import uvloop

from bench.harness import quantile


class Asking(asyncio.Protocol):
    """One connection: asks again as soon as it has its answer."""

    def __init__(self, load: Load, first: int) -> None:
        self._load = load
        self._next = first
        self._pending = b""
        self._missing = 0
        self._asked = 0.0
        self._status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            if self._pending:
                data = self._pending + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._pending = data
                return
            self._pending = b""
            self._status = int(data[9:12])
            at = data.find(b"content-length: ", 0, end)
            length = 0
            if at >= 0 and self._status != 304:
                length = int(data[at + 16 : data.index(b"\r", at)])
            self._missing = end + 4 + length - len(data)
            self._load.bytes += end + 4 + length
        if self._missing:
            return
        load, now = self._load, time.perf_counter()
        load.latencies.append(now - self._asked)
        load.statuses[self._status] += 1
        if now < load.end:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.left()

    def _ask(self) -> None:
        requests = self._load.requests
        self._next = (self._next + 1) % len(requests)
        self._asked = time.perf_counter()
        self._transport.write(requests[self._next])


class Load:
    """One order, as it is carried out."""

    def __init__(self, order: dict[str, Any]) -> None:
        head = "".join(f"{line}\r\n" for line in order.get("headers", ()))
        bodies = order.get("bodies") or [None] * len(order["paths"])
        self.requests = [
            _request(path, head, body) for path, body in zip(order["paths"], bodies, strict=True)
        ]
        self.port: int = order["port"]
        self.connections: int = order["connections"]
        self.seconds: float = order["seconds"]
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.bytes = 0
        self.end = 0.0
        self._open = self.connections
        self._all_left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def left(self) -> None:
        """A connection is closed."""
        self._open -= 1
        if not self._open and not self._all_left.done():
            self._all_left.set_result(None)

    async def run(self) -> dict[str, Any]:
        """Ask for so many seconds."""
        loop = asyncio.get_running_loop()
        began, cpu = time.perf_counter(), time.process_time()
        self.end = began + self.seconds
        stride = max(1, len(self.requests) // self.connections)
        for number in range(self.connections):
            make = partial(Asking, self, number * stride)
            await loop.create_connection(make, "127.0.0.1", self.port)
        await self._all_left
        seconds = time.perf_counter() - began
        return {
            "answered": len(self.latencies),
            "seconds": seconds,
            "cpu_seconds": time.process_time() - cpu,
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "bytes": self.bytes,
            "p50_ms": quantile(self.latencies, 0.5) * 1e3,
            "p99_ms": quantile(self.latencies, 0.99) * 1e3,
        }


def _request(path: str, head: str, body: str | None) -> bytes:
    begin = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: bench.example\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{begin}Accept: */*\r\n{head}\r\n{body or ''}".encode()


async def main() -> None:
    lines = asyncio.StreamReader(limit=2**26)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(json.dumps({}), flush=True)
    while line := await lines.readline():
        print(json.dumps(await Load(json.loads(line)).run()), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
