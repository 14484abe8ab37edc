"""The API inside our own event loop: uvicorn without its signal handlers and its exits."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from renown.errors import SetupError

GRACE_SECONDS = 3
"""How long open requests and streams may take to end when we stop."""


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
async def serving(app: ASGIApp, bound: socket.socket) -> AsyncIterator[None]:
    """Serve `app` on `bound` for as long as the block runs.

    Raises:
        SetupError: the application did not start; its log says why.
    """
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whom to believe about the peer is for `client_address` to say
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = _Server(config)
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
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

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
