"""A chain with millions of registry events, as a node in a process of its own.

    python -m bench.mockchain --size 1000000 --density network

Writes one line of JSON when it listens (its URL and what the world holds) and lives until its
standard input closes. What it answers is in `node`, what happens on it in `world`.

It must never be the bottleneck, so it counts its own CPU time (`mock_stats`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import cast

import httptools
import uvloop

from bench import world
from bench.node import MAX_LOGS, MAX_RANGE_BLOCKS, MockNode


async def serve(node: MockNode, *, host: str = "127.0.0.1", port: int = 0) -> asyncio.Server:
    """Listen; the caller closes the server. Port 0 takes a free one."""
    return await asyncio.get_running_loop().create_server(lambda: _Http(node), host, port)


KEEP_EVENTS = 2_000_000


class _Http(asyncio.Protocol):
    """HTTP/1.1 with bodies of known length, which is what JSON-RPC clients send."""

    def __init__(self, node: MockNode) -> None:
        self.node = node
        self.parser = httptools.HttpRequestParser(self)
        self.body: list[bytes] = []
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        answer = self.node.answer(b"".join(self.body))
        self.body.clear()
        self.node.bytes_sent += len(answer)
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(answer)
        )
        self.transport.writelines((head, answer))


async def _main(arguments: argparse.Namespace) -> None:
    started = time.process_time()
    content = world.make(
        arguments.size, density=arguments.density, seed=arguments.seed, heavy=arguments.heavy
    )
    node = MockNode(
        content,
        max_range_blocks=arguments.max_range_blocks,
        max_logs=arguments.max_logs,
        keep=content.logs <= arguments.keep_events,
    )
    server = await serve(node, port=arguments.port)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    seconds = round(time.process_time() - started, 2)
    print(json.dumps({"url": url, "made_in_seconds": seconds} | node.describe()), flush=True)
    async with server:
        # Lives as long as whoever started it keeps its standard input open.
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", type=int, default=100_000, help="events")
    parser.add_argument("--density", choices=world.DENSITIES, default="network")
    parser.add_argument("--seed", type=int, default=8004)
    parser.add_argument("--heavy", type=int, help="feedbacks of the most rated agent")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--max-range-blocks", type=int, default=MAX_RANGE_BLOCKS)
    parser.add_argument(
        "--keep-events",
        type=int,
        default=KEEP_EVENTS,
        help="keep worlds up to this size rendered in memory, 1.4 kB an event",
    )
    parser.add_argument("--max-logs", type=int, default=MAX_LOGS)
    uvloop.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
