"""The parts a benchmark runs: PostgreSQL, the mock chain and the indexer, each its own process."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import asyncpg

from renown.store.embedded import EmbeddedPostgres
from renown.store.migrate import migrate
from renown.store.pool import Conn

ROOT = Path(__file__).parent.parent
STOP_SECONDS = 10.0


class MockChain:
    """The mock chain's process. Use as a context manager."""

    def __init__(
        self, size: int, density: str, *, heavy: int | None = None, keep: bool = True
    ) -> None:
        options = ["--size", str(size), "--density", density]
        options += [] if heavy is None else ["--heavy", str(heavy)]
        options += [] if keep else ["--keep-events", "0"]
        self._process = _python("bench.mockchain", *options)
        self.world: dict[str, Any] = _line(self._process)
        self.url: str = self.world["url"]
        parts = urlsplit(self.url)
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()
        _end(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, method: str, *params: Any) -> Any:
        """One call; mostly of `mock_` methods. Raises RuntimeError where it is refused."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self._http.request("POST", "/", json.dumps(request))
        reply = json.loads(self._http.getresponse().read())
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']}")
        return reply["result"]


class DriverProcess:
    """A module of this package in its own process, told what to do line by line.

    Its first line (`ready`) is read before this returns: it is started, and its modules are loaded.
    It leaves when its input ends. Use as a context manager.
    """

    def __init__(self, module: str, environment: dict[str, str], *options: str) -> None:
        self._process = _python(module, *options, environment=environment)
        self.ready: dict[str, Any] = _line(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _end(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, order: dict[str, Any]) -> None:
        """Have it begin something. Returns at once."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def heard(self) -> dict[str, Any]:
        """Wait for its next line."""
        return _line(self._process)


class IndexerProcess(DriverProcess):
    """An indexer of the mock chain. See `driver` for what it does."""

    def __init__(self, dsn: str, rpc_url: str) -> None:
        super().__init__("bench.driver", {"BENCH_DSN": dsn, "RPC_URL": rpc_url})

    def run(self, until: int | None) -> None:
        """Start indexing up to block `until`, or following for ever. Returns at once."""
        self.tell({"until": until})

    def done(self) -> dict[str, Any]:
        """Wait for the end of what `run` started; what it took, as `driver` says it."""
        return self.heard()


class ApiProcess(DriverProcess):
    """The API of an indexed database, in the ways of `limits_driver`."""

    def __init__(self, dsn: str, redis_url: str) -> None:
        super().__init__("bench.limits_driver", {"BENCH_DSN": dsn, "BENCH_REDIS": redis_url})


class WatcherProcess(DriverProcess):
    """A watcher of operations. See `operations_driver` for what it does."""

    def __init__(self, dsn: str) -> None:
        super().__init__("bench.operations_driver", {"BENCH_DSN": dsn})

    def watch(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have it look, and wait for what that took."""
        self.tell(order)
        return self.heard()


def index_command(dsn: str, rpc_url: str) -> subprocess.Popen[bytes]:
    """`renown index` as an operator starts it."""
    environment = {"DATABASE_URL": dsn, "RPC_URL": rpc_url}
    return _command("index", "--chain", "devnet", environment=environment)


def notary_command(dsn: str, folder: Path) -> subprocess.Popen[bytes]:
    """`renown notary` as an operator starts it, with its key and checkpoints in `folder`."""
    return _command("notary", environment={"DATABASE_URL": dsn, "RENOWN_DATA_DIR": str(folder)})


@contextmanager
def postgres() -> Iterator[EmbeddedPostgres]:
    """A new server in a temporary folder, durable and with the settings of the product."""
    folder = Path(tempfile.mkdtemp(prefix="renown-bench-"))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder)
    try:
        with server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def connection(dsn: str) -> AsyncIterator[Conn]:
    """A plain connection: no codecs, so binary COPY works."""
    conn: Conn = await asyncpg.connect(dsn)
    try:
        yield conn
    finally:
        await conn.close()


async def new_database(server: EmbeddedPostgres, name: str, *, migrated: bool = True) -> str:
    """Make an empty database, with the schema unless told not to; its URL."""
    async with connection(server.dsn("postgres")) as conn:
        await conn.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await conn.execute(f'CREATE DATABASE "{name}"')
    if migrated:
        await migrate(server.dsn(name))
    return server.dsn(name)


async def settle(dsn: str) -> None:
    """Write out what earlier work left dirty, so that it is not paid for by what comes next."""
    async with connection(dsn) as conn:
        await conn.execute("CHECKPOINT")
    await asyncio.to_thread(os.sync)


def _command(*words: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("renown")), *words],
        cwd=ROOT,
        env=_environment(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _python(
    module: str, *options: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *options],
        cwd=ROOT,
        env=_environment(environment or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _environment(more: dict[str, str]) -> dict[str, str]:
    ours = {key: value for key, value in os.environ.items() if not key.startswith("RENOWN_")}
    return ours | more


def _line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with {process.wait(STOP_SECONDS)}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()  # both processes leave when nobody can speak to them
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
