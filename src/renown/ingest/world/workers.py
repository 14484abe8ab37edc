"""Processes that make parts of a world beside each other.

Each holds a connection of its own and is told on its standard input what to make: a line of JSON
with the database and the size, then a name a line. It answers `done`, or a line that says what
failed, and ends with its input: so it does not outlive us.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from types import TracebackType

import msgspec

from renown.errors import RenownError, StoreError
from renown.ingest.world.parts import make
from renown.ingest.world.size import WorldSize
from renown.store import world
from renown.store.pool import connect

_DONE = b"done\n"
_END_SECONDS = 5.0
_PROGRAM = "import sys; from renown.ingest.world.workers import main; sys.exit(main())"


class _Task(msgspec.Struct, frozen=True):
    dsn: str
    size: WorldSize


class Workers:
    """So many processes, for as long as the block runs."""

    def __init__(self, dsn: str, size: WorldSize, count: int) -> None:
        self._task = msgspec.json.encode(_Task(dsn, size)) + b"\n"
        self.count = count
        self._all: list[Process] = []
        self._idle: asyncio.Queue[Process] = asyncio.Queue()

    async def __aenter__(self) -> Workers:
        for _ in range(self.count):
            # In a session of its own: Ctrl-C is for us, and we end it in order.
            one = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _PROGRAM),
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,
            )
            self._all.append(one)
            _input(one).write(self._task)
            self._idle.put_nowait(one)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in self._all:
            with suppress(ProcessLookupError):
                one.terminate()
        for one in self._all:
            try:
                await asyncio.wait_for(one.wait(), _END_SECONDS)
            except TimeoutError:
                one.kill()
                await one.wait()

    async def make(self, name: str) -> None:
        """Have a part made by the next process that is free.

        Raises:
            StoreError: it failed, or the process died.
        """
        one = await self._idle.get()
        with suppress(ConnectionError):  # it died: its output ends, too
            _input(one).write(name.encode() + b"\n")
            await _input(one).drain()
        assert one.stdout is not None
        answer = await one.stdout.readline()
        if answer != _DONE:
            said = answer.decode(errors="replace").strip() or "its process died"
            raise StoreError(f"part {name!r} of the world could not be made: {said}")
        self._idle.put_nowait(one)


def _input(one: Process) -> asyncio.StreamWriter:
    assert one.stdin is not None
    return one.stdin


async def _work() -> None:
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Task)
    conn = await connect(task.dsn, application_name="renown-bench-world")
    try:
        await world.prepare_session(conn)
        # Nothing else is to be done meanwhile, so that the wait may block.
        while line := sys.stdin.buffer.readline():
            await make(conn, task.size, line.decode().strip())
            sys.stdout.buffer.write(_DONE)
            sys.stdout.buffer.flush()
            gc.collect()
    finally:
        await conn.close(timeout=_END_SECONDS)


def main() -> int:
    """One worker, to the end of its input. Returns the exit code."""
    # What a part makes lives to its end: looking for garbage meanwhile takes an eighth of the time.
    gc.freeze()
    gc.disable()
    try:
        asyncio.run(_work())
    except RenownError as exc:
        sys.stdout.write(f"{exc.detail}\n")
        return 1
    except BrokenPipeError:  # nobody waits for us any more
        return 1
    return 0
