"""A node URL carries a key. It must come out nowhere: in no log line, error, repr or status."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from typing import Any

import pytest
import structlog
from aiohttp import web

from renown.chain.nodes import Patience
from renown.chain.source import ChainSource
from renown.errors import RenownError
from tests.fakes.world import DEVNET

USER, PASSWORD = "canaryuser", "canarypassword"
PATH, TOKEN = "canary0path1", "canary2token3"
CANARIES = (USER, PASSWORD, PATH, TOKEN)

PATIENCE = Patience(
    attempts=4,
    backoff_seconds=0.001,
    backoff_cap_seconds=0.002,
    deadline_seconds=0.1,
    slowest_rate=1_000,
)


def echo(request: web.Request) -> str:
    """What an unkind provider sends back: the request line and the credentials."""
    return f"bad request for {request.url} {request.path_qs} {request.headers.get('Authorization')}"


async def html(request: web.Request) -> web.StreamResponse:
    return web.Response(status=502, text=f"<html>{echo(request)}</html>", content_type="text/html")


async def refusal(request: web.Request) -> web.StreamResponse:
    error = {"code": -32000, "message": f"invalid key {PATH}, {TOKEN}: {echo(request)}"}
    return web.json_response({"jsonrpc": "2.0", "id": None, "error": error})


async def rate_limit(request: web.Request) -> web.StreamResponse:
    return web.Response(status=429, text=echo(request))


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hang(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def cut(request: web.Request) -> web.StreamResponse:
    return web.Response(text=f'{{"jsonrpc":"2.0","id":1,"result":"{echo(request)}')


async def shape(request: web.Request) -> web.StreamResponse:
    return web.json_response(
        {"jsonrpc": "2.0", "id": 1, "result": {PATH: TOKEN, "x": echo(request)}}
    )


async def redirect(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": f"http://{TOKEN}.test/{PATH}"})


async def bad_header(request: web.Request) -> web.StreamResponse:
    return web.Response(status=200, headers={"Content-Encoding": "gzip"}, body=b"not gzip")


@pytest.mark.parametrize(
    "handler", [html, refusal, rate_limit, reset, hang, cut, shape, redirect, bad_header, None]
)
async def test_canary__whatever_a_node_does__its_url_stays_inside(handler, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    said: list[Any] = []
    app = web.Application()
    port = 9  # nobody listens there
    if handler is not None:
        app.router.add_post("/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.05, access_log=None)
    await runner.setup()
    if handler is not None:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
    url = f"http://{USER}:{PASSWORD}@127.0.0.1:{port}/v3/{PATH}?apikey={TOKEN}"

    class Observer:
        def node_asked(self, chain_id: int, host: str, what: str, outcome: str, seconds: float):
            said.append((host, what, outcome))

    with structlog.testing.capture_logs() as events:
        source = ChainSource(
            DEVNET,
            [url],
            contracts=DEVNET.contracts,
            seed=1,
            patience=PATIENCE,
            observer=Observer(),
        )
        async with source:
            said.append(repr(source.pool.members[0].node))
            for question in (
                source.head(),
                source.block(1),
                source.window(1, 2),
                source.has_code(DEVNET.identity),
            ):
                try:
                    await question
                except RenownError as exc:
                    said.append("".join(traceback.format_exception(exc, chain=True)))
                    said.extend([str(exc), repr(exc), exc.problem("/"), vars(exc)])
                    said.extend(every_cause(exc))
            said.append(source.status())
            said.append(repr(source))
    await runner.cleanup()

    out, err = capsys.readouterr()
    everything = repr([said, events, caplog.text, out, err])
    assert "127.0.0.1" in everything
    for canary in CANARIES:
        assert canary not in everything


def every_cause(exc: BaseException | None) -> list[str]:
    """Each exception behind one, whether or not a traceback would show it."""
    found = []
    seen: set[int] = set()
    waiting = [exc]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        found.append(repr(one) + str(one))
        waiting += [one.__cause__, one.__context__]
    return found


async def test_canary__a_url_that_is_none__is_not_repeated():
    with contextlib.suppress(RenownError):
        ChainSource(DEVNET, [f"ws://x/{TOKEN}"], contracts=(), seed=1)
    with pytest.raises(RenownError) as caught:
        ChainSource(DEVNET, [f"ws://x/{TOKEN}"], contracts=(), seed=1)

    assert TOKEN not in "".join(traceback.format_exception(caught.value))
