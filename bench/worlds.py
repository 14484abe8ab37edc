"""The worlds that reads are measured on: 10 k, 100 k and 1 M agents, made once and kept.

An agent has ten feedbacks and five payments on average, see `renown bench world`.

`dsn("1M")` is all that a benchmark needs. It makes the world if it is not there, through
`renown.ingest.world`, on one server for all worlds, and says where it is. Worlds of the same seed,
size, schema and loader are used again, an unfinished one is finished.

Where things are, by environment:

- `RENOWN_BENCH_WORLDS`: a URL with `{name}` in the place of the database's name. Then the worlds
  are ready there (databases w10k, w100k, w1m), and nothing is made.
- `RENOWN_BENCH_FOLDER`: the folder of the server, kept for the next run. Without it the folder is a
  temporary one, gone with the process.
- `RENOWN_BENCH_SIZES`: the sizes that are measured, smallest first, by default `10k,100k,1M`.

The server has the settings of the product's own (`make run`): durable commits, an eighth of the
memory up to 1 GB as its cache. Only while a world is loaded it does without fsync and with the
least write-ahead log, and is started anew afterwards.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import asyncpg
import psutil

from renown.store.embedded import EmbeddedPostgres
from renown.store.embedded.postmaster import running_on
from renown.store.embedded.server import running_dsn
from renown.store.migrate import migrate

T = TypeVar("T")

SEED = 1
SIZES = ("10k", "100k", "1M")
BYTES_AN_AGENT = 25_000
"""On disk, with its feedback and payments, all indexes, and what is written while it is made."""

LOADING = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "maintenance_work_mem": "512MB",
    "autovacuum": "off",
}
"""Server settings while a world is made: a killed machine may spoil it, a killed process not."""

_PREFIX, _OWNER = "renown-bench-worlds-", "owner.pid"
_UNITS = {"k": 1_000, "M": 1_000_000}


def sizes() -> tuple[str, ...]:
    """The sizes to measure, smallest first, as `dsn` takes them."""
    return tuple(os.environ.get("RENOWN_BENCH_SIZES", ",".join(SIZES)).split(","))


def largest() -> str:
    """The size that budgets are of: 1M, or less where a run is only for a look."""
    return sizes()[-1]


def agents(size: str) -> int:
    """How many agents a world has: `10k` has 10,000."""
    return int(size[:-1]) * _UNITS[size[-1]] if size[-1] in _UNITS else int(size)


def database(size: str) -> str:
    """Name of a world's database."""
    return f"w{size.lower()}"


def dsn(size: str) -> str:
    """URL of the world of that size, which is made if it is not there. Call it from anywhere.

    A world that nobody may change: who writes works on a copy (`copied`).

    Raises:
        RuntimeError: a ready one was promised, and is not there.
    """
    if (ready := os.environ.get("RENOWN_BENCH_WORLDS")) is not None:
        url = ready.replace("{name}", database(size))
        if not _apart(_answers(url)):
            raise RuntimeError(f"RENOWN_BENCH_WORLDS has no database {database(size)}")
        return url
    server = _server()
    if not server.holds(size):
        server.make(size)
    return server.dsn(database(size))


