"""The API inside our own event loop: uvicorn without its signal handlers and its exits."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from time import monotonic
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from renown.cli.joined_writes import JoinedWrites
from renown.errors import SetupError

DRAIN_SECONDS = 3.0
"""How long open requests and streams may take to end when we stop, unless told otherwise."""
LINGER_SECONDS = 0.5
"""How long an idle connection may still bring a request, when we stop."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port`, not yet listening: whoever comes too early is refused.

    Raises:
        SetupError: the port is in use or not ours to take, or there is no such address.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as exc:
        raise SetupError(f"{host!r} is no address to listen on: see --host") from exc
    bound = socket.socket(family, kind, proto)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.set_inheritable(False)
    except OSError as exc:
        bound.close()
        if exc.errno == errno.EADDRINUSE:
            raise SetupError(
                f"port {port} on {host} is in use: choose another with --port, "
                "or stop what listens there"
            ) from exc
        if exc.errno == errno.EACCES:
            raise SetupError(f"port {port} needs rights you lack: choose one above 1023") from exc
        raise SetupError(f"cannot listen on {host}:{port} ({exc.strerror}): see --host") from exc
    return bound


@asynccontextmanager
async def serving(
    app: ASGIApp,
    bound: socket.socket,
    *,
    drain_seconds: float = DRAIN_SECONDS,
    pause_seconds: float = 0.0,
) -> AsyncIterator[None]:
    """Serve `app` on `bound` for as long as the block runs.

    At its end `app.state.draining` is true. For `pause_seconds` all is served as before, so that
    who looks at `/readyz` learns of it; then nobody is let in any more, and what was asked is
    answered, `drain_seconds` long; what takes longer is cut off.

    Raises:
        SetupError: the application did not start; its log says why.
    """
    config = uvicorn.Config(
        app,
        http=JoinedWrites,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whom to believe about the peer is for `client_address` to say
    )
    server = _Server(config, app, drain_seconds, pause_seconds)
    running = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        await server.listening.wait()
        if not server.started:
            await running  # raises why
        yield
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError, SetupError):
            await running


def url(host: str, port: int) -> str:
    """Where a browser on this machine finds what listens on `host` and `port`."""
    here = ("127.0.0.1", "0.0.0.0", "::", "::1")  # noqa: S104 - compared, not bound
    name = "localhost" if host in here else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, app: ASGIApp, drain_seconds: float, pause_seconds: float
    ) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._app = app
        self._drain_seconds = drain_seconds
        self._pause_seconds = pause_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the command."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As the base, but an application that cannot start does not end the process."""
        try:
            await super().startup(sockets)
        except SystemExit:
            raise SetupError("the API did not start; the log above says why") from None
        finally:
            self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so, take no more connections, answer what those that are open still ask, then end.

        The base would close connections whose request is on its way, or was never looked at.
        """
        if (state := getattr(self._app, "state", None)) is not None:
            state.draining = True
        await self._pause()
        give_up_at = monotonic() + self._drain_seconds
        # Every answer from now on ends its connection.
        self.server_state.default_headers = [
            *self.server_state.default_headers,
            (b"connection", b"close"),
        ]
        for connection in self.server_state.connections:
            cycle: Any = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                cycle.keep_alive = False
        await self._stop_listening(sockets or [])
        # One that is idle may have sent a request that has not arrived; and whoever connected last
        # has not asked yet.
        linger_until = min(monotonic() + LINGER_SECONDS, give_up_at)
        while self.server_state.connections and monotonic() < linger_until:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        left = max(0.1, give_up_at - monotonic())
        self.config.timeout_graceful_shutdown = left  # type: ignore[assignment] # any number
        await super().shutdown()

    async def _pause(self) -> None:
        """Let it get about that we go."""
        await asyncio.sleep(self._pause_seconds)

    async def _stop_listening(self, sockets: list[socket.socket]) -> None:
        """Close the listeners, but leave nobody behind who was already let in by the kernel."""
        loop = asyncio.get_running_loop()
        last = [one.dup() for one in sockets]
        for one in sockets:
            loop.remove_reader(one)
        # Whoever the loop has just let in gets a server that is open still: a closed one drops him.
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for one in sockets:
            one.close()
        for _ in range(3):  # the loop lets go of them in its next rounds
            await asyncio.sleep(0)
        late: list[socket.socket] = []
        for one in last:
            one.setblocking(False)
            with one, suppress(BlockingIOError):
                while True:
                    late.append(one.accept()[0])
        for one in late:
            one.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, one)

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        made: asyncio.Protocol = make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
