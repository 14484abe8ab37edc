"""Every host there is, on one port: an HTTP server that does as little as can be done.

    python -m bench.origin

Prints its port as JSON and answers until its input ends. Each path has its own registration file,
the same at every time, with an ETag.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

WITH_SERVICES = 5
"""One file in so many names services, as on the network; the others are a few lines."""


def registration(path: str) -> bytes:
    """The file at a path. Sizes are those of the network: a median of about 230 bytes, a tenth of
    750 and more."""
    name = path.strip("/").removesuffix(".json")
    number = int("0" + "".join(filter(str.isdigit, name)))
    file: dict[str, object] = {
        "type": "https://eips.ethereum.org/EIPS/eip-8004#registration-v1",
        "name": f"Agent {name}",
        "description": f"Agent {name} reads contracts and reports what it finds.",
        "image": "",
        "active": True,
        "x402Support": number % 6 != 0,
    }
    if number % WITH_SERVICES == 0:
        file |= {
            "description": f"Agent {name} reads contracts and reports what it finds. " * 3,
            "image": f"https://img.example/{name}.png",
            "services": [
                {
                    "name": "MCP",
                    "endpoint": f"https://mcp.example/{name}/mcp",
                    "version": "2025-06-18",
                    "mcpTools": ["read_contract", "report", f"special_{name}"],
                },
                {
                    "name": "A2A",
                    "endpoint": f"https://a2a.example/{name}/.well-known/agent-card.json",
                    "version": "0.3.0",
                    "a2aSkills": ["analytical_skills/coding_skills/text_to_code"],
                },
            ],
            "registrations": [
                {
                    "agentId": number,
                    "agentRegistry": "eip155:31337:0x8004a169fb4a3325136eb29fa0ceb6d2e539a432",
                }
            ],
            "supportedTrust": ["reputation", "crypto-economic"],
        }
    return json.dumps(file, separators=(",", ":")).encode()


class Answering(asyncio.Protocol):
    """One connection, kept open."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for head in heads:
            path = head.split(b" ", 2)[1].decode("latin-1")
            body = registration(path)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b'ETag: "%s"\r\nContent-Length: %d\r\n\r\n%s' % (path.encode(), len(body), body)
            )


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, backlog=4_096)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(main())