@contextmanager
def copied(size: str, name: str) -> Iterator[str]:
    """URL of a copy of a world under another name, which may be changed and is dropped at the end.

    Files are cloned where the file system can, else copied: some seconds a gigabyte.
    """
    original = dsn(size)
    copy = _renamed(original, name)
    admin = _renamed(original, "postgres")
    source = database(size)
    _apart(_run(admin, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
    _apart(_run(admin, f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY file_copy'))
    try:
        yield copy
    finally:
        _apart(_run(admin, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


def server_pid() -> int:
    """Process id of the worlds' server, for `harness.cpu_seconds`, which counts its children.

    Raises:
        RuntimeError: it runs on another machine.
    """
    lines: str = _apart(_fetched(_renamed(dsn(sizes()[0]), "postgres"), _POSTMASTER))
    pid = int(lines.splitlines()[0])
    if not psutil.pid_exists(pid) or "postgres" not in psutil.Process(pid).name():
        raise RuntimeError("the worlds' server does not run on this machine")
    return pid


def server_pids() -> list[int]:
    """The worlds' server and all its processes at this moment."""
    postmaster = psutil.Process(server_pid())
    return [postmaster.pid, *(child.pid for child in postmaster.children(recursive=True))]


_POSTMASTER = "SELECT pg_read_file('postmaster.pid')"


# The server ---------------------------------------------------------------------------------------


class Server:
    """The worlds' server on its folder: started by whoever comes first, and stopped by him.

    Use `serving()` where others, in processes of their own, shall find it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: EmbeddedPostgres | None = None

    @property
    def url(self) -> str:
        """As `RENOWN_BENCH_WORLDS` has it."""
        return self.dsn("WORLD").replace("WORLD", "{name}")

    def dsn(self, name: str) -> str:
        """URL of one of its databases."""
        if self._own is not None:
            return self._own.dsn(name)
        if (running := running_dsn(self._folder, name)) is not None:
            return running
        return self.start({}).dsn(name)

    def start(self, settings: dict[str, str]) -> EmbeddedPostgres:
        """Start, with settings on top of the product's; anew if we run it already."""
        self.stop()
        own = EmbeddedPostgres(self._folder, settings=settings)
        own.start()
        self._own = own
        return own

    def stop(self) -> None:
        """No-op where another process runs it."""
        if self._own is not None:
            self._own.stop()
            self._own = None

    def holds(self, size: str) -> bool:
        """Whether the world is there, finished, and as this version makes it."""
        note = self._note(size)
        return note is not None and note.get("is") == what(size) and "seconds" in note

    def make(self, size: str) -> dict[str, Any]:
        """Load the world; the seconds it took and its bytes.

        Raises:
            RuntimeError: the disk has no room for it.
        """
        name, began = database(size), time.monotonic()
        needed = agents(size) * BYTES_AN_AGENT
        if shutil.disk_usage(self._folder).free < needed:
            raise RuntimeError(
                f"a world of {size} agents needs about {needed / 1e9:.0f} GB in {self._folder}: "
                "set RENOWN_BENCH_FOLDER to a larger disk, or RENOWN_BENCH_SIZES=10k,100k"
            )
        note = self._note(size)
        self.start(LOADING)
        admin, url = self.dsn("postgres"), self.dsn(name)
        if note is None or note.get("is") != what(size):
            _apart(_run(admin, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
            _apart(_run(admin, f'CREATE DATABASE "{name}"'))
            self._write(size, {"is": what(size)})
            _apart(migrate(url))
        _apart(_load(url, agents(size)))
        _apart(_run(url, "CHECKPOINT"))
        self.start({})
        found = {"seconds": round(time.monotonic() - began, 1), "bytes": self._bytes(name)}
        self._write(size, {"is": what(size)} | found)
        return found

    def _note(self, size: str) -> dict[str, Any] | None:
        text = _apart(_fetched(self.dsn("postgres"), _COMMENT, database(size)))
        return json.loads(text) if text else None

    def _write(self, size: str, note: dict[str, Any]) -> None:
        text = json.dumps(note).replace("'", "''")
        statement = f"COMMENT ON DATABASE \"{database(size)}\" IS '{text}'"
        _apart(_run(self.dsn("postgres"), statement))

    def _bytes(self, name: str) -> int:
        found: int = _apart(_fetched(self.dsn("postgres"), "SELECT pg_database_size($1)", name))
        return found


_COMMENT = """
SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1
"""


@contextmanager
def serving() -> Iterator[Server]:
    """The server, for one who makes the worlds and hands its `url` on; stopped at the end."""
    server = _server()
    try:
        yield server
    finally:
        server.stop()


def what(size: str) -> dict[str, Any]:
    """What makes one world equal to another: seed, size, schema, and the code that fills it."""
    schema, loader = hashlib.sha256(), hashlib.sha256()
    folder = resources.files("renown.store") / "migrations"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            schema.update(file.read_bytes())
    package = Path(str(resources.files("renown")))
    for file in sorted([*package.glob("ingest/world/**/*.py"), *package.glob("store/world*.py")]):
        loader.update(file.read_bytes())
    return {
        "agents": agents(size),
        "seed": SEED,
        "schema": schema.hexdigest()[:16],
        "loader": loader.hexdigest()[:16],
    }


@cache
def _server() -> Server:
    kept = os.environ.get("RENOWN_BENCH_FOLDER")
    if kept:
        folder = Path(kept)
        folder.mkdir(parents=True, exist_ok=True)
    else:
        _remove_abandoned()
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        folder.chmod(0o711)
        (folder / _OWNER).write_text(str(os.getpid()))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = Server(folder)
    atexit.register(server.stop)  # runs before the folder goes: last in, first out
    return server


def _remove_abandoned() -> None:
    """Stop and remove what killed runs left: a world of a million agents is 15 GB."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, ValueError, psutil.Error):
            if not psutil.pid_exists(int((folder / _OWNER).read_text())):
                if (left := running_on(folder / "pgdata")) is not None:
                    os.kill(left.pid, signal.SIGQUIT)
                    psutil.wait_procs([psutil.Process(left.pid)], timeout=30)
                shutil.rmtree(folder, ignore_errors=True)


async def _load(url: str, count: int) -> None:
    from renown.ingest.world import WorldSize, load

    await load(url, WorldSize(agents=count, seed=SEED))


async def _answers(url: str) -> bool:
    try:
        return bool(await _fetched(url, "SELECT count(*) FROM chain"))
    except (asyncpg.PostgresError, OSError) as exc:
        print(f"worlds: {type(exc).__name__}: {exc}", file=sys.stderr)
        return False


async def _fetched(url: str, statement: str, *args: Any) -> Any:
    conn = await asyncpg.connect(url)
    try:
        return await conn.fetchval(statement, *args)
    finally:
        await conn.close()


async def _run(url: str, statement: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


def _renamed(url: str, name: str) -> str:
    """The same server's other database; parameters after `?` stay."""
    base, mark, parameters = url.partition("?")
    return f"{base.rpartition('/')[0]}/{quote(name)}{mark}{parameters}"


def _apart(work: Coroutine[Any, Any, T]) -> T:
    """Its result, whether or not a loop runs in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
