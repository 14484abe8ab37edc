"""What lies between us and a node: it passes on, hears what is sent, and loses what it is told to.

A question is lost before the node heard it, an answer after: whoever asked cannot tell which.
"""

from __future__ import annotations

import json
from collections import Counter
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

MOST_BYTES = 64 * 1024 * 1024
SEND = "eth_sendRawTransaction"


class Line:
    """Listens at `url`, and passes on to the node at `target`. An async context manager.

    Attributes:
        is_cut: every question is lost.
        lost_answers: methods whose answers are lost, while the node does what it was asked.
        sent: how often each signed transaction was passed on, as hexadecimal text.
        lost: how many answers were lost, by method.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self.url = ""
        self.is_cut = False
        self.lost_answers: set[str] = set()
        self.sent: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    def mend(self) -> None:
        """Lose nothing from now on."""
        self.is_cut = False
        self.lost_answers.clear()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_post("/", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.is_cut:
            return _lost(request)
        methods = self._heard(json.loads(body))
        async with self._session.post(
            self._target, data=body, headers={"Content-Type": "application/json"}
        ) as answer:
            said = await answer.read()
        for method in methods & self.lost_answers:
            self.lost[method] += 1
            return _lost(request)
        return web.Response(body=said, status=answer.status, content_type="application/json")

    def _heard(self, asked: Any) -> set[str]:
        questions = asked if isinstance(asked, list) else [asked]
        for question in questions:
            if question["method"] == SEND:
                self.sent[question["params"][0]] += 1
        return {question["method"] for question in questions}


def _lost(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
