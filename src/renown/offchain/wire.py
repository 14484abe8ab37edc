"""One open connection: a request goes out, its answer comes in; nothing else is listened to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from renown.offchain.answer import Answer, AnswerReader
from renown.offchain.failed import Failed


class Wire(asyncio.Protocol):
    """A connection to a stranger, after TLS.

    `on_loss` is called once when it closes while nobody asks over it.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._waiting: asyncio.Future[Answer | Failed] | None = None
        self.on_loss: Callable[[], None] | None = None
        self.used = False

    @property
    def open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes, reader: AnswerReader) -> Answer | Failed:
        """Send `request`, one at a time; its answer as `reader` takes it in.

        Afterwards the connection is closed, unless `reader.reusable` says it can serve again.
        """
        if self._transport is None:
            return Failed("broken", "no-answer", unheard=True)
        self._reader = reader
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            self._transport.write(request)
            return await self._waiting
        finally:
            self.used = True
            self._reader = self._waiting = None
            if not reader.reusable:
                self.close()

    def close(self) -> None:
        """Hang up at once; a polite TLS farewell would wait for the other side."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        if self._reader is None:
            self.close()  # nobody asked
            return
        result = self._reader.feed(data)
        if result is not None:
            self._settle(result)
            if not self._reader.reusable:
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._reader is not None:
            self._settle(self._reader.end(cut=exc is not None))
        elif self.on_loss is not None:
            self.on_loss()

    def _settle(self, result: Answer | Failed) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(result)
