from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import Any

import pytest
import typer

from renown.cli import process
from renown.cli.beside import beside
from renown.cli.listening import bind, serving, url
from renown.errors import SetupError


def code_of(work: Any, *, service: bool = False) -> int:
    with pytest.raises(typer.Exit) as left:
        process.run(work, service=service)
    return left.value.exit_code


async def told(number: int) -> None:
    os.kill(os.getpid(), number)
    await asyncio.sleep(10)


@pytest.mark.parametrize(
    ("number", "service", "code"),
    [
        (signal.SIGINT, False, 130),
        (signal.SIGINT, True, 130),
        (signal.SIGTERM, False, 143),
        (signal.SIGTERM, True, 0),
        (signal.SIGHUP, True, 0),
    ],
)
def test_run__told_to_stop__cleans_up_and_leaves_with_its_code(
    number: int, service: bool, code: int
) -> None:
    done: list[str] = []

    async def work() -> None:
        try:
            await told(number)
        finally:
            await asyncio.sleep(0)
            done.append("cleaned up")

    assert code_of(work, service=service) == code
    assert done == ["cleaned up"]


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (65, 65)])
def test_run__to_the_end__leaves_with_what_the_work_says(result: int | None, code: int) -> None:
    async def work() -> int | None:
        return result

    assert code_of(work) == code


def test_run__an_error_while_stopping__is_not_hidden() -> None:
    async def work() -> None:
        try:
            await told(signal.SIGTERM)
        finally:
            raise SetupError("could not stop")

    with pytest.raises(SetupError):
        process.run(work)


async def test_in_thread__cancelled_while_it_starts__still_stops_what_started() -> None:
    release = asyncio.Event()
    loop = asyncio.get_running_loop()
    happened: list[str] = []

    def start() -> None:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        happened.append("started")

    async def use() -> None:
        async with process.in_thread(start, lambda: happened.append("stopped")):
            happened.append("used")

    task = asyncio.create_task(use())
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.sleep(0.02)
    release.set()
    await asyncio.gather(task, return_exceptions=True)

    assert happened == ["started", "stopped"]


async def test_in_thread__that_does_not_start__is_not_stopped() -> None:
    happened: list[str] = []

    def start() -> None:
        raise SetupError("no")

    with pytest.raises(SetupError):
        async with process.in_thread(start, lambda: happened.append("stopped")):
            pass

    assert happened == []


async def test_beside__a_failure_beside__ends_the_block() -> None:
    async def fail() -> None:
        raise SetupError("anvil is gone")

    with pytest.raises(ExceptionGroup) as failed:
        async with beside(fail()):
            await asyncio.sleep(10)

    assert failed.group_contains(SetupError)


async def test_beside__ends_with_the_block() -> None:
    ended = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.set()

    async with beside(forever()):
        await asyncio.sleep(0)

    assert ended.is_set()


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_serving__answers_from_the_first_line_of_the_block_and_not_after_it() -> None:
    with bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        async with serving(hello, bound):
            assert b"hello" in await ask(port)

    with pytest.raises(OSError):
        await ask(port)


async def test_serving__an_application_that_cannot_start__is_an_error_and_no_exit() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with bind("127.0.0.1", 0) as bound, pytest.raises(SetupError):
        async with serving(broken, bound):
            pytest.fail("it did not start")


def test_bind__a_port_in_use__names_the_option() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SetupError, match="--port"),
    ):
        bind("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "http://localhost:80"),
        ("0.0.0.0", "http://localhost:80"),
        ("10.1.2.3", "http://10.1.2.3:80"),
        ("fd00::1", "http://[fd00::1]:80"),
    ],
)
def test_url__is_one_that_a_browser_here_can_open(host: str, shown: str) -> None:
    assert url(host, 80) == shown
