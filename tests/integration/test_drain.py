"""Told to stop under load: nobody new is let in, and whoever asked is answered."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from renown.api.app import create_app
from renown.cli.listening import bind, serving
from renown.settings import Settings
from renown.store.pool import connect, connect_pool
from tests.access import SETTINGS, give_account

CLIENTS = 24


class Cut(Exception):
    """A connection ended in the middle of a request."""


class Line:
    """One connection of a client, as bare as can be: what happens to it is seen."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, headers: str) -> tuple[int, bytes, bool]:
        """Status, body, and whether the connection goes on. Raises ConnectionRefusedError, Cut."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: api\r\n{headers}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            body = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as exc:
            raise Cut from exc
        goes_on = "connection: close" not in head
        if not goes_on:
            self.close()
        return int(head[9:12]), body, goes_on

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@pytest.fixture
async def bound() -> AsyncIterator[socket.socket]:
    with bind("127.0.0.1", 0) as made:
        yield made


async def test_stop_under_load__every_request_is_answered_or_refused_and_audited(
    fresh_database_url: str, bound: socket.socket
) -> None:
    port = bound.getsockname()[1]
    pool = await connect_pool(fresh_database_url, min_size=1, max_size=4)
    me = await give_account(pool)
    app = create_app(Settings(**SETTINGS), pool=pool)
    key = f"Authorization: Bearer {me.key}\r\n"
    outcomes: Counter[str] = Counter()
    stopping = asyncio.Event()

    async def client(number: int) -> None:
        line = Line(port)
        while True:
            try:
                status, _, goes_on = await line.ask("/v1/account", key)
            except ConnectionRefusedError:
                outcomes["refused"] += 1
                return
            except Cut:
                outcomes["cut"] += 1
                return
            outcomes[str(status)] += 1
            if stopping.is_set() and goes_on:
                outcomes["told to go on"] += 1
            if number % 3 == 0:
                line.close()  # some come anew each time

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(app, bound, drain_seconds=10))
        clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
        idle = Line(port)
        assert (await idle.ask("/readyz", ""))[0] == 200
        async with asyncio.timeout(20):
            while outcomes["200"] < 100:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        leaving = asyncio.create_task(stack.aclose())
        async with asyncio.timeout(5):
            while not getattr(app.state, "draining", False):  # noqa: ASYNC110
                await asyncio.sleep(0)
        stopping.set()
        status, body, goes_on = await idle.ask("/readyz", "")
        assert (status, goes_on) == (503, False)
        assert b"not ready" in body
        await leaving
    async with asyncio.timeout(10):
        await asyncio.gather(*clients)

    assert set(outcomes) - {"told to go on"} == {"200", "refused"}, outcomes
    # Those whose answer was under way when we stopped may have been told so already.
    assert outcomes["told to go on"] <= CLIENTS
    assert outcomes["refused"] == CLIENTS
    conn = await connect(fresh_database_url)
    read = await conn.fetchval("SELECT count(*) FROM audit_log WHERE action = 'read'")
    await conn.close()
    assert read == outcomes["200"], "what waited to be written is written before the end"
    await pool.close(grace_seconds=1)
    assert pool.size == 0


async def test_stop__with_a_pause__is_not_ready_for_new_connections_and_serves_them(
    fresh_database_url: str, bound: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy asks `/readyz` on a connection of its own, and sends requests until it has."""
    pool = await connect_pool(fresh_database_url, min_size=1, max_size=4)
    app = create_app(Settings(**SETTINGS), pool=pool)
    began, enough = asyncio.Event(), asyncio.Event()

    async def pause(self: object) -> None:
        began.set()
        await enough.wait()

    monkeypatch.setattr("renown.cli.listening._Server._pause", pause)
    port = bound.getsockname()[1]

    async def ask_anew(path: str) -> tuple[int, bytes]:
        line = Line(port)
        try:
            return (await line.ask(path, ""))[:2]
        finally:
            line.close()

    async with asyncio.timeout(30), AsyncExitStack() as stack:
        await stack.enter_async_context(serving(app, bound, drain_seconds=5))
        assert (await ask_anew("/readyz"))[0] == 200
        leaving = asyncio.create_task(stack.aclose())
        await began.wait()
        status, body = await ask_anew("/readyz")
        assert (status, b"draining" in body) == (503, True)
        assert (await ask_anew("/v1/agents"))[0] == 200
        enough.set()
        await leaving
        with pytest.raises(ConnectionRefusedError):
            await ask_anew("/readyz")
    await pool.close(grace_seconds=1)


async def test_stop__a_request_longer_than_the_drain__is_ended_in_time(
    bound: socket.socket,
) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        if scope["type"] == "http":
            began.set()
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

    async def ask() -> None:
        head = (await Line(bound.getsockname()[1]).ask("/", ""))[0]
        assert head == 500

    async with asyncio.timeout(15):
        async with serving(app, bound, drain_seconds=0.3):  # type: ignore[arg-type]
            asking = asyncio.create_task(ask())
            await began.wait()
        await ended.wait()
        await asking


async def test_stop__nobody_there__is_quick(bound: socket.socket) -> None:
    async def app(scope: dict[str, object], receive: object, send: object) -> None: ...

    async with asyncio.timeout(5), serving(app, bound, drain_seconds=60):  # type: ignore[arg-type]
        pass


async def test_stop__let_in_by_the_kernel_but_not_yet_by_us__is_answered(
    bound: socket.socket,
) -> None:
    """A closed listener resets whoever waits in its queue."""
    answer = b"here"

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        if scope["type"] == "http":
            headers = [(b"content-length", str(len(answer)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})  # type: ignore[operator]
            await send({"type": "http.response.body", "body": answer})  # type: ignore[operator]

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(app, bound, drain_seconds=5))  # type: ignore[arg-type]
        leaving = asyncio.create_task(stack.aclose())
        lines = []
        while bound.fileno() != -1:  # connected, and the loop has had no time to accept all of them
            try:
                one = socket.create_connection(("127.0.0.1", bound.getsockname()[1]), timeout=5)
            except OSError:
                break
            one.sendall(b"GET / HTTP/1.1\r\nHost: api\r\n\r\n")
            lines.append(one)
            await asyncio.sleep(0)
        await leaving
    heads = [one.recv(4096) for one in lines]
    for one in lines:
        one.close()
    assert heads
    assert all(head.startswith(b"HTTP/1.1 200") for head in heads), heads
