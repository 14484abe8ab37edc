"""A stranger's host on 127.0.0.1: answers by Host and path, with any bytes at any pace.

`async with Origin() as origin: origin.on("a.example/file", reply(b"{}"))`. Give a Fetcher
`opened=[origin.detour]`, and every `*.example` leads here. What was asked stands in `requests`.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import msgspec

_REASONS = {200: "OK", 302: "Found", 304: "Not Modified", 404: "Not Found"}


class Seen(msgspec.Struct, frozen=True):
    """One request as it came. `headers` have lower-case names; `sni` is the name TLS asked for."""

    method: str
    host: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    sni: str | None
    time_seconds: float


Script: TypeAlias = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request. The connection stays open unless the script closes the writer."""


class Origin:
    """The server. `certificate` (see tests.fakes.authority) makes it speak TLS."""

    def __init__(self, *, certificate: Path | None = None) -> None:
        self.requests: list[Seen] = []
        self.connections = 0
        self.open_now = 0
        self.most_open = 0
        self.busiest: Counter[str] = Counter()
        """Most requests of one host that were being answered at the same time."""
        self.most_answering = 0  # the same of all hosts together
        self.port = 0
        self._scripts: dict[str, Script] = {}
        self._busy: Counter[str] = Counter()
        self._certificate = certificate
        self._names: dict[int, str | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def detour(self) -> str:
        """The entry of `opened` that sends `*.example` here."""
        return f"*.example={self.url}"

    def on(self, place: str, script: Script) -> None:
        """Answer `host/path` (query included) or `/path` of every host; `*` answers all else."""
        self._scripts[place] = script

    async def __aenter__(self) -> Origin:
        context = None
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            context.sni_callback = lambda sock, name, _: self._names.__setitem__(id(sock), name)
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            await self._serve(reader, writer, self.connections)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open_now -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        sni = self._names.get(id(writer.get_extra_info("ssl_object")))
        while not writer.is_closing():
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            method, path, _ = first.split(" ", 2)
            headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
            host = headers.get("host", "")
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            seen = Seen(method, host, path, headers, body, connection, sni, time.monotonic())
            self.requests.append(seen)
            self._busy[host] += 1
            self.busiest[host] = max(self.busiest[host], self._busy[host])
            self.most_answering = max(self.most_answering, self._busy.total())
            try:
                await self._script(host, path)(seen, writer)
                await writer.drain()
            finally:
                self._busy[host] -= 1

    def _script(self, host: str, path: str) -> Script:
        for place in (host + path, path, "*"):
            if place in self._scripts:
                return self._scripts[place]
        return reply(b"no such thing", status=404)


def reply(
    body: bytes = b"",
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    after_seconds: float = 0.0,
) -> Script:
    """An honest answer; the connection stays open."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    if status == 304:
        fields = {}
    fields |= headers or {}
    head = f"HTTP/1.1 {status} {_REASONS.get(status, 'X')}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items())

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if after_seconds:
            await asyncio.sleep(after_seconds)
        writer.write(head.encode("latin-1") + b"\r\n" + (b"" if seen.method == "HEAD" else body))

    return script


def redirect(location: str, *, status: int = 302) -> Script:
    """On to `location`."""
    return reply(status=status, headers={"Location": location})


def raw(*pieces: bytes, pause_seconds: float = 0.0) -> Script:
    """Exactly these bytes, then the end of the connection."""
    return endless(pieces, pause_seconds=pause_seconds)


def endless(pieces: Iterable[bytes], *, pause_seconds: float = 0.0) -> Script:
    """Piece after piece (an `itertools` iterator need not end), then the connection closes."""

    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_seconds)
        writer.close()

    return script


def repeated(head: bytes, piece: bytes, *, pause_seconds: float = 0.0) -> Script:
    """`head`, then `piece` for ever."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        pieces = itertools.chain([head], itertools.repeat(piece))
        await endless(pieces, pause_seconds=pause_seconds)(seen, writer)

    return script
